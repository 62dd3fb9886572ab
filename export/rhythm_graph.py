"""The graph of the second network, written node by node and proven equal to torch.

torch's exporter cannot leave the number of beats free in a recurrent unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.graphs import IR_VERSION, OPSET, TOLERANCE, ExportError
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

    def tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    model = helper.make_model(
        helper.make_graph(
            build.nodes,
            "rhythm",
            [
                tensor("beats", "beats", "batch", len(RhythmGraph.INPUTS)),
                tensor("memory", 1, "batch", net.memory_size),
            ],
            [
                tensor("log_odds", "beats", "batch", len(RhythmGraph.OUTPUTS)),
                tensor("memory_out", 1, "batch", net.memory_size),
            ],
            build.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="ekg",
        ir_version=IR_VERSION,
    )
    helper.set_model_props(
        model,
        dict(described)
        | {
            "format": json.dumps(FORMAT),
            "role": "reads beats one after another: atrial fibrillation",
            "inputs": json.dumps(RhythmGraph.INPUTS),
            "outputs": json.dumps(RhythmGraph.OUTPUTS),
            "lag": json.dumps(LAG),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


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


class _Builder:
    """Nodes and constants of a graph, each value named by its number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, **attributes: int | Sequence[int]) -> str:
        return self._node(operator, inputs, 1, **attributes)[0]

    def linear(self, value: str, layer: torch.nn.Linear) -> str:
        weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
        product = self("MatMul", value, self._constant(np.ascontiguousarray(weight.T)))
        return self("Add", product, self._constant(bias))

    def recurrent(self, value: str, start: str, unit: torch.nn.GRU) -> tuple[str, str]:
        """States [beats, batch, hidden] and the last [1, batch, hidden]."""

        def gates(*names: str) -> NDArray[np.float32]:
            """ONNX has the update gate first, torch the reset gate."""
            parts = []
            for name in names:
                reset, update, new = np.split(getattr(unit, name).detach().numpy(), 3)
                parts += [update, reset, new]
            return np.concatenate(parts)[None]

        states, last = self._node(
            "GRU",
            (
                value,
                self._constant(gates("weight_ih_l0")),
                self._constant(gates("weight_hh_l0")),
                self._constant(gates("bias_ih_l0", "bias_hh_l0")),
                "",
                start,
            ),
            2,
            hidden_size=unit.hidden_size,
            linear_before_reset=1,
        )
        return self("Squeeze", states, self._constant(np.array([1]))), last

    def name(self, value: str, name: str) -> None:
        """Give a value that is an output its name."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [name if one == value else one for one in names]

    def _constant(self, value: NDArray[np.generic]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def _node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: int,
        **attributes: int | Sequence[int],
    ) -> list[str]:
        names = [f"value{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))  # type: ignore[arg-type]
        return names
