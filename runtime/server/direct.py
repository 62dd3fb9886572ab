"""The short way to an answer: whole, plain requests past Flask, several as one batch.

Most requests to ``/predict`` and ``/stream`` are a few kilobytes of valid signal, and what a
general HTTP framework does around them costs as much as the network. The worker's event loop
(`.gunicorn_conf`) offers its requests here first. What is not plain in every respect, and
whatever does not get a 200 or a 503, goes the long way through gunicorn's parser and Flask, which
has the say on every error. Both ways share `.service`, so they answer alike.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from ..errors import EkgError
from .admission import RETRY_AFTER_S, WAIT_S, Admission, OverloadError
from .metrics import Metrics
from .service import HEADERS, REQUEST_ID, Fields, Service
from .wire import JSON, RAW, dump, read_chunks, read_window

MAX_HEAD = 8 << 10  # bytes
MAX_BODY = 64 << 10  # bytes that are gathered without a thread
# Bytes of signal that the event loop may work on itself, some milliseconds at the worst; a token
# of /stream comes on top.
SHORT = {JSON: 16 << 10, RAW: 8 << 10}
TOKEN = 32 << 10
# Lists in such a request: in a batch every patient is one, and costs a good part of a request.
LISTS = 8
_HEAD = re.compile(
    rb"POST (/predict|/stream)(?:\?([\w.=&-]*))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z][A-Za-z0-9-]*:[ -~]*\r\n)*)\r\n"
)
# Fields that change how a request is to be read or answered.
_NOT_PLAIN = {
    "transfer-encoding",
    "content-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "http2-settings",
}
log = logging.getLogger("ekg")


@dataclass(slots=True)
class Asked:
    """A request whose head is there.

    Attributes
    ----------
    size : bytes of the head and of head and body
    started : when its head was there, s
    """

    route: str
    query: dict[str, str]
    kind: str
    head: int
    size: int
    id: str
    started: float
    body: bytes = b""

    @property
    def short(self) -> bool:
        """True if the event loop may work on it itself."""
        token = TOKEN if self.route == "/stream" else 0
        return self.size - self.head <= SHORT.get(self.kind, 0) + token and (
            self.kind != JSON or self.body.count(b"[") <= LISTS
        )


class Direct:
    """Requests in, octets out. The event loop and its one computing thread use it.

    Parameters
    ----------
    authorized : tells from the Authorization header whether a request may be answered
    """

    gathered = MAX_BODY  # bytes of a request that the loop reads to its end

    def __init__(self, service: Service, metrics: Metrics, authorized: Callable[[str], bool]):
        self._service, self._metrics, self._authorized = service, metrics, authorized
        # A queue of each: short requests do not wait behind long ones.
        self._short = Admission(metrics.in_work)
        self._long = Admission(metrics.in_work, work_s=WAIT_S)

    @staticmethod
    def may_be(octets: bytes) -> bool:
        """True if the loop waits for the end of a head that begins like this.

        The parser has the say on what does not: it refuses lines that end in a bare LF at once.
        """
        return len(octets) < MAX_HEAD and octets.count(b"\n") == octets.count(b"\r\n")

    def begin(self, head: bytes) -> Asked | None:
        """The request that this head, its empty line included, announces; None if not plain."""
        read = _head(head)
        if read is None:
            return None
        route, query, kind, length, given, authorization = read
        if not self._authorized(authorization):
            return None
        return Asked(
            route,
            query,
            kind,
            len(head),
            len(head) + length,
            request_id(given),
            time.perf_counter(),
        )

    def full(self, asked: Asked) -> bool:
        """True if it would be refused, were it there to the end."""
        try:
            self._lane(asked).check()
        except OverloadError:
            return True
        return False

    def enter(self, asked: Asked) -> bool:
        """Take a place for it, unless it is to be refused; `answer` gives it back."""
        try:
            self._lane(asked).enter()
        except OverloadError:
            return False
        return True

    def answer(self, requests: Sequence[Asked]) -> list[bytes | None]:
        """Octets of an answer to each; None where Flask is to answer.

        Parameters
        ----------
        requests : all short, or all not; `enter` took a place for each
        """
        started = time.perf_counter()
        fields: list[Fields | None] = [None] * len(requests)
        for route in ("/predict", "/stream"):
            places = [i for i, asked in enumerate(requests) if asked.route == route]
            for i, one in zip(places, self._together([requests[i] for i in places]), strict=True):
                fields[i] = one
        each = (time.perf_counter() - started) / len(requests)
        self._lane(requests[0]).leave(each, len(requests))
        origin = {"provider": self._service.model.provider}
        return [
            None
            if one is None
            else self._told(
                asked,
                HTTPStatus.OK,
                JSON,
                dump(one | origin | {"latency_ms": _ms_since(asked.started)}),
            )
            for asked, one in zip(requests, fields, strict=True)
        ]

    def refusal(self, asked: Asked) -> bytes:
        """Octets of a 503."""
        detail = str(OverloadError())
        body = {
            "type": "about:blank",
            "title": HTTPStatus.SERVICE_UNAVAILABLE.phrase,
            "status": 503,
            "detail": detail,
            "request_id": asked.id,
        }
        return self._told(
            asked,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "application/problem+json",
            json.dumps(body).encode(),
            b"Retry-After: %d\r\n" % RETRY_AFTER_S,
        )

    def _lane(self, asked: Asked) -> Admission:
        return self._short if asked.short else self._long

    def _together(self, requests: Sequence[Asked]) -> Sequence[Fields | None]:
        """Of one route, as one batch; None for what fails."""
        try:
            return self._fields(requests) if requests else []
        except Exception as error:  # Flask meets it again, and says or logs it
            if not isinstance(error, EkgError):
                log.debug("left to Flask", exc_info=error)
        # One of many may be bad; the others are not to suffer from it. Nothing was counted yet:
        # the service counts what it answers, all of a batch or none.
        if len(requests) == 1:
            return [None]
        return [one for asked in requests for one in self._together([asked])]

    def _fields(self, requests: Sequence[Asked]) -> Sequence[Fields]:
        if requests[0].route == "/predict":
            return self._service.predict(
                [read_window(asked.body, asked.kind, asked.query) for asked in requests]
            )
        return self._service.stream(
            [read_chunks(asked.body, asked.kind, asked.query) for asked in requests]
        )

    def _told(
        self, asked: Asked, status: HTTPStatus, kind: str, body: bytes, more: bytes = b""
    ) -> bytes:
        """The answer, counted and logged."""
        log_request(
            self._metrics,
            asked.route,
            "POST",
            status,
            time.perf_counter() - asked.started,
            asked.id,
            asked.size - asked.head,
        )
        return b"%b%bX-Request-ID: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            _answer_head(status, kind, int(time.time())),
            more,
            asked.id.encode(),
            len(body),
            body,
        )


def request_id(given: str) -> str:
    """The client's own, if it is sane."""
    return given if REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def log_request(
    metrics: Metrics, route: str, method: str, status: int, seconds: float, id_: str, octets: int
) -> None:
    """Count and log an answered request; ``route`` is the rule, never the path that was sent."""
    metrics.request(route, status, seconds)
    level = logging.DEBUG if route.startswith(("/health", "/metrics")) else logging.INFO
    if log.isEnabledFor(level):
        log.log(
            level,
            "request",
            extra={
                "fields": {
                    "id": id_,
                    "method": method,
                    "route": route,
                    "status": int(status),
                    "ms": round(1000 * seconds, 3),
                    "bytes": octets,
                }
            },
        )


_Read = tuple[str, dict[str, str], str, int, str, str]


@lru_cache(maxsize=64)  # a connection's heads are mostly alike
def _head(head: bytes) -> _Read | None:
    """Route, query, media type, length, request id and authority; None where not plain."""
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    lines = match[3].decode("ascii").split("\r\n")[:-1]
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip(" ")
    pairs = [pair.split("=") for pair in (match[2] or b"").decode("ascii").split("&") if pair]
    length = fields.get("content-length", "")
    if (
        len(fields) < len(lines)
        or not fields.keys().isdisjoint(_NOT_PLAIN)
        or fields.get("connection", "keep-alive").lower() != "keep-alive"
        or not fields.get("host")
        or not (length.isdecimal() and len(length) < 9)
        or any(len(pair) != 2 for pair in pairs)
        or len({name for name, _ in pairs}) < len(pairs)
    ):
        return None
    kind = fields.get("content-type", "").partition(";")[0].strip(" ").lower()
    return (
        match[1].decode("ascii"),
        dict(pairs),
        kind,
        int(length),
        fields.get("x-request-id", ""),
        fields.get("authorization", ""),
    )


@lru_cache(maxsize=8)
def _answer_head(status: HTTPStatus, kind: str, second: int) -> bytes:
    fields: dict[str, Any] = {
        "Date": formatdate(second, usegmt=True),
        "Connection": "keep-alive",
        "Content-Type": kind,
        **HEADERS,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}".encode()


def _ms_since(started: float) -> float:
    return round(1000 * (time.perf_counter() - started), 3)
