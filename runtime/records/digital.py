"""A converter's signal, held as its codes: of a day it takes a quarter of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AT_ONCE = 1 << 20  # samples: numpy makes places of 64 bits of the codes first
# Each code of 16 bits at the place that it has without its sign: 0 to 32767, then -32768 to -1.
CODES: NDArray[np.int16] = np.arange(1 << 16, dtype=np.uint16).view(np.int16)


class DigitalSignal:
    """Codes of 16 bits, and the value of each. What is cut out of it is float64, as of any signal.

    Attributes
    ----------
    codes : int16 [samples]
    values : float64 [65536], of the codes in the order of `CODES`; NaN for a missing sample
    """

    def __init__(self, codes: NDArray[np.int16], values: Floats):
        self.codes, self.values = codes, values

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, samples: slice | NDArray[np.bool_]) -> Floats:
        return self.values.take(self.codes[samples].view(np.uint16))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it, for whatever takes an array."""
        whole = np.empty(len(self), dtype=dtype or np.float64)
        for at in range(0, len(self), AT_ONCE):
            whole[at : at + AT_ONCE] = self[at : at + AT_ONCE]
        return whole

    def part(self, first: int, last: int) -> DigitalSignal:
        """Return some of the samples, still as codes."""
        return DigitalSignal(self.codes[first:last], self.values)


Signal = Floats | DigitalSignal


def unused(codes: NDArray[np.int16]) -> int | None:
    """Return a code that is not among these, for missing samples; None if all are."""
    counts = np.zeros(len(CODES), dtype=np.int64)
    for at in range(0, len(codes), AT_ONCE):
        counts += np.bincount(codes[at : at + AT_ONCE].view(np.uint16), minlength=len(CODES))
    free = np.flatnonzero(counts == 0)
    return int(CODES[free[0]]) if len(free) else None


def each(signal: Signal, change: Callable[[Floats], Floats]) -> Signal:
    """Change every sample by itself; of codes, their values."""
    if isinstance(signal, DigitalSignal):
        return DigitalSignal(signal.codes, change(signal.values))
    return change(signal)
