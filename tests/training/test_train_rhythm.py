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
from training.measure_beats import answers, by_time, reliability, report
from training.rhythm_net import LAG, RhythmNet, beats_of, features, loss
from training.train_rhythm import (
    RhythmRecipe,
    joined,
    load,
    train,
    varied,
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
    sensitivity, specificity = by_time(list(zip(unseen, answers(net, unseen), strict=True)))
    assert sensitivity > 0.9
    assert specificity > 0.9
    again, saved = load(tmp_path / "a")
    assert saved["data"].startswith("ltafdb (")  # type: ignore[attr-defined]
    np.testing.assert_array_equal(answers(again, unseen)[0], answers(net, unseen)[0])
    same = train(recipe, known, tmp_path / "b")
    np.testing.assert_array_equal(answers(same, unseen)[0], answers(net, unseen)[0])
    assert "| ltafdb, 2 |" in report(net, unseen)


def test_reliability_says_how_often_a_probability_comes_true() -> None:
    torch.manual_seed(0)
    net = RhythmNet().eval()
    some = [patient(seed, fibrillating=True) for seed in (100, 101)]
    *bins, error = reliability({"all": list(zip(some, answers(net, some), strict=True))})[2:]
    told = [line.strip("| ").split(" | ")[1].split(", ") for line in bins if line.count(",") > 1]
    beats = [float(cells[0].replace(",", "")) for cells in told]
    assert sum(beats) == sum(len(one.rows) - LAG for one in some)
    wrong = sum(n * abs(float(p) - float(t)) for n, (_, p, t) in zip(beats, told, strict=True))
    assert float(error.strip("| ").split(" | ")[1]) == pytest.approx(wrong / sum(beats), abs=0.1)


def test_recordings_read_together_are_answered_as_each_alone() -> None:
    torch.manual_seed(0)
    net = RhythmNet().eval()
    some = [patient(seed, fibrillating=True, count=30 + 40 * (seed % 3)) for seed in range(5)]
    for one, together in zip(some, answers(net, some), strict=True):
        (alone,) = answers(net, [one])
        assert together.shape == (len(one.rows), 2)
        np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)


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


def test_a_strip_that_goes_over_into_another_forgets_it_as_a_stream_does() -> None:
    """Of two waves that have nothing in common; the joined strip's power is drawn."""
    rng, state = np.random.default_rng(0), AtrialState()
    shapes = 0.1 * np.stack([np.hanning(len(P_WAVE)), np.sin(np.arange(len(P_WAVE)) * 1.3)])
    seen = []
    for shape in (shapes[0], rng):
        for _ in range(40):
            wave = shape if isinstance(shape, np.ndarray) else rng.choice([-1, 1]) * shapes[1]
            state.take_p_wave(wave.astype(np.float32))
            seen.append([*state.p_wave(), state.p_wave_beats])
    rows = np.zeros((40, 5), dtype=np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2:] = 0.8, 1.0, seen[:40]
    later = rows.copy()
    later[:, 2:] = [*seen[-1][:2], 24.0]
    after = Beats("cinc2017", "b", -1, later, np.arange(40.0), np.ones(40, dtype=np.int8))
    found = []
    for seed in range(200):
        crop, _ = joined(np.random.default_rng(seed), rows, np.zeros(40, dtype=np.int8), after)
        cut = len(crop) - 40
        found.append([crop[cut + beats, 2:4] for beats in (5, 12, 24, 39)])
    low, high = np.quantile(found, [0.02, 0.98], axis=0)
    for i, beats in enumerate((5, 12, 24, 39)):
        assert (low[i] - 0.5 < seen[40 + beats][:2]).all()
        assert (seen[40 + beats][:2] < high[i] + 0.5).all()
    assert (high - low).max() < 3.5


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


def test_a_run_goes_on_from_another_that_held_out_the_same(tmp_path: Path) -> None:
    known = [patient(seed, fibrillating=True, fold=seed % 2) for seed in range(4)]
    recipe = RhythmRecipe(steps=1, crops=2, beats=64, fold=1, learning_rate=1e-9)
    first = train(recipe, known, tmp_path / "a")
    on = RhythmRecipe(**{**vars(recipe), "start": str(tmp_path / "a"), "seed": 5})
    second = train(on, known, tmp_path / "b")
    np.testing.assert_allclose(
        answers(second, known)[0], answers(first, known)[0], atol=1e-5, rtol=0
    )
    with pytest.raises(DataError, match="held out another fold"):
        train(RhythmRecipe(**{**vars(on), "fold": 0}), known, tmp_path / "c")


@pytest.mark.parametrize("content", [None, b"no checkpoint"])
def test_what_is_no_run_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DataError, match="train_rhythm"):
        load(tmp_path)
