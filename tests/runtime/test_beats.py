"""Frames to beats, and beats to their R peaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.beats import BeatPolicy, classify, find_beats, place_at_r_peak

POLICY = BeatPolicy()


def frames(length: int, beats: dict[int, int], strength: float = 0.9) -> np.ndarray:
    """Frames with three of each beat set: position -> class (1 N, 2 S, ...)."""
    out = np.zeros((length, 6), dtype=np.float32)
    out[:, 0] = 1.0
    for at, label in beats.items():
        for near, share in ((-1, 0.8), (0, 1.0), (1, 0.8)):
            out[at + near, label], out[at + near, 0] = strength * share, 1 - strength * share
    return out


def test_each_beat_is_found_once_with_its_class() -> None:
    found, shares = find_beats(frames(60, {10: 1, 25: 3, 40: 2}), POLICY)
    assert found.tolist() == [10, 25, 40]
    assert classify(shares, POLICY).tolist() == [0, 2, 1]
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_weak_one_is_no_beat_and_a_threshold_decides() -> None:
    weak = frames(40, {20: 1}, strength=0.5)
    assert not len(find_beats(weak, POLICY)[0])
    assert find_beats(weak, BeatPolicy(threshold=0.3))[0].tolist() == [20]


def test_of_two_too_near_the_stronger_wins() -> None:
    both = frames(40, {20: 1}) + 0
    both[22] = [0.3, 0.7, 0, 0, 0, 0]
    assert find_beats(both, POLICY)[0].tolist() == [20]


def test_weights_move_the_operating_point() -> None:
    shares = np.array([[0.55, 0.45, 0, 0, 0]])
    assert classify(shares, POLICY).tolist() == [0]
    assert classify(shares, BeatPolicy(weights=(1, 1.5, 1, 1, 1))).tolist() == [1]


@given(st.integers(0, 2**32 - 1), st.integers(20, 200), st.floats(0, 1))
def test_frames_decided_apart_are_those_decided_together(seed: int, length: int, cut: float
                                                         ) -> None:
    random = np.random.default_rng(seed).dirichlet(np.full(6, 0.3), length).astype(np.float32)
    together, _ = find_beats(random, POLICY)
    at = POLICY.before + int(cut * (length - POLICY.before - POLICY.after))
    first, _ = find_beats(random[: at + POLICY.after], POLICY)
    second, _ = find_beats(random[at - POLICY.before :], POLICY)
    assert [*first, *(second + at - POLICY.before)] == together.tolist()
    assert (np.diff(together) > POLICY.apart).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("off", [-25, -10, 0, 10, 25])
def test_a_beat_moves_to_its_peak_up_or_down(sign: int, off: int) -> None:
    time = np.arange(720)
    ecg = sign * np.exp(-0.5 * ((time - 360) / 4.0) ** 2) + 0.001 * time  # drifting baseline
    assert place_at_r_peak(ecg.astype(np.float32), [360 + off], 360).tolist() == [360]


def test_at_the_edges_a_beat_stays_inside() -> None:
    ecg = np.random.default_rng(0).normal(size=50).astype(np.float32)
    placed = place_at_r_peak(ecg, [0, 49], 360)
    assert ((placed >= 0) & (placed < 50)).all()
    assert not len(place_at_r_peak(ecg, [], 360))
