"""JSON schemas of what several routes carry, for the OpenAPI document.

Names, types and words of findings come from their classes, limits from where they are enforced. A
route's own schemas stand beside it, in ``SCHEMAS``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_type_hints

from ..findings import CLASSES, Beat, Event, Quality, Result
from ..model.providers import ONNX_NAMES
from ..rhythm import kinds
from ..signal.resample import FASTEST, FASTEST_WHOLE, SLOWEST
from ..signal.units import MILLIVOLTS
from .bodies import MAX_BATCH
from .wire import MAX_SAMPLES, MAX_TOKEN

Schema = dict[str, Any]

CALM = ("regular", "unreadable")  # a stream's rhythm while no event lasts
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "number", "minimum": 0}
SECONDS = POSITIVE
NOTES: Schema = {
    "type": "array",
    "items": TEXT,
    "description": "What a reader of the beats should know, a clause each, such as that the signal "
    "is flat; left out if there is nothing. Of a stream: of the last second that was judged.",
}
_TYPES: dict[Any, Schema] = {
    float: NUMBER,
    str: TEXT,
    bool: BOOLEAN,
    int: INTEGER,
    float | None: {"type": ["number", "null"]},
}


def ref(name: str) -> Schema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **limits: int) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **limits}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object."""
    return {
        "type": "object",
        "required": [*required],
        "properties": {**required, **(optional or {})},
    }


def finding(example: Any, **special: Schema) -> Schema:
    """Return the schema of what a finding's ``to_dict`` gives, as its class describes it.

    Parameters
    ----------
    example : any of them
    special : schemas of fields of which the type does not say enough
    """
    types = get_type_hints(type(example))
    words = attributes(type(example).__doc__ or "")
    properties = {}
    for name in example.to_dict():
        about = {"description": words[name]} if name in words else {}
        properties[name] = (special.get(name) or _TYPES[types[name]]) | about
    return record(properties)


def attributes(docstring: str) -> dict[str, str]:
    """Return the attributes that a numpy docstring describes, name -> words."""
    _, _, section = docstring.partition("Attributes\n    ----------\n")
    entries = re.findall(r"^ {4}(\S.*?) : (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(words.split()) for names, words in entries for name in names.split(", ")}


def _with_notes(schema: Schema) -> Schema:
    return {**schema, "properties": {**schema["properties"], "notes": NOTES}}


def shared() -> dict[str, Schema]:
    """Return the schemas that routes refer to by name."""
    share: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    labels = {"type": "string", "enum": ["none", *CLASSES]}
    events = [kind.name for kind in kinds()]
    good = Quality(0.0, 0.0, 0.0)
    shares = {name: share for name, value in good.to_dict().items() if type(value) is float}
    return {
        "Rate": {
            "type": "number",
            "minimum": SLOWEST,
            "maximum": FASTEST_WHOLE,
            "description": f"Hz; of streams {FASTEST:g} at most",
        },
        "Units": {"type": "string", "enum": [*MILLIVOLTS], "default": "mV"},
        "Sample": {
            "type": ["number", "null"],
            "description": "In `units`; null if it is missing, and so is what no heart can have "
            "made, such as -999 mV.",
        },
        "Signal": array(ref("Sample"), maxItems=MAX_SAMPLES),
        "Batch": array(ref("Signal"), minItems=1, maxItems=MAX_BATCH),
        "Token": {
            "type": ["string", "null"],
            "maxLength": MAX_TOKEN,
            "contentEncoding": "base64",
        },
        "Beat": finding(
            Beat(0.0, "N", 1.0, ()),
            time=SECONDS,
            label={"type": "string", "enum": [*CLASSES]},
            score=share,
        ),
        "Quality": finding(
            good,
            **shares
            | {"ok": BOOLEAN, "range_mv": POSITIVE, "noisy": {"type": ["boolean", "null"]}},
        ),
        "Event": finding(
            Event("", 0.0, None, 0.0, ""),
            kind={"type": "string", "enum": events},
            start=SECONDS,
            confidence=share,
        ),
        "Rhythm": {
            "type": "string",
            "enum": [*CALM, *events],
            "description": "The gravest event that lasts.",
        },
        "Found": _with_notes(
            finding(
                Result("none", False, 0.0, {}, [], good),
                label=labels,
                score=share,
                probabilities={"type": "object", "additionalProperties": share},
                beats=array(ref("Beat")),
                quality=ref("Quality"),
                events=array(ref("Event")),
            )
        ),
        "Origin": record(
            {"provider": {"type": "string", "enum": [*ONNX_NAMES]}, "latency_ms": POSITIVE}
        ),
        "Ready": record(
            {"status": {"const": "ready"}, "ready": {"const": True}, "provider": TEXT},
            {"notice": TEXT | {"description": "The last reload was refused, or a worker waits."}},
        ),
        "Problem": record(
            {"type": TEXT, "title": TEXT, "status": INTEGER, "detail": TEXT},
            {
                "request_id": TEXT,
                "error": TEXT | {"description": "Under /v2, the same as detail."},
                "recent_s": SECONDS
                | {"description": "s of the last signal, `recent`, with which the stream goes on."},
            },
        ),
    }
