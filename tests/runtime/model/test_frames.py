"""Frames to beats: strong frames, one beat each, decided by a few frames around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.model.contract import BeatPolicy
from runtime.model.frames import find_beats

POLICY = BeatPolicy()
CASES = {
    "seed": st.integers(0, 2**32 - 1),
    "levels": st.sampled_from((2, 3, 8, 2**24)),
    "threshold": st.floats(0.1, 0.9),
    "gap": st.integers(1, 5),
}


def frames(length: int, beats: dict[int, int], strength: float = 0.9) -> np.ndarray:
    """Frames with three of each beat set: position -> class (1 N, 2 S, ...)."""
    out = np.zeros((length, 6), dtype=np.float32)
    out[:, 0] = 1.0
    for at, label in beats.items():
        for near, share in ((-1, 0.8), (0, 1.0), (1, 0.8)):
            out[at + near, label], out[at + near, 0] = strength * share, 1 - strength * share
    return out


def places(probabilities: np.ndarray, policy: BeatPolicy = POLICY) -> list[int]:
    return find_beats(probabilities[None], policy)[1]


def test_each_beat_is_found_once_with_its_class() -> None:
    owners, found, shares = find_beats(frames(60, {10: 1, 25: 3, 40: 2})[None], POLICY)
    assert (owners, found) == ([0, 0, 0], [10, 25, 40])
    assert np.argmax(shares, axis=1).tolist() == [0, 2, 1]
    np.testing.assert_allclose(np.sum(shares, axis=1), 1)


def test_the_threshold_decides_how_weak_a_beat_may_be() -> None:
    weak = frames(40, {20: 1}, strength=0.5)
    assert places(weak, BeatPolicy(threshold=0.5)) == []
    assert places(weak, BeatPolicy(threshold=0.3)) == [20]


def test_of_two_too_near_the_stronger_wins() -> None:
    both = frames(40, {20: 1})
    both[22] = [0.3, 0.7, 0, 0, 0, 0]
    assert places(both) == [20]


@pytest.mark.parametrize("gap", [2, 3, 5])
def test_of_equal_neighbours_the_first_is_the_beat(gap: int) -> None:
    policy = BeatPolicy(min_frames_between=gap)
    plateau = np.tile(np.float32([0.1, 0.9, 0, 0, 0, 0]), (40, 1))
    plateau[:12] = plateau[20:] = [1, 0, 0, 0, 0, 0]
    found = places(plateau, policy)
    assert found[0] == 13
    assert (np.diff(found) >= gap).all()


def test_the_classes_of_three_frames_are_added() -> None:
    three = np.zeros((1, 30, 6), dtype=np.float32)
    three[:, :, 0] = 1.0
    three[0, 14:17] = [[0.5, 0.5, 0, 0, 0, 0], [0, 0, 1.0, 0, 0, 0], [0.75, 0, 0, 0.25, 0, 0]]
    _, found, shares = find_beats(three, POLICY)
    assert found == [15]
    np.testing.assert_allclose(shares[0], np.array([0.5, 1.0, 0.25, 0, 0]) / 1.75)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7])
def test_too_few_frames_hold_no_beat(length: int) -> None:
    assert find_beats(np.full((2, length, 6), 1 / 6, dtype=np.float32), POLICY) == ([], [], [])


def any_frames(seed: int, patients: int, length: int, levels: int) -> np.ndarray:
    """Frames; with few levels most of them have an equal neighbour."""
    raw = np.random.default_rng(seed).integers(0, levels, (patients, length, 6)) + 1
    probabilities = (raw / raw.sum(axis=2, keepdims=True)).astype(np.float32)
    if levels == 2:
        probabilities[:, :, 0] = raw[:, :, 0] - 1
    return probabilities


@given(st.integers(0, 2**32 - 1), st.integers(20, 200), st.floats(0, 1))
def test_frames_decided_in_two_parts_are_those_decided_together(
    seed: int, length: int, cut: float
) -> None:
    random = np.random.default_rng(seed).dirichlet(np.full(6, 0.3), length).astype(np.float32)

    def places(frames: np.ndarray) -> list[int]:
        return find_beats(frames[None], POLICY)[1]

    before, after = POLICY.context_before, POLICY.context_after
    at = before + int(cut * (length - before - after))
    first, second = places(random[: at + after]), places(random[at - before :])
    assert [*first, *(at - before + frame for frame in second)] == places(random)
    assert (np.diff(places(random)) >= POLICY.min_frames_between).all()


@given(patients=st.integers(1, 12), length=st.integers(0, 60), **CASES)
def test_patients_together_have_the_beats_of_each_alone(
    patients: int, length: int, seed: int, levels: int, threshold: float, gap: int
) -> None:
    """To the last bit."""
    probabilities = any_frames(seed, patients, length, levels)
    policy = BeatPolicy(threshold=threshold, min_frames_between=gap)
    together = list(zip(*find_beats(probabilities, policy), strict=True))
    assert together == [
        (owner, *beat)
        for owner, alone in enumerate(probabilities)
        for _, *beat in zip(*find_beats(alone[None], policy), strict=True)
    ]


@given(length=st.integers(0, 60), **CASES)
def test_a_beat_is_the_first_strongest_frame_of_its_surroundings(
    length: int, seed: int, levels: int, threshold: float, gap: int
) -> None:
    """By the definition, in arrays: the least sum of 'none' over three frames, `gap` before it
    and one fewer after."""
    probabilities = any_frames(seed, 1, length, levels)
    policy = BeatPolicy(threshold=threshold, min_frames_between=gap)
    none = probabilities[0, :, 0].astype(np.float64)
    total = none[:-2] + none[1:-1] + none[2:]
    expected = []
    for at in range(gap, len(total) - gap + 1):
        around = total[at - gap : at + gap]
        if total[at] <= 3.0 * (1.0 - threshold) and around.argmin() == gap:
            expected.append(at + 1)
    assert find_beats(probabilities, policy)[1] == expected
    for frame, row in zip(*find_beats(probabilities, policy)[1:], strict=True):
        three = probabilities[0, frame - 1 : frame + 2, 1:].astype(np.float64).sum(axis=0)
        np.testing.assert_allclose(row, three / three.sum(), rtol=1e-12)
