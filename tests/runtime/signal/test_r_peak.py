"""R peaks: the largest deflection, up or down, near where a frame found a beat."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.signal.r_peak import LEVEL_S, SEARCH_S, SMOOTH_SAMPLES, r_peaks


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("off", [-25, -10, 0, 10, 25])
def test_a_beat_moves_to_its_peak_up_or_down(sign: int, off: int) -> None:
    time = np.arange(720)
    ecg = sign * np.exp(-0.5 * ((time - 360) / 4.0) ** 2) + 0.001 * time  # drifting baseline
    assert r_peaks(ecg.astype(np.float32), [360 + off], 360) == [360]


def test_at_the_edges_a_beat_stays_inside() -> None:
    ecg = np.random.default_rng(0).normal(size=50).astype(np.float32)
    placed = r_peaks(ecg, [0, 49, -30, 90], 360)
    assert all(0 <= at < 50 for at in placed)
    assert r_peaks(ecg, [], 360) == []


def naive(ecg: np.ndarray, near: int, fs: int) -> int:
    """The R peak by its definition: smoothed, from the mean of 0.2 s to either side."""
    padded = np.pad(ecg.astype(np.float64), 1000, mode="edge")
    search, reach = round(SEARCH_S * fs), round(LEVEL_S * fs)
    smooth = np.convolve(padded, np.ones(SMOOTH_SAMPLES) / SMOOTH_SAMPLES, mode="same")
    level = smooth[1000 + near - reach : 1000 + near + reach + 1].mean()
    off = smooth[1000 + near - search : 1000 + near + search + 1] - level
    at = off.argmax() if off.max() >= -off.min() else off.argmin()
    return int(np.clip(near - search + at, 0, len(ecg) - 1))


@pytest.mark.parametrize("fs", [250, 360])
def test_the_peak_is_that_of_its_definition(fs: int) -> None:
    rng = np.random.default_rng(0)
    for length in (1, 5, 60, 600):
        ecg = rng.normal(size=length).astype(np.float32)
        near = rng.integers(-50, length + 50, 20).tolist()
        assert r_peaks(ecg, near, fs) == [naive(ecg, at, fs) for at in near]


def test_beats_together_move_as_each_alone() -> None:
    rng = np.random.default_rng(3)
    for fs, length in ((360, 1), (250, 37), (360, 600)):
        for levels in (1, 3, 2**20):  # few levels: many equal values
            whole = rng.integers(-levels, levels + 1, length).astype(np.float32)
            for ecg in (whole, whole * np.float32(0.005)):  # sums that are exact, and rounded ones
                near = rng.integers(-50, length + 50, 30).tolist()
                assert r_peaks(ecg, near, fs) == [
                    one for at in near for one in r_peaks(ecg, [at], fs)
                ]
