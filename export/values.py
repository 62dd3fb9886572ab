"""Arithmetic that writes a graph: ``a + b`` is a node of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from export.builder import END, Builder

Number = float | int | bool | NDArray[Any]
FAR = -float(1 << 30)  # the place of what never was, in samples


class Value:
    """A value of a graph that is being written, in whichever step of a loop that is now.

    Numbers and arrays beside it become constants of its type.

    Attributes
    ----------
    build : of the graph
    name : in the graph
    dtype : of its elements
    """

    def __init__(self, build: Builder, name: str, dtype: Any):
        self.build, self.name, self.dtype = build, name, np.dtype(dtype)

    @property
    def kind(self) -> int:
        """Type of the elements, as ONNX counts them."""
        return helper.np_dtype_to_tensor_dtype(self.dtype)

    def op(
        self, operator: str, *others: Value | Number | str, dtype: Any = None, **attributes: Any
    ) -> Value:
        """A node with this as its first input; a string names a value as it is."""
        names = [one if isinstance(one, str) else self.like(one).name for one in others]
        name = self.build(operator, self.name, *names, **attributes)
        return Value(self.build, name, self.dtype if dtype is None else dtype)

    def like(self, other: Value | Number) -> Value:
        """A number as a value of this type."""
        if isinstance(other, Value):
            return other
        name = self.build.constant(np.asarray(other, dtype=self.dtype))
        return Value(self.build, name, self.dtype)

    def __add__(self, other: Value | Number) -> Value:
        return self.op("Add", other)

    def __sub__(self, other: Value | Number) -> Value:
        return self.op("Sub", other)

    def __mul__(self, other: Value | Number) -> Value:
        return self.op("Mul", other)

    def __truediv__(self, other: Value | Number) -> Value:
        return self.op("Div", other)

    def __matmul__(self, other: Value | Number) -> Value:
        return self.op("MatMul", other)

    def __radd__(self, other: Number) -> Value:
        return self.like(other) + self

    def __rsub__(self, other: Number) -> Value:
        return self.like(other) - self

    def __rmul__(self, other: Number) -> Value:
        return self.like(other) * self

    def __rtruediv__(self, other: Number) -> Value:
        return self.like(other) / self

    def __neg__(self) -> Value:
        return self.op("Neg")

    def __lt__(self, other: Any) -> Value:
        return self.op("Less", other, dtype=bool)

    def __le__(self, other: Any) -> Value:
        return self.op("LessOrEqual", other, dtype=bool)

    def __gt__(self, other: Any) -> Value:
        return self.op("Greater", other, dtype=bool)

    def __ge__(self, other: Any) -> Value:
        return self.op("GreaterOrEqual", other, dtype=bool)

    def equals(self, other: Value | Number) -> Value:
        return self.op("Equal", other, dtype=bool)

    def __and__(self, other: Value | Number) -> Value:
        return self.op("And", other)

    def __or__(self, other: Value | Number) -> Value:
        return self.op("Or", other)

    def __invert__(self) -> Value:
        return self.op("Not")

    def to(self, dtype: Any) -> Value:
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        return self.op("Cast", dtype=dtype, to=helper.np_dtype_to_tensor_dtype(dtype))

    def where(self, yes: Value | Number, no: Value | Number) -> Value:
        """Of this condition; at least one of both is a value."""
        like = yes if isinstance(yes, Value) else no
        assert isinstance(like, Value)
        yes, no = like.like(yes), like.like(no)
        if like.dtype == bool:  # which ONNX Runtime's Where does not take
            return (self & yes) | (~self & no)
        return Value(self.build, self.build("Where", self.name, yes.name, no.name), like.dtype)

    def at_least(self, bound: Value | Number) -> Value:
        return self.op("Max", bound)

    def at_most(self, bound: Value | Number) -> Value:
        return self.op("Min", bound)

    def within(self, low: float, high: float) -> Value:
        return self.op("Clip", low, high)

    def log(self) -> Value:
        return self.op("Log")

    def exp(self) -> Value:
        return self.op("Exp")

    def sqrt(self) -> Value:
        return self.op("Sqrt")

    def abs(self) -> Value:
        return self.op("Abs")

    def tanh(self) -> Value:
        return self.op("Tanh")

    def floor(self) -> Value:
        return self.op("Floor")

    def expit(self) -> Value:
        return self.op("Sigmoid")

    def sum(self, axis: int = -1, *, keep: bool = False) -> Value:
        return self.op("ReduceSum", self.build.axes(axis), keepdims=int(keep))

    def max(self, axis: int = -1, *, keep: bool = False) -> Value:
        return self.op("ReduceMax", self.build.axes(axis), keepdims=int(keep))

    def min(self, axis: int = -1, *, keep: bool = False) -> Value:
        return self.op("ReduceMin", self.build.axes(axis), keepdims=int(keep))

    def mean(self, axis: int = -1, *, keep: bool = False) -> Value:
        return self.op("ReduceMean", self.build.axes(axis), keepdims=int(keep))

    def any(self, axis: int = -1) -> Value:
        """True if one along an axis is."""
        return self.to(np.float32).max(axis) > 0.5

    def argmax(self, axis: int = -1) -> Value:
        """Place of the first that is the largest, int64."""
        return self.op("ArgMax", dtype=np.int64, axis=axis, keepdims=0)

    def total(self) -> Value:
        """Sums so far along axis 1."""
        return self.op("CumSum", self.build.number(1, np.int64))

    def largest(self, count: Value | int) -> tuple[Value, Value]:
        """The largest along the last axis, the largest first, and their places."""
        size = self.build.axes(count) if isinstance(count, int) else count.reshape(1).name
        values, places = self.build.node("TopK", (self.name, size), 2, axis=-1)
        return Value(self.build, values, self.dtype), Value(self.build, places, np.int64)

    def median(self, size: int) -> Value:
        """Along the last axis, which has this even size."""
        ordered = self.largest(size // 2 + 1)[0]
        return ordered.slice(-2, END, axis=-1).sum() * 0.5

    def slice(self, start: int, end: int = END, *, axis: int = 1) -> Value:
        """As ``value[start:end]`` along an axis."""
        return Value(self.build, self.build.slice(self.name, start, end, axis=axis), self.dtype)

    def one(self, at: int, axis: int = 1) -> Value:
        """As ``value[:, at]``, along an axis."""
        return self.op("Gather", self.build.number(at, np.int64), axis=axis)

    def at(self, places: Value, axis: int = 1) -> Value:
        """Of each row the elements at these places along an axis; else the sizes are equal."""
        return self.op("GatherElements", places, axis=axis)

    def along(self, places: Value | NDArray[np.int64], axis: int = 1) -> Value:
        """The elements at these places, which are the same in every row, along an axis."""
        name = places.name if isinstance(places, Value) else self.build.constant(places)
        return self.op("Gather", name, axis=axis)

    def reshape(self, *shape: int) -> Value:
        """0 keeps a size, -1 is what is left."""
        return self.op("Reshape", self.build.axes(*shape))

    def expand(self, *axes: int) -> Value:
        """With an axis of size 1 at each of these places."""
        return self.op("Unsqueeze", self.build.axes(*axes))

    def pooled(self, size: int, *, before: int = 0, after: int = 0) -> Value:
        """The largest of so many side by side along the last of three axes, float32."""
        return self.op("MaxPool", kernel_shape=[size], strides=[1], pads=[before, after])


def concat(*values: Value, axis: int = 1) -> Value:
    """Values side by side."""
    first = values[0]
    name = first.build("Concat", *(one.name for one in values), axis=axis)
    return Value(first.build, name, first.dtype)


def count_to(build: Builder, count: Value) -> Value:
    """0 to before ``count``, int64 [count]."""
    name = build("Range", build.number(0, np.int64), count.name, build.number(1, np.int64))
    return Value(build, name, np.int64)


def through(
    step: Callable[..., tuple[Mapping[str, Value], Mapping[str, Value]]],
    states: Mapping[str, Value],
    inputs: Mapping[str, Value],
    outputs: Mapping[str, Any],
    *,
    axes: int,
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Go through inputs step by step, along their axis 1.

    Parameters
    ----------
    step : takes states and inputs of a step by name; gives the states after it and its outputs
    outputs : name -> type of its elements
    axes : of every state, and of a step's every output

    Returns
    -------
    the last states, and the outputs, [rows, steps, ...]
    """
    given = {**states, **inputs}
    build = next(iter(given.values())).build

    def body(names: list[str]) -> tuple[list[str], list[str]]:
        values = {
            key: Value(build, name, one.dtype)
            for name, (key, one) in zip(names, given.items(), strict=True)
        }
        after, found = step(**values)
        for name, value in after.items():
            assert value.dtype == states[name].dtype, name
        for name, value in found.items():
            assert value.dtype == np.dtype(outputs[name]), name
        return [after[name].name for name in states], [found[name].name for name in outputs]

    last, found = build.scan(
        body,
        [(one.name, one.kind) for one in states.values()],
        [(one.name, one.kind) for one in inputs.values()],
        [helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in outputs.values()],
        axes=axes,
    )
    return (
        {
            key: Value(build, name, states[key].dtype)
            for name, key in zip(last, states, strict=True)
        },
        {key: Value(build, name, outputs[key]) for name, key in zip(found, outputs, strict=True)},
    )


def branch(
    condition: Value,
    then: Callable[[], dict[str, Value]],
    otherwise: Callable[[], dict[str, Value]],
) -> dict[str, Value]:
    """Do one thing or the other, by a condition that is one bool; both give the same names."""
    kinds: dict[str, Any] = {}

    def write(values: dict[str, Value]) -> list[tuple[str, int]]:
        kinds.update({key: one.dtype for key, one in values.items()})
        return [(values[key].name, values[key].kind) for key in sorted(values)]

    names = condition.build.branch(
        condition.name, lambda: write(then()), lambda: write(otherwise())
    )
    return {
        key: Value(condition.build, name, kinds[key])
        for key, name in zip(sorted(kinds), names, strict=True)
    }


def over_beats(
    step: Callable[[Value, Value, dict[str, Value]], tuple[Value, Value]],
    state: Value,
    there: Value,
    beats: Value,
    others: Mapping[str, Value],
    size: int,
) -> tuple[Value, Value]:
    """Go through beats; the state of a row whose beat is not there stays.

    Parameters
    ----------
    step : takes state and beat, float64, and the others; gives the state after it, and its answer
    state : float32 [batch, numbers]
    there : bool [batch, beats]
    beats : float64 [batch, beats, numbers]
    size : numbers of an answer

    Returns
    -------
    the last state, and the answers, float64 [batch, beats, size]
    """

    def one(state: Value, there: Value, beat: Value, **more: Value) -> Any:
        after, answer = step(state.to(np.float64), beat, more)
        return {"state": there.expand(1).where(after.to(np.float32), state)}, {"answer": answer}

    def go() -> dict[str, Value]:
        given = {"there": there, "beat": beats, **others}
        last, found = through(one, {"state": state}, given, {"answer": np.float64}, axes=2)
        return {"state": last["state"], "answer": found["answer"]}

    def rest() -> dict[str, Value]:
        none = there.to(np.float64).expand(2) * np.zeros(size)
        return {"state": state.op("Identity"), "answer": none}

    found = branch(there.to(np.float32).max(1).max(0) > 0.5, go, rest)
    return found["state"], found["answer"]


def columns(values: Value, sizes: Mapping[str, int], axis: int = 1) -> dict[str, Value]:
    """The parts of [rows, numbers], by name; or along another axis."""
    build, dtype = values.build, values.dtype
    names = build.split(values.name, [*sizes.values()], axis=axis)
    return {key: Value(build, name, dtype) for key, name in zip(sizes, names, strict=True)}


def at_start(sizes: Mapping[str, int], values: Mapping[str, float]) -> NDArray[np.float64]:
    """A row of columns, 0 but for some, [1, numbers]."""
    parts = [np.full(count, values.get(name, 0.0)) for name, count in sizes.items()]
    return np.concatenate(parts)[None]


def flags(values: Sequence[tuple[Value, int]]) -> Value:
    """Sum of the bits, int64, of conditions that are true."""
    first, *others = (value.to(np.int64) * bit for value, bit in values)
    for other in others:
        first = first + other
    return first
