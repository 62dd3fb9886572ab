"""The numbers of a table whose layout is known."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .cells import is_missing, number, split
from .dates import seconds_of, zone_of
from .layout import Layout
from .leads import check_not_mixed

CHARACTERS_AT_ONCE = 1 << 20
parsed: Any = None  # in C, if it was built: see `runtime.signal.loops`
if os.environ.get("EKG_COMPILED") != "0":
    with suppress(ImportError):
        parsed = import_module(".parsed", __package__)
MANY_WORDS = 64  # more are notes, and no names of leads
MAX_FOOTER = 100  # lines below the numbers; more are numbers that are not understood
Numbered = list[tuple[int, str]]  # line number from 1 on, and text


def read_rows(
    path: Path, lines: Sequence[str], file: IO[str], layout: Layout
) -> NDArray[np.float64]:
    """Read a table's numbers, in pieces: numpy needs several times the memory of its result.

    A row that is cut off and words at the end are left out. In a table of one column an empty line
    between numbers is a missing sample, unless there is one after each.

    Parameters
    ----------
    lines : from the first of numbers on, as many as were looked at
    file : the lines after these

    Returns
    -------
    float64 [rows, columns]; NaN if a value is missing, times in s, 0 for words

    Raises
    ------
    RecordError
        Names the first row that is not like the others.
    """
    pieces = list(row_pieces(path, lines, file, layout))
    return np.concatenate(pieces) if pieces else np.zeros((0, len(layout.columns)))


def row_pieces(
    path: Path, lines: Sequence[str], file: IO[str], layout: Layout
) -> Iterator[NDArray[np.float64]]:
    """Read a table's numbers as `read_rows` does; gives some rows after another."""
    rows, spacing, line_number = _Rows(path, layout), EmptyLines(), layout.first + 1
    for text in _blocks(lines, file):
        if numbers := rows.add_plain(text):
            spacing.pass_numbers(numbers)
        elif some := list(_filled(text, line_number, layout, spacing)):
            rows.add(some)
        line_number += text.count("\n")
        yield from rows.taken()
    rows.end()


def read_leads_as_rows(
    path: Path, lines: Iterable[str], layout: Layout
) -> tuple[list[str], NDArray[np.float64]]:
    """Read a table with a row for each lead: names, empty if there is none, and the numbers.

    Returns
    -------
    the names, and float64 [samples, leads]

    Raises
    ------
    RecordError
        A row has a word among its numbers, or more numbers than another.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    for line in lines:
        if not line.strip():
            continue
        cells = split(line, layout.delimiter)
        named = number(cells[0], layout.decimal) is None
        names.append(cells[0] if named else "")
        values = [_value(cell, layout.decimal) for cell in cells[named:]]
        for cell, value in zip(cells[named:], values, strict=True):
            if np.isnan(value) and cell and not is_missing(cell):
                raise RecordError(
                    f"{path} has a lead in each row, and row {len(rows) + 1} holds {cell[:40]!r}; "
                    "expected numbers after the lead's name."
                )
        while values and np.isnan(values[-1]) and not cells[-1]:
            values.pop()
            cells.pop()
        rows.append(values)
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise RecordError(
            f"{path} has a lead in each row, but rows of {min(lengths)} to {max(lengths)} values; "
            "expected equally many."
        )
    return names, np.array(rows).T


def _blocks(lines: Sequence[str], file: IO[str]) -> Iterator[str]:
    """Whole lines together, some of them at once."""
    if lines:
        yield "".join(lines)
    while text := file.read(CHARACTERS_AT_ONCE):
        yield text + file.readline()


def _filled(
    text: str, first: int, layout: Layout, spacing: EmptyLines
) -> Iterator[tuple[int, str]]:
    """Number the lines that are rows: comments are none, and empty lines only stand for samples."""
    for i, line in enumerate(text.removesuffix("\n").split("\n"), first):
        bare = line.strip()
        if bare.startswith("#") and not is_missing(bare):
            continue
        if spacing.is_sample(bare) if len(layout.columns) == 1 else bare:
            yield i, line


class EmptyLines:
    """Tells empty lines that stand for a missing sample from those that only part the lines.

    Once two numbers followed each other without one between, an empty line is a sample.
    """

    def __init__(self) -> None:
        self._close = self._after_number = False

    def is_sample(self, line: str) -> bool:
        """Return True for a line, without blanks around it, that is a sample, missing or not."""
        filled = bool(line)
        self._close = self._close or (filled and self._after_number)
        self._after_number = filled
        return filled or self._close

    def pass_numbers(self, count: int) -> None:
        """Take so many lines, each a number."""
        self._close = self._close or self._after_number or count > 1
        self._after_number = True


class _Rows:
    """Numbers as they are read, and the lines that may be a repeated header, a footer or damage."""

    def __init__(self, path: Path, layout: Layout):
        self.path, self.layout = path, layout
        self.columns = layout.columns
        self.pieces: list[NDArray[np.float64]] = []
        self.odd: Numbered = []
        self.words = set[str]()  # some of those in columns of words
        self._zone: float | None = None  # s before UTC, of the first row that says it
        self.plain = layout.delimiter != layout.decimal and all(
            column.kind == "n" for column in self.columns
        )

    def add_plain(self, text: str) -> int:
        """Take whole lines if there is nothing but numbers in them; returns how many rows."""
        if not self.plain:
            return 0
        if parsed is None:
            piece = self._quick(text.removesuffix("\n").split("\n"))
        else:
            delimiter, decimal = self.layout.delimiter or "", self.layout.decimal
            found = parsed.numbers(text, delimiter, decimal, len(self.columns))
            piece = None if found is None else np.frombuffer(found).reshape(-1, len(self.columns))
        if piece is None:
            return 0
        self._settle()
        self.pieces.append(piece)
        return len(piece)

    def add(self, some: Numbered) -> None:
        quick = self._quick([text for _, text in some]) if self.plain else None
        if quick is not None:
            self._settle()
            self.pieces.append(quick)
            return
        good: list[list[float]] = []
        for line_number, text in some:
            values, words = self._values(text)
            if values is None or words or not text.strip():
                self.odd.append((line_number, text))
                continue
            if self.odd:
                self._flush(good)
                good = []
                self._settle()
            good.append(values)
        self._flush(good)

    def taken(self) -> list[NDArray[np.float64]]:
        """Return the rows that were read since the last call."""
        pieces, self.pieces = self.pieces, []
        return pieces

    def end(self) -> None:
        """No more lines come: few that are no rows are a footer."""
        if len(self.odd) > MAX_FOOTER:
            raise self._unlike(*self.odd[0])
        check_not_mixed(self.path, self.words)

    def _flush(self, good: list[list[float]]) -> None:
        if good:
            self.pieces.append(np.array(good))

    def _quick(self, texts: list[str]) -> NDArray[np.float64] | None:
        """Numpy reads these lines, if it can."""
        delimiter, decimal = self.layout.delimiter, self.layout.decimal
        if not all(map(str.strip, texts)):  # numpy leaves empty lines out
            return None
        if decimal != ".":
            texts = [text.replace(decimal, ".") for text in texts]
        if '"' in texts[0]:
            texts = [text.replace('"', "") for text in texts]
        texts = [text.rstrip().rstrip(delimiter) if delimiter else text for text in texts]
        try:
            piece = np.loadtxt(texts, delimiter=delimiter, ndmin=2, comments=None)
        except ValueError:  # of an empty cell, say; the other way takes ten times as long
            return None
        fits = piece.shape[1] == len(self.columns) and not np.isinf(piece).any()
        return piece if fits else None

    def _values(self, text: str) -> tuple[list[float] | None, bool]:
        """The row's values, None if it is no row of this table; and if words replace numbers."""
        cells = split(text, self.layout.delimiter) or [""]
        count = len(self.columns)
        while len(cells) > count and not cells[-1]:
            cells.pop()
        if len(cells) != count:
            return None, False
        values, words = [], False
        for cell, column in zip(cells, self.columns, strict=True):
            value = 0.0
            if column.kind == "t":
                time = np.nan if is_missing(cell) else seconds_of(cell)
                if time is None:
                    return None, False
                value = time - self._later(cell)
            elif column.kind == "n":
                value = _value(cell, self.layout.decimal)
                words = words or not (np.isfinite(value) or is_missing(cell))
            elif len(self.words) < MANY_WORDS:
                self.words.add(cell)
            values.append(value)
        return values, words

    def _later(self, cell: str) -> float:
        """Return by how many seconds a clock is later than in the zone of the first row."""
        zone = zone_of(cell)
        if zone is None:
            return 0.0
        self._zone = zone if self._zone is None else self._zone
        return zone - self._zone

    def _settle(self) -> None:
        """Judge odd lines that rows follow."""
        header = self.layout.header.strip()
        for line_number, text in self.odd:
            if header and text.strip() == header:
                continue  # of a table put behind another
            values, _ = self._values(text)
            if values is not None:
                self.pieces.append(np.array([values]))  # "!" or "lead off": a missing sample
                continue
            raise self._unlike(line_number, text)
        self.odd = []

    def _unlike(self, line_number: int, text: str) -> RecordError:
        return RecordError(
            f"{self.path}: line {line_number} is {text.strip()[:40]!r}; expected "
            f"{len(self.columns)} numbers, as in the lines before."
        )


def _value(cell: str, decimal: str) -> float:
    found = number(cell, decimal)
    return np.nan if found is None else found
