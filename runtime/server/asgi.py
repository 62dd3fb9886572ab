"""The ASGI application that gunicorn's workers run: the event loop in front of Flask.

``/predict`` and ``/stream`` are answered here (`.batches`), past a framework that would cost as
much as the network, and so are the health checks, which so wait for nobody. Everything else is
Flask's (`.app`), in threads, once its body is there. `.gate`, `.frame` and `.service` are shared
with it, so both answer alike.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask
from werkzeug.exceptions import HTTPException

from ..errors import EkgError, InputError
from .admission import Admission, OverloadError
from .app import create_app, load_model
from .batches import Answer, Asked, Batches, refusal
from .bodies import FILES
from .connection import Connection
from .frame import HEADERS, log_request, most_bytes, request_id, too_large
from .gate import RefusedError
from .metrics import Metrics
from .site import DRAINING, Site
from .wire import JSON, dump

# Of bodies in a worker's memory, bytes; those that would be more are refused, small ones apart.
HELD, SMALL = 64 << 20, 64 << 10
THREADS = 64  # of Flask; they mostly wait for each other
RETRY_S = 30.0  # a worker tries to load a model that another one serves
BROKEN = {
    400: "the request is not HTTP/1.1 that this server reads; expected a request line, headers "
    "and a body as RFC 9112 has them.",
    414: "the request line is too long; expected at most {limit_request_line} bytes.",
    431: "the request's headers are too many or too long; expected at most "
    "{limit_request_fields}, each of at most {limit_request_field_size} bytes, 64 KiB together.",
}
log = logging.getLogger("ekg")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


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
        self._batches = Batches(self._site)
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
            version = scope["http_version"]
            client = self._site.gate.check(asked.method, asked.path, version, headers)
            asked.client = client.name if client else ""
            self._site.keep_limit(client)
            answer = await self._answer(asked, scope, receive, send)
        except GoneError:
            return
        except EkgError as error:
            answer = refusal(asked, error)
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
                await self._take_body(asked, receive, self._batches.queue(asked))
                return await self._batches.answer(asked)
        if asked.path == FILES:  # which go to the disk as they come
            await self._wsgi(scope, receive, send)  # type: ignore[arg-type]
            return None
        await self._take_body(
            asked, receive, self._site.admission if asked.method == "POST" else None
        )
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
            asked.client,
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
        self._batches.close()
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

    If a model or file of settings cannot be loaded that another worker has, it may be half copied:
    then this worker says so, waits for it, and ends alone if it stays so.
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
            said = f"a worker cannot begin and waits: {error}"
            metrics.set_notice(said)
            log.error("a worker cannot begin", extra={"fields": {"reason": str(error)}})
        if time.monotonic() > until:
            sys.exit(1)
        time.sleep(1.0)
    return Application(create_app())


def _held(size: int) -> int:
    """Return what a body of that size counts as; many connections may hold a small one each."""
    return size if size > SMALL else 0
