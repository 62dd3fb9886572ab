"""The saved state of a tracker: one declared schema that packs, checks, bounds and versions it.

Every part of a tracker keeps what must survive a restart in a dataclass whose fields are made
here. How a field is saved, and what it may hold, is declared once, beside its name; `Schema` does
the rest. Everything is float32, so in-memory numbers that decide something are kept in float32.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..model.contract import FS

SPLIT = 1 << 20  # float32 holds whole numbers up to 2**24 only: a position becomes two
LARGEST = 1e9  # of any number; float32 stays finite through whatever is computed from it


def clipped(value: float, low: float, high: float) -> float:
    """The value, or the nearer bound; ``min`` and ``max`` take three times as long."""
    return low if value < low else high if value > high else value


class Codec(Protocol):
    """One way of writing a value as numbers. ``at`` : sample that positions are counted from."""

    def dump(self, value: Any, at: int) -> Sequence[float]:
        """The numbers of a value."""

    def load(self, numbers: Iterator[float], at: int) -> Any:
        """Read the value back; raises ValueError if it is not one that `dump` can have given."""


@dataclass(frozen=True)
class Number:
    """A number between two bounds."""

    low: float = -LARGEST
    high: float = LARGEST

    def dump(self, value: float, at: int) -> Sequence[float]:
        return (value,)

    def load(self, numbers: Iterator[float], at: int) -> float:
        value = next(numbers)
        if not self.low <= value <= self.high:
            raise ValueError("a number is out of bounds")
        return value


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds, both below 2**24."""

    low: int
    high: int

    def dump(self, value: int, at: int) -> Sequence[float]:
        return (value,)

    def load(self, numbers: Iterator[float], at: int) -> int:
        value = next(numbers)
        if not (self.low <= value <= self.high and value == int(value)):
            raise ValueError("a whole number is out of bounds")
        return int(value)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def dump(self, value: bool, at: int) -> Sequence[float]:
        return (value,)

    def load(self, numbers: Iterator[float], at: int) -> bool:
        return bool(next(numbers))


@dataclass(frozen=True)
class Moment:
    """A sample position anywhere in the recording."""

    def dump(self, value: int, at: int) -> Sequence[float]:
        return divmod(value - at, SPLIT)

    def load(self, numbers: Iterator[float], at: int) -> int:
        return at + int(next(numbers)) * SPLIT + int(next(numbers))


@dataclass(frozen=True)
class Near:
    """A sample position within half a day."""

    def dump(self, value: int, at: int) -> Sequence[float]:
        return (value - at,)

    def load(self, numbers: Iterator[float], at: int) -> int:
        return at + int(next(numbers))


@dataclass(frozen=True)
class Maybe:
    """A value that may be missing, None."""

    codec: Codec

    def dump(self, value: Any, at: int) -> Sequence[float]:
        return (0.0,) if value is None else (1.0, *self.codec.dump(value, at))

    def load(self, numbers: Iterator[float], at: int) -> Any:
        return self.codec.load(numbers, at) if next(numbers) else None


@dataclass(frozen=True)
class Row:
    """A named tuple, a codec for each of its fields."""

    row: type
    codecs: tuple[Codec, ...]

    def __repr__(self) -> str:
        # Without the module: a token is good wherever the package is, whatever its name there.
        fields = ", ".join(self.row.__annotations__)
        return f"Row({self.row.__name__}({fields}), {self.codecs!r})"

    def dump(self, value: Any, at: int) -> Sequence[float]:
        return list(
            chain.from_iterable(
                codec.dump(part, at) for codec, part in zip(self.codecs, value, strict=True)
            )
        )

    def load(self, numbers: Iterator[float], at: int) -> Any:
        return self.row(*[codec.load(numbers, at) for codec in self.codecs])


@dataclass(frozen=True)
class Rows:
    """A list of values of one kind."""

    codec: Codec
    max_length: int

    def dump(self, value: Sequence[Any], at: int) -> Sequence[float]:
        return (len(value), *chain.from_iterable(self.codec.dump(one, at) for one in value))

    def load(self, numbers: Iterator[float], at: int) -> list[Any]:
        count = Whole(0, self.max_length).load(numbers, at)
        return [self.codec.load(numbers, at) for _ in range(count)]


@dataclass(frozen=True)
class Vector:
    """A float32 array [values] of any length up to ``max_length``."""

    max_length: int

    def dump(self, value: NDArray[np.float32], at: int) -> Sequence[float]:
        return (len(value), *value.tolist())

    def load(self, numbers: Iterator[float], at: int) -> NDArray[np.float32]:
        count = Whole(0, self.max_length).load(numbers, at)
        return np.array([next(numbers) for _ in range(count)], dtype=np.float32)


@dataclass(frozen=True)
class Matrix:
    """A float32 array of this shape."""

    shape: tuple[int, ...]

    def dump(self, value: NDArray[np.float32], at: int) -> Sequence[float]:
        numbers: list[float] = value.ravel().tolist()
        return numbers

    def load(self, numbers: Iterator[float], at: int) -> NDArray[np.float32]:
        values = [next(numbers) for _ in range(math.prod(self.shape))]
        return np.array(values, dtype=np.float32).reshape(self.shape)


def saved(codec: Codec, default: Any = None, *, make: Any = None) -> Any:
    """A dataclass field that is saved this way.

    Parameters
    ----------
    default : its value before the recording's start; ``make`` gives it if it can change
    """
    if make is not None:
        return dataclasses.field(default_factory=make, metadata={"codec": codec})
    return dataclasses.field(default=default, metadata={"codec": codec})


class Schema:
    """The saved fields of several dataclasses, in order.

    Parameters
    ----------
    parts : name -> dataclass; its fields without a codec are not saved

    Attributes
    ----------
    fingerprint : another one if any field, codec or bound changes
    """

    def __init__(self, parts: Mapping[str, type]):
        self._parts = {
            name: (
                part,
                [
                    (field.name, field.metadata["codec"])
                    for field in dataclasses.fields(part)
                    if "codec" in field.metadata
                ],
            )
            for name, part in parts.items()
        }
        described = repr([(name, fields) for name, (_, fields) in self._parts.items()])
        self.fingerprint = zlib.crc32(described.encode())

    def pack(self, second: int, states: Mapping[str, Any]) -> NDArray[np.float32]:
        """Every part's saved fields as float32 [numbers].

        Parameters
        ----------
        second : of the recording; positions are saved relative to its start
        """
        at = second * FS
        numbers: list[float] = list(divmod(second, SPLIT))
        for name, (_, fields) in self._parts.items():
            state = states[name]
            for field, codec in fields:
                numbers += codec.dump(getattr(state, field), at)
        return np.array(numbers, dtype=np.float32)

    def unpack(self, packed: NDArray[np.float32]) -> tuple[int, dict[str, Any]]:
        """The second and the parts that `pack` was given.

        Raises
        ------
        ValueError
            Numbers are missing, out of bounds or left over.
        """
        if not (np.abs(packed) <= LARGEST).all():  # NaN fails too
            raise ValueError("a number is not finite")
        numbers = iter(packed.astype(np.float64).tolist())
        try:
            second = int(next(numbers)) * SPLIT + int(next(numbers))
            if second < 0:
                raise ValueError("the second is negative")
            at = second * FS
            states = {
                name: part(**{field: codec.load(numbers, at) for field, codec in fields})
                for name, (part, fields) in self._parts.items()
            }
        except (StopIteration, RuntimeError) as error:
            raise ValueError("numbers are missing") from error
        if next(numbers, None) is not None:
            raise ValueError("numbers are left over")
        return second, states
