"""A graph written node by node, for what torch's exporter cannot write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.graphs import IR_VERSION, OPSET

Shape = Sequence[str | int]
Attribute = int | str | Sequence[int] | onnx.GraphProto
Found = tuple[str, int, Sequence[None] | None]  # a value, the kind of its elements, and its shape
END = np.iinfo(np.int64).max  # of a slice


class Body(NamedTuple):
    """Nodes and constants of a graph, or of the step of a loop in it."""

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


class Builder:
    """Nodes and constants of a graph, each value named by its number."""

    def __init__(self) -> None:
        self._bodies = [Body([], [])]  # the last is the one that is being written
        self._values = self._constants = 0

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes written so far."""
        return self._bodies[-1].nodes

    def __call__(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """The first output of a node."""
        return self.node(operator, inputs, 1, **attributes)[0]

    def node(
        self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Attribute
    ) -> list[str]:
        names = self._names(outputs)
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
        constants = self._bodies[-1].constants
        for one in constants:
            known = numpy_helper.to_array(one)
            if known.dtype == value.dtype and np.array_equal(known, value):
                return one.name
        name = f"constant{self._constants}"
        self._constants += 1
        constants.append(numpy_helper.from_array(value, name))
        return name

    def scan(
        self,
        step: Callable[[list[str]], tuple[list[str], list[str]]],
        states: Sequence[tuple[str, int]],
        inputs: Sequence[tuple[str, int]],
        outputs: Sequence[int],
        *,
        axes: int,
    ) -> tuple[list[str], list[str]]:
        """Go through inputs step by step, along their axis 1.

        Parameters
        ----------
        step : takes the states and one step's inputs; gives the states after it and its outputs
        states, inputs : each a value and the kind of its elements
        outputs : the kind of each output's elements
        axes : of every state and of a step's every output; ONNX Runtime 1.16 asks for their number

        Returns
        -------
        the last states, and the outputs, of all steps along axis 1
        """
        given = [
            helper.make_tensor_value_info(name, kind, None)
            for name, (_, kind) in zip(
                self._names(len(states) + len(inputs)), [*states, *inputs], strict=True
            )
        ]
        kinds = [kind for _, kind in states] + list(outputs)
        shape = [None] * axes

        def write() -> list[Found]:
            after, found = step([one.name for one in given])
            return [(one, kind, shape) for one, kind in zip((*after, *found), kinds, strict=True)]

        body = self._part("step", given, write)
        names = self.node(
            "Scan",
            [value for value, _ in (*states, *inputs)],
            len(kinds),
            body=body,
            num_scan_inputs=len(inputs),
            scan_input_axes=[1] * len(inputs),
            scan_output_axes=[1] * len(outputs),
        )
        return names[: len(states)], names[len(states) :]

    def loop(
        self,
        step: Callable[[list[str]], tuple[str, list[str], list[str]]],
        states: Sequence[tuple[str, int]],
        outputs: Sequence[int],
        *,
        axes: int,
    ) -> tuple[list[str], list[str]]:
        """Go on as long as a condition holds, once at least.

        Parameters
        ----------
        step : takes the states; gives the condition, one bool, the states after it and its outputs
        states, outputs, axes : as of `scan`

        Returns
        -------
        the last states, and the outputs, of all steps along a new axis 0
        """
        count, before, *names = self._names(2 + len(states))
        given = [
            helper.make_tensor_value_info(count, TensorProto.INT64, []),
            helper.make_tensor_value_info(before, TensorProto.BOOL, []),
            *(
                helper.make_tensor_value_info(name, kind, [None] * axes)
                for name, (_, kind) in zip(names, states, strict=True)
            ),
        ]
        kinds = [kind for _, kind in states] + list(outputs)
        shape = [None] * axes

        def write() -> list[Found]:
            goes_on, after, found = step(names)
            values = [(one, kind, shape) for one, kind in zip((*after, *found), kinds, strict=True)]
            return [(goes_on, TensorProto.BOOL, []), *values]

        body = self._part("step", given, write)
        inputs = ["", "", *(value for value, _ in states)]
        names = self.node("Loop", inputs, len(kinds), body=body)
        return names[: len(states)], names[len(states) :]

    def branch(
        self,
        condition: str,
        then: Callable[[], list[tuple[str, int]]],
        otherwise: Callable[[], list[tuple[str, int]]],
    ) -> list[str]:
        """Do one thing or the other; both give values with the kind of their elements."""

        def shapeless(write: Callable[[], list[tuple[str, int]]]) -> Callable[[], list[Found]]:
            return lambda: [(name, kind, None) for name, kind in write()]

        graphs = [self._part("branch", [], shapeless(write)) for write in (then, otherwise)]
        count = len(graphs[0].output)
        return self.node("If", [condition], count, then_branch=graphs[0], else_branch=graphs[1])

    def _part(
        self, name: str, given: Sequence[onnx.ValueInfoProto], write: Callable[[], list[Found]]
    ) -> onnx.GraphProto:
        """A graph within the graph; ``write`` writes its nodes and gives its outputs."""
        self._bodies.append(Body([], []))
        found = write()
        # It may give an input back, or one value twice: an output has a name of its own.
        results = [self("Identity", one) for one, _, _ in found]
        nodes, constants = self._bodies.pop()
        outputs = [
            helper.make_tensor_value_info(result, kind, shape)
            for result, (_, kind, shape) in zip(results, found, strict=True)
        ]
        return helper.make_graph(nodes, name, given, outputs, constants)

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
            copy.output[:] = self._names(len(node.output))
            names |= dict(zip(node.output, copy.output, strict=True))
            self.nodes.append(copy)
        return {tensor.name: names[tensor.name] for tensor in graph.output}

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:
        """The finished model, checked."""
        (body,) = self._bodies
        model = helper.make_model(
            helper.make_graph(body.nodes, name, inputs, outputs, body.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="ekg",
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    def name(self, value: str, name: str) -> None:
        """Give a value a name of its own, as an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def _names(self, count: int) -> list[str]:
        self._values += count
        return [f"value{self._values - count + i}" for i in range(count)]


def tensor(name: str, *shape: str | int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """An input or output of a graph; a size that is free has a name."""
    return helper.make_tensor_value_info(name, kind, shape)
