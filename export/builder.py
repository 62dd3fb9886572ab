"""A graph written node by node, for what torch's exporter cannot write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.graphs import IR_VERSION, OPSET

Shape = Sequence[str | int]
END = np.iinfo(np.int64).max  # of a slice


class Builder:
    """Nodes and constants of a graph, each value named by its number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, **attributes: int | str | Sequence[int]) -> str:
        """The first output of a node."""
        return self.node(operator, inputs, 1, **attributes)[0]

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: int,
        **attributes: int | str | Sequence[int],
    ) -> list[str]:
        names = [f"value{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))  # type: ignore[arg-type]
        return names

    def split(self, value: str, sizes: Sequence[int], *, axis: int) -> list[str]:
        return self.node("Split", (value, self.axes(*sizes)), len(sizes), axis=axis)

    def slice(self, value: str, start: int, end: int, *, axis: int) -> str:
        """As ``value[start:end]`` along an axis; `END` goes to the end."""
        return self("Slice", value, self.axes(start), self.axes(end), self.axes(axis))

    def add(self, *values: str) -> str:
        """Their sum, from left to right: in floating point the order counts."""
        total, *others = values
        for other in others:
            total = self("Add", total, other)
        return total

    def cast(self, value: str, to: int) -> str:
        return self("Cast", value, to=to)

    def number(self, value: float, dtype: type[np.generic] = np.float32) -> str:
        return self.constant(np.array(value, dtype=dtype))

    def axes(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def constant(self, value: NDArray[np.generic]) -> str:
        for one in self.constants:
            known = numpy_helper.to_array(one)
            if known.dtype == value.dtype and np.array_equal(known, value):
                return one.name
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def inline(self, graph: onnx.GraphProto, inputs: Mapping[str, str]) -> dict[str, str]:
        """Take over another graph's nodes; gives its outputs' names here, by theirs.

        Parameters
        ----------
        inputs : of each of its inputs, the value here
        """
        names = dict(inputs)
        for tensor in graph.initializer:
            names[tensor.name] = self.constant(numpy_helper.to_array(tensor))
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = ""
            copy.input[:] = [names[name] if name else "" for name in node.input]
            copy.output[:] = [f"value{len(self.nodes)}_{i}" for i in range(len(node.output))]
            names |= dict(zip(node.output, copy.output, strict=True))
            self.nodes.append(copy)
        return {tensor.name: names[tensor.name] for tensor in graph.output}

    def name(self, value: str, name: str) -> None:
        """Give a value that is an output its name."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [name if one == value else one for one in names]

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:
        """The finished model, checked."""
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="ekg",
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model


def tensor(name: str, *shape: str | int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """An input or output of a graph; a size that is free has a name."""
    return helper.make_tensor_value_info(name, kind, shape)
