"""Research recordings above the rates of streams: read as means of a few samples."""

from __future__ import annotations

import numpy as np
import pytest

from runtime import Detector, InputError
from runtime.findings import Record
from runtime.records import read
from runtime.signal.resample import of_each, thinned
from runtime.simulate import simulate


@pytest.mark.parametrize("fs", [2000, 2048, 4000, 10_000, 20_000])
def test_fast_recordings_have_the_beats_of_slow_ones(detector: Detector, fs: int) -> None:
    slow = read("sample")
    moments = np.arange(int(slow.seconds * fs)) / fs
    signal = np.interp(moments, np.arange(len(slow.signal)) / slow.fs, slow.signal)
    signal[8 * fs : 8 * fs + fs // 1000] += 50  # a pacemaker's spike
    fast = detector.annotate(Record("fast", "II", float(fs), signal, 0.0))
    expected = detector.annotate(slow)
    assert fast.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(fast.times, expected.times, atol=0.03)
    np.testing.assert_allclose(fast.samples / fs, fast.times, atol=1 / fs)
    window = detector.predict(signal, fs)
    assert not isinstance(window, list)
    assert len(window.beats) == len(expected.beats)


@pytest.mark.parametrize("fs", [-360.0, 0.0, 99.0, 20_001.0, 1e9, np.inf, np.nan])
def test_other_rates_are_refused_with_the_limits_that_hold(detector: Detector, fs: float) -> None:
    for use in (
        lambda: detector.predict(np.zeros(50_000), fs),
        lambda: detector.annotate(Record("x", "II", fs, np.zeros(50_000), 0.0)),
    ):
        with pytest.raises(InputError, match=r"expected a sampling rate from 100 to 20,000 Hz\.$"):
            use()
    with pytest.raises(InputError, match=r"rate from 100 to 1000 Hz for a stream\.$"):
        detector.stream(fs)
    with pytest.raises(InputError, match=r"fs is 2000 Hz; .* 100 to 1000 Hz for a stream"):
        detector.stream(2000)


def test_a_rate_that_is_no_number_is_refused_with_the_limits_that_hold(detector: Detector) -> None:
    with pytest.raises(InputError, match=r"a number from 100 to 20,000\.$"):
        detector.predict(np.zeros(5000), "360")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a number from 100 to 1000 for a stream\.$"):
        detector.stream(True)


def test_means_keep_gaps_and_equal_samples() -> None:
    ecg = np.full(4001, 0.1)
    ecg[100] = np.nan
    means, fs = thinned(ecg, 4000.0)
    assert fs == 1000
    assert np.flatnonzero(np.isnan(means)).tolist() == [25]
    assert len(means) == 1000
    assert set(means[~np.isnan(means)].tolist()) == {0.1}
    assert thinned(ecg, 1000.0)[0] is ecg


def test_samples_of_a_missing_mean_are_missing(detector: Detector) -> None:
    marks = np.array([False, True, False, True])
    assert np.flatnonzero(of_each(marks, 2000.0, 9)).tolist() == [2, 3, 6, 7, 8]
    assert of_each(marks, 1000.0, 4) is marks
    ecg = np.repeat(simulate(10, seed=3).signal.astype(np.float64), 5)[:17_999]
    ecg[6000:7000] = np.nan
    found = detector.annotate(Record("x", "II", 1800.0, ecg, 0.0))
    assert found.missing is not None
    assert np.flatnonzero(found.missing).tolist() == list(range(6000, 7000))
    assert found.gaps == ((6000 / 1800, 7000 / 1800),)
