"""The graph of the second network, written node by node and proven equal to torch.

torch's exporter cannot leave the number of beats free in a recurrent unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from export.builder import Builder, tensor
from export.graphs import TOLERANCE, ExportError
from runtime.model.rhythm_network import FORMAT, INPUTS, OUTPUTS
from training import rhythm_net
from training.rhythm_net import LAG, RhythmNet


def graph(net: RhythmNet, described: Mapping[str, str]) -> onnx.ModelProto:
    """The graph, batch and beats free, its contract in its metadata.

    Parameters
    ----------
    described : more for the metadata
    """
    hidden = net.unit.hidden_size
    build = _Builder()
    interval, atrial, p_waves, count = build.split("beats", (1, 1, 2, 1), axis=2)
    known = build(
        "Cast",
        build(
            "And",
            build("Greater", interval, build.number(rhythm_net.SHORTEST_S)),
            build("Less", interval, build.number(rhythm_net.LONGEST_S)),
        ),
        to=TensorProto.FLOAT,
    )
    bounded = build(
        "Clip",
        interval,
        build.number(rhythm_net.SHORTEST_COUNTED_S),
        build.number(rhythm_net.LONGEST_COUNTED_S),
    )
    usual = build.number(rhythm_net.USUAL_S)
    length = build("Mul", build("Log", build("Div", bounded, usual)), known)
    counted = build(
        "Clip",
        build("Div", count, build.number(rhythm_net.COUNTED)),
        build.number(0.0),
        build.number(1.0),
    )
    any_counted = build("Cast", build("Greater", count, build.number(0.0)), to=TensorProto.FLOAT)
    left = build("Sub", p_waves, build.number(rhythm_net.P_WAVE_LEFT))
    p_waves = build("Mul", left, any_counted)
    state, last = build.split("memory", (hidden, 2), axis=1)
    now = build("Concat", length, known, axis=2)
    sequence = build("Concat", build("Unsqueeze", last, build.axes(1)), now, axis=1)
    earlier = build("Slice", sequence, build.axes(0), build.axes(-1), build.axes(1))
    earlier_length, earlier_known = build.split(earlier, (1, 1), axis=2)
    change = build("Mul", build("Mul", build("Sub", length, earlier_length), known), earlier_known)
    rows = build("Concat", length, known, atrial, p_waves, counted, change, axis=2)
    embedded = build("Tanh", build.linear(rows, net.embed))
    states, end = build.recurrent(embedded, build("Unsqueeze", state, build.axes(0)), net.unit)
    build.name(build.linear(states, net.verdict), "log_odds")
    newest = build("Slice", now, build.axes(-1), build.axes(np.iinfo(np.int64).max), build.axes(1))
    build.name(build("Concat", end, build("Squeeze", newest, build.axes(1)), axis=1), "memory_out")

    return build.model(
        "rhythm",
        [
            tensor("beats", "batch", "beats", len(INPUTS)),
            tensor("memory", "batch", net.memory_size),
        ],
        [
            tensor("log_odds", "batch", "beats", len(OUTPUTS)),
            tensor("memory_out", "batch", net.memory_size),
        ],
        dict(described)
        | {
            "format": json.dumps(FORMAT),
            "role": "reads beats one after another: atrial fibrillation",
            "inputs": json.dumps(INPUTS),
            "outputs": json.dumps(OUTPUTS),
            "lag": json.dumps(LAG),
        },
    )


def prove(model: onnx.ModelProto, net: RhythmNet, beats: NDArray[np.float32]) -> float:
    """Run the graph against torch, whole and beat by beat; gives the largest difference.

    Parameters
    ----------
    beats : float32 [batch, beats, inputs]

    Raises
    ------
    ExportError
        It exceeds `TOLERANCE`.
    """
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected, last = answer(net, beats)
    worst = 0.0
    for pieces in (1, beats.shape[1]):
        memory, given = np.zeros((len(beats), net.memory_size), dtype=np.float32), []
        for piece in np.array_split(beats, pieces, axis=1):
            log_odds, memory = session.run(None, {"beats": piece, "memory": memory})
            given.append(log_odds)
        differences = np.concatenate(given, axis=1) - expected, memory - last
        worst = max(worst, *(float(np.abs(part).max()) for part in differences))
    if not worst <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ExportError(
            f"the graph over beats differs from torch by {worst:.2g}; at most {TOLERANCE:g} of its "
            "size is allowed. Nothing was written."
        )
    return worst


def answer(
    net: RhythmNet, beats: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """torch's log-odds of beats [batch, beats, inputs], and the memory after them."""
    with torch.inference_mode():
        log_odds, memory = net(torch.from_numpy(beats), net.start(len(beats)))
    return log_odds.numpy(), memory.numpy()


class _Builder(Builder):
    """Layers of torch, as nodes."""

    def linear(self, value: str, layer: torch.nn.Linear) -> str:
        weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
        product = self("MatMul", value, self.constant(np.ascontiguousarray(weight.T)))
        return self("Add", product, self.constant(bias))

    def recurrent(self, value: str, start: str, unit: torch.nn.GRU) -> tuple[str, str]:
        """States [batch, beats, hidden] and the last [batch, hidden], from [batch, beats, ...]."""

        def gates(*names: str) -> NDArray[np.float32]:
            """ONNX has the update gate first, torch the reset gate."""
            parts = []
            for name in names:
                reset, update, new = np.split(getattr(unit, name).detach().numpy(), 3)
                parts += [update, reset, new]
            return np.concatenate(parts)[None]

        states, last = self.node(
            "GRU",
            (
                self("Transpose", value, perm=[1, 0, 2]),
                self.constant(gates("weight_ih_l0")),
                self.constant(gates("weight_hh_l0")),
                self.constant(gates("bias_ih_l0", "bias_hh_l0")),
                "",
                start,
            ),
            2,
            hidden_size=unit.hidden_size,
            linear_before_reset=1,
        )
        beside = self("Squeeze", states, self.axes(1))
        return self("Transpose", beside, perm=[1, 0, 2]), self("Squeeze", last, self.axes(0))
