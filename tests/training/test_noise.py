"""Noise in calibrated amounts, where it belongs and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import noise
from training.recordings import FS, Record, load
from training.simulated import simulated_records

RNG = np.random.default_rng(0)
WHITE = RNG.normal(0.0, 0.3, 400 * FS) + 5.0  # an offset, as recordings have


@pytest.fixture(scope="module")
def record() -> Record:
    return simulated_records(1, seconds=700)[0]


def test_noise_lies_in_every_other_two_minutes_from_five_minutes_on(record: Record) -> None:
    assert noise.noisy_blocks(700) == [(300, 420), (540, 660)]
    assert noise.noisy_blocks(310) == [(300, 310)]
    assert noise.noisy_blocks(200) == []
    added = noise.mix(record, WHITE, 0) - record.signal[0].astype(np.float64)
    changes = np.abs(np.diff(added)) > 1e-4
    inside = np.zeros(len(added), dtype=bool)
    for start, end in noise.noisy_blocks(700):
        inside[start * FS : end * FS] = True
    assert not changes[~inside[1:]].any(), "no step where noise begins or ends"
    assert changes[inside[1:]].mean() > 0.95


@pytest.mark.parametrize("decibels", noise.DECIBELS)
def test_noise_has_the_requested_ratio(record: Record, decibels: int) -> None:
    added = noise.mix(record, WHITE, decibels) - record.signal[0].astype(np.float64)
    power = noise.qrs_size(record) ** 2 / 8
    measured = power / noise.noise_size(added[300 * FS : 420 * FS]) ** 2
    assert 10 * np.log10(measured) == pytest.approx(decibels, abs=0.1)


def test_qrs_size_is_that_of_normal_beats_without_the_extremes(record: Record) -> None:
    signal = np.zeros_like(record.signal)
    normal = record.beats[record.labels == 0][:300]
    signal[0, normal] = 2.0
    signal[0, normal[:3]] = 50.0  # 1 % of them
    signal[0, record.beats[record.labels == 2]] = 90.0
    assert noise.qrs_size(replace(record, signal=signal)) == pytest.approx(2.0, rel=0.01)


def test_too_little_noise_is_refused(record: Record) -> None:
    with pytest.raises(ValueError, match=r"240 s of noise are needed, there are 100 s"):
        noise.mix(record, WHITE[: 100 * FS], 0)


def test_training_and_test_use_other_halves_of_the_noise(data: Path) -> None:
    """And what is kept is enough for a whole record of mitdb."""
    whole = load("nstdb", "em", data).signal[0]
    kept = noise.kept_noise("em", data)
    assert len(whole) - len(kept) >= 15 * 60 * FS, "what training.train takes"
    np.testing.assert_array_equal(kept, whole[-len(kept) :])
    assert np.isfinite(noise.mix(load("mitdb", "100", data), kept, -6)).all()
