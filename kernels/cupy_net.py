"""The network after the filter on the GPU, all layers in one kernel, many streams at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ._cupy import GRID_LIMIT, CupyArray, check_array, checked_size, import_cupy, read_source

LANES = 32
PIECE = 3200  # floats of weights in shared memory at a time, twice: one in use, one on its way


class CupyNet:
    """`ekg_cnn.onnx` for a batch of ECG streams in CuPy arrays.

    Parameters
    ----------
    network
        What `Network.of` found in the model file.

    Raises
    ------
    ImportError
        CuPy is not installed; the message says which package to install.
    ValueError
        A block of this GPU may have too little shared memory for the network.

    Examples
    --------
    >>> net = CupyNet(Network.of(onnx.load("artifacts/ekg_cnn.onnx")))  # doctest: +SKIP
    >>> probabilities, carry = net(filtered, net.start(len(filtered)))  # doctest: +SKIP

    Notes
    -----
    However a recording is cut into chunks, the answer has the same bits.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._cupy = import_cupy()
        limits = self._cupy.cuda.Device().attributes
        self._gpu = Gpu(
            int(limits["MultiProcessorCount"]), int(limits["MaxSharedMemoryPerBlockOptin"])
        )
        numbers = [piece for layer in network.pieces for piece in layer]
        self._weights = self._cupy.asarray(np.concatenate(numbers))
        # The upload is on this stream, the first launch may be on another.
        self._cupy.cuda.get_current_stream().synchronize()
        # Compiled now, in a few seconds, and from CuPy's cache after that: no call waits for it.
        self._kernels = {tile: self._compile(tile) for tile in self._tiles()}
        plan = partial(Launch.choose, network, list(self._kernels), self._gpu)
        self._launches = lru_cache(maxsize=256)(plan)

    def start(self, batch: int) -> CupyArray:
        """The carry where recordings begin: zeros, shape (batch, network.carry_size)."""
        return self._cupy.zeros((batch, self.network.carry_size), np.float32)

    def __call__(
        self,
        filtered: CupyArray,
        carry: CupyArray,
        *,
        stream: Any = None,
    ) -> tuple[CupyArray, CupyArray]:
        """Label the frames of the next chunk of every stream.

        Parameters
        ----------
        filtered
            Float32, shape (batch, samples), mV, samples a multiple of `network.frame`.
        carry
            Float32, shape (batch, network.carry_size), as the graph's own.
        stream
            The cupy.cuda.Stream to run on; the current one unless given. The call does not wait
            for the GPU: whatever wrote the inputs or reads the result must use the same stream, or
            the caller synchronises between them. Inputs that were allocated on another stream are
            kept until this one has passed the call.

        Returns
        -------
        probabilities
            Float32, shape (batch, frames, classes).
        carry
            For the next chunk.

        Raises
        ------
        TypeError, ValueError
            An array of another type, shape, layout or device.
        """
        network = self.network
        check_array(self._cupy, "filtered", filtered, (None, None))
        if self._weights.device != self._cupy.cuda.Device():
            raise ValueError(
                f"the network is on {self._weights.device}, the current device is "
                f"{self._cupy.cuda.Device()}: build a CupyNet for each."
            )
        batch, samples = checked_size(filtered, "filtered")
        if samples % network.frame:
            raise ValueError(
                f"filtered has {samples} samples a stream, expected a multiple of {network.frame}."
            )
        check_array(self._cupy, "carry", carry, (batch, network.carry_size))
        frames = samples // network.frame
        with stream or nullcontext():
            probabilities = self._cupy.empty((batch, frames, network.classes), np.float32)
            if not probabilities.size:
                return probabilities, carry.copy()
            first = 0
            for launch, times in self._launches(batch, frames):
                for _ in range(times):
                    carry_out = self._cupy.empty_like(carry)
                    self._kernels[launch.tile](
                        (launch.blocks,),
                        (LANES * launch.tile.warps,),
                        (
                            filtered,
                            carry,
                            self._weights,
                            probabilities,
                            carry_out,
                            *map(np.int32, (batch, frames, first, launch.frames)),
                            *map(np.int32, (launch.rows, launch.high_at)),
                        ),
                        shared_mem=launch.shared_bytes,
                    )
                    carry, first = carry_out, first + launch.frames
        return probabilities, carry

    def _tiles(self) -> list[Tile]:
        fitting = [tile for tile in TILES if tile.needs(self.network) <= self._gpu.shared_bytes]
        if not fitting:
            least = min(tile.needs(self.network) for tile in TILES)
            raise ValueError(
                f"a block may have {self._gpu.shared_bytes} bytes of shared memory here, the "
                f"network needs {least}."
            )
        return fitting

    def _compile(self, tile: Tile) -> Any:
        module = self._cupy.RawModule(code=source(self.network, tile))
        kernel = module.get_function("net")
        # More than the 48 KiB of any block has to be asked for.
        kernel.max_dynamic_shared_size_bytes = self._gpu.shared_bytes
        return kernel


@dataclass(frozen=True)
class Gpu:
    """What a plan must know of a GPU: multiprocessors, and shared memory of a block at most."""

    multiprocessors: int
    shared_bytes: int


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
            and all(_exact(layer, 1) for layer in self.carried)
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


def _exact(layer: Convolution, rows: int) -> bool:
    """Whether the kernel finds its way in the history of so many streams (`take_history`)."""
    return rows * layer.channels * layer.history**2 < 2**32


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


@dataclass(frozen=True)
class Tile:
    """How a block shares out its columns; see the top of net.cu.

    Attributes
    ----------
    columns_each
        Columns of a thread.
    warps
        Into how many the output channels are shared out.
    alone_us, more_us
        Time of a launch with nothing to do, and what each block adds that a multiprocessor gets,
        as measured on an H100.
    """

    columns_each: int
    warps: int
    alone_us: float
    more_us: float

    @property
    def columns(self) -> int:
        """Columns of a block at most: frames times streams."""
        return LANES * self.columns_each

    def needs(self, network: Network) -> int:
        """Shared memory of a block with one stream and one frame, bytes."""
        return Launch.of(network, self, 1, 1, 1).shared_bytes


# One stream and many. Larger tiles leave a multiprocessor too few warps to hide what they wait for.
TILES = (Tile(1, 8, alone_us=30, more_us=41), Tile(2, 4, alone_us=44, more_us=53))


@dataclass(frozen=True)
class Launch:
    """One launch: so many frames of every stream, `rows` streams in a block."""

    tile: Tile
    blocks: int
    rows: int
    frames: int
    high_at: int
    shared_bytes: int

    @classmethod
    def choose(
        cls, network: Network, tiles: Iterable[Tile], gpu: Gpu, batch: int, frames: int
    ) -> Plan:
        """The launches that together do all frames of all streams, in the tiles soonest done."""

        def time(plan: Plan) -> float:
            return sum(
                times
                * (
                    launch.tile.alone_us
                    + launch.tile.more_us * -(-launch.blocks // gpu.multiprocessors)
                )
                for launch, times in plan
            )

        return min((cls.plan(network, tile, gpu, batch, frames) for tile in tiles), key=time)

    @classmethod
    def plan(cls, network: Network, tile: Tile, gpu: Gpu, batch: int, frames: int) -> Plan:
        """The same in one kind of tile, which a block must have enough shared memory for.

        Raises
        ------
        ValueError
            The batch needs more blocks than a GPU takes.
        """

        def fitting(rows: int, each: int) -> bool:
            needs = cls.of(network, tile, batch, each, rows).shared_bytes
            return (
                rows * each <= tile.columns
                and needs <= gpu.shared_bytes
                and all(_exact(layer, rows) for layer in network.carried)
            )

        if not batch or not frames:
            return []
        each = next(n for n in range(min(frames, tile.columns), 0, -1) if fitting(1, n))
        # No multiprocessor has more streams than its share, while others have none.
        most = min(max(1, tile.columns // each), -(-batch // gpu.multiprocessors))
        rows = next(n for n in range(most, 0, -1) if fitting(n, each))
        whole = cls.of(network, tile, batch, each, rows)
        if whole.blocks > GRID_LIMIT:
            raise ValueError(f"{batch} streams are more than one launch takes: split the batch.")
        count, rest = divmod(frames, each)
        plan = [(whole, count)]
        if rest:
            plan.append((cls.of(network, tile, batch, rest, rows), 1))
        return plan

    @classmethod
    def of(cls, network: Network, tile: Tile, batch: int, frames: int, rows: int) -> Launch:
        """The launch, with the place of its buffers."""
        # Inputs of the front's layers lie in two buffers in turn, so that its output lies in low.
        lengths = _front_lengths(network)
        lines = [
            rows * layer.channels * (layer.history + length * frames)
            for layer, length in zip(network.front, lengths, strict=True)
        ]
        high_at = max([network.width * tile.columns, *lines[-2::-2]])
        behind = max(network.classes, *(3 * middle.out for _, middle, _ in network.blocks))
        floats = max(high_at + max(lines[::-2]), (network.width + behind) * tile.columns)
        floats += 2 * _largest_piece(network)
        return cls(tile, -(-batch // rows), rows, frames, high_at, 4 * floats)


Plan = list[tuple[Launch, int]]  # launches, one after another, and how often each


def source(network: Network, tile: Tile) -> str:
    """The CUDA source for this network: net.cu with its definitions above."""
    sizes = [layer.channels * layer.history for layer in network.carried]
    at = np.cumsum([0, *sizes]).tolist()  # of each layer's history in the carry
    parts = [len(pieces) for pieces in network.pieces]
    starts = np.cumsum([0, *(len(piece) for layer in network.pieces for piece in layer)])
    count = len(network.front)
    buffers = [f"block.{('low', 'high')[(count - i) % 2]}" for i in range(count + 1)]
    front = [f"input<{network.front[0].history}>(block, filtered, samples, {buffers[0]});"]
    for i, (layer, length) in enumerate(zip(network.front, _front_lengths(network), strict=True)):
        after = network.front[i + 1].history if i + 1 < count else 0
        shape = (layer.channels, layer.out, layer.taps, layer.step, parts[i])
        arguments = ", ".join(map(str, (*shape, length, layer.history, after)))
        front.append(f"front<{arguments}>(block, {buffers[i]}, {buffers[i + 1]}, {at[i + 1]});")
    kinds = {
        middle.out: ", ".join(map(str, (middle.out, *parts[count + 3 * i : count + 3 * i + 3])))
        for i, (_, middle, _) in enumerate(network.blocks)
    }
    blocks = [
        f"{{{middle.out}, {middle.dilation}, {place}}}"
        for (_, middle, _), place in zip(network.blocks, at[count:], strict=False)
    ]
    to = f"probabilities + (first_row * all_frames + first_frame) * {network.classes}"
    definitions = {
        "CARRY": network.carry_size,
        "WIDTH": network.width,
        "FRAME": network.frame,
        "PIECES": ", ".join(map(str, starts.tolist())),
        "PIECE": _largest_piece(network),
        "WARPS": tile.warps,
        "COLUMNS_EACH": tile.columns_each,
        "BLOCKS": ", ".join(blocks),
        "FRONT": " ".join(front),
        "RESIDUAL": " ".join(
            f"case {channels}: residual<{kind}>(block, dilation, carry_at); break;"
            for channels, kind in kinds.items()
        ),
        "HEAD": f"head<{network.classes}, {parts[-1]}>(block, {to}, all_frames);",
    }
    return read_source("net.cu", {name: str(value) for name, value in definitions.items()})


def reference(
    filtered: npt.ArrayLike, carry: npt.ArrayLike, network: Network
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The answer by definition, summed in float64, for NumPy arrays; all as for `CupyNet`."""
    x = np.asarray(filtered, np.float64)[:, None]
    past = np.asarray(carry, np.float64)
    carried = []

    def convolve(layer: Convolution, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        nonlocal past
        if layer.history:
            size = layer.channels * layer.history
            mine, past = past[:, :size], past[:, size:]
            x = np.concatenate([mine.reshape(len(x), layer.channels, -1), x], axis=2)
            carried.append(x[:, :, x.shape[2] - layer.history :].reshape(len(x), -1))
        count = (x.shape[2] - layer.history) // layer.step
        taps = [
            x[:, :, tap * layer.dilation :][:, :, : count * layer.step : layer.step]
            for tap in range(layer.taps)
        ]
        return np.einsum("kbct,ock->bot", taps, layer.weight) + layer.bias[None, :, None]

    for layer in network.front:
        x = np.maximum(convolve(layer, x), 0)
    for down, middle, up in network.blocks:
        inner = np.maximum(convolve(down, x), 0)
        inner = np.maximum(convolve(middle, inner), 0)
        x = np.maximum(convolve(up, inner) + x, 0)
    logits = convolve(network.head, x).transpose(0, 2, 1)
    odds = np.exp(logits - logits.max(axis=2, keepdims=True, initial=-np.inf))
    probabilities = odds / odds.sum(axis=2, keepdims=True)
    return probabilities.astype(np.float32), np.concatenate(carried, axis=1).astype(np.float32)


def _front_lengths(network: Network) -> list[int]:
    """Of each layer of the front, its inputs in a frame."""
    steps = [layer.step for layer in network.front]
    return [prod(steps[i:]) for i in range(len(steps))]


def _largest_piece(network: Network) -> int:
    return max(len(piece) for layer in network.pieces for piece in layer)
