"""The numbers of a record: flaws of its seconds, heart rate and trend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime import Detector
from runtime.findings import Event, Flaw, Quality, Record
from runtime.report import Study, flaws_of_seconds
from runtime.report.study import MAX_TREND_BINS, trend_of
from runtime.report.words import FLAW_NAMES


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
    assert len(found) in (1, 2)
    assert abs(found - 7211).max() <= 1  # counted in rounded seconds, it would be 29 off


def test_record_of_less_than_a_second_has_no_seconds_to_judge() -> None:
    flaws = flaws_of_seconds(Record("x", "II", 100, np.ones(40), 0.0), flat_if_zero)
    assert (len(flaws), flaws.dtype) == (0, np.int64)


def test_flat_signal_is_found_by_the_runtimes_own_judgement(
    minute: np.ndarray, detector: Detector
) -> None:
    signal = np.tile(minute, 2).astype(np.float64)
    signal[60 * 360 : 70 * 360] = 0.0
    flaws = flaws_of_seconds(Record("x", "II", 360, signal, 0.0), detector.assess)
    assert len(flaws) == 120
    np.testing.assert_array_equal(np.flatnonzero(flaws & int(Flaw.FLAT)), np.arange(60, 70))


def test_heart_rate_is_the_median_of_intervals(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    moments, rates = make_study(60, [beat(t) for t in np.arange(0.5, 60, 0.75)]).rates
    np.testing.assert_allclose(rates, 80)
    assert (moments > 0).all()
    assert (moments < 60).all()
    few = [beat(t) for t in range(8)]
    assert len(make_study(60, few).rates[1]) == 0


def test_no_heart_rate_in_doubtful_seconds_or_fibrillation(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    beats = [beat(t) for t in np.arange(0.5, 300, 0.75)]
    flaws = np.zeros(300, dtype=np.int64)
    flaws[100:150] = int(Flaw.NOISE)
    fibrillation = Event("ventricular_fibrillation", 200.0, 250.0, 0.9, "")
    moments, _ = make_study(300, beats, [fibrillation], flaws=flaws).rates
    for start, end in ((100, 150), (200, 250)):
        assert not ((start < moments) & (moments < end)).any()
    assert ((moments > 150) & (moments < 200)).any()
    flaws[100:150] = int(Flaw.POWERLINE)  # hum is filtered out and makes no beat doubtful
    moments, _ = make_study(300, beats, flaws=flaws).rates
    assert ((moments > 100) & (moments < 150)).any()


def test_beat_in_the_last_moment_makes_no_high_share(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    assert trend_of(make_study(810.3, [beat(810.07, "V")])).anomalies.max() <= 12


def test_trend_holds_every_beat_and_flaw(make_study: Callable[..., Study], beat: Callable) -> None:
    beats = [beat(t, "S" if i % 10 == 0 else "N") for i, t in enumerate(np.arange(0.2, 1190, 0.8))]
    flaws = np.zeros(1200, dtype=np.int64)
    flaws[600:660] = int(Flaw.FLAT)
    trend = trend_of(make_study(1200, beats, flaws=flaws))
    assert len(trend.edges) - 1 <= MAX_TREND_BINS
    minutes = np.diff(trend.edges) / 60
    assert (trend.anomalies * minutes).sum(axis=1) == pytest.approx(
        [sum(beat.label == "S" for beat in beats), 0, 0, 0]
    )
    flat = trend.flaws[list(FLAW_NAMES).index(Flaw.FLAT)]
    np.testing.assert_array_equal(flat > 0.5, (trend.edges[:-1] >= 600) & (trend.edges[1:] <= 660))
    # There is no heart rate in the flat minute, elsewhere it is 75.
    known = np.isfinite(trend.rate[1])
    np.testing.assert_allclose(trend.rate[:, known], 75.0)
    assert not known[flat > 0.5][1:-1].any()
    assert known.mean() > 0.9
