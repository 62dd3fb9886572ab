"""The network after the filter as the kernel needs it, read from its ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE = 3200  # floats of weights in shared memory at a time, twice: one in use, one on its way


@dataclass(frozen=True)
class Network:
    """The layers: a front that shortens the signal, residual blocks, and a head.

    Attributes
    ----------
    front
        Convolutions with as many steps as make a frame; each is followed by ReLU.
    blocks
        Down, three dilated taps, up; ReLU between them, and after the sum with what came in.
    head
        To the logits.

    Raises
    ------
    ValueError
        Layers that the kernel has no code for.
    """

    front: tuple[Convolution, ...]
    blocks: tuple[Block, ...]
    head: Convolution

    def __post_init__(self) -> None:
        channels = [layer.channels for layer in self.front] + [self.width]
        fits = (
            self.front
            and self.blocks
            and channels == [1, *(layer.out for layer in self.front)]
            and all(layer.dilation == 1 and layer.history > 0 for layer in self.front)
            and all(
                (down.taps, middle.taps, up.taps) == (1, 3, 1)
                and {down.step, middle.step, up.step} == {1}
                and down.channels == up.out == self.width
                and down.out == middle.channels == middle.out == up.channels
                for down, middle, up in self.blocks
            )
            and self.head.taps == 1
            and self.can_index(1)
        )
        if not fits:
            raise _another()

    @classmethod
    def of(cls, model: Any) -> Network:
        """The network in a graph like `ekg_cnn.onnx`, an `onnx.ModelProto`.

        Raises
        ------
        ImportError
            The package onnx is not installed.
        ValueError
            Another architecture; the graph's own golden answer says whether the numbers are right.
        """
        from onnx import helper, numpy_helper

        numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        layers = []
        for node in model.graph.node:
            if node.op_type == "Conv":
                if len(node.input) != 3 or not numbers.keys() >= set(node.input[1:]):
                    raise _another()  # no bias: the fused graph's filter; no weights: INT8
                weight, bias = (numbers[name] for name in node.input[1:])
                if weight.ndim != 4 or weight.shape[2] != 1:
                    raise _another()
                options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                step, dilation = (options.get(n, (1, 1))[1] for n in ("strides", "dilations"))
                layers.append(Convolution(weight[:, :, 0], bias, step, dilation))
        first = next((i for i, layer in enumerate(layers) if layer.taps == 1), len(layers))
        if len(layers[first:]) % 3 != 1:
            raise _another()
        *inner, head = layers[first:]
        blocks = tuple(zip(inner[::3], inner[1::3], inner[2::3], strict=True))
        return cls(tuple(layers[:first]), blocks, head)

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return prod(layer.step for layer in self.front)

    @property
    def width(self) -> int:
        """Channels of the residual stream."""
        return self.head.channels

    @property
    def classes(self) -> int:
        """Probabilities of a frame."""
        return self.head.out

    @property
    def carried(self) -> list[Convolution]:
        """The layers that look back, in the order of the carry."""
        return [*self.front, *(middle for _, middle, _ in self.blocks)]

    @property
    def carry_size(self) -> int:
        """Floats that a stream carries."""
        return sum(layer.channels * layer.history for layer in self.carried)

    @property
    def front_lengths(self) -> list[int]:
        """Inputs in a frame of each layer of the front."""
        steps = [layer.step for layer in self.front]
        return [prod(steps[i:]) for i in range(len(steps))]

    @property
    def largest_piece(self) -> int:
        """Floats of the largest of `pieces`."""
        return max(len(piece) for layer in self.pieces for piece in layer)

    def can_index(self, rows: int) -> bool:
        """True if the kernel's 32-bit index of so many streams' history is exact.

        See `take_history` in net.cu.
        """
        return all(rows * layer.channels * layer.history**2 < 2**32 for layer in self.carried)

    @cached_property
    def pieces(self) -> list[list[npt.NDArray[np.float32]]]:
        """Of each layer in turn, its numbers as the kernel reads them, `PIECE` floats at a time.

        Biases, then weights: [channels][taps][out] in the front, [taps][channels][out] elsewhere,
        as many rows in every piece; each is filled up to the 16 bytes of one read.
        """
        inner = [layer for block in self.blocks for layer in block]
        return [
            *(_pieces(layer.weight.transpose(1, 2, 0), layer.bias) for layer in self.front),
            *(
                _pieces(layer.weight.transpose(2, 1, 0).reshape(-1, 1, layer.out), layer.bias)
                for layer in (*inner, self.head)
            ),
        ]


@dataclass(frozen=True, eq=False)
class Convolution:
    """One layer's numbers, batch norm folded in.

    Attributes
    ----------
    weight
        Float32, shape (out, channels, taps).
    bias
        Float32, shape (out,).
    step, dilation
        Inputs between neighbouring outputs, and between neighbouring taps.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    step: int = 1
    dilation: int = 1

    @property
    def out(self) -> int:
        """Output channels."""
        return len(self.bias)

    @property
    def channels(self) -> int:
        """Input channels."""
        return self.weight.shape[1]

    @property
    def taps(self) -> int:
        """Inputs that an output sees."""
        return self.weight.shape[2]

    @property
    def history(self) -> int:
        """Inputs before a chunk that its first output sees."""
        return (self.taps - 1) * self.dilation + 1 - self.step


Block = tuple[Convolution, Convolution, Convolution]


def _another() -> ValueError:
    return ValueError(
        "this is another network than the kernel computes: strided convolutions with more taps "
        "than steps, then residual blocks of 1, 3 dilated and 1 taps, then a head."
    )


def _pieces(
    weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> list[npt.NDArray[np.float32]]:
    """Biases and weights, shape (rows, taps, out), in the fewest pieces."""
    rows, taps, out = weights.shape
    count = next(
        n
        for n in range(1, rows + 1)
        if rows % n == 0 and (n == rows or rows // n * taps * out + out <= PIECE)
    )
    first, *others = np.split(weights, count)
    flat = [np.concatenate([bias, first.ravel()]), *(part.ravel() for part in others)]
    return [np.pad(part, (0, -len(part) % 4)).astype(np.float32) for part in flat]
