"""The ASGI application that gunicorn's workers run: the event loop in front of Flask.

Most requests to ``/predict`` and ``/stream`` are a few kilobytes of valid signal, and what a
general framework does around them costs as much as the network. They are answered here, those
that came in together as one batch; longer ones one after another in a thread. So are the health
checks, which so wait for nobody. Everything else is Flask's (`.app`), in threads, once its body is
there. `.frame` and `.service` are shared with it, so both answer alike.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from a2wsgi import WSGIMiddleware
from flask import Flask
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from ..errors import EkgError, InputError
from .admission import WAIT_S, Admission, OverloadError
from .app import create_app, load_model
from .bodies import FILES
from .connection import Connection
from .frame import (
    HEADERS,
    PROBLEM,
    RefusedError,
    log_request,
    most_bytes,
    problem_body,
    problem_of,
    request_id,
    too_large,
)
from .metrics import Metrics
from .service import Fields
from .site import DRAINING, Site, unrepeated
from .wire import JSON, MAX_TOKEN, RAW, dump, read_chunks, read_window

# Bytes of signal that the loop may work on itself, some milliseconds at the worst; a token of
# /stream comes on top.
SHORT = {JSON: 16 << 10, RAW: 8 << 10}
# Lists in such a request: in a batch every patient is one, and costs a good part of a request.
LISTS = 8
# Of bodies in a worker's memory, bytes; those that would be more are refused, small ones apart.
HELD, SMALL = 64 << 20, 64 << 10
THREADS = 64  # of Flask; they mostly wait for each other
RETRY_S = 30.0  # a worker tries to load a model that another one serves
BROKEN = {
    400: "the request is not HTTP/1.1 that this server reads; expected a request line, headers "
    "and a body as RFC 9112 has them.",
    414: "the request line is too long; expected at most {limit_request_line} bytes.",
    431: "the request's headers are too many or too long; expected at most "
    "{limit_request_fields}, each of at most {limit_request_field_size} bytes.",
}
log = logging.getLogger("ekg")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Answer(NamedTuple):
    """Status, media type, body, and headers beside those of every answer."""

    status: int
    media_type: str
    body: bytes
    headers: dict[str, str]


@dataclass(eq=False, slots=True)
class Asked:
    """A request, once its head is there.

    Attributes
    ----------
    size : bytes of the body, as announced or as they came
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    id: str
    media_type: str
    started: float
    size: int
    body: bytes = b""
    answer: asyncio.Future[Answer] | None = None

    @property
    def short(self) -> bool:
        """True if the loop may work on it itself."""
        token = MAX_TOKEN if self.path == "/stream" else 0
        return self.size <= SHORT.get(self.media_type, 0) + token and (
            self.media_type != JSON or self.body.count(b"[") <= LISTS
        )


class GoneError(Exception):
    """The client went away before its request was there."""


class Application:
    """The event loop's part of the server.

    Parameters
    ----------
    flask : what `.app.create_app` made
    """

    def __init__(self, flask: Flask):
        self._flask = flask
        self._site: Site = flask.extensions["site"]
        self._wsgi = WSGIMiddleware(flask.wsgi_app, workers=THREADS)  # type: ignore[arg-type]
        in_work = self._site.metrics.in_work
        # A queue of each: short requests do not wait behind long ones.
        self._short, self._long = Admission(in_work), Admission(in_work, work_s=WAIT_S)
        self._lane = ThreadPoolExecutor(1)
        self._together: dict[str, list[Asked]] = {"/predict": [], "/stream": []}
        self._held = 0  # bytes of large bodies

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; or begin and end, as the server says."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        asked = Asked(
            scope["method"],
            scope["path"],
            scope.get("query_string", b"").decode("latin-1"),
            headers,
            request_id(headers.get("x-request-id", "")),
            headers.get("content-type", "").partition(";")[0].strip().lower(),
            time.perf_counter(),
            int(headers.get("content-length", 0)),
        )
        try:
            if "ekg.broken" in scope:
                status = scope["ekg.broken"]
                limits = Connection.limits._asdict()
                raise RefusedError(status, BROKEN[status].format(**limits))
            self._site.gate.check(asked.method, asked.path, scope["http_version"], headers)
            answer = await self._answer(asked, scope, receive, send)
        except GoneError:
            return
        except EkgError as error:
            answer = self._refusal(asked, error)
        finally:
            self._held -= _held(len(asked.body))
        if answer is not None:
            await self._send(asked, answer, send)

    async def _answer(
        self, asked: Asked, scope: Message, receive: Receive, send: Send
    ) -> Answer | None:
        """Answer it; None if Flask has."""
        if not asked.query.isascii():
            raise InputError("the query is not ASCII; expected other characters as %XX.")
        if asked.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise InputError("the body is coded for its transfer; expected chunks at most.")
        match asked.method, asked.path:
            case "GET", "/health/live":
                return Answer(200, JSON, dump({"status": "live"}), {})
            case "GET", "/health/ready":
                if self._flask.config["DRAINING"]:
                    raise RefusedError(503, DRAINING)
                return Answer(200, JSON, dump(self._site.readiness()), {})
            case "POST", "/predict" | "/stream":
                await self._take_body(asked, receive, self._short if asked.short else self._long)
                return await self._compute(asked)
        admission = self._site.admission if asked.method == "POST" else None
        if asked.path == FILES:  # which go to the disk as they come
            await self._wsgi(scope, receive, send)  # type: ignore[arg-type]
            return None
        await self._take_body(asked, receive, admission)
        await self._ask_flask(asked, scope, send)
        return None

    async def _take_body(self, asked: Asked, receive: Receive, admission: Admission | None) -> None:
        """Wait for the body, of what is not to be refused anyway."""
        if admission is not None:  # before anything is spent on it
            admission.check()
        limit = most_bytes(asked.media_type, asked.headers)
        if asked.size > limit:
            raise too_large(limit)
        pieces: list[bytes] = []
        size, more = 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                piece, more = message.get("body", b""), message.get("more_body", False)
                grown = _held(size + len(piece)) - _held(size)
                if size + len(piece) > limit:
                    raise too_large(limit)
                if grown and self._held + grown > HELD:
                    raise OverloadError
                size, self._held = size + len(piece), self._held + grown
                pieces.append(piece)
        except BaseException:
            self._held -= _held(size)
            raise
        asked.body, asked.size = b"".join(pieces), size

    # Signal

    async def _compute(self, asked: Asked) -> Answer:
        """Answer a request for the detector, with those that are there as well."""
        loop = asyncio.get_running_loop()
        if not asked.short:
            self._long.enter()
            return await loop.run_in_executor(self._lane, self._compute_long, asked)
        self._short.enter()
        together = self._together[asked.path]
        together.append(asked)
        if len(together) > 1:
            asked.answer = loop.create_future()
            return await asked.answer
        await asyncio.sleep(0)  # those that came in with it join
        self._together[asked.path] = []
        answers = self._results(together, self._short)
        for other, answer in zip(together[1:], answers[1:], strict=True):
            if other.answer is not None and not other.answer.done():
                other.answer.set_result(answer)
        return answers[0]

    def _compute_long(self, asked: Asked) -> Answer:
        with self._site.long_work(asked.size):
            return self._results([asked], self._long)[0]

    def _results(self, requests: Sequence[Asked], queue: Admission) -> list[Answer]:
        """Answer requests of one route as one batch, and give back their places in the queue."""
        started = time.perf_counter()
        try:
            fields = self._fields(requests)
        except Exception as error:
            # One of many may be bad; the others are not to suffer from it. Nothing was counted
            # yet: the service counts what it answers, all of a batch or none.
            if len(requests) > 1:
                return [answer for asked in requests for answer in self._results([asked], queue)]
            answers = [self._refusal(requests[0], error)]
        else:
            answers = [
                Answer(200, JSON, dump(one | self._origin(asked)), {})
                for asked, one in zip(requests, fields, strict=True)
            ]
        queue.leave((time.perf_counter() - started) / len(requests), len(requests))
        return answers

    def _origin(self, asked: Asked) -> Fields:
        latency_ms = round(1000 * (time.perf_counter() - asked.started), 3)
        return {"provider": self._site.model.provider, "latency_ms": latency_ms}

    def _fields(self, requests: Sequence[Asked]) -> list[Fields]:
        service = self._site.service
        if requests[0].path == "/predict":
            return service.predict(
                [read_window(one.body, one.media_type, _fields_of(one.query)) for one in requests]
            )
        return service.stream(
            [read_chunks(one.body, one.media_type, _fields_of(one.query)) for one in requests]
        )

    # Everything else

    async def _ask_flask(self, asked: Asked, scope: Message, send: Send) -> None:
        """Let Flask answer a request whose body is there."""
        framing = (b"content-length", b"transfer-encoding")
        headers = [(name, value) for name, value in scope["headers"] if name not in framing]
        if asked.body or "content-length" in asked.headers:
            headers.append((b"content-length", str(len(asked.body)).encode()))
        bodies = [asked.body]

        async def replay() -> Message:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        await self._wsgi({**scope, "headers": headers}, replay, send)  # type: ignore[arg-type]

    def _refusal(self, asked: Asked, error: Exception) -> Answer:
        """Answer what went wrong; what was not foreseen stands in the log only."""
        known = isinstance(error, EkgError)
        status, more, fields = problem_of(error) if known else (500, {}, {})  # type: ignore[arg-type]
        detail = str(error)
        if status == 500:
            log.error("unexpected error", exc_info=error, extra={"fields": {"id": asked.id}})
            detail = "the server failed on this request; its log says where."
        body, more = problem_body(status, detail, asked.id, asked.path, more, fields)
        return Answer(status, PROBLEM, body, more)

    async def _send(self, asked: Asked, answer: Answer, send: Send) -> None:
        """Send, count and log an answer."""
        rule = self._rule(asked)
        log_request(
            self._site.metrics,
            rule,
            asked.method if rule != "other" else "other",
            answer.status,
            time.perf_counter() - asked.started,
            asked.id,
            len(asked.body),
        )
        headers = [
            *_HEADERS,
            (b"content-type", answer.media_type.encode()),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", asked.id.encode()),
            *((name.lower().encode(), value.encode()) for name, value in answer.headers.items()),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _rule(self, asked: Asked) -> str:
        """Return the pattern of its route, never the path that was sent."""
        if asked.path in ("/predict", "/stream", "/health/live", "/health/ready"):
            return asked.path
        try:
            routes = self._flask.url_map.bind("localhost")
            return str(routes.match(asked.path, asked.method, return_rule=True)[0])
        except HTTPException:
            return "other"

    # Beginning and end

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        Connection.watch(loop)
        leave = signal.getsignal(signal.SIGTERM)  # uvicorn's
        if callable(leave):
            loop.add_signal_handler(signal.SIGTERM, self._drain, leave)
            loop.add_signal_handler(signal.SIGQUIT, leave, signal.SIGQUIT, None)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._lane.shutdown(wait=False)
        await send({"type": "lifespan.shutdown.complete"})

    def _drain(self, leave: Callable[..., object]) -> None:
        """Be not ready, so that a balancer looks away, then take no more connections."""
        if not self._flask.config["DRAINING"]:
            self._flask.config["DRAINING"] = True
            wait = float(os.environ.get("EKG_DRAIN", "2"))
            asyncio.get_running_loop().call_later(wait, leave, signal.SIGTERM, None)


_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def create() -> Application:
    """Return the application as gunicorn's workers run it.

    If a model cannot be loaded that another worker serves, it may be half copied: then this
    worker says so, waits for it, and ends alone if it stays so.
    """
    until = time.monotonic() + RETRY_S
    metrics, said = Metrics(), ""
    while metrics.has_served():
        try:
            application = Application(create_app(load_model()))
            if metrics.notice() == said:
                metrics.set_notice("")
            return application
        except EkgError as error:
            said = f"a worker cannot load the model and waits for another: {error}"
            metrics.set_notice(said)
            log.error("the model cannot be loaded", extra={"fields": {"reason": str(error)}})
        if time.monotonic() > until:
            sys.exit(1)
        time.sleep(1.0)
    return Application(create_app())


def _held(size: int) -> int:
    """Return what a body of that size counts as; many connections may hold a small one each."""
    return size if size > SMALL else 0


@lru_cache(maxsize=64)  # they are mostly alike
def _fields_of(query: str) -> dict[str, str]:
    """Return a query's fields as Flask reads them."""
    return unrepeated(
        MultiDict(parse_qsl(query, keep_blank_values=True, errors="werkzeug.url_quote"))
    )
