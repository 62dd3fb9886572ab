"""A strip's noise as a whole: who gets a verdict, and the same one however a strip is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.detector import Detector
from runtime.findings import NOISY, Quality, Record, Result
from runtime.records import read
from runtime.records.views import html
from runtime.rhythm import RhythmModel
from runtime.server.metrics import Metrics
from runtime.server.service import Service
from runtime.signal.noise import NOT_NOISE, NoiseMemory
from runtime.signal.quality import assess
from runtime.simulate import simulate

FS = 360


def motion(seconds: float) -> NDArray[np.float64]:
    """A heart behind the swings and jerks of a hand that moves, mV."""
    rng, size = np.random.default_rng(3), round(seconds * FS)
    walk = np.cumsum(rng.normal(size=size))
    walk -= np.convolve(walk, np.ones(FS) / FS, "same")
    return clean(seconds) + 0.3 * walk / walk.std() + rng.normal(scale=0.2, size=size)


def clean(seconds: float) -> NDArray[np.float64]:
    return np.asarray(simulate(seconds, ectopic=0.0).signal, dtype=np.float64)


def one(found: Result | list[Result]) -> Result:
    assert isinstance(found, Result)
    return found


def at_the_end(detector: Detector, ecg: NDArray[np.float64], cuts: list[int]) -> bool | None:
    stream = detector.stream(FS, events=True)
    for piece in np.split(ecg, sorted(cut % (len(ecg) + 1) for cut in cuts)):
        stream.push(piece)
    stream.finish()
    return stream.noisy


def test_motion_is_noise_and_a_clean_strip_is_not(detector: Detector) -> None:
    for ecg, expected in ((motion(30), True), (clean(30), False)):
        quality = one(detector.predict(ecg, FS)).quality
        assert quality.noisy is expected
        assert (NOISY in quality.notes) is expected
        assert quality.to_dict()["noisy"] is expected
        annotation = detector.annotate(Record("x", "I", FS, ecg, 0.0))
        assert annotation.quality.noisy is expected
        assert ("noise as a whole" in html(annotation)) is expected
        assert at_the_end(detector, ecg, [100, 4000]) is expected


def test_white_noise_is_noise(detector: Detector) -> None:
    ecg = np.random.default_rng(0).normal(scale=0.3, size=30 * FS)
    assert one(detector.predict(ecg, FS)).quality.noisy


def test_the_sample_is_not_noise(detector: Detector) -> None:
    quality = detector.annotate(read("sample")).quality
    assert quality.noisy is False


def test_nothing_is_said_of_what_is_no_strip(detector: Detector) -> None:
    for seconds in (5.9, 60.1):
        ecg = motion(seconds)
        assert one(detector.predict(ecg, FS)).quality.noisy is None
        assert detector.annotate(Record("x", "I", FS, ecg, 0.0)).quality.noisy is None
        assert at_the_end(detector, ecg, []) is None
    for seconds in (6.0, 60.0):
        assert one(detector.predict(motion(seconds), FS)).quality.noisy is not None
    assert detector.stream(FS, events=True).assess(motion(30)).noisy is None  # a part
    stream = detector.stream(FS)
    stream.push(motion(30))
    assert stream.noisy is None  # the rhythm is not followed
    assert Quality(0.0, 0.0, 1.0).noisy is None


def test_the_last_piece_of_a_long_recording_is_no_strip(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.records.annotation.PIECE_S", 40)
    ecg = motion(70)
    found = detector.annotate(Record("x", "I", FS, ecg, 0.0)).quality
    parts = [detector.assess(part, FS, whole=False) for part in (ecg[: 40 * FS], ecg[40 * FS :])]
    assert found.seconds == parts[0].seconds + parts[1].seconds
    assert found.noisy is None


@given(st.lists(st.integers(0, 20 * FS), max_size=4), st.booleans())
def test_the_verdict_is_the_same_however_a_strip_is_cut(
    detector: Detector, cuts: list[int], noise: bool
) -> None:
    ecg = motion(20) if noise else clean(20)
    assert at_the_end(detector, ecg, cuts) is noise


@pytest.mark.parametrize("cut", [1, 4 * FS, 9 * FS + 7, 20 * FS - 1])
def test_a_saved_stream_goes_on_to_the_same_log_odds(detector: Detector, cut: int) -> None:
    ecg = clean(20) + 0.3 * motion(20)

    def end(first: int | None) -> tuple[NoiseMemory, bool | None]:
        stream = detector.stream(FS, events=True)
        if first is not None:
            stream.push(ecg[:first])
            stream = detector.resume(stream.save())
        stream.push(ecg[first or 0 :])
        stream.finish()
        assert stream.tracker is not None
        memory = stream.tracker.seconds.state.noise_memory
        assert memory is not None
        return memory, stream.noisy

    (whole, verdict), (resumed, same) = end(None), end(cut)
    np.testing.assert_allclose(resumed.means, whole.means, atol=1e-6)
    assert resumed.fibrillation == pytest.approx(whole.fibrillation, abs=1e-5)
    assert (resumed.windows, same) == (whole.windows, verdict)


def test_what_fibrillates_is_no_noise(shipped: RhythmModel) -> None:
    noise = shipped.noise
    loud = NoiseMemory(np.full(len(noise.whole.mean), 0.0, dtype=np.float32), 20.0, -5.0)
    limit = noise.memory.strip_max_fibrillation
    assert noise.whole_log_odds(loud) == noise.whole_log_odds(loud._replace(fibrillation=limit))
    assert noise.whole_log_odds(loud._replace(fibrillation=limit + 0.1)) == NOT_NOISE


@pytest.mark.parametrize("name", ["cu01", "cu09", "cu13", "cu26", "cu30"])
def test_ventricular_fibrillation_is_not_noise(data: Path, shipped: RhythmModel, name: str) -> None:
    if not (data / "cudb" / f"{name}.dat").is_file():
        pytest.skip("cudb is not at hand")
    from training.rhythm_references import fibrillation

    record = read(data / "cudb" / name)
    start, end = fibrillation(data, "cudb", name)[0]
    end = min(end, start + 30)
    ecg = record.signal[round(start * record.fs) : round(end * record.fs)]
    assert assess(ecg, record.fs, shipped.quality, shipped.noise).noisy in (False, None)


def test_the_answer_of_a_streams_end_has_the_verdict(detector: Detector) -> None:
    def answers(ecg: NDArray[np.float64]) -> list[dict[str, Any]]:
        service = Service(detector, Metrics())
        return list(service.whole(Record("x", "I", FS, ecg, 0.0)))

    *before, last = answers(motion(30))
    assert last["quality"]["noisy"] is True
    assert NOISY in last["notes"]
    assert all(answer["quality"]["noisy"] is None for answer in before)
    assert all(NOISY not in answer.get("notes", []) for answer in before)
    *_, last = answers(clean(30))
    assert last["quality"]["noisy"] is False
    assert NOISY not in last.get("notes", [])
    *_, last = answers(clean(70))
    assert last["quality"]["noisy"] is None


def test_a_limit_of_ones_own_holds(detector: Detector) -> None:
    own = detector.with_network(detector.session.run, detector.contract)
    own.quality_policy = replace(own.quality_policy, strip_noise_log_odds=-100.0)
    stream = own.stream(FS, events=True)
    stream.push(clean(10))
    assert stream.noisy is True
    assert one(own.predict(clean(10), FS)).quality.noisy is True
