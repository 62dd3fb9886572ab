"""The OpenAPI document that is served: ``openapi.json``, with this version's event kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..rhythm import kinds

CALM = ("regular", "unreadable")  # a stream's rhythm while no event lasts


def document(paths: Mapping[str, Mapping[str, Any]] | None = None) -> bytes:
    """Return the document as JSON.

    Parameters
    ----------
    paths : path -> item, of routes that ``openapi.json`` does not hold
    """
    whole = json.loads(Path(__file__).with_name("openapi.json").read_bytes())
    whole["paths"] |= paths or {}
    schemas = whole["components"]["schemas"]
    schemas["Event"]["properties"]["kind"]["enum"] = list(event_kinds())
    schemas["Taken"]["properties"]["rhythm"]["enum"] = [*CALM, *event_kinds()]
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def event_kinds() -> tuple[str, ...]:
    """Return the names of the rhythm events that answers may hold, gravest first."""
    return tuple(kind.name for kind in kinds())
