"""The simulated patient."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.simulate import simulate


def test_the_same_seed_is_the_same_patient_at_any_rate() -> None:
    first, again, other = (simulate(20, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.signal, again.signal)
    assert not np.array_equal(first.times, other.times)
    np.testing.assert_array_equal(simulate(20, fs=250, seed=1).times, first.times)


@pytest.mark.parametrize("fs", [100, 360, 1000])
def test_r_peaks_are_where_it_says(fs: float) -> None:
    made = simulate(30, fs=fs, seed=3, noise_mv=0.0)
    for at in made.times[1:-1]:
        near = made.signal[round((at - 0.05) * fs) : round((at + 0.05) * fs) + 1]
        peak = round((at - 0.05) * fs) + int(near.argmax())
        assert abs(peak / fs - at) < 1.5 / fs


def test_ectopic_beats_are_early_and_as_many_as_asked() -> None:
    made = simulate(600, seed=4, ectopic=0.2)
    share = 1 - made.labels.count("N") / len(made.labels)
    assert 0.1 < share < 0.25
    intervals = np.diff(made.times)
    early = [rr for rr, label in zip(intervals, made.labels[1:], strict=True) if label != "N"]
    assert np.median(early) < 0.75 * np.median(intervals)
    assert simulate(60, ectopic=0).labels.count("N") == len(simulate(60, ectopic=0).labels)
