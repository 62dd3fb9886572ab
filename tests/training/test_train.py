"""Training: learns, resumes, keeps patients apart, and says what it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training import augment, choose, io, train
from training.model import HOP, Design, EkgNet

SMALL = Design(width=16, morphology=((1, 8), (2, 8)), rhythm=((8, 4),), decision=((1, 8),))
QUICK = train.Recipe(steps=6, batch=4, window_batch=2, crop_s=6.0, folds=3, fold=0,
                     validate_every=3)


def run(out: Path, recipe: train.Recipe = QUICK, *, resume: bool = False) -> None:
    train.train(recipe, io.simulated_records(6, seconds=40), io.simulated_noise(seconds=20),
                out=out, data="SIMULATED", device=torch.device("cpu"), design=SMALL,
                resume=resume)


def test_a_resumed_run_ends_where_the_unbroken_one_does(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMALL.dropout > 0
    run(tmp_path / "unbroken")
    # The same run, broken off when half of its steps are done.
    monkeypatch.setattr(train, "validate", _break_off_at(2))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken")
    monkeypatch.undo()
    run(tmp_path / "broken", resume=True)
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
            for name in ("unbroken", "broken")]
    assert ends[0]["step"] == ends[1]["step"] == QUICK.steps
    for name, weights in ends[0]["net"].items():
        torch.testing.assert_close(ends[1]["net"][name], weights, atol=1e-5, rtol=1e-4)
    steps = [json.loads(line)["step"] for line in
             (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert steps == [3, 6]


@pytest.mark.parametrize("content", [b"", b"half of a file", None])
def test_a_damaged_checkpoint_is_refused_in_a_sentence(content: bytes | None, tmp_path: Path
                                                       ) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save({"step": 1}, checkpoint)
    else:
        checkpoint.write_bytes(content)
    with pytest.raises(io.DataError, match=r"damaged or no checkpoint .*; begin anew without"):
        run(tmp_path, resume=True)
    assert checkpoint.exists(), "nothing is lost"


def test_a_checkpoint_that_cannot_be_written_leaves_the_last(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(what: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672]")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(io.DataError, match=r"model\.pt cannot be written .* still is"):
        run(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_line_that_the_log_has_too_many_is_not_told_twice(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = train._write, iter(range(4))

    def broken_off(what: dict[str, object], path: Path) -> None:
        if next(calls) == 3:  # the second checkpoint
            raise KeyboardInterrupt
        write(what, path)

    monkeypatch.setattr(train, "_write", broken_off)
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
    with pytest.raises(io.DataError, match="fold 59 of 60 holds none of these 6 patients"):
        run(tmp_path, replace(QUICK, folds=60, fold=59))


def test_a_run_that_is_not_there_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("kept")
    with pytest.raises(io.DataError, match=r"missing, damaged or no checkpoint"):
        run(tmp_path, resume=True)
    assert (tmp_path / "log.jsonl").read_text() == "kept"


@pytest.mark.parametrize("arguments", [
    ["--steps", "0"], ["--seed", "-1"], *(["--set", *text.split()] for text in (
        "batch=0 window_batch=0", "batch=True", "crop_s=0.0", "crop_s=400.0", "weights=(1.0,2.0)",
        "weights=(1,'a',1,1,1,1)", "rhythms=(1.0,)", "validate_every=0", "folds=1", "retimed=2.0",
        "average=2.0", "look_ahead=-1", "band_taps=212", "rhythms=(0.5,0.5,0.5)",
        "band_taps=1", "width=0", "dropout=2.0", "rhythm=((0,16),)", "morphology=(1,2)",
        "weights=(1,1,1,1,1,1e999)", "look_ahead=100000", "to_dict=5"))])
def test_a_recipe_that_cannot_be_is_refused_in_a_sentence(
        arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        train.main(["--simulated", "--out", str(tmp_path / "new"), *arguments])
    assert left.value.code == 2
    assert "expected" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def test_a_beat_at_the_very_end_is_found_as_the_runtime_finds_it(tmp_path: Path) -> None:
    """The frames go on until the last beat is decided, and none of what is held is a beat."""
    design = Design(look_ahead=18)
    record = io.simulated_records(1, seconds=20.0)[0]
    frames = train.frames_of(EkgNet(design), record)
    last = (frames.shape[1] - 1 - train.BeatPolicy().after) * HOP - design.delay_samples
    assert last >= record.signal.shape[1]
    sure = np.zeros_like(frames)
    sure[..., 0] = 1.0
    at = (record.signal.shape[1] - 10 + design.delay_samples) // HOP
    for frame in (at, at + 4):  # one inside, one in what is held
        sure[0, frame - 1 : frame + 2] = [0, 1, 0, 0, 0, 0]
    found = train.score(design, sure, record, train.BeatPolicy())
    assert found.confusion[:, :-1].sum() == 1


def test_a_run_with_another_recipe_is_not_resumed(tmp_path: Path) -> None:
    """Else patients could be called held out that the first part was trained on."""
    run(tmp_path, replace(QUICK, fold=None))
    for other in (QUICK, replace(QUICK, fold=None, steps=7)):
        with pytest.raises(io.DataError, match="of a run with another recipe, design or data"):
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
    recipe = replace(QUICK, steps=80, batch=8, validate_every=80, learning_rate=1e-2,
                     average=0.9)
    run(tmp_path, recipe)
    net, saved = train.load(tmp_path / "model.pt")
    assert saved["data"] == "SIMULATED"
    assert saved["held_out"]["QRS F1"] > 0.9  # type: ignore[index]
    assert net.design == SMALL


def test_without_a_fold_all_patients_are_trained_on_and_nobody_is_held_out(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
        ) -> None:
    monkeypatch.setattr(train, "validate", None)  # nobody to validate on
    run(tmp_path, replace(QUICK, fold=None))
    assert "6 patients to train on, 0 held out" in capsys.readouterr().out
    _, saved = train.load(tmp_path / "model.pt")
    assert saved["held_out"] == {}
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [set(line) for line in lines] == [{"step", "loss"}] * 2
    with pytest.raises(io.DataError, match=r"was trained on every patient; expected runs of"):
        choose.unseen(tmp_path, [])


@pytest.mark.parametrize("arguments", [["--fold", "6"], ["--fold", "-1"],
                                       ["--set", "folds=3", "fold=3"]])
def test_a_fold_that_is_not_there_is_refused(
        arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.main(arguments)
    assert "there is no such fold; expected 0 to" in capsys.readouterr().err


@pytest.mark.parametrize(("capabilities", "fast"), [
    ({"avx2": True, "avx512_bf16": False}, False), ({"avx2": True, "amx_bf16": True}, True),
    ({"neon": True, "bf16": True}, True), ({}, False)])
def test_a_processor_computes_in_bfloat16_only_where_it_has_it(
        capabilities: dict[str, bool], fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert train.fast_bfloat16(torch.device("cpu")) is fast


def test_frames_are_labelled_with_the_moment_they_speak_of() -> None:
    labels = np.zeros(100 * HOP, dtype=np.int8)
    labels[1000 - augment.BEAT_REACH : 1000 + augment.BEAT_REACH] = 3
    targets = augment.frame_targets(labels, SMALL)
    frames = np.flatnonzero(targets)
    assert len(frames) == 3
    moments = frames * HOP + HOP // 2 - SMALL.delay_samples
    assert abs(moments[1] - 1000) <= HOP // 2
    assert (targets[frames] == 3).all()


def test_a_window_alone_is_held_and_its_cut_beats_are_ignored() -> None:
    rng = np.random.default_rng(0)
    records, noise = io.simulated_records(1, seconds=40), io.simulated_noise(seconds=20)
    for _ in range(20):
        ecg, labels = augment.example(rng, records, noise, QUICK, 6 * io.FS, io.FS)
        assert ecg.shape == labels.shape == (6 * io.FS,)
        assert ecg[0] == 0
        assert np.ptp(ecg[io.FS :]) == 0
        assert not labels[io.FS :].any()


def test_beats_cut_by_a_windows_edge_are_ignored_and_flutter_is_everywhere() -> None:
    beats, classes = np.array([20, 180, 350]), np.zeros(3, dtype=np.int8)
    at = np.arange(360.0)
    for edges in (True, False):
        labels = augment._sample_labels(np.array([[240, 300]]), beats, classes, at, edges=edges)
        cut = augment.IGNORE if edges else 1
        assert (labels[[20, 180, 350]] == [cut, 1, cut]).all()
        assert (labels[240:300] == augment.IGNORE).all()
        assert not labels[80:150].any()


def test_a_device_that_is_not_there_is_refused() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(train.DeviceError, match=r"--device cuda: .* finds no such device"):
            train.pick_device("cuda")
    assert train.pick_device("cpu").type == "cpu"


def test_without_recordings_it_trains_on_simulated_signal_and_says_so(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
        ) -> None:
    def absent(_: object) -> Path:
        raise io.DataError("there is none.")

    monkeypatch.setattr(io, "require_data", absent)
    monkeypatch.setattr(io, "data_folder", lambda: None)
    monkeypatch.setattr(io, "simulated_records", lambda count: [])
    _, _, data = train.training_data(["mitdb"])
    assert data.startswith("SIMULATED")
    assert "SIMULATED" in capsys.readouterr().out


def test_whether_there_are_recordings_is_asked_before_a_download_and_in_one_order(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it hung on the hash seed whether a failed download left what looks like recordings."""
    asked = []

    def broken_off(databases: object) -> Path:
        asked.append(databases)
        (tmp_path / "data" / "mitdb").mkdir(parents=True)
        raise io.DataError("the network is gone.")

    monkeypatch.delenv("EKG_DATA", raising=False)
    monkeypatch.setattr(io, "__file__", str(tmp_path / "training" / "io.py"))
    monkeypatch.setattr(io, "require_data", broken_off)
    monkeypatch.setattr(io, "simulated_records", lambda count: [])
    assert train.training_data(list(train.TRAINING))[2].startswith("SIMULATED")
    assert asked == [["mitdb", "svdb", "nstdb"]]


def test_a_missing_checkpoint_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(io.DataError, match="make train"):
        train.load(tmp_path / "model.pt")


@pytest.mark.parametrize("harm", ["text", "empty", "folder", "inside a file", "list",
                                  "resumed from", "other weights", "no policy"])
def test_what_is_no_checkpoint_is_said_in_one_sentence(harm: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    train.save(path, EkgNet(SMALL), QUICK, train.BeatPolicy(), "SIMULATED", None)
    saved = torch.load(path, weights_only=True)
    if harm in ("text", "empty"):
        path.write_text("no checkpoint" if harm == "text" else "")
    elif harm == "folder":
        path = tmp_path
    elif harm == "inside a file":
        path = path / "model.pt"
    else:
        without = {key: value for key, value in saved.items() if key != "policy"}
        torch.save({"list": [1], "resumed from": {"net": saved["weights"], "step": 1},
                    "other weights": saved | {"weights": {}}, "no policy": without}[harm], path)
    with pytest.raises(io.DataError) as refused:
        train.load(path)
    said = str(refused.value)
    assert said.startswith(f"{path} is no checkpoint (")
    assert "\n" not in said


def test_a_recipe_and_a_design_can_be_changed_by_name() -> None:
    recipe, design = train.changed(train.Recipe(), Design(), ["retimed=0.5", "look_ahead=10",
                                                              "rhythm=((12, 8),)"])
    assert recipe == train.Recipe(retimed=0.5)
    assert design == Design(look_ahead=10, rhythm=((12, 8),))
    with pytest.raises(ValueError, match="there is no 'lookahead'; expected one of steps, "):
        train.changed(recipe, design, ["lookahead=10"])
    with pytest.raises(ValueError, match="expected NAME=VALUE"):
        train.changed(recipe, design, ["look_ahead"])
    with pytest.raises(ValueError, match=r"--set batch='x': expected a value like 26\."):
        train.changed(recipe, design, ["batch='x'"])
