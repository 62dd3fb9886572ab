"""Lines of a feed that name their values: JSON objects, and ``ECG:0.12,LO:0`` as plotters take."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..records.cells import is_missing, number

# As Arduino's serial plotter has it: a name, a colon, a number; blanks or commas between.
PAIR = re.compile(r"([^\W\d][\w .()-]*?)\s*:\s*([^\s:,;]+)(?:[\s,;]+|$)")


def fields_of(line: str) -> dict[str, Any] | None:
    """Return the values of a line by their names, of which one at least is a number, or None."""
    if not line.startswith("{"):
        return _pairs(line)
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    plain = all(isinstance(value, float | int | str | None) for value in fields.values())
    some = any(isinstance(value, float | int) for value in fields.values())
    return fields if plain and some else None


def named_alike(lines: Sequence[str]) -> bool:
    """Return True if the values of all these lines have the same names; a greeting's have not."""
    names = [tuple(_pairs(line.strip()) or {}) for line in lines]
    return len(names) > 1 and bool(names[0]) and len(set(names)) == 1


def is_json(line: str) -> bool:
    """Return True for a line that is JSON of any kind."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _pairs(line: str) -> dict[str, str] | None:
    found, at = {}, 0
    while match := PAIR.match(line, at):
        found[match[1]], at = match[2], match.end()
    some = any(number(value) is not None for value in found.values())
    plain = all(number(value) is not None or is_missing(value) for value in found.values())
    return found if at == len(line) and some and plain else None
