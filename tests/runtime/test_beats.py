"""Frames to beats, and beats to their R peaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.beats import (
    BeatPolicy,
    find_beats,
    find_beats_of_all,
    place_at_r_peak,
    r_peak,
)

POLICY = BeatPolicy()


def frames(length: int, beats: dict[int, int], strength: float = 0.9) -> np.ndarray:
    """Frames with three of each beat set: position -> class (1 N, 2 S, ...)."""
    out = np.zeros((length, 6), dtype=np.float32)
    out[:, 0] = 1.0
    for at, label in beats.items():
        for near, share in ((-1, 0.8), (0, 1.0), (1, 0.8)):
            out[at + near, label], out[at + near, 0] = strength * share, 1 - strength * share
    return out


def places(probabilities: np.ndarray, policy: BeatPolicy = POLICY) -> list[int]:
    return [frame for frame, _, _ in find_beats(probabilities, policy)]


def test_each_beat_is_found_once_with_its_class() -> None:
    found = find_beats(frames(60, {10: 1, 25: 3, 40: 2}), POLICY)
    assert [(frame, label) for frame, label, _ in found] == [(10, 0), (25, 2), (40, 1)]
    np.testing.assert_allclose([sum(shares) for _, _, shares in found], 1)


def test_a_weak_one_is_no_beat_and_a_threshold_decides() -> None:
    weak = frames(40, {20: 1}, strength=0.5)
    assert places(weak) == []
    assert places(weak, BeatPolicy(threshold=0.3)) == [20]


def test_of_two_too_near_the_stronger_wins() -> None:
    both = frames(40, {20: 1}) + 0
    both[22] = [0.3, 0.7, 0, 0, 0, 0]
    assert places(both) == [20]


def test_weights_move_the_operating_point() -> None:
    both = (frames(40, {20: 1}) * 0.55 + frames(40, {20: 2}) * 0.45).astype(np.float32)
    for weights, expected in (((1, 1, 1, 1, 1), 0), ((1, 1.5, 1, 1, 1), 1)):
        (_, label, _), = find_beats(both, BeatPolicy(weights=weights))
        assert label == expected


@given(st.integers(0, 2**32 - 1), st.integers(20, 200), st.floats(0, 1))
def test_frames_decided_apart_are_those_decided_together(seed: int, length: int, cut: float
                                                         ) -> None:
    random = np.random.default_rng(seed).dirichlet(np.full(6, 0.3), length).astype(np.float32)
    together = places(random)
    at = POLICY.before + int(cut * (length - POLICY.before - POLICY.after))
    first, second = places(random[: at + POLICY.after]), places(random[at - POLICY.before :])
    assert [*first, *(at - POLICY.before + frame for frame in second)] == together
    assert (np.diff(together) >= POLICY.apart).all()


@given(seed=st.integers(0, 2**32 - 1), patients=st.integers(1, 4), length=st.integers(0, 60),
       levels=st.sampled_from((2, 3, 8, 2**24)), threshold=st.floats(0.1, 0.9),
       apart=st.integers(1, 5))
def test_patients_together_have_the_beats_of_each_alone(
        seed: int, patients: int, length: int, levels: int, threshold: float, apart: int) -> None:
    """To the last bit; with few levels most frames have an equal neighbour."""
    raw = np.random.default_rng(seed).integers(0, levels, (patients, length, 6)) + 1
    probabilities = (raw / raw.sum(axis=2, keepdims=True)).astype(np.float32)
    if levels == 2:
        probabilities[:, :, 0] = raw[:, :, 0] - 1
    policy = BeatPolicy(threshold=threshold, apart=apart, weights=(0.7, 1.3, 1.0, 2.0, 1.3))
    together = (array.tolist() for array in find_beats_of_all(probabilities, policy))
    assert list(zip(*together, strict=True)) == [
        (row, *beat) for row, alone in enumerate(probabilities)
        for beat in find_beats(alone, policy)]


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 600), levels=st.integers(1, 2**20),
       fs=st.sampled_from((360, 250)), data=st.data())
def test_beats_together_move_as_each_alone(seed: int, length: int, levels: int, fs: int,
                                           data: st.DataObject) -> None:
    ecg = np.random.default_rng(seed).integers(-levels, levels + 1, length).astype(np.float32)
    ecg *= data.draw(st.sampled_from((1.0, 0.005)))  # sums that are exact, and rounded ones
    near = data.draw(st.lists(st.integers(-50, length + 50), max_size=6))
    assert place_at_r_peak(ecg, near, fs).tolist() == [r_peak(ecg, at, fs) for at in near]


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
