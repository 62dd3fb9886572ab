"""Export: proven, described, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from export import __main__ as command
from export import graphs, manifest
from runtime import Detector
from runtime.model.artifacts import Artifacts
from runtime.model.contract import BeatPolicy, Contract
from runtime.model.session import Session
from tests.export.conftest import DESIGN
from training import dsp_cpu
from training.checkpoint import save
from training.databases import DS2
from training.model import Design, EkgNet
from training.recipe import Recipe
from training.scores import Score

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
# https://github.com/microsoft/onnxruntime, coreml_supported_mlprogram_ops.md
CORE_ML = {
    "Add",
    "Concat",
    "Conv",
    "Relu",
    "Reshape",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    score = Score(np.eye(6, dtype=np.int64), np.zeros(5))
    path = tmp_path_factory.mktemp("run") / "model.pt"
    torch.manual_seed(1)
    save(path, EkgNet(DESIGN), Recipe(), BeatPolicy(), "SIMULATED ECG", score)
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


def named(exported: list[graphs.Graph], name: str) -> graphs.Graph:
    return next(graph for graph in exported if graph.name == name)


@pytest.fixture
def static(exported: list[graphs.Graph]) -> graphs.Graph:
    return named(exported, "ekg_fused_static.onnx")


def test_every_graph_equals_torch_whole_and_cut(
    exported: list[graphs.Graph], signals: NDArray[np.float32]
) -> None:
    assert {g.name for g in exported} >= {"ekg_fused.onnx", "ekg_cnn.onnx", "ekg_fused_static.onnx"}
    for graph in exported:
        assert graphs.prove(graph, signals) <= graphs.TOLERANCE


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "ekg_fused_static.onnx"])
def test_a_graph_that_answers_differently_is_refused(
    exported: list[graphs.Graph], signals: NDArray[np.float32], name: str
) -> None:
    graph = named(exported, name)
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(graph.model)
    weight = next(w for w in spoilt.graph.initializer if len(w.dims) == 4 and w.dims[0] == 6)
    values = onnx.numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    with pytest.raises(graphs.ExportError, match=f"{name} differs from torch"):
        graphs.prove(replace(graph, model=spoilt), signals)


def test_every_shape_is_a_number(static: graphs.Graph) -> None:
    inferred = onnx.shape_inference.infer_shapes(static.model, strict_mode=True).graph
    values = [*inferred.input, *inferred.output, *inferred.value_info]
    assert len(values) > len(inferred.node)
    for value in values:
        assert all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim), value.name
    assert [d.dim_value for d in inferred.input[0].type.tensor_type.shape.dim] == [1, 360]


def test_core_ml_supports_every_operation_and_its_parameters_are_constant(
    static: graphs.Graph,
) -> None:
    constants = {tensor.name for tensor in static.model.graph.initializer}
    for node in static.model.graph.node:
        assert node.op_type in CORE_ML
        if node.op_type in ("Conv", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze"):
            assert set(node.input[1:]) <= constants, node.name


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "ekg_cnn.onnx"])
def test_no_graph_holds_shape_nodes(exported: list[graphs.Graph], name: str) -> None:
    # CUDA would leave such nodes to the CPU, and strict placement refuse the graph.
    assert not {"Shape", "Gather", "ConstantOfShape", "Range"} & {
        node.op_type for node in named(exported, name).model.graph.node
    }


def test_the_filter_before_the_cnn_is_the_fused_graph(
    exported: list[graphs.Graph], signals: NDArray[np.float32]
) -> None:
    """SciPy's filter, chunk by chunk, then `ekg_cnn.onnx`: what CUDA does with CuPy."""
    fused, cnn = (
        onnxruntime.InferenceSession(
            named(exported, name).model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        for name in ("ekg_fused.onnx", "ekg_cnn.onnx")
    )
    net = named(exported, "ekg_fused.onnx").module
    assert isinstance(net, EkgNet)
    start = np.zeros((len(signals), net.carry_size), dtype=np.float32)
    expected, last = fused.run(None, {"ecg": signals, "carry": start})
    taps = dsp_cpu.taps(net.design.band_taps)
    past, carry, given = None, start[:, len(taps) - 1 :], []
    for chunk in np.split(signals, (18, 378, 3600), axis=1):
        filtered, past = dsp_cpu.fir_filter(chunk, taps, past)
        frames, carry = cnn.run(None, {"ecg": filtered.astype(np.float32), "carry": carry})
        given.append(frames)
    np.testing.assert_allclose(np.concatenate(given, axis=1), expected, atol=1e-5)
    np.testing.assert_allclose(
        np.concatenate([past, carry], axis=1), last, atol=1e-5 * float(np.abs(last).max())
    )


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "ekg_fused_static.onnx", "ekg_cnn.onnx"])
def test_the_committed_graphs_answer_as_torch_did(name: str) -> None:
    """The golden answer is torch's; `ekg_cnn.onnx` comes after SciPy's filter."""
    golden, session = Artifacts(ARTIFACTS).golden(name), Session(ARTIFACTS / name, "cpu")
    carry = np.zeros((1, int(session.metadata["carry_size"])), dtype=np.float32)
    taps, past = np.float32(json.loads(session.metadata["fir_taps"])), None
    for chunk, expected in zip(golden.ecg, golden.probabilities, strict=True):
        ecg = chunk[None]
        if name == "ekg_cnn.onnx":
            filtered, past = dsp_cpu.fir_filter(ecg, taps, past)
            ecg = filtered.astype(np.float32)
        answer, carry = session.run(ecg, carry)
        np.testing.assert_allclose(answer[0], expected, atol=graphs.TOLERANCE)


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


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "ekg_cnn.onnx"])
def test_onnx_runtime_adds_within_convolutions(
    exported: list[graphs.Graph], tmp_path: Path, name: str
) -> None:
    """It does where it sees that both sides are equally long, which the graph has to state."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / name)
    model = named(exported, name).model.SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / name).graph.node]
    assert kinds.count("Split") == 1
    assert "Conv" in kinds
    assert "Add" not in kinds
