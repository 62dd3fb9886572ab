"""The quantized graph: small, readable by old runtimes, and never calibrated on test patients."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from export import __main__ as command
from export import int8
from export.graphs import ExportError
from runtime import Detector
from tests.export.conftest import Exported
from training import recordings
from training.databases import DS1, DS2
from training.recordings import Record, load

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture(scope="module")
def quantized(small: Exported, signals: NDArray[np.float32]) -> onnx.ModelProto:
    return int8.quantize(small.fused, [row[None] for row in signals])


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def test_all_convolutions_but_the_kept_ones_are_quantized(quantized: onnx.ModelProto) -> None:
    made = {
        name
        for node in quantized.graph.node
        for name in node.output
        if node.op_type == "DequantizeLinear"
    }
    convolutions = [n for n in quantized.graph.node if n.op_type == "Conv"]
    whole = [n for n in convolutions if n.input[1] not in made]
    assert len(whole) == len(int8.KEPT)
    assert any("fir" in n.input[1] for n in whole)


def test_old_runtimes_can_read_it(quantized: onnx.ModelProto) -> None:
    assert quantized.ir_version <= 9
    assert {o.domain: o.version for o in quantized.opset_import} == {"": 18}


def test_the_quantized_graph_is_close_to_the_whole_one(
    quantized: onnx.ModelProto, small: Exported, signals: NDArray[np.float32]
) -> None:
    start = np.zeros((len(signals), small.net.carry_size), dtype=np.float32)
    feed = {"ecg": signals, "carry": start}
    expected = session(small.fused.model).run(None, feed)[0]
    answer = session(quantized).run(None, feed)[0]
    assert np.abs(answer - expected).max() < 0.1
    np.testing.assert_allclose(answer.sum(axis=2), 1, atol=1e-5)


def test_rounding_does_not_depend_on_the_cut(
    quantized: onnx.ModelProto, small: Exported, signals: NDArray[np.float32]
) -> None:
    running = session(quantized)
    start = np.zeros((len(signals), small.net.carry_size), dtype=np.float32)
    expected = running.run(None, {"ecg": signals, "carry": start})[0]
    carry, given = start, []
    for chunk in np.split(signals, (18, 90, 1800, 1980), axis=1):
        frames, carry = running.run(None, {"ecg": chunk, "carry": carry})
        given.append(frames)
    np.testing.assert_allclose(np.concatenate(given, axis=1), expected, atol=1e-5)


def test_changed_names_of_the_exporter_are_refused(small: Exported) -> None:
    fused = small.fused
    renamed = onnx.ModelProto()
    renamed.CopyFrom(fused.model)
    for node in renamed.graph.node:
        node.input[:] = [name.replace("fir.weight", "w") for name in node.input]
    with pytest.raises(ExportError, match=r"3 convolutions are named .* names have changed"):
        int8.quantize(replace(fused, model=renamed), [])


def test_test_patients_are_not_among_the_calibration(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: Counter[str] = Counter()

    def counted(database: str, name: str, folder: Path) -> Record:
        names[name] += 1
        return load(database, name, folder)

    monkeypatch.setattr(recordings, "load", counted)
    signals = command.calibration_signals()
    assert len(signals) == len(DS1)
    assert not set(names) & set(DS2)
    assert {s.shape for s in signals} == {(1, 21600)}


def test_the_accuracy_of_the_committed_file_is_stored() -> None:
    """On DS2, end to end, beside the whole graph's: quantizing costs less than a point."""
    metrics = json.loads((ARTIFACTS / "metrics.json").read_text())
    detector = Detector.load(ARTIFACTS, provider="cpu", model=int8.NAME)
    assert metrics["int8"]["model"] == detector.digest.hex()
    assert metrics["int8"]["records"] == metrics["records"]
    whole = ARTIFACTS / "ekg_fused.onnx"
    assert (ARTIFACTS / int8.NAME).stat().st_size < 0.7 * whole.stat().st_size
    for part in ("whole records", "from 5:00"):
        for figure in ("accuracy", "QRS F1", "VEB F1"):
            assert metrics["int8"][part][figure] > metrics[part][figure] - 0.01
