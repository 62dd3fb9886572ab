"""Ventricular fibrillation: found on the signal alone, and followed through doubtful signal."""

from __future__ import annotations

import numpy as np
import pytest
from patient import LABELLED, beats_of, events_of, quiet

from runtime.model.contract import FS
from runtime.rhythm.events.ventricular import RESTING, VF, VentricularLimits, hmm_step
from runtime.simulate import simulate


def test_fibrillation_is_found_on_the_signal_alone() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(30 * FS) / FS
    phase = np.cumsum(4.5 + 0.4 * np.interp(time, np.arange(31), rng.standard_normal(31))) / FS
    height = 0.4 + 0.1 * np.interp(time, np.arange(31), rng.standard_normal(31))
    signal = quiet(60)
    signal[20 * FS : 50 * FS] = (height * np.sin(2 * np.pi * phase)).astype(np.float32)
    beats = [b for b in beats_of("N" * 75) if not 20 <= b.time < 50]
    (event,) = events_of(beats, signal)
    assert event.kind == VF
    assert event.start == pytest.approx(20, abs=3)
    assert event.end == pytest.approx(50, abs=4)


def test_fibrillation_that_is_over_too_soon_is_not_reported() -> None:
    lengths = set()
    for seconds in (4.0, 4.25, 4.5, 5.0, 6.0, 8.0):
        signal = simulate(40, seed=0, ectopic=0.0).signal.astype(float)
        time = np.arange(round(seconds * FS)) / FS
        wave = 0.6 * np.sin(8 * np.pi * time) * (1 + 0.3 * np.sin(1.4 * np.pi * time))
        signal[20 * FS : 20 * FS + len(wave)] = wave
        for shortest in (0.0, 3.0, 5.0):
            policy = LABELLED.replace(vf_min_s=shortest)
            found = [e for e in events_of([], signal, policy) if e.kind == VF]
            lengths |= {(e.end or 0.0) - e.start for e in found if shortest == 0.0}
            assert all((e.end or 0.0) - e.start >= shortest for e in found)
    assert min(lengths) < 3.0 < 5.0 < max(lengths)


def test_fibrillation_outlives_doubtful_windows_and_unreadable_ones() -> None:
    limits, log_odds, lasting = LABELLED.of(VentricularLimits), RESTING, []
    for window in [-3.0] * 10 + [4.0] * 20 + [-1.0] * 2 + [None] * 20 + [-3.0] * 20:
        log_odds = hmm_step(log_odds, window, limits)
        lasting.append(log_odds >= limits.vf_on)
    assert not any(lasting[:12])
    assert all(lasting[20:52])  # neither two doubtful windows nor 20 s without any end it
    assert not any(lasting[-12:])


def test_unreadable_signal_ends_fibrillation_only_if_it_lasts() -> None:
    time = np.arange(30 * FS) / FS
    wave = 0.6 * np.sin(2 * np.pi * 4.6 * time + np.sin(2.3 * time))
    for flat_s, ends in ((10, False), (45, True)):
        signal = np.concatenate([quiet(20), wave, np.zeros(flat_s * FS), wave])
        found = [e for e in events_of([], signal) if e.kind == VF]
        assert len(found) == (2 if ends else 1)
        if ends:
            assert found[0].end == pytest.approx(50, abs=4)
            assert found[1].start >= 50 + flat_s - 4


def test_after_fibrillation_that_was_lost_sight_of_a_normal_rhythm_is_none() -> None:
    wave = 0.6 * np.sin(2 * np.pi * 4.6 * np.arange(30 * FS) / FS)
    signal = np.concatenate([quiet(20), wave, np.zeros(45 * FS), quiet(20)])
    assert [e.kind for e in events_of([], signal) if e.kind == VF] == [VF]
