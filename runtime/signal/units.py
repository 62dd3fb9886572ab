"""Signal as a user hands it in: any numbers in any of three units, checked, as float64 in mV."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

MILLIVOLTS = {"mV": 1.0, "V": 1000.0, "uV": 0.001, "µV": 0.001}


def check_signal(
    samples: ArrayLike, *, units: str, dimensions: tuple[int, ...]
) -> NDArray[np.float64]:
    """Signal as float64 in mV.

    What is missing is NaN; whatever no heart can have made stays, for `.missing` to find.

    Raises
    ------
    InputError
        Says what is wrong: type, dimensions or units.
    """
    return to_millivolts(as_numbers(samples, dimensions), units)


def as_numbers(samples: ArrayLike, dimensions: tuple[int, ...]) -> NDArray[Any]:
    """An array of real numbers with one of these numbers of dimensions; raises `InputError`.

    Masked samples and, in lists, None are missing, NaN.
    """
    if type(samples) is np.ndarray and samples.dtype.kind in "iuf" and samples.ndim in dimensions:
        return samples  # nearly always
    try:
        array = np.asarray(samples)
    except ValueError:
        array = np.asarray(None)
    rows = samples if array.ndim > 1 and isinstance(samples, list | tuple) else [samples]
    if any(map(np.ma.is_masked, rows)):
        array = np.array([np.ma.filled(np.ma.asarray(row, np.float64), np.nan) for row in rows])
        array = array.reshape(np.shape(samples))
    elif array.dtype.kind == "O" and array.ndim:
        array = _without_none(array)
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError(
            "the signal is not made of numbers only, or its rows differ in length; "
            "expected real numbers, [samples] or [batch, samples]."
        )
    if array.ndim not in dimensions:
        expected = " or ".join({1: "[samples]", 2: "[batch, samples]"}[n] for n in dimensions)
        raise InputError(
            f"the signal has {array.ndim} dimensions {array.shape}; expected {expected}."
        )
    return array


def to_millivolts(array: NDArray[Any], units: str) -> NDArray[np.float64]:
    """The same values in mV; an unknown unit raises `InputError`."""
    scale = MILLIVOLTS.get(units) if isinstance(units, str) else None
    if scale is None:
        raise InputError(
            f"units {units!r} are unknown; expected one of "
            f"{', '.join(MILLIVOLTS)} (for raw converter counts, divide by the "
            "gain first)."
        )
    if scale == 1.0 and array.dtype.itemsize <= 8:
        return array.astype(np.float64)
    with np.errstate(all="ignore"):  # what becomes infinite is missing
        return array.astype(np.float64) * scale


def _without_none(array: NDArray[Any]) -> NDArray[Any]:
    """The numbers of an array of objects, NaN for None; the array itself if it has others."""
    types = set(map(type, array.ravel().tolist()))
    if not types <= {int, float, type(None)}:
        return array
    try:
        return array.astype(np.float64)  # which makes NaN of None
    except OverflowError:
        return np.array([_as_float(value) for value in array.ravel()]).reshape(array.shape)


def _as_float(value: float | None) -> float:
    try:
        return np.nan if value is None else float(value)
    except OverflowError:
        return np.inf
