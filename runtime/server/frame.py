"""Around every request, whoever carries it: how refusals look, what is counted and logged.

The event loop (`.asgi`) and the Flask application (`.app`) both come here, so they refuse, count
and log alike.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Container, Mapping
from http import HTTPStatus
from typing import Any

from ..errors import EkgError, StaleTokenError
from .admission import RETRY_AFTER_S, OverloadError
from .bodies import MAX_BODY, MAX_JSON
from .gate import RefusedError
from .metrics import Metrics
from .wire import JSON, TENSORS, MediaTypeError

# Of every answer.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
}
PROBLEM = "application/problem+json"
GONE = "ekg.gone"  # of a request's ASGI scope: gives whether its connection is closed
AGAIN = (429, 503)  # statuses after which the same request may be answered
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)  # a client's own that is kept
log = logging.getLogger("ekg")


class UnknownModelError(EkgError):
    """No model of that name is served."""


STATUS = {
    StaleTokenError: 409,
    OverloadError: 503,
    MediaTypeError: 415,
    UnknownModelError: 404,
}  # any other EkgError of a request is a 400
REFUSALS = {  # of documented routes
    400: "The request cannot be used; `detail` says what was wrong and what is expected.",
    401: "The bearer token is missing or wrong.",
    404: "There is no such model.",
    409: "The token is another model's, version's or rate's. Send it again with `recent`, the last "
    "`recent_s` of signal before the chunk, if the answer has that; else start a new stream.",
    413: "The body is too large.",
    414: "The request line is too long.",
    415: "The body's type is not read here.",
    417: "The header Expect asks for what is not known here.",
    421: "The request is for a host that this server does not answer for.",
    429: "The client has asked as often as it may; try again after Retry-After seconds.",
    431: "The headers are too many or too long.",
    503: "The server is full or shutting down; try again after Retry-After seconds.",
}


def most_bytes(media_type: str, headers: Container[str]) -> int:
    """Return how long a body of this type may be, with binary tensors behind its JSON or not."""
    return MAX_JSON if media_type == JSON and TENSORS.lower() not in headers else MAX_BODY


def too_large(limit: int) -> RefusedError:
    """Return the refusal of a longer body."""
    return RefusedError(
        413,
        f"the body is larger than {limit >> 20} MiB; expected a shorter signal, raw instead of "
        "JSON, or pieces to /stream.",
    )


def problem_of(error: EkgError) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return an error's status, headers, and fields beside those of every problem."""
    if isinstance(error, RefusedError):
        return error.status, error.headers, {}
    recent_s = getattr(error, "recent_s", 0.0)
    return STATUS.get(type(error), 400), {}, {"recent_s": recent_s} if recent_s else {}


def problem_body(
    status: int,
    detail: str,
    id_: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Return an RFC 9457 document, and the headers that go with it."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": id_,
        **(fields or {}),
    }
    if path.startswith("/v2"):
        body["error"] = detail  # where the Open Inference Protocol's clients look
    retry = {"Retry-After": str(RETRY_AFTER_S)} if status in AGAIN else {}
    return json.dumps(body).encode(), retry | dict(headers or {})


def request_id(given: str) -> str:
    """Return the client's own, if it is sane."""
    return given if REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def has_left(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return what says whether the client of a WSGI request is gone, where that is known."""
    gone: Callable[[], bool] = environ.get("asgi.scope", {}).get(GONE, bool)
    return gone


def log_request(
    metrics: Metrics,
    route: str,
    method: str,
    status: int,
    seconds: float,
    id_: str,
    octets: int,
    client: str,
) -> None:
    """Count and log an answered request.

    Parameters
    ----------
    route : the rule, never the path that was sent
    client : its name; nothing if nobody has one
    """
    metrics.request(route, status, seconds, client)
    level = logging.DEBUG if route.startswith(("/health", "/metrics")) else logging.INFO
    if log.isEnabledFor(level):
        fields = {
            "id": id_,
            "method": method,
            "route": route,
            "status": int(status),
            "ms": round(1000 * seconds, 3),
            "bytes": octets,
            **({"client": client} if client else {}),
        }
        log.log(level, "request", extra={"fields": fields})
