"""Cells of a table: numbers, times of day, dates, and the words that stand for nothing."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime

DAY_S = 86_400.0
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
MISSING = frozenset(
    ("", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--", "?", "inf", "-inf", "+inf")
)
# [hours:]minutes:seconds, the fraction behind a point, a comma or a colon, AM or PM
CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,:](\d*))?(?:\s*([AaPp])\.?[Mm]\.?)?")
YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
ZONE = re.compile(r"(?<=\d)\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})$")
BLANKS = re.compile(r"\[[^\]]*\]|\"[^\"]*\"|\S+")  # rdsamp puts dates between brackets


def split(line: str, delimiter: str | None) -> list[str]:
    """Cut a line into cells, without quotes; ``delimiter`` None stands for blanks."""
    if delimiter is None:
        cells = BLANKS.findall(line)
    elif '"' in line:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    else:
        cells = line.split(delimiter)
    return [cell.strip().strip("'\" ") for cell in cells]


def is_missing(cell: str) -> bool:
    """Return True if a cell says that there is no value."""
    return cell.lower() in MISSING


def number(cell: str, decimal: str = ".") -> float | None:
    """The value of a cell; None if it is no number."""
    if decimal != ".":
        if "." in cell:
            return None
        cell = cell.replace(decimal, ".")
    return float(cell) if NUMBER.fullmatch(cell) else None


def is_time(cell: str) -> bool:
    """Return True if a cell is a time of day, a date, or both."""
    return clock(cell) is not None or moment(cell) is not None or day(cell) is not None


def clock(cell: str) -> float | None:
    """The seconds of a cell such as ``1:02:03.456``; None if it is no clock's time."""
    match = CLOCK.fullmatch(cell.strip("[] "))
    if not match:
        return None
    hours, minutes, seconds, fraction, half = match.groups()
    hour = int(hours or 0)
    if half:
        hour = hour % 12 + (12 if half in "Pp" else 0)
    return round(3600 * hour + 60 * int(minutes) + int(seconds) + float(f".{fraction or 0}"), 9)


def day(cell: str) -> float | None:
    """The seconds from 1970 to a date; None if it is none.

    Days come before months if both can be meant: within a record only the difference counts.
    """
    cell = cell.strip("[] ")
    match = YEAR_FIRST.fullmatch(cell)
    if match:
        year, month, date = int(match[1]), int(match[3]), int(match[4])
    else:
        match = YEAR_LAST.fullmatch(cell)
        if not match:
            return None
        date, month, year = int(match[1]), int(match[3]), int(match[4])
    if month > 12:
        date, month = month, date
    try:
        return datetime(year, month, date, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def moment(cell: str) -> float | None:
    """The seconds from 1970 to a date with a time of day; None if it is none.

    The zone is left out: it does not change within a record, or the clock would not rise.
    """
    cell = ZONE.sub("", cell.strip("[] "))
    for first, second in (cell.partition("T")[::2], cell.partition(" ")[::2]):
        for date, time in ((first, second), _swapped(cell)):
            since, of_day = day(date), clock(time.strip())
            if since is not None and of_day is not None:
                return since + of_day
    return None


def _swapped(cell: str) -> tuple[str, str]:
    """Date and time of a cell that has them the other way round, as rdsamp writes them."""
    time, _, date = cell.rpartition(" ")
    return date, time
