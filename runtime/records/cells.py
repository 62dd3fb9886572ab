"""Cells of a table: numbers, and the words that stand for nothing."""

from __future__ import annotations

import csv
import re

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
# Thousands parted by blanks or apostrophes; by a comma or a point only before a fraction, or 1,234
# could be either.
GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(?:(?:[ '\u2019\xa0\u202f]\d{3})+(?:\.\d+)?|(?:,\d{3})+\.\d+)"),
    ",": re.compile(r"[+-]?\d{1,3}(?:(?:[ '\u2019\xa0\u202f]\d{3})+(?:,\d+)?|(?:\.\d{3})+,\d+)"),
}
MINUS = str.maketrans(dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"))  # as typesetters have it
MISSING = frozenset(
    "nan na n/a n.a. #n/a null none nil - -- --- ? * inf -inf +inf infinity -infinity <na> nat \\n "
    "missing undefined void #num! #div/0! #value! #ref! #null! #name? 1.#qnan -1.#ind".split()
) | {""}
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
    cell = cell.translate(MINUS) if not cell.isascii() else cell
    if not NUMBER.fullmatch(cell) and len(cell) > 4 and GROUPED[decimal].fullmatch(cell):
        cell = re.sub(rf"[^\d+\-{re.escape(decimal)}]", "", cell)
    if decimal != ".":
        if "." in cell:
            return None
        cell = cell.replace(decimal, ".")
    return float(cell) if NUMBER.fullmatch(cell) else None
