"""Chunks into findings: the same however they are cut, and everything unusual is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime import Detector, InputError
from runtime.simulate import simulate
from scale.chunk import Chunk
from scale.live.patients import BEAT, EVENT, NOTE, Arrived, Finding, Followed, Patients

FS = 250
PATIENT = simulate(40, fs=FS, seed=3, ectopic=0.3).signal


def cut(signal: NDArray[np.float32], sizes: Sequence[int], *, recording: int = 1) -> list[Chunk]:
    """The signal in chunks of these sizes, again and again, the last one marked."""
    chunks, at = [], 0
    while at < len(signal):
        size = sizes[len(chunks) % len(sizes)]
        end = min(at + size, len(signal))
        chunks.append(Chunk(FS, recording, at, signal[at:end], last=end == len(signal)))
        at = end
    return chunks


def found(detector: Detector, chunks: Iterable[Chunk | str], together: int = 1) -> list[Finding]:
    """All that one patient's chunks give, so many of them at a time."""
    one, patients, findings = Followed("p"), Patients(detector), []
    arrived = [Arrived(i + 1, i, chunk) for i, chunk in enumerate(chunks)]
    for at in range(0, len(arrived), together):
        patients.take([(one, arrived[at : at + together])])
        findings += one.take_found()
    return findings


def ids(findings: Iterable[Finding]) -> dict[str, list[tuple[int, str]]]:
    """By kind, in order: number and id."""
    return {
        kind: [(one.number, one.id) for one in findings if one.kind == kind]
        for kind in (BEAT, EVENT, NOTE)
    }


def takes_missing(detector: Detector) -> None:
    try:
        detector.stream(FS).push([0.0, np.nan])
    except InputError:
        pytest.skip("this detector's streams take no missing samples")


def test_beats_and_events_are_those_of_a_stream(detector: Detector) -> None:
    stream = detector.stream(FS, events=True)
    beats = stream.push(PATIENT) + stream.finish()
    findings = found(detector, cut(PATIENT, [FS]))
    assert [(one.body["sample"], one.body["label"]) for one in findings if one.kind == BEAT] == [
        (round(beat.time * FS), beat.label) for beat in beats
    ]
    assert [(one.body["event"], one.body["start"]) for one in findings if one.kind == EVENT] == [
        (event.kind, round(event.start * FS)) for event in stream.events()
    ]
    assert findings[0].id == f"p/1/{findings[0].body['sample']}"


@hypothesis.settings(max_examples=10)
@hypothesis.given(st.lists(st.integers(1, 3 * FS), min_size=1, max_size=4), st.integers(1, 9))
def test_cuts_and_batches_do_not_change_what_is_found(
    detector: Detector, sizes: list[int], together: int
) -> None:
    sizes = [max(size, 40) for size in sizes]
    expected = ids(found(detector, cut(PATIENT, [FS])))
    assert ids(found(detector, cut(PATIENT, sizes), together)) == expected


def test_company_does_not_change_what_is_found(detector: Detector) -> None:
    patients = [Followed(f"p{i}") for i in range(3)]
    signals = [simulate(20, fs=FS, seed=i).signal for i in range(3)]
    chunks = [cut(signal, [FS // 2 + 10 * i]) for i, signal in enumerate(signals)]
    Patients(detector).take(
        [
            (one, [Arrived(i + 1, 0, chunk) for i, chunk in enumerate(some)])
            for one, some in zip(patients, chunks, strict=True)
        ]
    )
    for one, signal in zip(patients, signals, strict=True):
        alone = found(detector, cut(signal, [FS]))
        assert [(x.number, x.id.split("/", 1)[1]) for x in one.take_found()] == [
            (x.number, x.id.split("/", 1)[1]) for x in alone
        ]


@pytest.mark.parametrize("together", [1, 100])
def test_doubled_chunks_change_nothing(detector: Detector, together: int) -> None:
    chunks = cut(PATIENT, [FS])
    twice = [one for chunk in chunks for one in (chunk, chunk)]
    overlapping = [
        Chunk(
            FS,
            1,
            max(0, chunk.first - 30),
            PATIENT[max(0, chunk.first - 30) : chunk.end],
            chunk.last,
        )
        for chunk in chunks
    ]
    expected = ids(found(detector, chunks))
    assert ids(found(detector, twice, together)) == expected
    assert ids(found(detector, overlapping, together)) == expected


def test_a_gap_is_said_and_beats_keep_their_places(detector: Detector) -> None:
    takes_missing(detector)
    chunks = cut(PATIENT, [FS])
    del chunks[10:13]
    findings = found(detector, chunks)
    notes = [one.body["text"] for one in findings if one.kind == NOTE]
    assert notes == ["750 samples are missing before sample 3250."]
    expected = {one.id for one in found(detector, cut(PATIENT, [FS])) if one.kind == BEAT}
    later = {one.id for one in findings if one.kind == BEAT and one.body["sample"] > 14 * FS}
    assert later <= expected
    assert len(later) > 20


def test_a_very_long_gap_begins_a_new_stream(detector: Detector) -> None:
    later = 700 * FS
    chunks = [
        *cut(PATIENT[: 10 * FS], [FS])[:-1],
        Chunk(FS, 1, later, PATIENT),
    ]
    findings = found(detector, chunks, 100)
    notes = [one.body["text"] for one in findings if one.kind == NOTE]
    assert notes == [f"{later - 9 * FS} samples are missing; the stream begins anew."]
    samples = [one.body["sample"] for one in findings if one.kind == BEAT]
    assert samples == sorted(samples)
    assert any(sample > later for sample in samples)
    assert {one.stream for one in findings if one.kind == BEAT} == {1, 10}


def test_a_new_recording_ends_the_old_one(detector: Detector) -> None:
    first = cut(PATIENT[: 10 * FS], [FS])[:-1]
    second = cut(PATIENT, [FS], recording=2)
    findings = found(detector, [*first, *second, first[3]], 4)
    by_recording = [one.recording for one in findings]
    assert by_recording == sorted(by_recording)
    assert ids([one for one in findings if one.recording == 2])[BEAT] == [
        (number, name.replace("p/1/", "p/2/"))
        for number, name in ids(found(detector, cut(PATIENT, [FS])))[BEAT]
    ]


def test_values_beyond_any_amplifier_are_missing_and_said_once(detector: Detector) -> None:
    takes_missing(detector)
    signal = PATIENT.copy()
    signal[[2000, 4000]] = 1e6
    notes = [one.body["text"] for one in found(detector, cut(signal, [FS])) if one.kind == NOTE]
    assert notes == ["samples beyond ±500 mV are taken as missing; are the units right?"]


def test_a_rate_that_no_stream_takes_is_said_once(detector: Detector) -> None:
    chunks: list[Chunk | str] = [Chunk(20.0, 1, 20 * i, PATIENT[:20]) for i in range(5)]
    findings = found(detector, chunks)
    assert [one.kind for one in findings] == [NOTE]
    assert findings[0].body["text"].startswith("the recording is refused: ")


def test_damaged_bytes_are_said_and_the_stream_goes_on(detector: Detector) -> None:
    chunks: list[Chunk | str] = [*cut(PATIENT, [FS])]
    chunks.insert(5, "a chunk is damaged.")
    findings = found(detector, chunks)
    assert [one.body["text"] for one in findings if one.kind == NOTE] == ["a chunk is damaged."]
    assert ids(findings)[BEAT] == ids(found(detector, cut(PATIENT, [FS])))[BEAT]


def test_a_recording_ends_with_an_empty_chunk_too(detector: Detector) -> None:
    chunks = cut(PATIENT, [FS])
    chunks[-1] = Chunk(FS, 1, chunks[-1].first, chunks[-1].samples)
    end = Chunk(FS, 1, len(PATIENT), PATIENT[:0], last=True)
    for together in (1, 100):
        assert ids(found(detector, [*chunks, end, end], together)) == ids(
            found(detector, cut(PATIENT, [FS]))
        )
