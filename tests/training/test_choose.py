"""Choosing on held-out patients: what is counted is what the runtime does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.beats import BeatPolicy
from runtime.findings import CLASSES, Beat
from runtime.rhythm.baseline import FS, Sinus, SinusPolicy
from runtime.rhythm.template import Morphology, MorphologyPolicy
from training import choose as command
from training import dataset, download
from training.checkpoint import save
from training.choose import Patient, S, V, choose, figures, supraventricular, ventricular
from training.model import Design, EkgNet
from training.recipe import Recipe
from training.scores import Score


def patient(seed: int, beats: int = 400) -> Patient:
    rng = np.random.default_rng(seed)
    intervals = np.exp(rng.normal(-0.2, 0.12, beats)) * np.where(rng.random(beats) < 0.2, 0.6, 1.0)
    probabilities = rng.dirichlet((3.0, 1.5, 0.5, 0.1, 0.1), beats)
    probabilities[200:220, 1] = 0.0  # atrial fibrillation
    followed = (np.arange(beats) < 180) | (np.arange(beats) >= 230)
    truth = rng.integers(-1, 3, beats)
    compared = rng.normal((0.5, 0.0), (0.6, 0.4), (beats, 2))
    compared[:10] = np.nan  # no beat is usual yet
    return Patient("mitdb", np.rint(np.cumsum(intervals) * FS).astype(np.int64),
                   probabilities.argmax(axis=1), probabilities, followed, probabilities,
                   *compared.T, truth, np.bincount(truth[truth >= 0], minlength=5))


@pytest.mark.parametrize("policy", [SinusPolicy(), SinusPolicy(-1.0, 12.0, 0.2, 100.0)])
def test_what_is_counted_is_what_the_runtime_reads(policy: SinusPolicy) -> None:
    one, sinus = patient(1), Sinus(policy)
    read = [sinus.read(Beat(sample / FS, CLASSES[label], shares[label], tuple(shares)),
                       followed=followed).label
            for sample, label, shares, followed in zip(
                one.samples.tolist(), one.labels.tolist(), one.probabilities.tolist(),
                one.followed.tolist(), strict=True)]
    told = np.array(read) == "S"
    counted = supraventricular(one, [SinusPolicy(gain=0.0), policy])
    assert counted[:, 1].tolist() == [(told & (one.truth == 1)).sum(), told.sum()]
    assert counted[1, 0] != counted[1, 1]


@pytest.mark.parametrize("policy", [MorphologyPolicy(), MorphologyPolicy(3.0, 0.2, 1.0)])
def test_what_is_counted_of_v_is_what_the_runtime_reads(
        policy: MorphologyPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    one = patient(2)
    found = iter(zip(one.unlike.tolist(), one.rougher.tolist(), strict=True))

    def compare(*_: object) -> tuple[float, float] | None:
        unlike, rougher = next(found)
        return None if np.isnan(unlike) else (unlike, rougher)

    monkeypatch.setattr(Morphology, "compare", compare)
    usual, around = Morphology(policy), np.zeros(0, dtype=np.float32)
    told = np.array([usual.read(Beat(0.0, CLASSES[label], shares[label], tuple(shares)),
                                around).label == "V"
                     for label, shares in zip(one.labels.tolist(), one.first.tolist(),
                                              strict=True)])
    counted = ventricular(one, [MorphologyPolicy(gain=0.0, roughness=0.0), policy])
    assert counted[:, 1].tolist() == [(told & (one.truth == V)).sum(), told.sum()]
    assert counted[1].tolist() != [(one.labels == V).sum()] * 2
    assert counted[1, 0] == (one.labels == V).sum()


def test_cross_validation_does_not_see_its_own_fold(capsys: pytest.CaptureFixture[str]) -> None:
    # Setting 0 is right for one fold and setting 1 for the other: each is judged by the wrong one.
    patients = [replace(patient(seed), there=np.full(5, 50)) for seed in (3, 4)]
    right, wrong = [50, 50], [0, 50]
    counted = [np.array([right, wrong]).T, np.array([wrong, right]).T]
    assert choose("either", patients, np.array([0, 1]), counted, np.array([True, True]), S
                  ) in (0, 1)
    assert figures(patients[:1], counted[:1], S)["mitdb"].tolist() == [1.0, 0.0]
    told = capsys.readouterr().out.splitlines()
    assert "best on all: F1 of mitdb 50.0" in told[0]
    assert "cross-validated: F1 of mitdb 0.0" in told[1]


def run(folder: Path, fold: int, folds: int) -> str:
    small = Design(width=16, morphology=((1, 8),), rhythm=((8, 4),), decision=((1, 8),))
    folder.mkdir()
    save(folder / "model.pt", EkgNet(small), Recipe(folds=folds, fold=fold),
               BeatPolicy(), "mitdb", Score.empty())
    return str(folder)


def refusal(runs: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said where nothing is chosen."""
    with pytest.raises(SystemExit) as stopped:
        command.main(runs)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (said,) = printed.err.splitlines()
    return said


@pytest.mark.parametrize(("held_out", "told"), [
    ([(0, 3)], "0 of 3"), ([(0, 2), (0, 2)], "0 of 2, 0 of 2"),
    ([(1, 2), (2, 2)], "1 of 2, 2 of 2"), ([(0, 2), (1, 3)], "0 of 2, 1 of 3"),
    ([(0, 2), (1, 2), (1, 2)], "0 of 2, 1 of 2, 1 of 2")])
def test_what_is_not_one_run_for_each_fold_is_refused(
        held_out: list[tuple[int, int]], told: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(dataset, "training_data", None)  # asked for later
    runs = [run(tmp_path / str(i), *fold) for i, fold in enumerate(held_out)]
    assert refusal(runs, capsys) == (f"These runs hold out fold {told}; expected one run for each "
                                     f"fold from 0 to {held_out[0][1] - 1}.")


def test_every_fold_once_is_what_is_asked_for_in_any_order(tmp_path: Path) -> None:
    command.require_every_fold([Path(run(tmp_path / str(fold), fold, 3)) for fold in (2, 0, 1)])


def test_nothing_is_chosen_on_simulated_patients(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
        ) -> None:
    monkeypatch.delenv("EKG_DATA", raising=False)
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(download, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(dataset, "simulated_records", None)
    runs = [run(tmp_path / str(fold), fold, 2) for fold in (0, 1)]
    assert "mitdb is not in" in refusal(runs, capsys)
