"""Long tables with evenly rising times, read in pieces and held as whole numbers.

A day's table takes several times its size as float64, with its times and what is computed of them.
Whatever is not certain here is left to `.tables`, which looks at all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .digital import CODES, Coded, DecimalSignal, DigitalSignal, Floats
from .layout import Layout
from .packets import MIN_PACKET
from .reader import Options
from .rows import row_pieces
from .times import counts, in_seconds, likely_scale, moment_of

FEWEST = 1000  # rows
MAX_DIGITS = 9  # behind the point
BLOCK = 1 << 21  # rows of a column that are kept together
LARGEST = {2: 2**15 - 1, 4: 2**31 - 1}  # code, by its bytes
NOTHING = {2: -(2**15), 4: DecimalSignal.MISSING}  # of a missing sample
CERTAIN = 0.99  # of a limit
MOST_MISSING = 0.3  # of a column; a slower sensor's has its samples in every second row or fewer


@dataclass
class Block:
    """Some codes of a column, of which the first so many are there."""

    digits: int
    codes: NDArray[Any]
    count: int = 0


@dataclass
class Numbers:
    """A column of numbers with few digits behind the point, as whole numbers."""

    digits: int = 0
    largest: float = 0.0
    missing: int = 0
    blocks: list[Block] = field(default_factory=list)

    def add(self, values: Floats) -> bool:
        """Take more; returns False if they have too many digits."""
        missing = np.isnan(values)
        self.missing += int(missing.sum())
        for digits in range(self.digits, MAX_DIGITS + 1):
            codes = np.rint(values * 10.0**digits)
            if ((codes / 10.0**digits == values) | missing).all():
                break
        else:
            return False
        largest = float(np.abs(codes[~missing]).max(initial=0.0))
        self.largest = max(self.largest * 10 ** (digits - self.digits), largest)
        self.digits = digits
        if self.largest > LARGEST[4]:
            return False
        kept: np.dtype[Any] = np.dtype(np.int16 if largest <= LARGEST[2] else np.int32)
        codes[missing] = NOTHING[kept.itemsize]
        last = self.blocks[-1] if self.blocks else None
        if (
            last is None
            or (last.digits, last.codes.dtype) != (digits, kept)
            or last.count + len(codes) > len(last.codes)
        ):
            # Large ones, which a system takes back at once when they are no longer needed.
            last = Block(digits, np.empty(max(BLOCK, len(codes)), dtype=kept))
            self.blocks.append(last)
        last.codes[last.count : last.count + len(codes)] = codes
        last.count += len(codes)
        return True

    def signal(self) -> Coded:
        """Return all of it; the blocks are gone then."""
        short = self.largest <= LARGEST[2]
        at = sum(block.count for block in self.blocks)
        whole: NDArray[Any] = np.empty(at, dtype=np.int16 if short else np.int32)
        nothing = NOTHING[whole.itemsize]
        while self.blocks:
            block = self.blocks.pop()
            codes, part = block.codes[: block.count], whole[at - block.count : at]
            more = 10 ** (self.digits - block.digits)
            np.multiply(codes, more, out=part, casting="unsafe", dtype=np.int64)
            part[codes == NOTHING[codes.itemsize]] = nothing
            at -= block.count
        unit = 10.0**self.digits
        if not short:
            return DecimalSignal(whole, unit)
        return DigitalSignal(whole, np.where(nothing == CODES, np.nan, CODES / unit))


class EvenTimes:
    """Times that rise by nearly the same from row to row.

    Parameters
    ----------
    scale : seconds of their unit; None if it is to be seen from them
    """

    def __init__(self, scale: float | None):
        self.scale, self.unstated = scale, scale is None
        self.first = self.last = np.nan
        self.least, self.most = np.inf, 0.0  # s from row to row
        self.rows, self.digits = 0, 0
        self.clock = True  # they may be clock times written as one number, 102259.5 for 10:22:59.5

    def add(self, times: Floats) -> bool:
        """Take more; returns False if they do not rise."""
        if self.scale is None:
            self.scale = likely_scale(times)
        self.clock = self.clock and bool(((times >= 0) & (times % 100 < 60)).all())
        in_s = in_seconds(times, self.scale)
        steps = np.diff(in_s, prepend=in_s[:1] if self.rows == 0 else self.last)[self.rows == 0 :]
        if not self.rows:
            self.first = float(in_s[0])
        self.last = float(in_s[-1])
        self.rows += len(in_s)
        while self.digits < MAX_DIGITS and (in_s.round(self.digits) != in_s).any():
            self.digits += 1
        if not len(steps):
            return True
        least, most = float(steps.min()), float(steps.max())
        self.least, self.most = min(self.least, least), max(self.most, most)
        return least > 0 and most < np.inf  # and neither is NaN

    def rate(self, fs: float | None) -> float | None:
        """Return the rate that `.times.place_rows` would; None if that is not certain.

        It finds no gap and no jitter if no step is half as long again as another, or a rounding.
        """
        if self.rows < FEWEST or (self.unstated and not self._scale_is_certain()):
            return None
        grain = max(10.0**-self.digits, float(np.spacing(max(abs(self.first), abs(self.last)))))
        if self.most - self.least > CERTAIN * max(0.5 * self.least, 1.01 * grain):
            return None
        count, duration = self.rows - 1, self.last - self.first
        usual = duration / count
        largest_error = max(grain, self.most - usual, usual - self.least)
        for rate in (fs, float(round(1 / usual))):
            error = abs(count / rate - duration) / (1.01 * largest_error) if rate else np.inf
            if error <= CERTAIN:
                return rate
            if error < 1 / CERTAIN:
                break
        return None

    def _scale_is_certain(self) -> bool:
        """True if shortest and longest step speak for one unit, and the times for no clock."""
        assert self.scale is not None
        steps = np.array([self.least, self.most]) / self.scale
        first = self.first / self.scale
        scales = {likely_scale(first + step * np.arange(3)) for step in steps}
        return scales == {self.scale} and not (self.clock or (steps == 1).any())


@dataclass(frozen=True)
class LongTable:
    """Leads of a table by the place of their column, and the rate that its times give."""

    leads: dict[int, Coded]
    fs: float | None


def read_long(
    path: Path,
    lines: Sequence[str],
    file: IO[str],
    layout: Layout,
    times: Sequence[tuple[int, float | None]],
    options: Options,
) -> LongTable | None:
    """Read a table of numbers, if it is plain.

    Parameters
    ----------
    lines, file : the first lines of the file, and those after them
    times : the columns that are times, the first to be preferred, and the s of their unit
    options : gets the start, if the times say it

    Returns
    -------
    as `.tables` reads it; None if that is not certain

    Raises
    ------
    RecordError
        A row is not like the others.
    """
    numbers = {i for i, column in enumerate(layout.columns) if column.kind == "n"}
    leads = {i: Numbers() for i in sorted(numbers - {i for i, _ in times})}
    if (
        layout.leads_are_rows
        or not leads
        or len(leads) >= MIN_PACKET
        or any(column.kind == "t" for column in layout.columns)
        or not (times or layout.named or len(layout.columns) == 1)  # the first may be of times
        or (times and times[0][1] is not None and np.isnan(times[0][1]))
    ):
        return None
    even = EvenTimes(times[0][1]) if times else None
    rows = 0
    for piece in row_pieces(path, lines[layout.first :], file, layout):
        if not rows and any(counts(piece[:, i]) for i in leads):
            return None
        rows += len(piece)
        if even and not even.add(piece[:, times[0][0]]):
            return None
        if not all(column.add(piece[:, i]) for i, column in leads.items()):
            return None
    if rows < FEWEST or any(one.missing > MOST_MISSING * rows for one in leads.values()):
        return None
    fs = None
    if even:
        fs = even.rate(options.fs or layout.facts.fs)
        if fs is None:
            return None
    options.start = (moment_of(even.first) if even else None) or layout.facts.start or options.start
    return LongTable({i: column.signal() for i, column in leads.items()}, fs)
