"""The quantized graph: post-training, static, from signal of the training patients."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from export.graphs import IR_VERSION, ExportError, Graph

NAME = "ekg_fused_int8.onnx"
# Left in float32: the filter, whose input is raw millivolts with the electrode's offset, what
# follows it, and the head, whose few products decide. The second layer makes half of the error:
# with it in eight bits the log-odds of S at DS1's beats are off by 0.14, without it by 0.07.
KEPT = ("fir.weight", "layers.0.", "layers.1.", "head.")
# Largest difference of a probability from the float32 answer: 0.2 is seen in minutes of real
# signal, more is a fault. Its cost in beats is measured and stands in metrics.json.
TOLERANCE = 0.3


def quantize(fused: Graph, signals: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    """The fused graph with 8-bit convolutions.

    Only convolutions are quantized: history is carried in float32, so that rounding is the same
    however a recording is cut.

    Parameters
    ----------
    fused : with batch and samples free
    signals : float32 [batch, samples] each, mV, less the first sample; of patients that the
        network was trained on, never of those it is tested on
    """
    weights = {
        node.input[1]: node.name for node in fused.model.graph.node if node.op_type == "Conv"
    }
    kept = [weights[name] for name in weights if any(part in name for part in KEPT)]
    if len(kept) != len(KEPT):
        raise ExportError(
            f"{len(kept)} convolutions are named {', '.join(KEPT)}, expected "
            f"{len(KEPT)}; the exporter's names have changed."
        )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(fused.model, source)
        quantize_static(
            str(source),
            str(target),
            _Signals(signals, fused.carry_size),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=kept,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits: with eight, processors without VNNI saturate where they add pairs.
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
        )
        model = onnx.load(target)
    model.ir_version = IR_VERSION
    model.producer_name = "ekg"
    described = {entry.key: entry.value for entry in fused.model.metadata_props}
    onnx.helper.set_model_props(
        model,
        described | {"role": "filter and CNN with 8-bit convolutions, batch and samples free"},
    )
    onnx.checker.check_model(model)
    return model


class _Signals(CalibrationDataReader):  # type: ignore[misc]
    """Recordings from their start, so with an empty carry."""

    def __init__(self, signals: Sequence[NDArray[np.float32]], carry_size: int):
        self._feeds: Iterator[dict[str, NDArray[np.float32]]] = iter(
            {"ecg": signal, "carry": np.zeros((len(signal), carry_size), dtype=np.float32)}
            for signal in signals
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)
