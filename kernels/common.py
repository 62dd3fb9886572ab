"""Shared by the kernels: finding CuPy, writing constants into CUDA source, checking arrays."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

CupyArray: TypeAlias = Any  # cupy.ndarray; CuPy is optional and ships no types

GRID_LIMIT = 2**31 - 1  # blocks along x, every compute capability from 3.0 on
MAX_SAMPLES = 2**30  # positions inside one stream are 32-bit; 34 days at 360 Hz


def import_cupy() -> Any:
    """Return the module `cupy`, or raise an ImportError that says which package to install."""
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise ImportError(
            "The CUDA kernels need CuPy: install cupy-cuda12x with onnxruntime-gpu below 1.27, "
            "cupy-cuda13x from 1.27 on."
        ) from error


def read_source(name: str, definitions: dict[str, str]) -> str:
    """The CUDA file `name` of this folder, below `#define` lines and what all kernels may use."""
    folder = Path(__file__).parent
    defined = "".join(f"#define {key} {value}\n" for key, value in definitions.items())
    texts = [(folder / part).read_text(encoding="utf-8") for part in ("copies.cuh", name)]
    return defined + "".join(texts)


def c_floats(values: npt.ArrayLike) -> str:
    """Float32 literals separated by commas; nine digits give back the same bits."""
    return ", ".join(f"{value:.8e}f" for value in np.asarray(values, np.float32).ravel())


def check_array(cupy: Any, name: str, array: CupyArray, shape: Sequence[int | None]) -> None:
    """Raise unless `array` is one that a kernel can read: float32, C-contiguous, on this device.

    Parameters
    ----------
    cupy
        The module.
    name
        The array's name in messages.
    array
        The array to check.
    shape
        The expected shape; None stands for any length.

    Raises
    ------
    TypeError
        Not a CuPy array, or not float32.
    ValueError
        Wrong shape, not C-contiguous, or on another device.
    """
    if not isinstance(array, cupy.ndarray):
        kind = f"{type(array).__module__}.{type(array).__qualname__}"
        raise TypeError(f"{name} must be a cupy.ndarray, got {kind}: use cupy.asarray.")
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be float32, got {array.dtype}: use .astype(cupy.float32).")
    if len(shape) != array.ndim or any(
        want not in (None, got) for want, got in zip(shape, array.shape, strict=True)
    ):
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must have shape ({expected}), got {array.shape}.")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous: use cupy.ascontiguousarray.")
    if array.device != cupy.cuda.Device():
        raise ValueError(
            f"{name} is on {array.device}, the current device is {cupy.cuda.Device()}: "
            "call under `with array.device:`."
        )


def checked_size(ecg: CupyArray, name: str = "ecg") -> tuple[int, int]:
    """The batch and samples of `ecg`, or a ValueError if a stream is too long."""
    batch, samples = ecg.shape
    if samples > MAX_SAMPLES:
        raise ValueError(
            f"{name} has {samples} samples a stream, at most {MAX_SAMPLES} are allowed."
        )
    return batch, samples


def output(
    cupy: Any,
    name: str,
    given: CupyArray | None,
    shape: tuple[int, ...],
    apart_from: Sequence[CupyArray],
) -> CupyArray:
    """A new float32 array, or the caller's own once it is checked not to overlap `apart_from`."""
    if given is None:
        return cupy.empty(shape, np.float32)
    check_array(cupy, name, given, shape)
    if any(cupy.may_share_memory(given, other) for other in apart_from):
        raise ValueError(f"{name} overlaps another argument: some blocks write while others read.")
    return given
