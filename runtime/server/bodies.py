"""How long and how rich a request's body may be, and its JSON."""

from __future__ import annotations

import json
from typing import Any

from ..errors import InputError

try:
    import orjson
except ImportError:  # without a wheel of it json does the same, more slowly
    orjson = None  # type: ignore[assignment]

MAX_BODY = 16 << 20  # bytes
MAX_JSON = 4 << 20
FILES = "/read"  # the route that takes files, which go to the disk as they come
MAX_FILES = 256 << 20
MAX_BATCH = 512  # patients in one request
MAX_REREAD = 1 << 20  # of what only the slower reader takes, some tens of milliseconds
# What no request needs more of. Counted before parsing: a million objects or keys take seconds and
# hundreds of megabytes to make, numbers alone some tens of milliseconds.
MAX_COUNTS = {b"{": 64, b"[": 2048, b'"': 4096, b"\\": 4096}
CHEAP = 16 << 10  # bytes; whatever so short a body holds, it takes less than a millisecond


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that this is, or None.

    Raises
    ------
    InputError
        It has more objects, lists or strings than any request needs; it is not parsed. Or a name
        stands twice in an object: who meant the other value would get a wrong answer.
    """
    if len(body) > CHEAP and any(body.count(mark) > most for mark, most in MAX_COUNTS.items()):
        raise InputError(
            "the body has more objects, lists or strings than any request needs; "
            f"expected lists of numbers, of at most {MAX_BATCH} patients."
        )
    try:
        fields = _loaded(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    if not isinstance(fields, dict):
        return None
    # Both readers keep the last of two values, so strings are counted: those that came and those
    # that are left. Outside of strings no quotation mark has a backslash before it.
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    strings, rest = divmod(body.count(b'"'), 2)
    # Mostly only fields' names and some values are, and then no list of numbers is walked through.
    shallow = len(fields) + sum(isinstance(value, str) for value in fields.values())
    if rest or (strings != shallow and strings != _strings(fields)):
        raise InputError("a field of the body stands there twice; expected each once.")
    return fields


def _strings(value: Any) -> int:
    """Return how many strings a JSON value has, names of fields included."""
    if isinstance(value, dict):
        return len(value) + sum(map(_strings, value.values()))
    if isinstance(value, list) and not {str, list, dict}.isdisjoint(map(type, value)):
        return sum(map(_strings, value))
    return int(isinstance(value, str))


def _loaded(body: bytes) -> Any:
    if orjson is not None:
        try:
            return orjson.loads(body)
        except ValueError:
            if len(body) > MAX_REREAD:
                raise
    return json.loads(body)  # takes more: NaN, and numbers beyond float64
