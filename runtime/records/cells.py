"""Cells of a table: numbers, and the words that stand for nothing."""

from __future__ import annotations

import csv
import re

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
MISSING = frozenset(
    ("", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--", "?", "inf", "-inf", "+inf")
)
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
