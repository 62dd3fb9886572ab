"""Checkpoints measured as the exported model is, and the spread of their figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import graphs, manifest, rhythm
from runtime import Detector
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.model.contract import BeatPolicy
from runtime.simulate import simulate
from training import download, evaluate, seeds
from training.checkpoint import load, save
from training.databases import RECORDS
from training.model import Design, EkgNet, deployed
from training.recipe import Recipe
from training.scores import Score
from training.simulated import simulated_records
from training.torch_detector import detector_of

SMALL = Design(width=16, morphology=((1, 8),), rhythm=((8, 4),), decision=((1, 8),), dropout=0.0)


def checkpoint(path: Path, seed: int) -> Path:
    """A network that was not trained: its opinion follows the signal, and is as good as any."""
    torch.manual_seed(seed)
    net = EkgNet(SMALL).eval()
    with torch.no_grad():
        for parameter in net.cnn.parameters():
            parameter *= 1.5
    save(path, net, Recipe(seed=seed), BeatPolicy(threshold=0.8), "SIMULATED", Score.empty())
    return path


def test_a_checkpoint_measures_as_its_export(tmp_path: Path) -> None:
    records = simulated_records(2, seconds=30.03)  # not in whole hops
    path = checkpoint(tmp_path / "model.pt", 1)
    net, saved = load(path)
    net = deployed(net)
    policy = BeatPolicy.from_dict(saved["policy"])  # type: ignore[arg-type]
    described = graphs.describe(net, policy=policy, data="SIMULATED", commit="abc")
    onnx.save(next(graphs.graphs(net, described)).model, tmp_path / "ekg_fused.onnx")
    ecg, probabilities = graphs.golden(net, simulate(8.0, seed=7).signal)
    np.savez(tmp_path / "golden.npz", ecg=ecg, probabilities=probabilities)
    rhythm.carry_over(tmp_path)
    rhythm.write(tmp_path, Artifacts(DEFAULT_ARTIFACTS).json(rhythm.NAME))
    manifest.seal(
        tmp_path,
        rhythm.ROLES
        | {name: {"role": "test", "tolerance": 1e-4} for name in ("ekg_fused.onnx", "golden.npz")},
    )
    exported = evaluate.evaluate(Detector.load(tmp_path, provider="cpu"), records)
    in_torch = evaluate.evaluate(detector_of(tmp_path), records)
    assert in_torch["confusion"] == exported["confusion"]
    counts = np.array(exported["confusion"]["counts"])  # type: ignore[index]
    assert counts[:, :-1].sum() > 50, "a network that reports nothing agrees with anything"
    assert json.dumps(in_torch["one-second windows"]) == json.dumps(exported["one-second windows"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "x.md"], "expected a file that ends in .json"),
        (["--records", "mitdb/100", "mitdb/100"], "a record is named twice"),
        (["{run}"], "a run is named twice"),
        (["--records", "nstdb/em"], "no record with beats"),
    ],
)
def test_repeated_runs_or_records_and_a_wrong_out_are_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(checkpoint(tmp_path / "1.pt", 1))
    with pytest.raises(SystemExit) as left:
        seeds.main([one, *(text.format(run=one) for text in arguments)])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_mean_and_sd_over_runs(tmp_path: Path) -> None:
    paths = [checkpoint(tmp_path / f"{seed}.pt", seed) for seed in (1, 2, 3)]
    results = seeds.measure(
        {p.stem: detector_of(p) for p in paths}, simulated_records(1, seconds=20)
    )
    figure = results["figures"]["whole records, QRS +P"]
    each = [results["runs"][p.stem]["whole records"]["QRS +P"] for p in paths]
    assert figure["each"] == each
    assert len(set(each)) > 1
    assert figure["mean"] == pytest.approx(np.mean(each))
    assert figure["sd"] == pytest.approx(np.std(each, ddof=1))
    assert f"| whole records, QRS +P | {100 * np.mean(each):.2f} | " in seeds.table(results)
    assert not any(name.startswith(("confusion", "per record")) for name in results["figures"])


def test_missing_runs_and_records_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    for arguments in (
        [str(tmp_path), "--records", "mitdb/100"],
        [str(tmp_path), "--records", "100"],
        [str(tmp_path / "text.pt"), "--records", "mitdb/100"],
    ):
        with pytest.raises(SystemExit) as stopped:
            seeds.main(arguments)
        assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "model.pt does not exist" in said[0]
    assert "100 is no record" in said[1]
    assert "text.pt is no checkpoint" in said[2]


@pytest.mark.parametrize("unknown", ["nosuch/1", "/1"])
def test_an_unknown_database_is_refused_before_anything_is_fetched(
    unknown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    monkeypatch.setattr(download, "download", None)
    with pytest.raises(SystemExit) as stopped:
        seeds.main([str(tmp_path), "--records", "mitdb/208", unknown])
    assert stopped.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said == (
        f"{unknown[:-2]!r} is no database that is read here; expected one of {', '.join(RECORDS)}."
    )
    assert not list(tmp_path.iterdir())
