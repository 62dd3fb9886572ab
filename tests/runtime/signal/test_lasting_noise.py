"""Noise in the light of the seconds before: what it takes, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.findings import Flaw
from runtime.rhythm import RhythmModel
from runtime.signal.noise import NoiseMemory, NoiseModel
from runtime.signal.quality import assess
from runtime.simulate import simulate

LOG_ODDS = st.floats(-50, 50, width=32)


def quiet(windows: list[float]) -> list[float]:
    """Log-odds of fibrillation in as many windows that have none."""
    return [-5.0] * len(windows)


@pytest.fixture(scope="module")
def noise(shipped: RhythmModel) -> NoiseModel:
    return shipped.noise


@given(st.lists(LOG_ODDS, max_size=60), st.integers(0, 60))
def test_the_same_however_the_windows_are_cut(
    noise: NoiseModel, log_odds: list[float], cut: int
) -> None:
    whole, end = noise.follow(log_odds, quiet(log_odds))
    first, between = noise.follow(log_odds[:cut], quiet(log_odds[:cut]))
    second, same = noise.follow(log_odds[cut:], quiet(log_odds[cut:]), between)
    assert first + second == whole
    assert same == end


@given(st.lists(LOG_ODDS, min_size=1, max_size=60))
def test_a_saved_memory_is_the_one_that_was_kept(noise: NoiseModel, log_odds: list[float]) -> None:
    _, memory = noise.follow(log_odds, quiet(log_odds))
    assert NoiseMemory(*np.array(memory, dtype=np.float32).tolist()) == memory


def test_one_noisy_window_is_excused_and_many_are_not(
    noise: NoiseModel, shipped: RhythmModel
) -> None:
    limit = shipped.quality.lasting_noise_log_odds
    bump, _ = noise.follow([-5.0] * 30 + [1.5] + [-5.0] * 5, [-5.0] * 36)
    lasting, _ = noise.follow([1.5] * 30, [-5.0] * 30)
    assert max(bump) < limit
    assert lasting[-1] >= limit


@given(st.lists(st.floats(-6, 6), max_size=40), st.floats(-6, 6))
def test_a_verdict_never_exceeds_the_windows_own_less_the_margin(
    noise: NoiseModel, before: list[float], own: float
) -> None:
    followed, _ = noise.follow([*before, own], quiet([*before, own]))
    assert followed[-1] <= own - noise.memory.margin + 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 1.5},
        {"windows": 0.0},
        {"prior": 7.0},
        {"prior_windows": -1.0},
        {"margin": float("nan")},
        {"max_fibrillation": 101.0},
    ],
)
def test_a_memory_out_of_bounds_is_refused(noise: NoiseModel, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        replace(noise.memory, **wrong)


def test_fibrillation_is_no_noise(noise: NoiseModel) -> None:
    followed, _ = noise.follow([5.0] * 30, [noise.memory.max_fibrillation + 0.1] * 30)
    assert max(followed) <= -6.0 - noise.memory.margin


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
