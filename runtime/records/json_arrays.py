"""Recordings as JSON: a list of numbers, lists by their names, or an object for each sample.

``[0.1, ...]``, ``{"fs": 360, "unit": "mV", "ecg": [...]}``, ``[{"time": 0, "ecg": 0.1}, ...]``, and
such objects line by line. Vendors' own forms have readers of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .arrays import LEADS, MAX_LEADS, SIGNALS, UNITS, alone, array_leads, key_of
from .cells import number
from .dates import seconds_of
from .leads import Lead
from .packages import explained
from .reader import Options, Reader
from .text import open_text, text_start

LOOKED_AT = 1 << 12
# A date between brackets, as PhysioNet's rdsamp writes it, begins otherwise.
NUMBER = r"(?:-?[\d.]+(?:[eE][+-]?\d+)?|null|NaN)"
BEGIN = re.compile(rf'\s*(?:\[\s*)?(?:\{{\s*"|\[\s*(?:\[\s*)?{NUMBER}\s*,)')
ANY_SIGNAL = (SIGNALS - {"ecg", "ekg"}) | {"values"}  # names that say nothing of the lead
NAMELESS = ANY_SIGNAL | {""}
LABELS = frozenset("name label lead channel".split())
MAX_DEPTH = 4  # of objects in objects, whose names are those of arrays


class JsonReader(Reader):
    """Reads arrays of numbers; their rate is ``fs``, or given."""

    name = "JSON"
    extensions = (".json", ".jsonl", ".ndjson")

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins as JSON does, and is no table below a line of it."""
        start = text_start(path, LOOKED_AT)
        lines = [line.lstrip() for line in start.splitlines() if line.strip()]
        if not BEGIN.match(start):
            return False
        whole_line = len(lines) > 1 and lines[0].rstrip()[-1:] in ("}", "]")
        return not whole_line or lines[1][:1] in "{[]},"

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads: arrays of one length, columns of an array, or fields of the objects."""
        with explained(path, "is no JSON of numbers"), open_text(path) as file:
            return array_leads(
                path, alone(path, _named(_content(path, file.read()), "", 0)), options
            )


def _content(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        whole = error
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows = []
    for i, line in lines:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if rows and i == lines[-1][0]:
                break  # a logger lost its power
            at = whole.lineno if not rows else i
            raise RecordError(
                f"{path} is no JSON from line {at} on; expected a whole file, or an object in each "
                "line."
            ) from None
    return rows


def _named(content: Any, name: str, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give the arrays and single values of JSON and their names."""
    if isinstance(content, dict):
        yield from _of_object(content, name, depth)
    elif isinstance(content, str | int | float) and not isinstance(content, bool):
        yield name, np.array(content)
    elif isinstance(content, list) and content:
        if all(isinstance(row, dict) for row in content):
            yield from _of_objects(content, depth)
        elif all(isinstance(row, list) for row in content):
            rows = [_numbers(row) for row in content]
            if len({len(row) for row in content}) == 1 and all(row is not None for row in rows):
                yield name or "signal", np.stack(rows)  # type: ignore[arg-type]
        elif (numbers := _numbers(content)) is not None:
            yield name or "signal", numbers
        elif all(isinstance(word, str) for word in content):
            yield name, np.array(content)


def _of_object(
    content: dict[str, Any], name: str, depth: int
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give an object's arrays; one with the name of any signal is called as its object is.

    Its unit belongs to it alone then, and stands behind its name.
    """
    if depth >= MAX_DEPTH:
        return
    facts = {key_of(key): value for key, value in content.items() if isinstance(value, str)}
    unit = next((facts[key] for key in sorted(UNITS & set(facts))), "")
    lists = [key for key, value in content.items() if isinstance(value, list)]
    owned = len(lists) == 1 and key_of(lists[0]) in ANY_SIGNAL and key_of(name) not in NAMELESS
    for key, value in content.items():
        if owned and key_of(key) in UNITS | LEADS and isinstance(value, str):
            continue
        if key_of(key) in UNITS and isinstance(value, dict):
            yield key, np.array([str(value.get(lead, "")) for lead in lists])
            continue
        called = f"{name} ({unit})" if owned and unit else name if owned else ""
        yield from _named(value, called if called and key in lists else str(key), depth + 1)


def _of_objects(rows: list[dict[str, Any]], depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give the arrays of a list of objects: of leads if each has a name, else of samples."""
    labels = [
        next((v for k, v in row.items() if key_of(k) in LABELS and isinstance(v, str)), "")
        for row in islice(rows, MAX_LEADS + 1)
    ]
    if len(rows) <= MAX_LEADS and all(labels):
        for row, label in zip(rows, labels, strict=True):
            yield from _of_object(row, label, depth + 1)
        return
    names = dict.fromkeys(key for row in islice(rows, LOOKED_AT) for key in row)
    for name in names:
        cells = [row.get(name) for row in rows]
        if (column := _numbers(cells)) is not None:
            yield name, column
        elif all(isinstance(cell, str) for cell in cells):
            yield f"{name} of each", np.array(cells)


def _numbers(values: list[Any]) -> NDArray[np.float64] | None:
    """Return numbers, NaN for null, s for times; None if other things are among them."""
    if any(isinstance(value, str) for value in values):
        values = [_of_text(value) if isinstance(value, str) else value for value in values]
    if any(isinstance(v, bool) or not isinstance(v, int | float | type(None)) for v in values):
        return None
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _of_text(cell: str) -> Any:
    return next((found for read in (number, seconds_of) if (found := read(cell)) is not None), cell)
