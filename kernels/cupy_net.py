"""The network after the filter on the GPU, all layers in one kernel, many streams at once."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .common import CupyArray, check_array, checked_size, import_cupy, read_source
from .net_launch import LANES, TILES, Gpu, Launch, Tile
from .network import Convolution, Network


class CupyNet:
    """`ekg_cnn.onnx` for a batch of ECG streams in CuPy arrays.

    Parameters
    ----------
    network
        As `Network.of` reads it from the model file.

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
        self.weights = self._cupy.asarray(np.concatenate(numbers))
        # The upload is on this stream, the first launch may be on another.
        self._cupy.cuda.get_current_stream().synchronize()
        # Compiled now, in a few seconds, and from CuPy's cache after that: no call waits for it.
        self.kernels = {tile: self._compile(tile) for tile in self._tiles()}
        plan = partial(Launch.choose, network, list(self.kernels), self._gpu)
        self._launches = lru_cache(maxsize=256)(plan)

    def start(self, batch: int) -> CupyArray:
        """The carry at the start of recordings: zeros, shape (batch, network.carry_size)."""
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
        if self.weights.device != self._cupy.cuda.Device():
            raise ValueError(
                f"the network is on {self.weights.device}, the current device is "
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
                    self.kernels[launch.tile](
                        (launch.blocks,),
                        (LANES * launch.tile.warps,),
                        (
                            filtered,
                            carry,
                            self.weights,
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
            smallest = min(tile.needs(self.network) for tile in TILES)
            raise ValueError(
                f"a block may have {self._gpu.shared_bytes} bytes of shared memory here, the "
                f"network needs {smallest}."
            )
        return fitting

    def _compile(self, tile: Tile) -> Any:
        module = self._cupy.RawModule(code=source(self.network, tile))
        kernel = module.get_function("net")
        # More than the 48 KiB of any block has to be requested.
        kernel.max_dynamic_shared_size_bytes = self._gpu.shared_bytes
        return kernel


def source(network: Network, tile: Tile) -> str:
    """The CUDA source for this network: net.cu with its definitions above."""
    sizes = [layer.channels * layer.history for layer in network.carried]
    at = np.cumsum([0, *sizes]).tolist()  # of each layer's history in the carry
    parts = [len(pieces) for pieces in network.pieces]
    starts = np.cumsum([0, *(len(piece) for layer in network.pieces for piece in layer)])
    count = len(network.front)
    buffers = [f"block.{('low', 'high')[(count - i) % 2]}" for i in range(count + 1)]
    front = [f"input<{network.front[0].history}>(block, filtered, samples, {buffers[0]});"]
    for i, (layer, length) in enumerate(zip(network.front, network.front_lengths, strict=True)):
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
        "PIECE": network.largest_piece,
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
    exponentials = np.exp(logits - logits.max(axis=2, keepdims=True, initial=-np.inf))
    probabilities = exponentials / exponentials.sum(axis=2, keepdims=True)
    return probabilities.astype(np.float32), np.concatenate(carried, axis=1).astype(np.float32)
