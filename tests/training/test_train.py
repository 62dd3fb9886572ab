"""Training: learns, resumes, keeps patients apart, and says what it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training import checkpoint, choose, train, weak
from training.augment import IGNORE, NORMAL_AT_MOST, NOT_S
from training.errors import DataError
from training.model import Design
from training.recipe import SHIPPED, Recipe
from training.simulated import simulated_noise, simulated_records
from training.weak_beats import Strangers

SMALL = Design(width=16, morphology=((1, 8), (2, 8)), rhythm=((8, 4),), decision=((1, 8),))
QUICK = Recipe(steps=6, batch=4, window_batch=2, crop_s=6.0, folds=3, fold=0, validate_every=3)


def run(out: Path, recipe: Recipe = QUICK, *, resume: bool = False) -> None:
    train.train(
        recipe,
        simulated_records(6, seconds=40),
        simulated_noise(seconds=20),
        out=out,
        data="SIMULATED",
        device=torch.device("cpu"),
        design=SMALL,
        resume=resume,
    )


def test_a_resumed_run_ends_where_the_unbroken_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SMALL.dropout > 0
    run(tmp_path / "unbroken")
    # The same run, broken off when half of its steps are done.
    monkeypatch.setattr(train, "validate", _break_off_at(2))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken")
    monkeypatch.undo()
    run(tmp_path / "broken", resume=True)
    ends = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("unbroken", "broken")
    ]
    assert ends[0]["step"] == ends[1]["step"] == QUICK.steps
    for name, weights in ends[0]["net"].items():
        torch.testing.assert_close(ends[1]["net"][name], weights, atol=1e-5, rtol=1e-4)
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()
    ]
    assert steps == [3, 6]


@pytest.mark.parametrize("content", [b"", b"half of a file", None])
def test_a_damaged_checkpoint_is_refused_in_a_sentence(
    content: bytes | None, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save({"step": 1}, checkpoint)
    else:
        checkpoint.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or no checkpoint .*; begin anew without"):
        run(tmp_path, resume=True)
    assert checkpoint.exists(), "nothing is lost"


def test_a_checkpoint_that_cannot_be_written_leaves_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(what: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672]")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DataError, match=r"model\.pt cannot be written .* still is"):
        run(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_surplus_log_line_is_dropped_on_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = checkpoint.write, iter(range(4))

    def broken_off(content: dict[str, object], path: Path) -> None:
        if next(calls) == 3:  # the second checkpoint
            raise KeyboardInterrupt
        write(content, path)

    monkeypatch.setattr(checkpoint, "write", broken_off)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.undo()
    lines = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    assert [json.loads(line)["step"] for line in lines] == [3, 6]
    (tmp_path / "log.jsonl").write_text("".join(lines) + '{"step": 6, "lo')
    run(tmp_path, resume=True)
    after = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    assert after[0] == lines[0]
    assert [json.loads(line)["step"] for line in after] == [3, 6]


def test_a_fold_without_a_patient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fold 59 of 60 holds none of these 6 patients"):
        run(tmp_path, replace(QUICK, folds=60, fold=59))


def test_a_missing_run_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("kept")
    with pytest.raises(DataError, match=r"missing, damaged or no checkpoint"):
        run(tmp_path, resume=True)
    assert (tmp_path / "log.jsonl").read_text() == "kept"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "0"],
        ["--seed", "-1"],
        *(
            ["--set", *text.split()]
            for text in (
                "batch=0 window_batch=0",
                "batch=True",
                "crop_s=0.0",
                "crop_s=400.0",
                "weights=(1.0,2.0)",
                "weights=(1,'a',1,1,1,1)",
                "rhythms=(1.0,)",
                "validate_every=0",
                "folds=1",
                "retimed=2.0",
                "average=2.0",
                "look_ahead=-1",
                "band_taps=212",
                "rhythms=(0.5,0.5,0.5)",
                "band_taps=1",
                "width=0",
                "dropout=2.0",
                "rhythm=((0,16),)",
                "morphology=(1,2)",
                "weights=(1,1,1,1,1,1e999)",
                "look_ahead=100000",
                "to_dict=5",
            )
        ),
    ],
)
def test_an_impossible_recipe_is_refused_in_a_sentence(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        train.main(["--simulated", "--out", str(tmp_path / "new"), *arguments])
    assert left.value.code == 2
    assert "expected" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def test_a_run_with_another_recipe_is_not_resumed(tmp_path: Path) -> None:
    """Else patients could be called held out that the first part was trained on."""
    run(tmp_path, replace(QUICK, fold=None))
    for other in (QUICK, replace(QUICK, fold=None, steps=7)):
        with pytest.raises(DataError, match="of a run with another recipe, design or data"):
            run(tmp_path, other, resume=True)
    run(tmp_path, replace(QUICK, fold=None), resume=True)  # which is at its end


def _break_off_at(call: int):  # type: ignore[no-untyped-def]
    real, calls = train.validate, iter(range(1, 100))

    def validate(*args):  # type: ignore[no-untyped-def]
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*args)

    return validate


def test_it_learns_to_find_simulated_beats(tmp_path: Path) -> None:
    recipe = replace(QUICK, steps=80, batch=8, validate_every=80, learning_rate=1e-2, average=0.9)
    run(tmp_path, recipe)
    net, saved = checkpoint.load(tmp_path / "model.pt")
    assert saved["data"] == "SIMULATED"
    assert saved["held_out"]["QRS F1"] > 0.9  # type: ignore[index]
    assert net.design == SMALL


def test_without_a_fold_all_patients_are_trained_on_and_nobody_is_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "validate", None)  # nobody to validate on
    run(tmp_path, replace(QUICK, fold=None))
    assert "6 patients to train on, 0 held out" in capsys.readouterr().out
    _, saved = checkpoint.load(tmp_path / "model.pt")
    assert saved["held_out"] == {}
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [set(line) for line in lines] == [{"step", "loss"}] * 2
    with pytest.raises(DataError, match=r"was trained on every patient; expected runs of"):
        choose.unseen(tmp_path, [])


@pytest.mark.parametrize(
    "arguments", [["--fold", "6"], ["--fold", "-1"], ["--set", "folds=3", "fold=3"]]
)
def test_an_unknown_fold_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train.main(arguments)
    assert "there is no such fold; expected 0 to" in capsys.readouterr().err


def test_a_recipe_with_strangers_needs_them_and_learns_from_them(tmp_path: Path) -> None:
    recipe = replace(QUICK, strangers=(0.5, 0.0, 0.0), devices=0.5)
    with pytest.raises(DataError, match="there are none to draw crops from"):
        run(tmp_path, recipe)
    pools = [simulated_records(2, seconds=30), [], []]
    train.train(
        recipe,
        simulated_records(6, seconds=40),
        simulated_noise(seconds=40),
        out=tmp_path,
        data="SIMULATED",
        device=torch.device("cpu"),
        design=SMALL,
        pools=pools,
    )
    assert (tmp_path / "model.pt").is_file()


def test_strangers_that_are_absent_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weak, "data_folder", lambda: None)
    with pytest.raises(SystemExit):
        train.main(["--simulated", "--out", str(tmp_path), "--set", "strangers=(0.1, 0.0, 0.0)"])
    assert "cinc2017 is not at hand; expected EKG_DATA to name" in capsys.readouterr().err


def test_of_a_frame_that_is_half_known_the_possible_classes_count() -> None:
    logits = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    shares = logits.softmax(dim=1)
    weights = torch.tensor([1.0, 1.0, 2.0, 2.0, 1.0, 1.0])
    known = -(shares[0, 0].log() + 2 * shares[1, 3].log()) / 3
    for targets, doubtful in (
        ([0, 3, IGNORE, IGNORE, IGNORE], torch.tensor(1.0)),
        ([0, 3, IGNORE, NORMAL_AT_MOST, NOT_S], (shares[3, 0] + shares[3, 1]) * (1 - shares[4, 2])),
    ):
        loss = train.frame_loss(logits, torch.tensor(targets), weights)
        torch.testing.assert_close(loss, known - doubtful.log() / 5)
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert bool(gradient.isfinite().all())


def test_the_shipped_recipe_does_without_strangers_that_are_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up = simulated_records(6, seconds=40), simulated_noise(seconds=20), "SIMULATED"
    monkeypatch.setattr(train, "training_data", lambda *_, **__: made_up)
    monkeypatch.setattr("training.weak.data_folder", lambda: None)
    told: list[Recipe] = []
    monkeypatch.setattr(train, "train", lambda recipe, *_, **__: told.append(recipe))
    train.main(["--shipped", "--out", str(tmp_path / "run")])
    assert told == [Recipe()]
    assert "Crops from strangers are left out" in capsys.readouterr().out
    monkeypatch.setattr(train, "entries", lambda _: [])
    monkeypatch.setattr(train, "strangers", lambda row: Strangers([], [], [], made_up[1], "nobody"))
    train.main(["--shipped", "--out", str(tmp_path / "run")])
    assert told[1] == replace(Recipe(), **SHIPPED)
