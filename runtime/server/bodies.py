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


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that this is, or None.

    Raises
    ------
    InputError
        It has more objects, lists or strings than any request needs; it is not parsed.
    """
    if any(body.count(mark) > most for mark, most in MAX_COUNTS.items()):
        raise InputError(
            "the body has more objects, lists or strings than any request needs; "
            f"expected lists of numbers, of at most {MAX_BATCH} patients."
        )
    try:
        fields = _loaded(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return fields if isinstance(fields, dict) else None


def _loaded(body: bytes) -> Any:
    if orjson is not None:
        try:
            return orjson.loads(body)
        except ValueError:
            if len(body) > MAX_REREAD:
                raise
    return json.loads(body)  # takes more: NaN, and numbers beyond float64
