"""Recordings as tables of comma-separated numbers, as others write them."""

from __future__ import annotations

import csv
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import MILLIVOLTS, Lead
from .packages import explained
from .reader import Reader
from .times import place_rows

TIME_COLUMNS = ("time", "t", "seconds", "elapsed time")
TIME_UNITS = {"s": 1, "sec": 1, "seconds": 1, "ms": 1000}  # how many make a second
CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")  # a time as [hours:]minutes:seconds
CLOCK_UNIT = re.compile(r"h+:m+:s+(\.m+)?")  # what PhysioNet's rdsamp calls its unit
ROWS_AT_ONCE = 1 << 16


class TableReader(Reader):
    """Reads tables with a column for each lead and, perhaps, a first column of times."""

    name = "CSV"
    extensions = (".csv", ".txt")

    def leads(self, path: Path, fs: float | None) -> list[Lead]:
        """List a table's columns; ``fs`` is needed if there is none of times."""
        with (
            explained(path, "is not a table of comma-separated numbers"),
            warnings.catch_warnings(),
            path.open(encoding="utf-8-sig") as file,
        ):  # Excel's UTF-8 starts with a mark
            warnings.simplefilter("ignore")  # numpy's, of an empty table
            columns, table = _parse(file)
        if table.shape[0] < 2 or table.shape[1] != len(columns) or np.isnan(table).all():
            raise RecordError(
                f"{path} is not a table of comma-separated numbers with at least two "
                "rows and a column for each lead in mV."
            )
        name, unit = columns[0]
        if name.lower() in TIME_COLUMNS:
            if unit not in TIME_UNITS:
                raise RecordError(
                    f"{path}: the column {name!r} is in {unit!r}; expected s, ms or hh:mm:ss."
                )
            fs, table = place_rows(path, name, table[:, 0] / TIME_UNITS[unit], table[:, 1:], fs)
            columns = columns[1:]
        if fs is None:
            raise RecordError(
                f"{path} does not say its rate; give --fs in Hz, or a first column 'time' in s."
            )
        return [
            Lead(name, fs, unit, partial(_millivolts, path, name, unit, fs, column))
            for (name, unit), column in zip(columns, table.T, strict=True)
        ]


def _millivolts(
    path: Path, name: str, unit: str, fs: float, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Convert a column; refuse one that only rises, which is a clock or a count and no ECG."""
    if len(values) >= fs and (values[1:] >= values[:-1]).all() and values[-1] > values[0]:
        raise RecordError(
            f"{path}: the column {name!r} never falls, as times or a count do not; "
            "expected ECG (a column of times is called 'time', and --lead names "
            "another lead)."
        )
    return values * MILLIVOLTS[unit]


def _parse(file: Iterable[str]) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Name and unit of each column, and the numbers, float64 [rows, columns], NaN if missing."""
    rows = (line for line in file if line.strip())
    line = next(rows, "")
    first, units = next(csv.reader([line]), []), []
    named = any(cell.strip() and not _is_number(cell) for cell in first)
    if named:
        line = next(rows, "")
        units = _units(line)
    table = _numbers(rows if units else itertools.chain([line], rows))
    columns = [_column(cell) if named else (str(i), "mV") for i, cell in enumerate(first)]
    if units:
        columns = [
            (name, units[i] if i < len(units) else unit) for i, (name, unit) in enumerate(columns)
        ]
    return columns, table


def _numbers(lines: Iterable[str]) -> NDArray[np.float64]:
    """The numbers in a table, float64 [rows, columns], NaN if one is missing.

    In pieces: numpy needs several times the memory of its result.
    """
    bare = (line.replace('"', "") for line in lines if line.strip())
    first = next(bare, "")
    if ";" in first:
        raise ValueError("its columns stand between semicolons")
    rows: Iterator[str] = itertools.chain([first] if first else [], bare)
    if _clock(first.partition(",")[0]) is not None:
        rows = map(_in_seconds, rows)
    pieces = []
    while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
        try:
            pieces.append(np.loadtxt(some, delimiter=",", ndmin=2))
        except ValueError:  # of an empty cell, say; this takes seven times as long
            pieces.append(np.genfromtxt(some, delimiter=",", ndmin=2))
    return np.concatenate(pieces) if pieces else np.zeros((0, 0))


def _in_seconds(row: str) -> str:
    """A row whose first cell is a clock's time, with that time in s."""
    cell, comma, others = row.partition(",")
    return f"{_clock(cell)}{comma}{others}"


def _clock(cell: str) -> float | None:
    """The seconds of a cell such as ``'1:02:03.456'``; None if it is no clock's time."""
    match = CLOCK.fullmatch(_bare(cell))
    if not match:
        return None
    hours, minutes, seconds = match.groups(default="0")
    return round(3600 * int(hours) + 60 * int(minutes) + float(seconds), 9)


def _units(line: str) -> list[str]:
    """The columns' units if the row names them, else an empty list."""
    cells = [_bare(cell) for cell in next(csv.reader([line]), [])]
    if any(_is_number(cell) or _clock(cell) is not None for cell in cells):
        return []
    units = ["s" if CLOCK_UNIT.fullmatch(cell.lower()) else cell for cell in cells]
    return units if any(unit in TIME_UNITS or unit in MILLIVOLTS for unit in units) else []


def _column(cell: str) -> tuple[str, str]:
    """A column's name and unit.

    Brackets that hold no known unit belong to the lead's name.
    """
    name = _bare(cell.strip().lstrip("# "))  # numpy puts a # before the header
    match = re.fullmatch(r"(.+?)\s*[(\[]\s*(.*?)\s*[)\]]", name)
    if match and (match[2] in MILLIVOLTS or match[1].lower() in TIME_COLUMNS):
        return match[1], "s" if CLOCK_UNIT.fullmatch(match[2].lower()) else match[2]
    return name, "s" if name.lower() in TIME_COLUMNS else "mV"


def _bare(cell: str) -> str:
    """A cell without the quotes that PhysioNet's tables put around words and times."""
    return cell.strip().strip("' ")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
