"""Noise in the light of the seconds before: what it takes, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.findings import Flaw
from runtime.rhythm import RhythmModel
from runtime.signal.features import FEATURES, LARGEST, comparable
from runtime.signal.noise import NOT_NOISE, NoiseModel
from runtime.signal.quality import assess
from runtime.simulate import simulate

SEEDS = st.integers(0, 2**32 - 1)


def drawn(noise: NoiseModel, seed: int, count: int) -> NDArray[np.float64]:
    """Features of so many windows, some far from any that was seen."""
    size = len(FEATURES)
    spread = np.random.default_rng(seed).normal(0, 3, (count, size))
    return noise.lasting.mean[:size] + noise.lasting.scale[:size] * spread


def quiet(windows: int) -> list[float]:
    """Log-odds of fibrillation in as many windows that have none."""
    return [-5.0] * windows


@pytest.fixture(scope="module")
def noise(shipped: RhythmModel) -> NoiseModel:
    return shipped.noise


@given(SEEDS, st.integers(0, 60), st.integers(0, 60))
def test_the_same_however_the_windows_are_cut(
    noise: NoiseModel, seed: int, count: int, cut: int
) -> None:
    features, cut = drawn(noise, seed, count), min(cut, count)
    whole, end = noise.follow(features, quiet(count))
    first, between = noise.follow(features[:cut], quiet(cut))
    second, same = noise.follow(features[cut:], quiet(count - cut), between)
    assert first + second == whole
    assert same.windows == end.windows
    assert same.fibrillation == end.fibrillation
    np.testing.assert_array_equal(same.means, end.means)


@given(SEEDS, st.integers(1, 60))
def test_the_means_are_those_of_the_comparable_features(
    noise: NoiseModel, seed: int, count: int
) -> None:
    features, size = drawn(noise, seed, count), len(FEATURES)
    _, memory = noise.follow(features, quiet(count))
    assert memory.windows == min(count, noise.memory.windows)
    assert memory.means.dtype == np.float32
    if count <= noise.memory.windows:
        own = comparable(features, noise.lasting.mean[:size], noise.lasting.scale[:size])
        np.testing.assert_allclose(memory.means, own.mean(axis=0), atol=1e-5)
    assert np.abs(memory.means).max() <= LARGEST


@given(SEEDS, st.integers(1, 10))
def test_every_window_is_judged_by_itself_and_by_the_means_so_far(
    noise: NoiseModel, seed: int, count: int
) -> None:
    features, size = drawn(noise, seed, count), len(FEATURES)
    followed, _ = noise.follow(features, quiet(count))
    own = comparable(features, noise.lasting.mean[:size], noise.lasting.scale[:size])
    means = own.cumsum(axis=0) / np.arange(1, count + 1)[:, None]
    counts = np.log(np.arange(1, count + 1))[:, None]
    expected = noise.lasting.log_odds(np.concatenate([features, means, counts], axis=1))
    np.testing.assert_allclose(followed, expected, atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows": 0.0},
        {"windows": float("nan")},
        {"max_fibrillation": 101.0},
        {"strip_max_fibrillation": float("nan")},
    ],
)
def test_a_memory_out_of_bounds_is_refused(noise: NoiseModel, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        replace(noise.memory, **wrong)


def test_fibrillation_is_no_noise(noise: NoiseModel) -> None:
    features = drawn(noise, 0, 30)
    followed, _ = noise.follow(features, [noise.memory.max_fibrillation + 0.1] * 30)
    assert set(followed) == {NOT_NOISE}
    assert NOT_NOISE not in noise.follow(features, [noise.memory.max_fibrillation] * 30)[0]


def test_clean_signal_after_a_noise_strip_is_clean(data: Path, shipped: RhythmModel) -> None:
    if not (data / "cinc2017" / "A02181.mat").is_file():
        pytest.skip("cinc2017 is not at hand")
    import wfdb

    strip = wfdb.rdrecord(str(data / "cinc2017" / "A02181")).p_signal[:, 0]  # noise throughout
    clean = simulate(30, fs=300, ectopic=0.0).signal.astype(np.float64)
    ecg = np.concatenate([clean, strip, clean])
    seconds = assess(ecg, 300, shipped.quality, shipped.noise).seconds
    noisy = np.array([bool(flaw & Flaw.NOISE) for flaw in seconds])
    assert noisy[45:57].mean() > 0.8
    assert not noisy[:30].any()
    assert not noisy[62:].any()
    alone = assess(strip, 300, shipped.quality, shipped.noise).seconds
    assert sum(bool(flaw & Flaw.NOISE) for flaw in alone) >= noisy.sum()  # nothing excuses it
