"""Export: proven, described, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import __main__ as command
from export import graphs, manifest
from runtime import Detector
from runtime.model.contract import BeatPolicy, Contract
from training.checkpoint import save
from training.databases import DS2
from training.model import Design, EkgNet
from training.recipe import Recipe
from training.scores import Score


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Design(width=16, morphology=((1, 8),), rhythm=((8, 4),), decision=((1, 8),))
    score = Score(np.eye(6, dtype=np.int64), np.zeros(5))
    path = tmp_path_factory.mktemp("run") / "model.pt"
    torch.manual_seed(1)
    save(path, EkgNet(small), Recipe(), BeatPolicy(), "SIMULATED ECG", score)
    return path


@dataclass(frozen=True)
class WholeExport:
    """What the command has written, and the graphs that it made on the way."""

    folder: Path
    graphs: list[graphs.Graph]


@pytest.fixture(scope="module")
def whole(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeExport:
    """The whole command once, without recordings to measure on."""
    folder, made, make = tmp_path_factory.mktemp("whole") / "a", [], graphs.graphs

    def kept(net: EkgNet, described: dict[str, str]) -> Iterator[graphs.Graph]:
        for graph in make(net, described):
            made.append(graph)
            yield graph

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "records_to_measure", list)
        patch.setattr(graphs, "graphs", kept)
        assert command.main(["--checkpoint", str(checkpoint), "--out", str(folder)]) == 0
    return WholeExport(folder, made)


@pytest.fixture
def exported(whole: WholeExport) -> list[graphs.Graph]:
    return whole.graphs


def signals() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 200 * 18)).astype(np.float32)


def test_every_graph_equals_torch_whole_and_cut(exported: list[graphs.Graph]) -> None:
    assert {g.name for g in exported} >= {"ekg_fused.onnx", "ekg_cnn.onnx"}
    for graph in exported:
        if graph.name in ("ekg_fused.onnx", "ekg_cnn.onnx"):
            assert graphs.prove(graph, signals()) <= graphs.TOLERANCE


def test_a_graph_that_answers_differently_is_refused(exported: list[graphs.Graph]) -> None:
    graph = next(g for g in exported if g.name == "ekg_fused.onnx")
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(graph.model)
    weight = next(w for w in spoilt.graph.initializer if len(w.dims) == 4 and w.dims[0] == 6)
    values = onnx.numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    changed = replace(graph, model=spoilt)
    with pytest.raises(graphs.ExportError, match=r"ekg_fused.onnx differs from torch"):
        graphs.prove(changed, signals())


def test_old_runtimes_can_read_them(exported: list[graphs.Graph]) -> None:
    for graph in exported:
        assert graph.model.ir_version <= 9
        assert all(o.version <= 18 for o in graph.model.opset_import if not o.domain)


def test_the_contract_travels_in_the_file(exported: list[graphs.Graph]) -> None:
    net = exported[0].module
    assert isinstance(net, EkgNet)
    for graph in exported:
        metadata = {p.key: p.value for p in graph.model.metadata_props}
        contract = Contract.read(metadata, graph.name)
        assert (contract.fs, contract.hop) == (360, 18)
        assert contract.delay == net.design.delay_samples
        assert contract.carry_size == graph.carry_size
        assert contract.simulated
        assert len(json.loads(metadata["fir_taps"])) == net.fir.history + 1
        layout = json.loads(metadata["carry_layout"])
        assert sum(n for _, n in layout) == graph.carry_size
        assert (layout[0][0] == "fir") == (metadata["input"] == "raw signal")


def test_nothing_of_the_exporting_machine_is_in_the_file(exported: list[graphs.Graph]) -> None:
    for graph in exported:
        body = graph.model.SerializeToString()
        assert str(Path.cwd()).encode() not in body
        assert b"site-packages" not in body


def test_the_whole_export_makes_a_folder_that_the_runtime_loads(whole: WholeExport) -> None:
    detector = Detector.load(whole.folder, provider="cpu")
    assert detector.contract.simulated
    card = (whole.folder / "MODEL_CARD.md").read_text()
    assert "has seen no real ECG" in card
    assert "no medical device" in card


def test_a_failed_export_leaves_the_old_artifacts(
    checkpoint: Path,
    exported: list[graphs.Graph],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "manifest.json").write_text("old")
    monkeypatch.setattr(command, "records_to_measure", list)
    monkeypatch.setattr(graphs, "graphs", lambda net, described: exported)
    monkeypatch.setattr(graphs, "TOLERANCE", 0.0)
    assert command.main(["--checkpoint", str(checkpoint), "--out", str(tmp_path)]) == 1
    assert "Nothing was written" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]
    assert (tmp_path / "manifest.json").read_text() == "old"


def test_a_network_that_answers_too_late_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = Design(
        width=16, morphology=((1, 8),), rhythm=((8, 4),), decision=((1, 8),), look_ahead=22
    )
    save(tmp_path / "model.pt", EkgNet(late), Recipe(), BeatPolicy(), "x", None)
    assert command.main(["--checkpoint", str(tmp_path / "model.pt"), "--out", str(tmp_path)]) == 1
    assert "1.60 s after its R peak; expected at most 1.5 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entry", "records"),
    [("others={}", "mitdb: 104 217"), ("{}", f"mitdb: {' '.join(DS2)}"), ("others={}", None)],
)
def test_other_runs_need_a_name_and_the_same_records(
    entry: str, records: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"records": records, "runs": {}, "figures": {}}
    (tmp_path / "x.json").write_text(json.dumps(figures if records else {}))
    assert (
        command.main(
            [
                "--beside",
                entry.format(tmp_path / "x.json"),
                "--out",
                str(tmp_path),
                "--checkpoint",
                "no.pt",
            ]
        )
        == 1
    )
    assert "expected WHAT=FILE" in capsys.readouterr().err


def test_a_missing_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--checkpoint", str(tmp_path / "no.pt"), "--out", str(tmp_path)]) == 1
    assert "run `make train` first" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pt").write_text("no checkpoint")
    assert command.main(["--checkpoint", str(tmp_path / "model.pt"), "--out", str(tmp_path)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {tmp_path / 'model.pt'} is no checkpoint (")


@pytest.mark.parametrize("inside", ["", "a/b"])
def test_an_unwritable_folder_is_refused_before_the_export(
    inside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / inside
    assert command.main(["--checkpoint", str(tmp_path / "no.pt"), "--out", str(out)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {out} cannot be made or written (Not a directory);")


ROLE: dict[str, object] = {"role": "test"}


def staged(folder: Path, **files: str) -> tuple[Path, dict[str, dict[str, object]]]:
    roles = {}
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        roles[str(path.relative_to(folder))] = ROLE
    return folder, roles


def test_old_exported_files_are_removed_and_user_files_stay(tmp_path: Path) -> None:
    target = tmp_path / "artifacts"
    old, roles = staged(tmp_path / "old", a="1", int8="1", package__x__data="1")
    manifest.publish(old, target, roles)
    (target / "mine").write_text("kept")
    new, roles = staged(tmp_path / "new", a="2")
    manifest.publish(new, target, roles)
    assert {path.name for path in target.rglob("*")} == {"a", "mine", "manifest.json"}
    assert (target / "a").read_text() == "2"


def test_an_export_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "artifacts"
    old, roles = staged(tmp_path / "old", a="1", b="1")
    manifest.publish(old, target, roles)
    before = {path.name: path.read_text() for path in target.iterdir()}
    copy = manifest.shutil.copyfile

    def full(source: Path, place: Path) -> None:
        if Path(source).name == "b":
            raise OSError(28, "No space left on device")
        copy(source, place)

    monkeypatch.setattr(manifest.shutil, "copyfile", full)
    new, roles = staged(tmp_path / "new", a="2", b="2")
    with pytest.raises(OSError, match="No space left"):
        manifest.publish(new, target, roles)
    assert {path.name: path.read_text() for path in target.iterdir()} == before


def test_the_manifest_lists_bytes_and_hashes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    manifest.seal(tmp_path, {"x": {"role": "test"}})
    entry = json.loads((tmp_path / "manifest.json").read_text())["files"][0]
    assert entry["bytes"] == 3
    assert entry["sha256"].startswith("ba7816bf")
