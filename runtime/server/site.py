"""Shared by the routes: the model, the counts and bounds of the work on it, and refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Response, g, request

from ..detector import Detector
from ..errors import EkgError, InputError
from .admission import RETRY_AFTER_S, Admission
from .metrics import Metrics
from .service import Service


@dataclass
class Site:
    """One application's own; each module of `.routes` gets it.

    Attributes
    ----------
    model : the loaded detector
    service : answers to /predict and /stream
    admission : bound on the requests in work
    metrics : of all workers
    specification : the OpenAPI document, JSON
    more : fields of /model that others add
    """

    model: Detector
    service: Service
    admission: Admission
    metrics: Metrics
    specification: bytes = b""
    more: dict[str, Any] = field(default_factory=dict)


class UnknownModelError(EkgError):
    """No model of that name is served."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return an RFC 9457 answer."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id", ""),
    }
    if request.path.startswith("/v2"):
        body["error"] = detail  # where the Open Inference Protocol's clients look
    if status == 503:
        headers = {"Retry-After": str(RETRY_AFTER_S)} | (headers or {})
    return Response(json.dumps(body), status, headers, content_type="application/problem+json")


def query_fields() -> dict[str, str]:
    """Return the query's fields; `.direct` leaves every query that repeats one to this.

    Raises
    ------
    InputError
        A field is there twice, with different values.
    """
    for name, values in request.args.lists():
        if len(set(values)) > 1:  # who meant the other would get a wrong answer
            raise InputError(
                f"{name[:40]!r} is in the query {len(values)} times with different "
                "values; expected one."
            )
    return request.args.to_dict()
