"""Around every request, whoever carries it: who may ask, how refusals look, what is logged.

The event loop (`.asgi`) and the Flask application (`.app`) both come here, so they refuse, count
and log alike.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from ..errors import EkgError, InputError, StaleTokenError
from .admission import RETRY_AFTER_S, OverloadError
from .bodies import MAX_BODY, MAX_JSON
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
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)  # a client's own that is kept
HEALTH = ("/health/", "/v2/health/")  # any name and no token will do: a probe asks by address
OPEN = (*HEALTH, "/static/")  # without a token: nothing about anyone is there
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)
log = logging.getLogger("ekg")


class UnknownModelError(EkgError):
    """No model of that name is served."""


class RefusedError(EkgError):
    """The request is refused for what stands around its signal."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


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
    431: "The headers are too many or too long.",
    503: "The server is full or shutting down; try again after Retry-After seconds.",
}


@dataclass(frozen=True)
class Gate:
    """Who may ask.

    Attributes
    ----------
    secret : bearer token that every request but those to `OPEN` must carry; None for none
    hosts : names beside loopback's that a request may be sent to; None for any
    """

    secret: str | None
    hosts: frozenset[str] | None

    @classmethod
    def of(cls, secret: str | None, address: str, hosts: str) -> Gate:
        """Return the gate of a server that listens on this address.

        Without a token and on loopback a web page could reach it under a name of its own that
        resolves to 127.0.0.1, so only loopback's names are answered there.

        Raises
        ------
        InputError
            A host is no name.
        """
        names = [name.strip().lower() for name in hosts.split(",") if name.strip()]
        for name in names:
            if _host(name) is None or _host(name) != name.strip("[]"):
                raise InputError(
                    f"the allowed host (EKG_ALLOW_HOST or --allow-host) is {name[:40]!r}; "
                    "expected a name or an address, without a port."
                )
        closed = names or (secret is None and _loopback(_host(address) or address))
        return cls(secret, frozenset(name.strip("[]") for name in names) if closed else None)

    def check(self, method: str, path: str, version: str, headers: Mapping[str, str]) -> None:
        """Raise `RefusedError` if such a request is not to be answered.

        Parameters
        ----------
        version : of HTTP
        headers : by lower-case name, those that were there twice joined by a comma
        """
        host = headers.get("host")
        if version not in ("1.0", "1.1"):
            raise RefusedError(400, "the request is not HTTP/1.1; expected that.")
        if headers.get("expect", "100-continue").lower() != "100-continue":
            raise RefusedError(
                417,
                "the request's header 'Expect' asks for what is not known here; expected "
                "'100-continue', or no such header.",
            )
        if host is None and version == "1.1":
            raise RefusedError(400, "the request has no header Host; expected one (RFC 9112).")
        name = "localhost" if host is None else _host(host)
        if name is None:
            raise RefusedError(400, "the header Host is no host; expected one (RFC 9112).")
        if not (
            self.hosts is None or name in self.hosts or _loopback(name) or path.startswith(HEALTH)
        ):
            raise RefusedError(
                421,
                "the request is for another host; expected localhost, or a name that "
                "--allow-host or EKG_ALLOW_HOST gives.",
            )
        if not (path.startswith(OPEN) or path == "/" or self._authorized(headers)):
            raise RefusedError(
                401,
                "the request has no valid bearer token; expected the header "
                "'Authorization: Bearer TOKEN'.",
                {"WWW-Authenticate": "Bearer"},
            )
        if method == "POST" and headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedError(
                415, "the body is compressed (Content-Encoding); expected it as it is."
            )

    def _authorized(self, headers: Mapping[str, str]) -> bool:
        if self.secret is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.encode(), self.secret.encode()
        )


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
    retry = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return json.dumps(body).encode(), retry | dict(headers or {})


def request_id(given: str) -> str:
    """Return the client's own, if it is sane."""
    return given if REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def log_request(
    metrics: Metrics, route: str, method: str, status: int, seconds: float, id_: str, octets: int
) -> None:
    """Count and log an answered request; ``route`` is the rule, never the path that was sent."""
    metrics.request(route, status, seconds)
    level = logging.DEBUG if route.startswith(("/health", "/metrics")) else logging.INFO
    if log.isEnabledFor(level):
        fields = {
            "id": id_,
            "method": method,
            "route": route,
            "status": int(status),
            "ms": round(1000 * seconds, 3),
            "bytes": octets,
        }
        log.log(level, "request", extra={"fields": fields})


@lru_cache(maxsize=64)
def _host(given: str) -> str | None:
    """The name in a header Host, without its port; None if there is none."""
    match = _HOST.fullmatch(given.strip())
    return match[1].strip("[]").lower() if match else None


@lru_cache(maxsize=64)
def _loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
