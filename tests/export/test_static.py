"""The static graph: nothing in it depends on a shape, and it answers as torch does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from export import graphs
from runtime.model.artifacts import Artifacts
from runtime.model.session import Session
from tests.export.conftest import Exported

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


@pytest.fixture
def static(small: Exported) -> graphs.Graph:
    return small.graphs["ekg_fused_static.onnx"]


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
def test_no_graph_holds_shape_nodes(small: Exported, name: str) -> None:
    # CUDA would leave such nodes to the CPU, and strict placement refuse the graph.
    assert not {"Shape", "Gather", "ConstantOfShape", "Range"} & {
        node.op_type for node in small.graphs[name].model.graph.node
    }


def test_fused_static_and_cnn_after_the_filter_equal_torch(
    small: Exported, signals: NDArray[np.float32]
) -> None:
    for graph in small.graphs.values():
        assert graphs.prove(graph, signals) <= graphs.TOLERANCE


def test_a_static_graph_that_answers_differently_is_refused(
    static: graphs.Graph, signals: NDArray[np.float32]
) -> None:
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(static.model)
    weight = next(w for w in spoilt.graph.initializer if len(w.dims) == 4 and w.dims[0] == 6)
    values = onnx.numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    with pytest.raises(graphs.ExportError, match=r"ekg_fused_static.onnx differs from torch"):
        graphs.prove(replace(static, model=spoilt), signals)


def test_the_filter_before_the_cnn_is_the_fused_graph(
    small: Exported, signals: NDArray[np.float32]
) -> None:
    """SciPy's filter, chunk by chunk, then `ekg_cnn.onnx`: what CUDA does with CuPy."""
    from training import dsp_cpu

    fused, cnn = (
        onnxruntime.InferenceSession(
            small.graphs[name].model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        for name in ("ekg_fused.onnx", "ekg_cnn.onnx")
    )
    start = np.zeros((len(signals), small.net.carry_size), dtype=np.float32)
    expected, last = fused.run(None, {"ecg": signals, "carry": start})
    taps = dsp_cpu.taps(small.net.design.band_taps)
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
    from training import dsp_cpu

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


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "ekg_cnn.onnx"])
def test_onnx_runtime_adds_within_convolutions(small: Exported, tmp_path: Path, name: str) -> None:
    """It does where it sees that both sides are equally long, which the graph has to state."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / name)
    model = small.graphs[name].model.SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / name).graph.node]
    assert kinds.count("Split") == 1
    assert "Conv" in kinds
    assert "Add" not in kinds
