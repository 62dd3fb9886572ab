"""Signal held as whole numbers, as converters and tables give it: a quarter or half of float64."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AT_ONCE = 1 << 20  # samples: numpy makes places of 64 bits of the codes first
# Each code of 16 bits at the place that it has without its sign: 0 to 32767, then -32768 to -1.
CODES: NDArray[np.int16] = np.arange(1 << 16, dtype=np.uint16).view(np.int16)


class Coded(ABC):
    """Whole numbers, and what each is worth. What is cut out of it is float64, as of any signal."""

    codes: NDArray[Any]

    @abstractmethod
    def value(self, codes: NDArray[Any]) -> Floats:
        """Return what codes are worth; NaN for a missing sample."""

    @abstractmethod
    def changed(self, change: Callable[[Floats], Floats]) -> Coded:
        """Return the same codes, their values changed each by itself."""

    @abstractmethod
    def part(self, first: int, last: int) -> Coded:
        """Return some of the samples, still as codes."""

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, samples: slice | NDArray[np.bool_]) -> Floats:
        return self.value(self.codes[samples])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it, for whatever takes an array."""
        whole = np.empty(len(self), dtype=dtype or np.float64)
        for at in range(0, len(self), AT_ONCE):
            whole[at : at + AT_ONCE] = self[at : at + AT_ONCE]
        return whole


class DigitalSignal(Coded):
    """Codes of 16 bits, and a table of their values.

    Attributes
    ----------
    codes : int16 [samples]
    values : float64 [65536], of the codes in the order of `CODES`; NaN for a missing sample
    """

    def __init__(self, codes: NDArray[np.int16], values: Floats):
        self.codes, self.values = codes, values

    def value(self, codes: NDArray[Any]) -> Floats:
        """Return what codes are worth."""
        return self.values.take(codes.view(np.uint16))

    def changed(self, change: Callable[[Floats], Floats]) -> DigitalSignal:
        """Return the same codes with other values."""
        return DigitalSignal(self.codes, change(self.values))

    def part(self, first: int, last: int) -> DigitalSignal:
        """Return some of the samples."""
        return DigitalSignal(self.codes[first:last], self.values)


class DecimalSignal(Coded):
    """Numbers of a few digits behind the point, as whole ones of 32 bits.

    Attributes
    ----------
    codes : int32 [samples]; `MISSING` for a missing sample
    unit : codes that make 1
    changes : of the values, one after another
    """

    MISSING = -(2**31)

    def __init__(
        self,
        codes: NDArray[np.int32],
        unit: float,
        changes: tuple[Callable[[Floats], Floats], ...] = (),
    ):
        self.codes, self.unit, self.changes = codes, unit, changes

    def value(self, codes: NDArray[Any]) -> Floats:
        """Return what codes are worth."""
        values = np.where(codes == self.MISSING, np.nan, codes / self.unit)
        for change in self.changes:
            values = change(values)
        return values

    def changed(self, change: Callable[[Floats], Floats]) -> DecimalSignal:
        """Return the same codes with other values."""
        return DecimalSignal(self.codes, self.unit, (*self.changes, change))

    def part(self, first: int, last: int) -> DecimalSignal:
        """Return some of the samples."""
        return DecimalSignal(self.codes[first:last], self.unit, self.changes)


Signal = Floats | Coded


def unused(codes: NDArray[np.int16]) -> int | None:
    """Return a code that is not among these, for missing samples; None if all are."""
    counts = np.zeros(len(CODES), dtype=np.int64)
    for at in range(0, len(codes), AT_ONCE):
        counts += np.bincount(codes[at : at + AT_ONCE].view(np.uint16), minlength=len(CODES))
    free = np.flatnonzero(counts == 0)
    return int(CODES[free[0]]) if len(free) else None


def each(signal: Signal, change: Callable[[Floats], Floats]) -> Signal:
    """Change every sample by itself; of codes, their values."""
    return signal.changed(change) if isinstance(signal, Coded) else change(signal)
