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

from export.builder import Builder, tensor
from export.graphs import TOLERANCE, ExportError
from runtime.model.rhythm_network import FORMAT, RhythmGraph
from training.rhythm_net import LAG, RhythmNet


def graph(net: RhythmNet, described: Mapping[str, str]) -> onnx.ModelProto:
    """The graph, batch and beats free, its contract in its metadata.

    Parameters
    ----------
    described : more for the metadata
    """
    build = _Builder()
    embedded = build("Tanh", build.linear("beats", net.embed))
    states, end = build.recurrent(embedded, "memory", net.unit)
    build.name(build.linear(states, net.verdict), "log_odds")
    build.name(end, "memory_out")
    return build.model(
        "rhythm",
        [
            tensor("beats", "beats", "batch", len(RhythmGraph.INPUTS)),
            tensor("memory", 1, "batch", net.memory_size),
        ],
        [
            tensor("log_odds", "beats", "batch", len(RhythmGraph.OUTPUTS)),
            tensor("memory_out", 1, "batch", net.memory_size),
        ],
        dict(described)
        | {
            "format": json.dumps(FORMAT),
            "role": "reads beats one after another: atrial fibrillation",
            "inputs": json.dumps(RhythmGraph.INPUTS),
            "outputs": json.dumps(RhythmGraph.OUTPUTS),
            "lag": json.dumps(LAG),
        },
    )


def prove(model: onnx.ModelProto, net: RhythmNet, beats: NDArray[np.float32]) -> float:
    """Run the graph against torch, whole and beat by beat; gives the largest difference.

    Parameters
    ----------
    beats : float32 [beats, batch, inputs]

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
    for pieces in (1, len(beats)):
        memory, given = net.start(beats.shape[1]).numpy(), []
        for piece in np.array_split(beats, pieces):
            log_odds, memory = session.run(None, {"beats": piece, "memory": memory})
            given.append(log_odds)
        differences = np.concatenate(given) - expected, memory - last
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
    """torch's log-odds of beats [beats, batch, inputs], and the memory after them."""
    with torch.inference_mode():
        log_odds, memory = net(torch.from_numpy(beats), net.start(beats.shape[1]))
    return log_odds.numpy(), memory.numpy()


class _Builder(Builder):
    """Layers of torch, as nodes."""

    def linear(self, value: str, layer: torch.nn.Linear) -> str:
        weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
        product = self("MatMul", value, self.constant(np.ascontiguousarray(weight.T)))
        return self("Add", product, self.constant(bias))

    def recurrent(self, value: str, start: str, unit: torch.nn.GRU) -> tuple[str, str]:
        """States [beats, batch, hidden] and the last [1, batch, hidden]."""

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
                value,
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
        return self("Squeeze", states, self.axes(1)), last
