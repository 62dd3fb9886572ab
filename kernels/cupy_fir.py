"""The FIR filter on the GPU, many streams at once: the filter inside the ONNX graph, before it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from .common import (
    GRID_LIMIT,
    CupyArray,
    c_floats,
    check_array,
    checked_size,
    import_cupy,
    output,
    read_source,
)


class CupyFir:
    """A streaming FIR filter for a batch of ECG streams in CuPy arrays.

    Parameters
    ----------
    taps
        Float32, shape (taps,), 1 to `MAX_TAPS` finite values; `taps[0]` weighs the newest sample.

    Raises
    ------
    ImportError
        CuPy is not installed; the message says which package to install.
    ValueError
        Taps that are none, too many, not one-dimensional or not finite.

    Examples
    --------
    >>> fir = CupyFir(taps)  # doctest: +SKIP
    >>> filtered, carry = fir(chunk, fir.start(len(chunk)))  # doctest: +SKIP
    >>> filtered, carry = fir(next_chunk, carry)  # doctest: +SKIP

    Notes
    -----
    However a recording is cut into chunks, the output has the same bits. Linear-phase taps are not
    folded: an addition and a multiply-add per pair of taps are as many instructions as two
    multiply-adds, which is what a GPU counts.
    """

    def __init__(self, taps: npt.ArrayLike) -> None:
        self.taps = checked_taps(taps)
        self._cupy = import_cupy()
        self.kernel = self._cupy.RawModule(code=source(self.taps)).get_function("fir")

    def start(self, batch: int) -> CupyArray:
        """The carry at the start of recordings: zeros, shape (batch, taps - 1), mV."""
        return self._cupy.zeros((batch, len(self.taps) - 1), np.float32)

    def __call__(
        self,
        ecg: CupyArray,
        carry: CupyArray,
        *,
        out: CupyArray | None = None,
        carry_out: CupyArray | None = None,
        stream: Any = None,
    ) -> tuple[CupyArray, CupyArray]:
        """Filter the next chunk of every stream.

        Parameters
        ----------
        ecg
            Float32, shape (batch, samples), mV; samples may be 0 or less than taps - 1.
        carry
            Float32, shape (batch, taps - 1), mV: the raw samples before `ecg`, oldest first.
        out, carry_out
            Arrays to write into instead of new ones; they may overlap neither each other nor the
            inputs.
        stream
            The cupy.cuda.Stream to run on; the current one unless given. The call does not wait
            for the GPU: whatever wrote the inputs or reads the result must use the same stream, or
            the caller synchronises between them.

        Returns
        -------
        filtered
            Float32, shape (batch, samples), mV.
        carry_out
            Float32, shape (batch, taps - 1), mV: the carry for the next chunk.

        Raises
        ------
        TypeError, ValueError
            An array of another type, shape, layout or device, or outputs that overlap.
        """
        check_array(self._cupy, "ecg", ecg, (None, None))
        batch, samples = checked_size(ecg)
        carry_shape = (batch, len(self.taps) - 1)
        check_array(self._cupy, "carry", carry, carry_shape)
        with stream or nullcontext():
            filtered = output(self._cupy, "out", out, ecg.shape, (ecg, carry))
            next_carry = output(
                self._cupy, "carry_out", carry_out, carry_shape, (ecg, carry, filtered)
            )
            if batch:
                launch = Launch.plan(batch, samples, len(self.taps))
                self.kernel(
                    (launch.blocks,),
                    (launch.threads,),
                    (ecg, carry, filtered, next_carry, *launch.arguments(batch, samples)),
                    shared_mem=launch.shared_bytes,
                )
        return filtered, next_carry


def reference(ecg: Any, carry: Any, taps: npt.ArrayLike) -> tuple[Any, Any]:
    """The answer by definition, summed in float64 and rounded once, for NumPy or CuPy arrays.

    Parameters
    ----------
    ecg
        Float32, shape (batch, samples), mV.
    carry
        Float32, shape (batch, taps - 1), mV.
    taps
        Float32, shape (taps,).

    Returns
    -------
    filtered, carry_out
        Float32, the shapes of `ecg` and `carry`, mV.
    """
    weights = np.asarray(taps, np.float32).astype(np.float64)
    past = len(weights) - 1
    samples = ecg.shape[1]
    line = np.concatenate([carry, ecg], axis=1)
    filtered = np.zeros_like(ecg, np.float64)
    for k, weight in enumerate(weights.tolist()):
        filtered += weight * line[:, past - k : past - k + samples].astype(np.float64)
    return filtered.astype(np.float32), line[:, samples:].copy()


def cupyx_baseline(
    taps: npt.ArrayLike, *, method: str = "direct"
) -> Callable[[CupyArray, CupyArray], tuple[CupyArray, CupyArray]]:
    """The same filter from CuPy's own parts, to measure ours against.

    `cupyx.scipy.signal.lfilter` is not among them: its `zi` differs from SciPy's.

    Parameters
    ----------
    taps
        As for `CupyFir`, and as there they go to the GPU once: no call pays for it.
    method
        "direct" (`cupyx.scipy.ndimage.convolve1d`) or "fft" (`cupyx.scipy.signal.oaconvolve`).

    Returns
    -------
    Called with `ecg` and `carry`, gives `filtered` and `carry_out`, all as for `CupyFir`.
    """
    cupy = import_cupy()
    weights = cupy.asarray(checked_taps(taps))
    first = (len(weights) - 1) // 2  # convolve1d centres the taps; ours look back only
    signal, ndimage = (import_module(f"cupyx.scipy.{name}") for name in ("signal", "ndimage"))

    def run(ecg: CupyArray, carry: CupyArray) -> tuple[CupyArray, CupyArray]:
        samples = ecg.shape[1]
        line = cupy.concatenate([carry, ecg], axis=1)
        if method == "fft":
            filtered = signal.oaconvolve(line, weights[None, :], mode="valid", axes=1)
        else:
            whole = ndimage.convolve1d(line, weights, axis=1, mode="constant")
            filtered = whole[:, first : first + samples]
        # A view would keep all of the line in memory, from one chunk to the next.
        return filtered, line[:, samples:].copy()

    return run


OUTPUTS = 12  # per thread; these three repeat the definitions in fir.cu, held by a test
MAX_THREADS = 128
HALO_MULTIPLE = 32

TILE_FLOATS = 4096  # 16 KiB: streams share a block up to here, blocks share a multiprocessor
MAX_TAPS = 8192  # halo and one full span still fit the 48 KiB that any block may have


@dataclass(frozen=True)
class Launch:
    """A chunk spread over blocks and threads; see the top of fir.cu."""

    blocks: int
    threads: int
    shared_bytes: int
    rows_per_block: int
    threads_per_row: int
    tiles: int

    @classmethod
    def plan(cls, batch: int, samples: int, taps: int) -> "Launch":
        """Plan short chunks with many streams in a block, long ones with many tiles in a stream.

        Raises
        ------
        ValueError
            More blocks than one launch can hold.
        """
        halo = _up(taps, HALO_MULTIPLE) * HALO_MULTIPLE
        needed = max(1, _up(samples, OUTPUTS))
        threads_per_row = _up(needed, _up(needed, MAX_THREADS))  # a stream's tiles equally full
        width = halo + threads_per_row * OUTPUTS
        rows = max(1, min(batch, MAX_THREADS // threads_per_row, TILE_FLOATS // width))
        tiles = _up(needed, threads_per_row)
        blocks = tiles * _up(batch, rows)
        if blocks > GRID_LIMIT:
            raise ValueError(f"{batch} streams of {samples} samples are too many for one launch.")
        threads = _up(rows * threads_per_row, 32) * 32
        return cls(blocks, threads, rows * width * 4, rows, threads_per_row, tiles)

    def arguments(self, batch: int, samples: int) -> tuple[np.int32, ...]:
        """The kernel's integers, in its order."""
        integers = (batch, samples, self.rows_per_block, self.threads_per_row, self.tiles)
        return tuple(np.int32(value) for value in integers)


def source(taps: npt.ArrayLike) -> str:
    """The CUDA source of the filter with these taps compiled in."""
    values = checked_taps(taps)
    return read_source("fir.cu", {"TAP_COUNT": str(len(values)), "TAP_VALUES": c_floats(values)})


def checked_taps(taps: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The taps as float32, or a ValueError."""
    values = np.asarray(taps, np.float32)
    if values.ndim != 1 or not 1 <= len(values) <= MAX_TAPS:
        raise ValueError(f"taps must have shape (1 to {MAX_TAPS},), got {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("taps must be finite numbers.")
    return values


def _up(value: int, unit: int) -> int:
    """`value / unit`, rounded up."""
    return -(-value // unit)
