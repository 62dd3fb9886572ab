"""Training of the second network: crops, their variations, a run from begin to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.model.contract import FS
from runtime.rhythm.events.atrial import P_WAVE, AtrialState
from runtime.rhythm.events.family import TrackedBeat
from training.beat_sequences import UNKNOWN, Beats
from training.errors import DataError
from training.measure_beats import answers, by_time, report
from training.rhythm_net import LAG, RhythmNet, beats_of, features, loss
from training.train_rhythm import (
    RhythmRecipe,
    load,
    train,
    varied,
    with_p_waves,
    with_ventricular,
)


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
    crop, rhythm = varied(
        np.random.default_rng(seed), rows, one.fibrillating, RhythmRecipe(), heard=heard
    )
    assert len(crop) == len(rhythm) <= len(rows)
    assert (crop[1:, 0] >= 0).all()
    assert crop[0, 0] == 0
    assert np.count_nonzero(crop[1:, 0] == 0) == 1  # one gap stays one
    assert set(crop[:, 1].tolist()) <= {0.0, 1.0}
    assert crop[:, 4].any() in (heard, False)
    kept = rows[rows[:, 0] > 0, 0]
    ratio = np.median(crop[crop[:, 0] > 0, 0]) / np.median(kept)
    assert 0.75 < ratio < 1.35


@given(seed=st.integers(0, 500))
def test_ventricular_beats_are_early_and_move_no_other(seed: int) -> None:
    rows = patient(1, fibrillating=False).rows
    rows[:, 2:] = -1.0, -1.0, 24.0
    found = with_ventricular(np.random.default_rng(seed), rows)
    times, before = (np.cumsum(some[:, 0], dtype=np.float64) for some in (found, rows))
    moved = np.abs(times - before) > 1e-3
    assert (times[moved] < before[moved]).all()
    assert moved[found[:, 1] == 0].all()
    alone = moved.copy()
    alone[1:] &= ~moved[:-1]  # others come after one that came early
    assert (found[alone, 0] < 0.95 * rows[alone, 0]).all()
    assert (found[1:, 0] > 0).all()


def test_lent_p_waves_go_over_with_the_rhythm() -> None:
    one = patient(1, fibrillating=True)
    sinus, fibrillation = (np.array([[level, level, 24.0]]) for level in (-0.3, -3.0))
    rows = with_p_waves(np.random.default_rng(0), one.rows, one.fibrillating, (sinus, fibrillation))
    assert rows[150:200, 2:4].mean(axis=0) == pytest.approx(-0.3, abs=0.1)
    assert rows[350:, 2:4].mean(axis=0) == pytest.approx(-3.0, abs=0.1)
    change = (rows[201:, 2:4] < -1.65).argmax(axis=0)
    assert change.tolist() == pytest.approx([16, 8], abs=4)  # the shorter mean forgets sooner
    assert rows[:, 4].max() == 24
    assert not one.rows[:, 2:].any()


def test_the_loss_asks_only_where_the_rhythm_is_known() -> None:
    log_odds = torch.zeros(30, 1, 2)
    unknown = torch.full((30, 1), float(UNKNOWN))
    assert loss(log_odds, unknown) == 0
    first = unknown.clone()
    first[0, 0] = 1.0
    right = log_odds.clone()
    right[0, 0, 0] = right[LAG, 0, 1] = 20.0
    assert loss(right, first) < 1e-6 < loss(log_odds, first)


def test_however_beats_are_cut_the_answer_is_the_same() -> None:
    torch.manual_seed(0)
    net = RhythmNet().eval()
    inputs = features(torch.from_numpy(patient(1, fibrillating=True).rows[None]))
    with torch.inference_mode():
        whole, last = net(inputs, net.start(1))
        first, memory = net(inputs[:150], net.start(1))
        second, end = net(inputs[150:], memory)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


@given(seed=st.integers(0, 500))
def test_training_reads_a_beat_as_the_runtime_does(seed: int) -> None:
    rng, state, rows, inputs = np.random.default_rng(seed), AtrialState(), [], []
    sample = 1000
    for interval in rng.choice([40, 60, 200, 300, 400, 1800, 2400], 60).tolist():
        sample += interval
        beat = TrackedBeat(sample, 0, 0.9, bool(rng.random() < 0.8))
        if rng.random() < 0.1:
            state.previous = None
        known = state.previous is not None
        before = rng.standard_normal(len(P_WAVE)).astype(np.float32)
        inputs.append([state.take(beat, before if rng.random() < 0.9 else None)])
        rows.append([interval / FS * known, beat.atrial, *state.p_wave(), state.p_wave_beats])
    raw = torch.tensor([rows], dtype=torch.float32)
    found = torch.tensor(inputs, dtype=torch.float32)
    torch.testing.assert_close(features(raw), found, atol=1e-5, rtol=0)
    torch.testing.assert_close(features(beats_of(found)), found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("content", [None, b"no checkpoint"])
def test_what_is_no_run_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DataError, match="train_rhythm"):
        load(tmp_path)
