"""A record in numbers: flaws of its seconds, time that is left out, beats, intervals and rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import Detector
from runtime.findings import Event, Flaw, Quality, Record
from runtime.report import Study, flaws_of_seconds
from runtime.report.study import hrv_of, union
from runtime.rhythm import RATE_INTERVALS, heart_rate


def flat_if_zero(piece: np.ndarray, fs: float) -> Quality:
    """Judge each second; one that begins with 0 is flat."""
    seconds = piece[: len(piece) // round(fs) * round(fs)].reshape(-1, round(fs))
    return Quality(0, 0, 0, seconds=tuple(Flaw.NONE if row[0] else Flaw.FLAT for row in seconds))


@pytest.mark.parametrize("seconds", [600, 601, 1300])
def test_every_second_is_judged_once(seconds: int) -> None:
    flat = {3, 599, seconds - 1}
    signal = np.ones(seconds * 50)
    for second in flat:
        signal[second * 50 : (second + 1) * 50] = 0
    flaws = flaws_of_seconds(Record("x", "II", 50, signal, 0.0), flat_if_zero)
    assert (len(flaws), flaws.dtype) == (seconds, np.int64)
    assert set(np.flatnonzero(flaws == int(Flaw.FLAT)).tolist()) == flat


def test_seconds_do_not_drift_if_the_rate_is_not_whole() -> None:
    fs = 100.4
    signal = np.ones(round(7300 * fs))
    signal[round(7210 * fs) : round(7212 * fs)] = 0
    flaws = flaws_of_seconds(Record("x", "II", fs, signal, 0.0), flat_if_zero)
    found = np.flatnonzero(flaws)
    assert len(found)
    assert set(found.tolist()) <= {7209, 7210, 7211, 7212}


def test_a_record_shorter_than_a_second_has_no_flaws(detector: Detector) -> None:
    assert len(flaws_of_seconds(Record("x", "II", 360, np.zeros(100), 0.0), detector.assess)) == 0


SPAN = st.tuples(st.floats(0, 90), st.floats(0, 10)).map(lambda one: (one[0], one[0] + one[1]))


@given(st.lists(SPAN, max_size=8), st.lists(st.floats(0, 100), max_size=30))
def test_spans_are_joined_and_hold_the_same_moments(
    spans: list[tuple[float, float]], moments: list[float]
) -> None:
    joined = union(spans)
    assert (joined[1:, 0] > joined[:-1, 1]).all()
    for moment in moments:
        inside = any(start < moment < end for start, end in spans)
        assert any(start < moment < end for start, end in joined) >= inside
        if not any(start <= moment <= end for start, end in spans):
            assert not any(start <= moment <= end for start, end in joined)


@given(
    st.lists(st.floats(0.3, 3.0), min_size=2, max_size=60),
    st.lists(SPAN, max_size=3),
    st.lists(SPAN, max_size=3),
    st.sets(st.integers(0, 99), max_size=20),
)
def test_no_beat_interval_or_rate_touches_time_that_is_left_out(
    make_study: Callable[..., Study],
    beat: Callable,
    intervals: list[float],
    fibrillation: list[tuple[float, float]],
    asystole: list[tuple[float, float]],
    unreadable: set[int],
) -> None:
    times = np.cumsum(intervals)
    flaws = np.zeros(100, dtype=np.int64)
    flaws[list(unreadable)] = int(Flaw.NOISE)
    events = [Event("ventricular_fibrillation", *span, 0.9, "") for span in fibrillation]
    events += [Event("asystole", *span, 1.0, "") for span in asystole]
    study = make_study(100, [beat(t) for t in times if t < 100], events, fs=20, flaws=flaws)
    out = [*fibrillation, *asystole, *((s, s + 1.0) for s in unreadable)]
    for time in study.beat_times:
        assert not any(start + 1e-6 < time < end - 1e-6 for start, end in out)
    for begin, interval in zip(study.beat_times, study.intervals, strict=False):
        if np.isfinite(interval):
            assert not any(
                s + 1e-5 < begin + interval and begin + 1e-5 < e for s, e in out if e - s > 1e-4
            )
    covered = sum(e - s for s, e in union(out))
    assert study.analysed_s == pytest.approx(100 - covered, abs=1e-4)
    assert sum(study.left_out_s.values()) == pytest.approx(covered, abs=1e-4)


def test_a_rate_is_the_mean_of_eight_intervals_at_its_last_beat(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.5, 1.2, 40))
    moments, rates = make_study(60, [beat(t) for t in times]).rates
    np.testing.assert_allclose(moments, times[RATE_INTERVALS:])
    expected = [heart_rate(np.diff(times[: i + 1]).tolist()) for i in range(RATE_INTERVALS, 40)]
    np.testing.assert_allclose(rates, expected)


def test_the_rate_of_a_report_is_that_of_a_stream(
    make_study: Callable[..., Study], detector: Detector, minute: np.ndarray
) -> None:
    stream, beats, streamed = detector.stream(360, events=True), [], []
    for at in range(0, len(minute), 360):
        beats += stream.push(minute[at : at + 360])
        assert stream.tracker is not None
        closed = stream.tracker.seconds.next
        streamed.append((closed, stream.tracker.heart_rate))
    moments, rates = make_study(60, beats, signal=minute).rates
    compared = 0
    for closed, rate in streamed:
        before = moments < closed
        if before.any():
            assert rate == pytest.approx(rates[before][-1], rel=1e-6)
            compared += 1
    assert compared > 30


def test_variability_is_of_intervals_between_two_normal_beats() -> None:
    intervals = np.array([0.8, 0.9, 0.5, 1.3, 0.8, 0.84, np.nan, 0.9, 0.82])
    labels = np.array([0, 0, 0, 2, 0, 0, 0, 0, 0, 0])
    found = hrv_of(intervals, labels)
    nn = np.array([800, 900, 800, 840, 900, 820])
    assert found is not None
    assert found.intervals == 6
    assert found.sdnn_ms == pytest.approx(nn.std(ddof=1))
    differences = np.array([100, 40, -80])
    assert found.rmssd_ms == pytest.approx(np.sqrt(np.mean(differences**2)))
    assert found.pnn50 == pytest.approx(100 * 2 / 3)
    assert hrv_of(intervals[:2], labels[:3]) is None
    assert hrv_of(np.zeros(0), np.zeros(0, dtype=np.int64)) is None


def test_missing_samples_are_left_out_as_their_own(
    make_study: Callable[..., Study], beat: Callable, minute: np.ndarray
) -> None:
    signal = minute.astype(np.float64)
    signal[3600:7200] = np.nan
    study = make_study(60, [beat(t) for t in np.arange(0.5, 60)], signal=signal)
    assert study.left_out_s["missing"] == pytest.approx(10.0)
    assert len(study.beat_times) == 50
    assert np.isnan(study.intervals).sum() == 1
