"""Training of the second network: crops, their variations, a run from begin to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.beat_sequences import UNKNOWN, Beats
from training.errors import DataError
from training.measure_beats import answers, by_time, report
from training.rhythm_net import LAG, RhythmNet, loss
from training.train_rhythm import RhythmRecipe, load, train, varied


def patient(seed: int, *, fibrillating: bool, count: int = 400, fold: int = -1) -> Beats:
    """Beats in order, and from the middle on, with ``fibrillating``, without."""
    rng = np.random.default_rng(seed)
    rhythm = np.zeros(count, dtype=np.int8)
    rhythm[count // 2 :] = fibrillating
    rows = np.zeros((count, 5), dtype=np.float32)
    rows[:, 0] = np.where(rhythm, rng.uniform(0.4, 1.1, count), 0.8 + rng.normal(0, 0.01, count))
    rows[0, 0], rows[:, 1] = 0.0, 1.0
    seconds = np.cumsum(rows[:, 0])
    return Beats("ltafdb" if fold < 0 else "svdb", str(seed), fold, rows, seconds, rhythm)


def test_a_run_tells_order_from_none_and_is_the_same_again(tmp_path: Path) -> None:
    known = [patient(seed, fibrillating=seed % 2 == 0) for seed in range(24)]
    recipe = RhythmRecipe(steps=120, crops=16, beats=64)
    net = train(recipe, known, tmp_path / "a")
    unseen = [patient(seed, fibrillating=True) for seed in (100, 101)]
    sensitivity, specificity = by_time(net, unseen)
    assert sensitivity > 0.9
    assert specificity > 0.9
    again, saved = load(tmp_path / "a")
    assert saved["data"].startswith("ltafdb (")  # type: ignore[attr-defined]
    np.testing.assert_array_equal(answers(again, unseen[0]), answers(net, unseen[0]))
    same = train(recipe, known, tmp_path / "b")
    np.testing.assert_array_equal(answers(same, unseen[0]), answers(net, unseen[0]))
    assert "| ltafdb, 2 |" in report(net, unseen)


def test_nobody_held_out_is_trained_on(tmp_path: Path) -> None:
    known = [patient(seed, fibrillating=True, fold=seed % 2) for seed in range(4)]
    recipe = RhythmRecipe(steps=1, crops=2, beats=64, fold=1)
    train(recipe, known, tmp_path)
    assert load(tmp_path)[1]["data"] == "svdb (2)"
    with pytest.raises(DataError, match="no recordings are left"):
        train(recipe, [one for one in known if one.fold == 1], tmp_path)


@given(seed=st.integers(0, 500), heard=st.booleans())
def test_varied_crops_stay_beats(seed: int, heard: bool) -> None:
    one = patient(seed % 7, fibrillating=True)
    rows = one.rows.copy()
    rows[50, 0] = 0.0
    if heard:
        rows[:, 2:] = -1.0, -1.0, 24.0
    crop, rhythm = varied(np.random.default_rng(seed), rows, one.fibrillating, RhythmRecipe())
    assert len(crop) == len(rhythm) <= len(rows)
    assert (crop[1:, 0] >= 0).all()
    assert crop[0, 0] == 0
    assert np.count_nonzero(crop[1:, 0] == 0) == 1  # one gap stays one
    assert set(crop[:, 1].tolist()) <= {0.0, 1.0}
    assert crop[:, 4].any() in (heard, False)
    kept = rows[rows[:, 0] > 0, 0]
    ratio = np.median(crop[crop[:, 0] > 0, 0]) / np.median(kept)
    assert 0.75 < ratio < 1.35


def test_the_loss_asks_only_where_the_rhythm_is_known() -> None:
    log_odds = torch.zeros(1, 30, 2)
    unknown = torch.full((1, 30), float(UNKNOWN))
    assert loss(log_odds, unknown) == 0
    first = unknown.clone()
    first[0, 0] = 1.0
    right = log_odds.clone()
    right[0, 0, 0] = right[0, LAG, 1] = 20.0
    assert loss(right, first) < 1e-6 < loss(log_odds, first)


def test_memory_carries_the_last_interval() -> None:
    torch.manual_seed(0)
    net = RhythmNet().eval()
    rows = torch.from_numpy(patient(1, fibrillating=True).rows[None])
    with torch.inference_mode():
        whole, last = net(rows, net.start(1))
        first, memory = net(rows[:, :150], net.start(1))
        second, end = net(rows[:, 150:], memory)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(end, last)


@pytest.mark.parametrize("content", [None, b"no checkpoint"])
def test_what_is_no_run_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DataError, match="train_rhythm"):
        load(tmp_path)
