"""The filter: what it does to signal, and that every implementation does the same."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from training import dsp_cpu
from training.dsp_torch import FirFilter
from training.model import HOP
from training.recordings import FS

# Sums of 217 float32 products of millivolts: rounding stays below this, a wrong tap does not.
TOLERANCE = 1e-5

taps = cache(dsp_cpu.taps)  # not before a test asks: SciPy takes a second to import


def gain(frequency: float) -> float:
    """Of the deployed filter at a frequency in Hz."""
    return float(
        abs(np.sum(taps() * np.exp(-2j * np.pi * frequency / FS * np.arange(len(taps())))))
    )


def test_offset_and_powerline_go_and_the_qrs_stays() -> None:
    assert gain(0.0) < 1e-6
    assert gain(0.2) < 0.02  # breathing
    assert gain(50.0) < 0.01
    assert gain(60.0) < 0.01
    assert all(0.85 < gain(f) < 1.05 for f in (5, 8, 10, 15, 20))


def test_phase_is_linear_and_the_delay_a_whole_number_of_hops() -> None:
    np.testing.assert_allclose(taps(), taps()[::-1], atol=1e-9)
    assert dsp_cpu.delay_samples(taps()) == 6 * HOP


def test_one_fir_is_the_cascade_of_band_pass_and_average() -> None:
    ecg = np.random.default_rng(0).normal(size=(2, 2000))
    whole, _ = dsp_cpu.fir_filter(ecg, taps())
    banded, _ = dsp_cpu.fir_filter(ecg, dsp_cpu.band_pass().astype(np.float32))
    cascade, _ = dsp_cpu.fir_filter(banded, dsp_cpu.moving_average().astype(np.float32))
    np.testing.assert_allclose(whole, cascade, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_torch_equals_scipy_whole_and_streamed(seed: int, hops: list[int]) -> None:
    ecg = np.random.default_rng(seed).normal(size=(3, sum(hops) * HOP)).astype(np.float32)
    expected, last = dsp_cpu.fir_filter(ecg, taps())
    fir = FirFilter(taps(), HOP)
    start = torch.zeros(3, len(taps()) - 1)
    np.testing.assert_allclose(fir(torch.from_numpy(ecg), start)[0], expected, atol=TOLERANCE)
    carry, pieces = start, []
    for piece in torch.from_numpy(ecg).split([n * HOP for n in hops], dim=1):
        filtered, carry = fir(piece, carry)
        pieces.append(filtered)
    np.testing.assert_allclose(torch.cat(pieces, dim=1), expected, atol=TOLERANCE)
    np.testing.assert_allclose(carry, last, atol=0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 499))
def test_scipy_streamed_equals_whole(seed: int, cut: int) -> None:
    ecg = np.random.default_rng(seed).normal(size=(1, 500))
    whole, _ = dsp_cpu.fir_filter(ecg, taps())
    first, carry = dsp_cpu.fir_filter(ecg[:, :cut], taps())
    second, _ = dsp_cpu.fir_filter(ecg[:, cut:], taps(), carry)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-12)
