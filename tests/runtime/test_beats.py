"""Blocks of beats: the label that is chosen, and seconds and letters at the edge."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.beats import (
    ATRIAL,
    NO_BEATS,
    Beats,
    F,
    N,
    Q,
    S,
    V,
    as_block,
    choose_label,
    from_beats,
)
from runtime.findings import CLASSES, Beat

EVEN = (1.0,) * 5


def test_the_label_is_the_class_of_the_largest_weighted_probability() -> None:
    row = (0.4, 0.3, 0.2, 0.1, 0.0)
    assert choose_label(row, EVEN) == N
    assert choose_label(row, (1, 2, 1, 1, 1)) == S
    assert choose_label(row, (1, 2, 4, 1, 1)) == V
    assert choose_label(row, (1, 2, 4, 9, 1)) == F
    assert choose_label((0.0, 0.0, 0.0, 0.0, 1.0), (9, 9, 9, 9, 1)) == Q


def test_only_the_classes_in_question_are_compared() -> None:
    row = (0.1, 0.2, 0.7, 0.0, 0.0)
    assert choose_label(row, EVEN, ATRIAL) == S
    assert choose_label(row, (3, 1, 1, 1, 1), ATRIAL) == N
    assert choose_label(row, EVEN, (F, V)) == V


def test_of_equal_classes_the_first_in_question_wins() -> None:
    assert choose_label((0.5, 0.5, 0.0, 0.0, 0.0), EVEN) == N
    assert choose_label((0.25, 0.5, 0.0, 0.0, 0.0), (2, 1, 1, 1, 1)) == N
    assert choose_label((0.0, 0.0, 0.5, 0.5, 0.0), EVEN, (F, V)) == F
    assert choose_label((0.0,) * 5, EVEN, (V, N)) == V


def test_the_label_is_what_numpy_would_choose() -> None:
    rng = np.random.default_rng(0)
    for row, weights in zip(
        rng.dirichlet(np.full(5, 0.4), 300), rng.uniform(0.1, 4, (300, 5)), strict=True
    ):
        assert choose_label(row.tolist(), weights.tolist()) == int((row * weights).argmax())


@pytest.mark.parametrize("fs", [250, 360])
def test_a_block_becomes_beats_and_the_same_block_again(fs: int) -> None:
    rng = np.random.default_rng(1)
    block = Beats(
        np.cumsum(rng.integers(1, 10**7, 50)).tolist(),
        rng.dirichlet(np.ones(5), 50).tolist(),
        rng.integers(0, 5, 50).tolist(),
    )
    beats = block.to_beats(fs)
    assert from_beats(beats, fs) == block
    for one, sample, row, label in zip(beats, *block, strict=True):
        assert one == Beat(sample / fs, CLASSES[label], row[label], tuple(row))
        assert one.anomaly == (one.label != "N")


def test_a_block_is_made_of_beats_one_by_one() -> None:
    rows = [(5, [1.0, 0, 0, 0, 0], N), (9, [0, 0, 1.0, 0, 0], V)]
    assert as_block(iter(rows)) == Beats([5, 9], [[1.0, 0, 0, 0, 0], [0, 0, 1.0, 0, 0]], [N, V])
    assert as_block([]) == NO_BEATS == from_beats([], 360)
    assert NO_BEATS.to_beats(360) == []


def test_columns_of_different_length_are_no_block() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Beats([1, 2], [[1.0, 0, 0, 0, 0]], [N, N]).to_beats(360)
