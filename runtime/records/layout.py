"""The layout of a table of numbers, recognised from its first lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .cells import is_missing, number, split
from .dates import is_compact, is_time
from .opensignals import Channel
from .preambles import Facts, facts
from .units import bare_unit, known, millivolts, split_unit

DELIMITERS = ("\t", ";", ",", "|", None)  # None is blanks
MIN_ROWS_APART = 3  # so many rows in front of an odd line are no preamble
QUOTED = re.compile(r'"-?\d+,\d+"')  # a decimal comma between commas
MIN_ROW_LEAD = 64  # values; a lead in a row has more, no row of leads has so many


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes
    ----------
    name, unit : as the file gives them; the unit may be empty
    kind : ``n`` for numbers, ``t`` for times and dates, ``w`` for words
    offset, scale : a value in ``unit`` is (number - offset) * scale
    """

    name: str
    unit: str
    kind: str
    offset: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Layout:
    """A table's layout.

    Attributes
    ----------
    delimiter : between cells; None is blanks
    decimal : the decimal mark
    first : index of the first line of numbers
    columns : of the table; none if leads are rows
    facts : of the preamble
    header : the line of names, or empty; tables put together repeat it
    named : the columns have names of their own
    """

    delimiter: str | None
    decimal: str
    first: int
    columns: tuple[Column, ...]
    facts: Facts
    header: str = ""
    named: bool = False

    @property
    def leads_are_rows(self) -> bool:
        """True if each row is a lead."""
        return not self.columns


def recognise(lines: Sequence[str], *, all_lines: bool) -> Layout | None:
    """Recognise the layout of a table; None if there is none.

    Parameters
    ----------
    lines : the first lines of the file
    all_lines : the file has no others
    """
    if all_lines:
        rows = _leads_as_rows(lines)
        if rows is not None:
            return rows
    best = 0, 0, 0
    found: Layout | None = None
    for delimiter in DELIMITERS:
        for decimal in ".,":
            if decimal == delimiter and not all(map(QUOTED.search, lines[-MIN_ROWS_APART:])):
                continue
            count, first, kinds = _alike(lines, delimiter, decimal)
            score = count, -kinds.count("w"), kinds.count("n")
            if count >= 2 and score > best:
                best = score
                found = _describe(lines, delimiter, decimal, first, kinds)
    return found


def _alike(lines: Sequence[str], delimiter: str | None, decimal: str) -> tuple[int, int, str]:
    """Number, first and kinds of cells of the lines that are most alike.

    Rows in front of a single odd one ("lead off") belong to them, a lone number far above does not.
    """
    runs: list[tuple[int, int, str]] = []  # first line, number of lines, kinds
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        now = _kinds(line, delimiter, decimal)
        joined = _joined(runs[-1][2], now) if runs else None
        if joined is not None and _has_values(joined):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1, joined)
        else:
            runs.append((i, 1, now))
    numbers = [run for run in runs if "n" in run[2] and _has_values(run[2])]
    if not numbers:
        return 0, 0, ""
    first, count, kinds = max(numbers, key=lambda run: run[1])
    for start, rows, others in numbers:
        joined = _joined(kinds, others)
        if start < first and rows >= MIN_ROWS_APART and joined is not None:
            return count + rows, start, joined
    return count, first, kinds


def _has_values(kinds: str) -> bool:
    return bool(kinds.strip("w"))


def _kinds(line: str, delimiter: str | None, decimal: str) -> str:
    """A letter for each cell: n, t, w, or ``-`` if it has no value."""
    return "".join(_kind(cell, decimal) for cell in split(line, delimiter))


def _kind(cell: str, decimal: str) -> str:
    if is_missing(cell):
        return "-"
    if number(cell, decimal) is not None and not (len(cell) >= 14 and is_compact(cell)):
        return "n"
    return "t" if is_time(cell) else "w"


def _joined(first: str, second: str) -> str | None:
    """The kinds of two rows' cells together; None if they are not of one table."""
    if len(first) != len(second):
        return None
    joined = ""
    for a, b in zip(first, second, strict=True):
        if a != b and "-" not in (a, b):
            return None
        joined += b if a == "-" else a
    return joined


def _describe(
    lines: Sequence[str], delimiter: str | None, decimal: str, first: int, kinds: str
) -> Layout:
    above = [i for i in range(first) if lines[i].strip()]
    names, units, header = _names(lines, above, delimiter, decimal, len(kinds))
    if not (names and names[-1]):  # delimiters at the rows' ends make no columns
        kinds = kinds.rstrip("-") or "-"
        names, units, header = _names(lines, above, delimiter, decimal, len(kinds))
    if len(names) == 1 and not units and facts([header]).fs is not None:
        names, header = [], ""  # the last fact above a lone column is no name of it
    kinds = kinds.replace("-", "n")
    said = facts([lines[i] for i in (above if not names else above[: -1 - bool(units)])])
    if decimal == "." and delimiter == "," and not names and kinds == "nn":
        above_it = split(lines[above[-1]], ",") if above else []
        name = above_it[0] if len(above_it) == 1 and _kind(above_it[0], ".") == "w" else ""
        if _are_decimal_commas(lines[first:], bool(name) or said.one_lead):
            while not any(split(lines[first], ",")):  # a lone comma parts the preamble from them
                first += 1
            column = _column(name, "", "n", 0)
            return Layout(None, ",", first, (column,), said, name, bool(name))
    if said.channels and len(said.channels) <= len(kinds):
        listed = [*said.channels, *[Channel("")] * (len(kinds) - len(said.channels))]
        columns = tuple(
            Column(c.name or str(i), c.unit, kind, c.offset, c.scale)
            for i, (c, kind) in enumerate(zip(listed, kinds, strict=True))
        )
        return Layout(delimiter, decimal, first, columns, said, named=True)
    columns = tuple(
        _column(names[i] if names else "", units[i] if units else "", kind, i)
        for i, kind in enumerate(kinds)
    )
    if len(columns) == 1 and not names:
        columns = (Column(said.lead or "0", said.unit, kinds),)
    return Layout(delimiter, decimal, first, columns, said, header, bool(names))


def _column(name: str, unit: str, kind: str, place: int) -> Column:
    if not name:
        return Column(str(place), unit, kind)
    bare, written = split_unit(name)
    return Column(bare, unit or written, kind)


def _names(
    lines: Sequence[str], above: Sequence[int], delimiter: str | None, decimal: str, count: int
) -> tuple[list[str], list[str], str]:
    """Names and units of the columns if lines above have them, and the line of names."""

    def cells(back: int) -> list[str]:
        if len(above) < back:
            return []
        bare = re.sub(r"^\s*(?:#|%|//)+\s*", "", lines[above[-back]])
        found = split(bare, delimiter)
        while len(found) > count and not found[-1]:
            found.pop()
        if delimiter is None and len(found) != count:
            found = [cell.strip() for cell in re.split(r"\t|\s{2,}|,|;", bare.strip())]
        return found

    last, before = cells(1), cells(2)
    if len(last) != count or not any(_kind(cell, decimal) == "w" for cell in last):
        return [], [], ""
    if (
        count == 2
        and millivolts(last[1]) is not None
        and millivolts(last[0]) is None
        and not (len(before) == count and known(bare_unit(last[0])))
    ):
        return [], [], ""  # "Unit,µV" is a line of a preamble
    units = [bare_unit(cell) for cell in last]
    if re.match(r"(?i)\W*range\b", last[0]):  # LabChart's: 10 mV is the largest number, in mV
        units = ["", *(re.sub(r"^[\d.,]+\s*", "", unit) for unit in units[1:])]
    if len(before) == count and _are_units(units, before):
        return before, units, lines[above[-2]]
    return last, [], lines[above[-1]]


def _are_units(units: Sequence[str], names: Sequence[str]) -> bool:
    """True if a row below one of names holds units: all, or most and none of the names is one."""
    some = [known(unit) for unit in units if unit]
    voltage = any(millivolts(unit) is not None for unit in units)
    return all(some) or (voltage and 2 * sum(some) > len(some) and not any(map(known, names)))


def _are_decimal_commas(rows: Sequence[str], one_column: bool) -> bool:
    """True if pairs of whole numbers are single numbers with decimal commas.

    Parameters
    ----------
    one_column : what stands above is of a single column; else only a ``-0`` can tell
    """
    pairs = [pair for row in rows if len(pair := split(row, ",")) == 2 and any(pair)]
    if not all(re.fullmatch(r"[+-]?\d+", a) and b.isdecimal() for a, b in pairs):
        return False
    return one_column or any(a == "-0" for a, _ in pairs)


def _leads_as_rows(lines: Sequence[str]) -> Layout | None:
    filled = [i for i, line in enumerate(lines) if line.strip()]
    for delimiter in DELIMITERS:
        widths = [len(split(lines[i], delimiter)) for i in filled]
        long = [i for i, width in zip(filled, widths, strict=True) if width > MIN_ROW_LEAD]
        if not long or max(widths) < 4 * len(long) or long != filled[-len(long) :]:
            continue
        last = split(lines[long[-1]], delimiter)
        for decimal in ".,":
            if decimal != delimiter and sum(_kind(c, decimal) == "n" for c in last) > len(last) / 2:
                preamble = [lines[i] for i in filled if i < long[0]]
                return Layout(delimiter, decimal, long[0], (), facts(preamble))
    return None
