"""Resampling: the same signal at another rate, whole or streamed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.signal import resample as resampling
from runtime.signal.resample import Resampler, resampler

RATES = st.one_of(st.integers(100, 1000), st.floats(100, 1000))


def resample(signal: np.ndarray, fs: float) -> np.ndarray:
    nothing = np.zeros((1, 0), dtype=np.float32)
    return resampler(fs, 360).push(nothing, signal[None].astype(np.float32), 0)[0][0]


@given(RATES, st.integers(0, 2**32 - 1), st.lists(st.integers(0, 300), max_size=10))
def test_any_cut_gives_the_same_samples(fs: float, seed: int, cuts: list[int]) -> None:
    signals = np.random.default_rng(seed).normal(size=(2, 600)).astype(np.float32)
    rate, pieces, taken = resampler(fs, 360), [], 0
    tail = np.zeros((2, 0), dtype=np.float32)
    for piece in np.split(signals, np.minimum(np.cumsum(cuts, dtype=int), 600), axis=1):
        output, tail = rate.push(tail, piece, taken)
        pieces.append(output)
        taken += piece.shape[1]
        assert tail.shape[1] <= 2 * rate.half + rate.down // rate.up + 2
    for row, signal in zip(np.concatenate(pieces, axis=1), signals, strict=True):
        np.testing.assert_allclose(row, resample(signal, fs), atol=1e-6)


@pytest.mark.parametrize("fs", [100, 125, 128, 200, 250, 256, 257, 300, 500, 512, 999.5, 1000])
@pytest.mark.parametrize("frequency", [1.0, 10.0, 30.0])
def test_a_sine_stays_the_sine_it_was(fs: float, frequency: float) -> None:
    """Up to 30 Hz, where the beats' energy ends, within 1 %."""
    at = np.arange(int(3 * fs)) / fs
    given_ = resample(np.sin(2 * np.pi * frequency * at), fs)
    expected = np.sin(2 * np.pi * frequency * np.arange(len(given_)) / 360)
    inner = slice(90, len(given_) - 10)
    assert np.abs(given_[inner] - expected[inner]).max() < 0.01


@pytest.mark.parametrize("fs", ["10001/100", "3333/10", "12837/100", "99899/100"])
def test_odd_rates_are_as_exact_as_a_float32(fs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their weights are drawn between those of a table; here beside all of their own."""
    signal = np.random.default_rng(1).normal(size=(1, 2000)).astype(np.float32)
    rate, nothing = Resampler(Fraction(fs), 360), np.zeros((1, 0), dtype=np.float32)
    quick, _ = rate.push(nothing, signal, 0)
    monkeypatch.setattr(resampling, "TABLE", rate.up)
    exact, _ = rate.push(nothing, signal, 0)
    assert quick.shape == exact.shape
    assert 0 < np.abs(quick - exact).max() < 1e-6


def test_what_the_lower_rate_cannot_hold_is_taken_out() -> None:
    at = np.arange(3000) / 1000
    assert np.abs(resample(np.sin(2 * np.pi * 300 * at), 1000)[60:-60]).max() < 0.02


def test_the_models_own_rate_passes_untouched() -> None:
    signal = np.random.default_rng(0).normal(size=100).astype(np.float32)
    np.testing.assert_array_equal(resample(signal, 360), signal)
