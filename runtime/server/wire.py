"""Bodies that become checked values, and values that become JSON.

A body is a JSON object, or raw little-endian float32 with the other fields in the query string.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EkgError, InputError, TokenError
from ..findings import Event
from ..rhythm import RhythmTracker
from ..signal.resample import FASTEST, FASTEST_WHOLE, rates
from ..signal.units import as_numbers
from .bodies import MAX_BATCH, json_object
from .clients import TOKEN

try:
    import orjson
except ImportError:  # without a wheel of it json does the same, more slowly
    orjson = None  # type: ignore[assignment]

MAX_SAMPLES = 2_000_000  # 92 minutes at 360 Hz, 2 s of work; 4 s at 100 Hz, 7 at 100.001
MAX_TOKEN = 32 << 10  # bytes, in base64
PIECE = 1 << 14  # numbers
JSON, RAW = "application/json", "application/octet-stream"
TENSORS = "Inference-Header-Content-Length"  # bytes of JSON, in front of binary tensors
PREDICT_FIELDS = ("signal", "fs", "units")
STREAM_FIELDS = ("signal", "fs", "units", "carry", "end", "recent")
RAW_STREAM_FIELDS = ("fs", "units", "carry_bytes", "end", "recent_bytes", "bits")

Signal = NDArray[np.float32] | NDArray[np.float64]


class MediaTypeError(EkgError):
    """The body is of a type that is not read here."""


@dataclass(frozen=True)
class Window:
    """A request to ``/predict``.

    Attributes
    ----------
    signal : [samples] or [batch, samples], in ``units``
    fs : Hz
    """

    signal: Signal
    fs: float
    units: str


@dataclass(frozen=True)
class Chunk:
    """One patient's part of a request to ``/stream``.

    Attributes
    ----------
    signal : [samples], in ``units``
    fs : Hz; may be None with a token, which holds it
    token : of the last answer; None at a recording's start
    end : no more comes, so decide the last beats too
    recent : [samples], in ``units``: the last that came before, if the token is another model's
    """

    signal: Signal
    fs: float | None
    units: str
    token: bytes | None
    end: bool
    recent: Signal | None = None


def read_window(body: bytes, media_type: str, query: Mapping[str, str]) -> Window:
    """Understand a request to ``/predict``.

    Raises
    ------
    InputError, MediaTypeError
    """
    if media_type == RAW:
        _only(query, PREDICT_FIELDS[1:])
        rate = _rate(query.get("fs"), FASTEST_WHOLE, text=True)
        return Window(_floats(body), rate, _units(query))
    fields = _object(body, media_type, query, PREDICT_FIELDS)
    rows, many = _rows(fields["signal"])
    if len({len(row) for row in rows}) > 1:
        raise InputError("the rows of the signal differ in length; expected [batch, samples].")
    return Window(
        np.stack(rows) if many and rows else np.empty((0, 0)) if many else rows[0],
        _rate(fields.get("fs"), FASTEST_WHOLE),
        _units(fields),
    )


def read_chunks(body: bytes, media_type: str, query: Mapping[str, str]) -> tuple[list[Chunk], bool]:
    """Understand a request to ``/stream``: the patients' chunks, and whether it is a batch.

    In a batch ``signal`` is a list of chunks of any lengths and ``carry`` a list of tokens;
    ``fs`` and ``end`` are one for all, or lists too. In raw form the first ``carry_bytes`` bytes
    of the body are the token, decoded, and ``recent_bytes`` after them the recent signal.

    Raises
    ------
    InputError, MediaTypeError
    """
    if media_type == RAW:
        return [_raw_chunk(body, query)], False
    fields = _object(body, media_type, query, STREAM_FIELDS)
    rows, many = _rows(fields["signal"])
    units = _units(fields)
    carries = _per_row(fields, "carry", None, len(rows), many, shared=False)
    rates = _per_row(fields, "fs", None, len(rows), many)
    ends = _per_row(fields, "end", False, len(rows), many)
    recents = _recent(fields, len(rows), many)
    chunks = []
    for i, (signal, carry, fs, end, recent) in enumerate(
        zip(rows, carries, rates, ends, recents, strict=True)
    ):
        try:
            if not isinstance(end, bool):
                raise InputError(f"'end' is {_quoted(end)}; expected true or false.")
            token = None if carry is None else decode_token(carry)
            rate = None if fs is None and token is not None else _rate(fs)
            chunks.append(Chunk(signal, rate, units, token, end, recent))
        except InputError as error:
            raise at_row(error, i, many) from None
    return chunks, many


def at_row(error: InputError, row: int, many: bool) -> InputError:
    """The same error, with the patient that it is about if there are many."""
    if not many:
        return error
    other = copy(error)
    other.args = (f"patient {row} of the batch: {error}",)
    return other


def encode_token(token: bytes) -> str:
    """A token as answers carry it."""
    return base64.b64encode(token).decode()


def decode_token(carry: Any) -> bytes:
    """The token that an answer carried.

    Raises
    ------
    TokenError
    """
    try:
        if not isinstance(carry, str):
            raise TypeError
        return base64.b64decode(carry, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise TokenError(
            "'carry' is not the token of an earlier answer; expected it unchanged, "
            "or null where a recording starts."
        ) from None


def bearer_token(given: str | None) -> str | None:
    """The bearer token that a header can carry, as server and client understand it; None for none.

    Whitespace around it does not count: a file or a Kubernetes secret often ends in a newline.

    Raises
    ------
    InputError
        It does not quote the token. One of whitespace alone is refused too: whoever set it wants
        no open server.
    """
    if not given:
        return None
    token = given.strip()
    if not TOKEN.fullmatch(token):
        raise InputError(
            "the bearer token (EKG_TOKEN or --token) is blank or has a character that "
            "no header can carry; expected printable ASCII without spaces."
        )
    return token


def rhythm_fields(tracker: RhythmTracker | None, events: Sequence[Event]) -> dict[str, Any]:
    """The rhythm in a stream's answer; nothing if it is not followed."""
    if tracker is None:
        return {}
    rate = tracker.heart_rate
    return {
        "events": [event.to_dict() for event in events],
        "rhythm": tracker.current,
        "heart_rate": None if rate is None else round(rate, 1),
    }


def dump(fields: dict[str, Any]) -> bytes:
    """JSON of an answer."""
    if orjson is not None:
        return bytes(orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY))
    return json.dumps(fields, separators=(",", ":")).encode()


def _object(
    body: bytes, media_type: str, query: Mapping[str, str], known: Sequence[str]
) -> dict[str, Any]:
    if media_type != JSON:
        found = _quoted(media_type) if media_type else "missing"
        raise MediaTypeError(f"the content type is {found}; expected {JSON} or {RAW}.")
    if query:
        raise InputError("the query has fields; with a JSON body they are expected in it.")
    fields = json_object(body)
    if fields is None or not isinstance(fields.get("signal"), list):
        raise InputError(
            'the body is not the JSON object that is expected: {"signal": '
            '[numbers in mV], "fs": Hz, "units": "mV"}.'
        )
    _only(fields, known)
    return fields


def _raw_chunk(body: bytes, query: Mapping[str, str]) -> Chunk:
    _only(query, RAW_STREAM_FIELDS)
    token, rest = _cut(body, query, "carry_bytes", "the decoded token, which come first")
    recent, rest = _cut(rest, query, "recent_bytes", "the recent signal, which comes next")
    if query.get("end", "false") not in ("true", "false"):
        raise InputError(f"'end' is {_quoted(query['end'])}; expected true or false.")
    rate = None if "fs" not in query and token else _rate(query.get("fs"), text=True)
    bits = query.get("bits", "32")
    if bits not in ("32", "64"):
        raise InputError(f"'bits' is {_quoted(bits)}; expected 32 or 64, of a float.")
    return Chunk(
        _floats(rest, int(bits) // 8),
        rate,
        _units(query),
        token or None,
        query.get("end") == "true",
        _floats(recent, int(bits) // 8) if recent else None,
    )


def _cut(body: bytes, query: Mapping[str, str], name: str, what: str) -> tuple[bytes, bytes]:
    """The first bytes of a body, as many as a field says, and the others."""
    size = query.get(name, "0")
    # isdecimal alone would take other scripts' digits, and int() endless ones
    if not (size.isascii() and size.isdecimal() and len(size) < 9 and int(size) <= len(body)):
        raise InputError(
            f"{name!r} is {_quoted(size)}; expected how many bytes of the body's {len(body)} are "
            f"{what}."
        )
    return body[: int(size)], body[int(size) :]


def _floats(body: bytes, size: int = 4) -> NDArray[np.floating]:
    if len(body) % size:
        raise InputError(
            f"the signal has {len(body)} bytes; expected little-endian float{8 * size}, {size} "
            "bytes a sample."
        )
    return _bounded(np.frombuffer(body, dtype=f"<f{size}"))  # type: ignore[no-any-return]


def _rows(signal: list[Any]) -> tuple[list[NDArray[np.float64]], bool]:
    """The signal's rows, and True if it had more than one dimension."""
    many = bool(signal) and all(isinstance(row, list) for row in signal)
    rows = signal if many else [signal]
    if len(rows) > MAX_BATCH:
        raise InputError(
            f"the batch has {len(rows)} patients; at most {MAX_BATCH} are taken at once."
        )
    _bounded(rows)
    return [_numbers(row) for row in rows], many


def _recent(fields: Mapping[str, Any], rows: int, many: bool) -> list[Signal | None]:
    """Each patient's recent signal; None for those who give none."""
    values = _per_row(fields, "recent", None, rows, many, shared=False)
    given = [value for value in values if value is not None]
    if not all(isinstance(value, list) for value in given):
        raise InputError("'recent' is no list; expected the last samples before the signal.")
    _bounded(given)
    return [None if value is None else _numbers(value) for value in values]


def _numbers(row: list[Any]) -> NDArray[np.float64]:
    # Types are looked at one by one because numpy would take true for 1; in pieces, so that other
    # threads get a turn within a millisecond.
    numbers = np.empty(len(row))
    for at in range(0, len(row), PIECE):
        piece = row[at : at + PIECE]
        types = set(map(type, piece))
        if types == {list}:
            raise InputError(
                "the signal has three dimensions or more; expected [samples] or [batch, samples]."
            )
        if not types <= {int, float, type(None)}:
            raise InputError(
                "the signal is not made of numbers only; expected real numbers, null if a sample "
                "is missing, [samples] or [batch, samples]."
            )
        try:
            numbers[at : at + PIECE] = np.array(piece, dtype=np.float64)  # which makes NaN of None
        except OverflowError:
            numbers[at : at + PIECE] = as_numbers(piece, (1,))
    return numbers


def _bounded(rows: Any) -> Any:
    samples = len(rows) if isinstance(rows, np.ndarray) else sum(map(len, rows))
    if samples > MAX_SAMPLES:
        raise InputError(
            f"the signal has {samples} samples; at most {MAX_SAMPLES} are taken at "
            "once, send the rest to /stream."
        )
    return rows


def _per_row(
    fields: Mapping[str, Any],
    name: str,
    default: Any,
    rows: int,
    many: bool,
    *,
    shared: bool = True,
) -> list[Any]:
    """A field's value for each row: one for all, or a list of as many as there are rows."""
    value = fields.get(name, default)
    if not many:
        return [value]
    if isinstance(value, list) and len(value) == rows:
        return value
    if isinstance(value, list) or (not shared and value is not None):
        raise InputError(
            f"'{name}' does not go with the batch; expected a list of {rows}, one for each patient."
        )
    return [value] * rows


def _only(fields: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in fields:
        if name not in known:
            raise InputError(f"{_quoted(name)} is unknown here; expected {', '.join(known)}.")


def _rate(value: Any, fastest: float = FASTEST, *, text: bool = False) -> float:
    expected = f"expected the sampling rate in Hz, {rates(fastest)}."
    if value is None:
        raise InputError(f"'fs' is missing; {expected}")
    # float() would take Python's own 3_60 too, and other scripts' digits
    odd = isinstance(value, str) and ("_" in value or not value.isascii())
    if odd or isinstance(value, bool) or not isinstance(value, str if text else int | float):
        raise InputError(f"'fs' is {_quoted(value)}; {expected}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise InputError(f"'fs' is {_quoted(value)}; {expected}") from None


def _units(fields: Mapping[str, Any]) -> str:
    units = fields.get("units", "mV")
    if not isinstance(units, str) or len(units) > 8:  # the detector names the known ones
        raise InputError(f"'units' is {_quoted(units)}; expected mV, uV or V.")
    return units


def _quoted(value: Any) -> str:
    """A value in an error's sentence, cut short."""
    if isinstance(value, str | int | float | bool) or value is None:
        text = repr(value[:40] if isinstance(value, str) else value)
        return text if len(text) <= 48 else f"{text[:40]}..."
    return f"a JSON {'object' if isinstance(value, dict) else 'array'}"
