"""Streams: cut anywhere, saved anywhere, batched with others: always the beats of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Beat, Detector, InputError
from runtime.rhythm import closed
from runtime.signal.units import MILLIVOLTS
from runtime.simulate import simulate

# The network's answer may differ by 1e-5 with the cut; a beat's score by no more than this.
SCORE_TOLERANCE = 1e-4
RATES = (100.0, 125.0, 128.0, 250.0, 257.0, 360.0, 500.0, 1000.0)


def same(first: Sequence[Beat], second: Sequence[Beat]) -> bool:
    """Same times and labels, and the same scores up to rounding."""
    return [(b.time, b.label) for b in first] == [
        (b.time, b.label) for b in second
    ] and np.allclose([b.score for b in first], [b.score for b in second], atol=SCORE_TOLERANCE)


def whole(detector: Detector, signal: np.ndarray, fs: float) -> list[Beat]:
    return detector.predict(signal, fs).beats  # type: ignore[union-attr]


@settings(max_examples=40)
@given(
    rate=st.sampled_from(RATES),
    seed=st.integers(0, 1000),
    cuts=st.lists(st.floats(0, 1), max_size=12),
    data=st.data(),
)
def test_any_cut_at_any_rate_gives_the_beats_of_the_whole(
    detector: Detector, rate: float, seed: int, cuts: list[float], data: st.DataObject
) -> None:
    signal = simulate(12, fs=rate, seed=seed).signal + data.draw(st.sampled_from((0.0, 3.0)))
    stream, beats = detector.stream(rate), []
    for piece in np.split(signal, sorted(int(cut * len(signal)) for cut in cuts)):
        beats += stream.push(piece)
        if data.draw(st.booleans()):
            stream = detector.resume(stream.save())
    beats += stream.finish()
    assert beats
    assert same(beats, whole(detector, signal, rate))


def test_sample_by_sample(detector: Detector) -> None:
    signal = simulate(6, seed=3).signal
    stream = detector.stream()
    beats = [beat for sample in signal for beat in stream.push([sample])] + stream.finish()
    assert same(beats, whole(detector, signal, 360))


def test_a_long_record_is_cut_inside_without_a_trace(detector: Detector) -> None:
    made = simulate(150, seed=4)
    stream = detector.stream()
    cut = [beat for piece in np.array_split(made.signal, 401) for beat in stream.push(piece)]
    cut += stream.finish()
    found = whole(detector, made.signal, 360)
    assert same(cut, found)
    assert [b.time for b in found] == sorted({b.time for b in found})


def test_beats_come_late_by_no_more_than_the_latency(detector: Detector) -> None:
    for rate in RATES:
        made, stream = simulate(20, fs=rate, seed=5), detector.stream(rate)
        assert stream.latency < (1.52 if rate == 360 else 1.6)  # less 0.09 s for most R peaks
        for piece in np.array_split(made.signal, 400):
            before = stream.decided
            for beat in stream.push(piece):
                assert stream.seconds - beat.time <= stream.latency + len(piece) / rate
                assert beat.time >= before - 1e-9
        assert stream.decided == pytest.approx(20 - stream.latency, abs=0.15)


def test_streams_of_two_models_are_run_by_their_own(detector: Detector) -> None:
    other = Detector.load(provider="cpu", model="ekg_fused_int8.onnx")
    signal = simulate(12, seed=1).signal
    alone = [model.stream().push(signal) for model in (other, detector)]
    assert alone[0] != alone[1]
    assert other.push([other.stream(), detector.stream()], [signal, signal]) == alone


def test_many_streams_together_are_each_as_if_alone(detector: Detector) -> None:
    rates = (250.0, 360.0, 360.0, 500.0, 360.0)
    signals = [simulate(15, fs=rate, seed=i).signal for i, rate in enumerate(rates)]
    streams = [detector.stream(rate) for rate in rates]
    beats: list[list[Beat]] = [[] for _ in rates]
    for part in range(10):
        chunks = [np.array_split(signal, 10)[part] for signal in signals]
        for all_, new in zip(beats, detector.push(streams, chunks), strict=True):
            all_ += new
    for stream, all_, signal, rate in zip(streams, beats, signals, rates, strict=True):
        assert same(all_ + stream.finish(), whole(detector, signal, rate))


@settings(max_examples=20)
@given(st.data())
def test_batch_composition_does_not_change_results(detector: Detector, data: st.DataObject) -> None:
    """Streams share arrays with those they were last pushed with; none shows in the answers."""
    rates = (360.0, 250.0, 360.0, 250.0, 360.0)
    signals = [simulate(15, fs=rate, seed=20 + i).signal for i, rate in enumerate(rates)]
    streams = [detector.stream(rate) for rate in rates]
    beats: list[list[Beat]] = [[] for _ in rates]
    given_ = [0] * len(rates)
    for _ in range(12):
        some = data.draw(st.permutations(range(len(rates))))[: data.draw(st.integers(1, 5))]
        samples = data.draw(st.sampled_from((18, 25, 250, 360, 1000)))
        chunks = [signals[i][given_[i] : given_[i] + samples] for i in some]
        for i, new in zip(some, detector.push([streams[i] for i in some], chunks), strict=True):
            beats[i] += new
            given_[i] += samples
    for stream, all_, signal, taken in zip(streams, beats, signals, given_, strict=True):
        all_ += stream.push(signal[taken:]) + stream.finish()
        assert same(all_, whole(detector, signal, stream.fs))


def test_a_stream_is_pushed_once_in_a_batch(detector: Detector) -> None:
    stream = detector.stream()
    with pytest.raises(InputError, match="got 1 streams and 2 chunks"):
        detector.push([stream, stream], [[0.1] * 360] * 2)
    assert stream.seconds == 0


def test_units_only_scale(detector: Detector) -> None:
    signal = simulate(10, seed=6).signal.astype(np.float64)
    expected = whole(detector, signal, 360)
    for unit, millivolts in MILLIVOLTS.items():
        stream = detector.stream()
        beats = stream.push(signal / millivolts, units=unit) + stream.finish()
        assert same(beats, expected)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ([[0.1, 0.2]], r"2 dimensions .* expected \[samples\]"),
        (["a", "b"], "not made of numbers only"),
        ([True, None], "not made of numbers only"),
        ([0.1 + 1j], "not made of numbers only"),
        ([[0.1], [0.2, 0.3]], "rows differ in length"),
    ],
)
def test_bad_samples_are_named_and_change_nothing(
    detector: Detector, bad: list[object], sentence: str
) -> None:
    signal = simulate(10, seed=7).signal
    stream = detector.stream()
    beats = stream.push(signal[:1800])
    with pytest.raises(InputError, match=sentence):
        stream.push(bad)
    beats += stream.push(signal[1800:]) + stream.finish()
    assert same(beats, whole(detector, signal, 360))


def test_one_bad_chunk_in_a_batch_leaves_every_stream_as_it_was(detector: Detector) -> None:
    streams = [detector.stream(), detector.stream()]
    with pytest.raises(InputError):
        detector.push(streams, [[0.1] * 360, ["a"]])
    assert [stream.seconds for stream in streams] == [0, 0]
    signal = simulate(5, seed=8).signal
    beats = [
        a + s.finish()
        for a, s in zip(detector.push(streams, [signal, signal]), streams, strict=True)
    ]
    assert same(beats[0], whole(detector, signal, 360))


@pytest.mark.parametrize("fs", [0, -1, 99, 1001, float("nan"), float("inf"), "360", None, True])
def test_a_wrong_rate_is_named(detector: Detector, fs: object) -> None:
    with pytest.raises(InputError, match=r"fs is .* expected .* 100 to 1000"):
        detector.stream(fs)  # type: ignore[arg-type]


def test_an_empty_stream_and_empty_chunks_are_fine(detector: Detector) -> None:
    stream = detector.stream()
    assert stream.push([]) == []
    assert detector.resume(stream.save()).finish() == []


def test_a_finished_stream_takes_no_more(detector: Detector) -> None:
    stream = detector.stream()
    stream.push([0.0] * 100)
    stream.finish()
    assert stream.finish() == []
    with pytest.raises(InputError, match="finished"):
        stream.push([0.0])
    with pytest.raises(InputError, match="finished"):
        stream.save()


@pytest.mark.parametrize("rate", [250.0, 360.0])
def test_a_stream_cut_and_saved_gives_the_events_of_predict(
    detector: Detector, rate: float
) -> None:
    signal = simulate(40, fs=rate, seed=8, heart_rate=130, ectopic=0.3).signal
    result = detector.predict(signal, rate, events=True)
    assert not isinstance(result, list)
    assert result.events
    stream, events = detector.stream(rate, events=True), []
    for piece in np.array_split(signal, 37):
        stream.push(piece)
        events += stream.events()
        stream = detector.resume(stream.save())
    stream.finish()
    assert [replace(e, confidence=0) for e in closed(events + stream.events())] == [
        replace(e, confidence=0) for e in result.events
    ]


def test_the_rhythm_is_followed_only_if_asked_for(detector: Detector) -> None:
    stream = detector.stream()
    stream.push(simulate(10, heart_rate=150).signal)
    assert stream.tracker is None
    assert stream.events() == []


def test_events_are_given_once(detector: Detector) -> None:
    stream = detector.stream(events=True)
    stream.push(simulate(30, heart_rate=150, ectopic=0.0).signal)
    assert [(e.kind, e.end) for e in stream.events()] == [("tachycardia", None)]
    assert stream.events() == []
    stream.finish()
    assert [e.kind for e in stream.events() if e.end is not None] == ["tachycardia"]
