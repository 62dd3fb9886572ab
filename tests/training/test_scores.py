"""Scoring: one to one, within 150 ms, misses and false beats counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import scores
from training.recordings import FS, Record
from training.scores import NONE, Score, match, score_record
from training.simulated import simulated_records


def record(
    beats: list[int], labels: list[int], flutter: list[tuple[int, int]] | None = None
) -> Record:
    return Record(
        "x",
        "made up",
        ("I",),
        np.zeros((1, 3600), dtype=np.float32),
        np.array(beats, dtype=np.int64),
        np.array(labels, dtype=np.int8),
        np.array(flutter or [], dtype=np.int64).reshape(-1, 2),
    )


def score(reference: Record, beats: list[int], labels: list[int], **options: float) -> Score:
    return score_record(
        reference, np.array(beats, dtype=np.int64), np.array(labels, dtype=np.int64), **options
    )


def test_confusion_counts_right_wrong_missed_and_false_beats() -> None:
    found = score(record([100, 500, 900], [0, 2, 1]), [104, 503, 2000], [0, 0, 2])
    assert found.confusion[0, 0] == 1  # N found
    assert found.confusion[2, 0] == 1  # V called N
    assert found.confusion[1, NONE] == 1  # S missed
    assert found.confusion[NONE, 2] == 1  # a false V
    assert found.accuracy == pytest.approx(1 / 3)
    assert (found.qrs.sensitivity, found.qrs.predictivity) == pytest.approx((2 / 3, 2 / 3))
    assert found.of("V").f1 == 0
    assert np.isnan(found.of("F").f1)
    np.testing.assert_allclose(found.errors_s, [4 / FS, 3 / FS])


def test_match_window_is_150_ms_inclusive() -> None:
    reference = record([1000], [0])
    assert score(reference, [1054], [0]).qrs.sensitivity == 1
    assert score(reference, [1055], [0]).qrs.sensitivity == 0


def test_scores_of_no_beats() -> None:
    nothing = score(record([], []), [], [])
    assert np.isnan(nothing.accuracy)
    assert np.isnan(nothing.qrs.f1)
    assert score(record([10], [0]), [], []).qrs.f1 == 0
    assert nothing.confusion.sum() == 0


def test_flutter_and_learning_time_are_left_out() -> None:
    fluttering = record([100, 3000], [0, 0], [(500, 1500)])
    assert score(fluttering, [100, 900, 3000], [0, 2, 0]).qrs.predictivity == 1
    late = score(fluttering, [100, 3000], [0, 0], start_s=5.0)
    assert late.confusion.sum() == 1


def test_other_rates_windows_and_an_end() -> None:
    def of(*arrays: list[int], fs: float, **options: float) -> Score:
        return scores.score(*(np.array(a, dtype=np.int64) for a in arrays), fs, **options)

    arrays = [100, 400], [0, 2], [137, 400, 900], [0, 2, 0]
    assert str(of(*arrays, fs=250).qrs) == "100.00/66.67/80.00"
    assert of(*arrays, fs=200).qrs.right == 1
    assert of(*arrays, fs=200, window_s=0.2).qrs.right == 2
    early = of(*arrays, fs=250, stop_s=1.6)  # 400 itself is out
    assert early.confusion.sum() == early.confusion[0, 0] == 1


@given(st.lists(st.integers(0, 5000), max_size=40), st.lists(st.integers(0, 5000), max_size=40))
def test_match_pairs_one_to_one_and_leaves_no_near_pair(
    first: list[int], second: list[int]
) -> None:
    a, b = np.array(sorted(first), dtype=np.int64), np.array(sorted(second), dtype=np.int64)
    pairs = match(a, b, 54)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert (np.abs(a[pairs[:, 0]] - b[pairs[:, 1]]) <= 54).all()
    left_a = np.delete(a, pairs[:, 0])
    left_b = np.delete(b, pairs[:, 1])
    if len(left_a) and len(left_b):
        assert np.abs(left_a[:, None] - left_b).min() > 54


def test_the_reference_against_itself_scores_one() -> None:
    made = simulated_records(1, seconds=60)[0]
    perfect = score_record(made, made.beats, made.labels.astype(np.int64))
    assert perfect.accuracy == perfect.of("N").f1 == 1
    assert perfect.summary()["accuracy"] == 1
