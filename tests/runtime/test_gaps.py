"""Missing samples through the whole: no event and no interval spans them, however it is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Detector
from runtime.findings import Beat, Event, Flaw
from runtime.rhythm import closed
from runtime.signal.gaps import gap_spans
from runtime.simulate import simulate

FS = 360
CLEAN = simulate(40, seed=6, ectopic=0.0).signal.astype(np.float64)
SILENT = ("pause", "asystole", "bradycardia")


def followed(
    detector: Detector,
    signal: np.ndarray,
    sizes: Sequence[int] = (1 << 30,),
    *,
    fs: float = FS,
    saved: bool = False,
) -> tuple[list[Beat], list[Event]]:
    """Push a signal in pieces of these sizes, the stream saved and resumed after each perhaps."""
    stream, beats, events, at, turn = detector.stream(fs, events=True), [], [], 0, 0
    while at < len(signal):
        size = sizes[turn % len(sizes)]
        beats += stream.push(signal[at : at + size])
        events += stream.events()
        at, turn = at + size, turn + 1
        if saved:
            stream = detector.resume(stream.save())
    beats += stream.finish()
    return beats, closed(events + stream.events())


def near(beats: Sequence[Beat], others: Sequence[Beat]) -> bool:
    """True if the same beats are in both, R peaks within 10 ms."""
    return len(beats) == len(others) and all(
        abs(a.time - b.time) < 0.01 for a, b in zip(beats, others, strict=True)
    )


@pytest.mark.parametrize("seconds", [0.5, 1.2, 1.5, 2.0, 3.0, 8.0])
@pytest.mark.parametrize("missing", [np.nan, -999.0, 9999.0])
def test_no_event_spans_a_gap_and_beats_around_it_stay(
    detector: Detector, seconds: float, missing: float
) -> None:
    signal = CLEAN.copy()
    start, end = 15.2, 15.2 + seconds
    signal[round(start * FS) : round(end * FS)] = missing
    beats, events = followed(detector, signal)
    assert not [event for event in events if event.kind in SILENT]
    expected, _ = followed(detector, CLEAN)
    outside = [beat for beat in expected if not start - 0.05 < beat.time < end + 0.1]
    for one in outside:
        assert min(abs(beat.time - one.time) for beat in beats) < 0.05
    assert not [beat for beat in beats if start <= beat.time < end]


def test_spikes_lose_no_beat_and_make_no_event(detector: Detector) -> None:
    expected, _ = followed(detector, CLEAN)
    for value, size in ((200.0, 7), (-999.0, 3), (-999.0, 1), (20.0, 1)):
        signal = CLEAN.copy()
        for at in range(1000, len(signal) - 500, 997):
            signal[at : at + size] = value
        beats, events = followed(detector, signal)
        assert near(beats, expected)
        assert events == followed(detector, CLEAN)[1]


def test_a_silence_that_was_recorded_is_still_an_asystole(detector: Detector) -> None:
    signal = CLEAN.copy()
    t = np.arange(12 * FS) / FS
    breath = 0.05 * np.sin(2 * np.pi * 0.4 * t)
    signal[15 * FS : 27 * FS] = breath + signal[15 * FS]
    assert [e.kind for e in followed(detector, signal)[1] if e.kind in SILENT] == ["asystole"]
    signal[21 * FS : 21 * FS + 3] = -999  # no beat can hide in these
    assert [e.kind for e in followed(detector, signal)[1] if e.kind in SILENT] == ["asystole"]
    signal[25 * FS : 26 * FS] = np.nan
    (asystole,) = [e for e in followed(detector, signal)[1] if e.kind in SILENT]
    assert asystole.end == pytest.approx(25.0, abs=0.01)  # where nothing more is known


def test_heart_rate_and_quality_in_a_gap(detector: Detector) -> None:
    signal = CLEAN.copy()
    signal[15 * FS : 21 * FS] = np.nan
    stream = detector.stream(FS, events=True)
    tracker = stream.tracker
    assert tracker is not None
    stream.push(signal[: 15 * FS])
    assert tracker.heart_rate is not None
    stream.push(signal[15 * FS : 21 * FS])
    assert (tracker.heart_rate, tracker.current) == (None, "unreadable")
    assert tracker.flaws & Flaw.MISSING
    assert stream.assess(np.full(FS, np.nan)).missing == 1.0
    stream.push(signal[21 * FS : 30 * FS])
    assert tracker.heart_rate == pytest.approx(
        60 / np.median(np.diff(beat_times(detector))), rel=0.1
    )


def beat_times(detector: Detector) -> list[float]:
    return [beat.time for beat in followed(detector, CLEAN)[0]]


@settings(max_examples=8)
@given(
    faults=st.lists(
        st.tuples(
            st.floats(0, 15),
            st.sampled_from([0.003, 0.05, 0.3, 1.5, 4.0]),
            st.sampled_from([np.nan, -999.0, 30.0, 9999.0]),
        ),
        min_size=1,
        max_size=5,
    ),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5),
    fs=st.sampled_from([250, 360]),
    saved=st.booleans(),
)
def test_any_cut_and_any_restart_give_the_same(
    detector: Detector,
    faults: list[tuple[float, float, float]],
    sizes: list[int],
    fs: int,
    saved: bool,
) -> None:
    signal = simulate(16, seed=3, fs=fs).signal.astype(np.float64)
    for start, seconds, value in faults:
        signal[round(start * fs) : round((start + seconds) * fs)] = value
    whole, pieces = (
        followed(detector, signal, fs=fs),
        followed(detector, signal, [*sizes, 300], fs=fs, saved=saved),
    )
    assert [(b.time, b.label) for b in whole[0]] == [(b.time, b.label) for b in pieces[0]]
    assert [(e.kind, e.start, e.end) for e in whole[1]] == [
        (e.kind, e.start, e.end) for e in pieces[1]
    ]


def test_a_batch_gives_what_each_gives_alone(detector: Detector) -> None:
    signals = [CLEAN.copy() for _ in range(3)]
    signals[1][5000:5700] = np.nan
    signals[2][3000:3003] = -999
    streams = [detector.stream(FS, events=True) for _ in signals]
    beats: list[list[Beat]] = [[] for _ in signals]
    for at in range(0, len(CLEAN), FS):
        for mine, new in zip(
            beats, detector.push(streams, [one[at : at + FS] for one in signals]), strict=True
        ):
            mine += new
    for mine, stream, signal in zip(beats, streams, signals, strict=True):
        assert near(mine + stream.finish(), followed(detector, signal)[0])
    together = detector.predict(np.stack(signals), FS, events=True)
    assert isinstance(together, list)
    for result, signal in zip(together, signals, strict=True):
        assert near(result.beats, followed(detector, signal)[0])
    assert [round(result.quality.missing, 4) for result in together] == [0, 0.0486, 0.0002]
    assert [result.quality.ok for result in together] == [True, False, True]


def test_none_masked_and_nan_are_the_same(detector: Detector) -> None:
    signal = CLEAN[: 10 * FS].copy()
    signal[1000:1500] = np.nan
    expected = detector.predict(signal, FS, events=True)
    listed = [None if np.isnan(value) else value for value in signal.tolist()]
    for given_ in (listed, np.ma.masked_invalid(signal)):
        assert detector.predict(given_, FS, events=True) == expected


def test_a_window_of_which_all_is_missing_has_no_beat(detector: Detector) -> None:
    for signal in (np.full(720, np.nan), [None] * 720, np.full(720, -999.0)):
        result = detector.predict(signal, FS)
        assert not isinstance(result, list)
        assert (result.label, result.quality.missing, result.quality.ok) == ("none", 1.0, False)


def test_spans_are_those_of_missing_samples_that_may_hide_a_beat() -> None:
    missing = np.zeros(1000, dtype=bool)
    assert gap_spans(missing, 100) == ()
    missing[[100, 101]] = True  # 20 ms
    missing[500:510] = missing[950:] = True
    assert gap_spans(missing, 100) == ((5.0, 5.1), (9.5, 10.0))
