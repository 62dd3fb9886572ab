"""Signal as a user hands it in: any numbers in any of three units, checked, as float64 in mV."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

MILLIVOLTS = {"mV": 1.0, "V": 1000.0, "uV": 0.001, "µV": 0.001}
LARGEST_MV = 1000.0  # beyond any amplifier; keeps float32 exact enough


def check_signal(
    samples: ArrayLike, *, units: str, dimensions: tuple[int, ...]
) -> NDArray[np.float64]:
    """Signal as float64 in mV.

    Raises
    ------
    InputError
        Says what is wrong: type, dimensions, units, or the first value that is no number.
    """
    array = as_numbers(samples, dimensions)
    ecg = to_millivolts(array, units)
    if not is_plausible(ecg):
        place = int(np.flatnonzero(~(np.abs(ecg) <= LARGEST_MV))[0])
        value = array.ravel()[place]
        what = (
            "is not a finite number"
            if not np.isfinite(value)
            else (f"is beyond ±{LARGEST_MV:g} mV (are the units right?)")
        )
        raise InputError(f"sample {place} of the signal ({value}) {what}; expected ECG in {units}.")
    return ecg


def as_numbers(samples: ArrayLike, dimensions: tuple[int, ...]) -> NDArray[Any]:
    """An array of real numbers with one of these numbers of dimensions; raises `InputError`."""
    try:
        array = np.asarray(samples)
    except ValueError:
        array = np.asarray(None)
    rows = samples if array.ndim > 1 and isinstance(samples, list | tuple) else [samples]
    if any(map(np.ma.is_masked, rows)):
        raise InputError(
            "the signal has masked samples; expected numbers, with what is missing filled in."
        )
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
    with np.errstate(all="ignore"):  # what becomes infinite is refused, with its place
        return array.astype(np.float64) * scale


def is_plausible(ecg: NDArray[np.float64]) -> bool:
    """True if all are numbers of a size that an amplifier gives."""
    flat = ecg.ravel()
    # None is larger than the root of their squares' sum, which is quicker had than the largest;
    # NaN is not below any limit.
    if flat.dot(flat) <= LARGEST_MV**2:
        return True
    with np.errstate(all="ignore"):
        return bool(np.abs(flat).max() <= LARGEST_MV)
