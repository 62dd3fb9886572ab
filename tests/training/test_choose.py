"""Choosing on held-out patients: what is counted is what the runtime does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime import RhythmPolicy
from runtime.beats import Beats, S, V
from runtime.detector import load_rhythm
from runtime.model.contract import FS, BeatPolicy
from runtime.rhythm import RhythmTracker
from runtime.rhythm.baseline import BaselineLimits
from runtime.rhythm.template import QrsTemplate, TemplateLimits
from training import choose as command
from training import dataset, download
from training.checkpoint import save
from training.choose import WEIGHTS, choose, figures, supraventricular, ventricular
from training.held_out import Patient, require_every_fold
from training.model import Design, EkgNet
from training.recipe import Recipe
from training.scores import Score

SHIPPED = load_rhythm().policy
TEMPLATE, BASELINE = SHIPPED.of(TemplateLimits), SHIPPED.of(BaselineLimits)


def patient(seed: int, beats: int = 400) -> Patient:
    rng = np.random.default_rng(seed)
    intervals = np.exp(rng.normal(-0.2, 0.12, beats)) * np.where(rng.random(beats) < 0.2, 0.6, 1.0)
    probabilities = rng.dirichlet((3.0, 1.5, 0.5, 0.1, 0.1), beats)
    probabilities[200:220, 1] = 0.0  # atrial fibrillation
    certain = (np.arange(beats) < 180) | (np.arange(beats) >= 230)
    truth = rng.integers(-1, 3, beats)
    compared = [(*row, 1.0) for row in rng.normal((0.5, 0.0), (0.6, 0.4), (beats, 2)).tolist()]
    found = [*[None] * 10, *compared[10:]]
    labels = probabilities.argmax(axis=1).tolist()
    block = Beats(
        np.rint(np.cumsum(intervals) * FS).astype(int).tolist(),
        probabilities.tolist(),
        labels,
    )
    return Patient(
        "mitdb",
        list(zip(probabilities.tolist(), labels, found, rng.normal(0, 1, beats), strict=True)),
        block,
        certain.tolist(),
        truth,
        np.bincount(truth[truth >= 0], minlength=5),
    )


@pytest.mark.parametrize(
    "changes", [{}, {"baseline_bias": -1.0, "baseline_gain": 12.0, "max_prematurity": 0.2}]
)
def test_counted_s_beats_are_those_that_the_runtime_reports(changes: dict[str, float]) -> None:
    one, limits = patient(1), replace(BASELINE, **changes)
    model = replace(
        load_rhythm(), policy=RhythmPolicy(template=None, rr_baseline=limits, af_doubt=1e6)
    )
    tracker = RhythmTracker(model, WEIGHTS)
    sure = replace(one, sinus_certain=[True] * len(one.truth))
    called = np.array(tracker.follow(one.relabelled, 0.0)[0].labels) == S
    counted = supraventricular(sure, [replace(BASELINE, baseline_gain=0.0), limits])
    assert counted[:, 1].tolist() == [(called & (one.truth == S)).sum(), called.sum()]
    assert counted[1, 0] != counted[1, 1]
    unsure = replace(one, sinus_certain=[False] * len(one.truth))
    assert supraventricular(unsure, [limits])[1, 0] == (np.array(one.relabelled.labels) == S).sum()


@pytest.mark.parametrize(
    "changes", [{}, {"template_gain": 3.0, "template_margin": 0.2, "template_roughness": 1.0}]
)
def test_counted_v_beats_are_those_that_the_runtime_reports(changes: dict[str, float]) -> None:
    one, limits = patient(2), replace(TEMPLATE, **changes)
    compared, corrections = (iter(column) for column in list(zip(*one.evidence, strict=True))[2:])

    class Noted(QrsTemplate):
        def compare(self, *_: object) -> tuple[float, float, float] | None:
            return next(compared)

        def correct(self, *_: object) -> float:
            return next(corrections)

    nothing = np.zeros(0, dtype=np.float32)
    template = Noted(limits, WEIGHTS)
    called = np.array(template.relabel(one.relabelled, lambda _: nothing).labels) == V
    counted = ventricular(
        one, [replace(TEMPLATE, template_gain=0.0, template_roughness=0.0), limits]
    )
    assert counted[:, 1].tolist() == [(called & (one.truth == V)).sum(), called.sum()]
    assert counted[1, 0] != counted[1, 1]
    still = replace(one, evidence=[(row, label, how, 0.0) for row, label, how, _ in one.evidence])
    alone = ventricular(still, [replace(TEMPLATE, template_gain=0.0, template_roughness=0.0)])
    assert alone[1, 0] == (np.array(one.relabelled.labels) == V).sum()


def test_cross_validation_does_not_see_its_own_fold(capsys: pytest.CaptureFixture[str]) -> None:
    # Setting 0 is right for one fold and setting 1 for the other: each is judged by the wrong one.
    patients = [replace(patient(seed), there=np.full(5, 50)) for seed in (3, 4)]
    right, wrong = [50, 50], [0, 50]
    counted = [np.array([right, wrong]).T, np.array([wrong, right]).T]
    assert choose("either", patients, np.array([0, 1]), counted, np.array([True, True]), S) in (
        0,
        1,
    )
    assert figures(patients[:1], counted[:1], S)["mitdb"].tolist() == [1.0, 0.0]
    told = capsys.readouterr().out.splitlines()
    assert "best on all: F1 of mitdb 50.0" in told[0]
    assert "cross-validated: F1 of mitdb 0.0" in told[1]


def run(folder: Path, fold: int, folds: int) -> str:
    small = Design(width=16, morphology=((1, 8),), rhythm=((8, 4),), decision=((1, 8),))
    folder.mkdir()
    save(
        folder / "model.pt",
        EkgNet(small),
        Recipe(folds=folds, fold=fold),
        BeatPolicy(),
        "mitdb",
        Score.empty(),
    )
    return str(folder)


def refusal(runs: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a refusal, with which nothing is chosen."""
    with pytest.raises(SystemExit) as stopped:
        command.main(runs)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (said,) = printed.err.splitlines()
    return said


@pytest.mark.parametrize(
    ("held_out", "told"),
    [
        ([(0, 3)], "0 of 3"),
        ([(0, 2), (0, 2)], "0 of 2, 0 of 2"),
        ([(1, 2), (2, 2)], "1 of 2, 2 of 2"),
        ([(0, 2), (1, 3)], "0 of 2, 1 of 3"),
        ([(0, 2), (1, 2), (1, 2)], "0 of 2, 1 of 2, 1 of 2"),
    ],
)
def test_runs_that_are_not_one_for_each_fold_are_refused(
    held_out: list[tuple[int, int]],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(dataset, "training_data", None)  # needed later
    runs = [run(tmp_path / str(i), *fold) for i, fold in enumerate(held_out)]
    assert refusal(runs, capsys) == (
        f"These runs hold out fold {told}; expected one run for each "
        f"fold from 0 to {held_out[0][1] - 1}."
    )


def test_every_fold_once_is_accepted_in_any_order(tmp_path: Path) -> None:
    require_every_fold([Path(run(tmp_path / str(fold), fold, 3)) for fold in (2, 0, 1)])


def test_nothing_is_chosen_on_simulated_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EKG_DATA", raising=False)
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(download, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(dataset, "simulated_records", None)
    runs = [run(tmp_path / str(fold), fold, 2) for fold in (0, 1)]
    assert "mitdb is not in" in refusal(runs, capsys)
