"""Rows of numbers: the same whether they are read compiled, by numpy or cell by cell."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.errors import RecordError
from runtime.records import rows
from runtime.records.layout import Column, Layout
from runtime.records.preambles import facts
from runtime.records.rows import read_rows

needs_compiled = pytest.mark.skipif(rows.parsed is None, reason="the loops in C were not built")
PATH = Path("table.csv")
CELLS = st.one_of(
    st.floats(-1e4, 1e4).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["", "1.", ".5", "+3", "-0", "1e5", "2E-3", " 4 ", "nan", "off", "1e400", "#1"]
    ),
    st.from_regex(r"[+-]?\d{0,25}\.?\d{0,25}(e[+-]?\d{1,3})?", fullmatch=True),
)


def layout(columns: int, delimiter: str | None, decimal: str = ".") -> Layout:
    """Of a table that begins with its first line."""
    named = tuple(Column(str(i), "", "n") for i in range(columns))
    return Layout(delimiter, decimal, 0, named, facts([]))


def numbers(text: str, of: Layout) -> list[list[float]] | str:
    """Rows of a table, or what is said of it; its first line is one that was looked at."""
    first, *others = text.splitlines(keepends=True) or [""]
    try:
        return read_rows(PATH, [first], io.StringIO("".join(others)), of).tolist()
    except RecordError as error:
        return str(error)


def refused(*_: object, **__: object) -> None:
    raise ValueError


@needs_compiled
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|", None]),
    st.integers(1, 3),
    st.booleans(),
)
@example([["1.5", "2"], ["", "3"], ["4", ""]], ",", 2, True)
@example([["1"], [""], ["2"], ["3"], [""], ["4"]], ",", 1, True)
def test_compiled_rows_are_those_read_cell_by_cell(
    cells: list[list[str]], delimiter: str | None, columns: int, ended: bool
) -> None:
    text = "\n".join((delimiter or " ").join(row) for row in cells) + "\n" * ended
    of = layout(columns, delimiter)
    compiled = numbers(text, of)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "parsed", None)
        patch.setattr(np, "loadtxt", refused)
        by_cell = numbers(text, of)
    assert repr(compiled) == repr(by_cell)  # NaN is NaN, and 0.0 is not -0.0


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiled), False])
def test_a_decimal_comma(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(rows, "parsed", None)
    assert numbers("1,5;-2\n3;,25\n", layout(2, ";", ",")) == [[1.5, -2.0], [3.0, 0.25]]


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiled), False])
def test_an_odd_row_is_named_by_its_line_wherever_it_lies(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(rows, "parsed", None)
    monkeypatch.setattr(rows, "CHARACTERS_AT_ONCE", 64)
    lines = ["1,2"] * 100
    lines[70] = "1,2,3"
    assert "line 71 is '1,2,3'" in str(numbers("\n".join(lines), layout(2, ",")))


@pytest.mark.parametrize("at_once", [1, 5, 1 << 20])
@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiled), False])
def test_pieces_make_no_difference(
    compiled: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(rows, "parsed", None)
    monkeypatch.setattr(rows, "CHARACTERS_AT_ONCE", at_once)
    text = "1\n2\n\n3\n\n\n4\n5"
    expected = [1, 2, np.nan, 3, np.nan, np.nan, 4, 5]
    assert repr(numbers(text, layout(1, ","))) == repr([[float(one)] for one in expected])
