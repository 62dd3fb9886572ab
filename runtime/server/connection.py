"""A client's connection: uvicorn's HTTP/1.1, with limits to silent, slow and endless clients.

httptools parses and uvicorn frames. Of what they leave to a proxy in front this adds a time for a
request to arrive and for an answer to leave, gunicorn's limits of a head, a bound on connections
that closes the longest idle one, and for what is no HTTP an answer like any other. The
application gives that answer: it gets a request whose scope has ``ekg.broken``, the status.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from itertools import islice
from typing import Any, ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .frame import GONE

REQUEST_S = 10.0  # a request has to arrive, and its answer to leave, in such a time
LINGER_S = 1.0  # for a client to close its side, or for a request that is already on its way
BODY = (b"content-length", b"transfer-encoding")  # fields that announce one
MAX_HEAD = 64 << 10  # bytes of a head's fields, or that follow its first piece
log = logging.getLogger("ekg")


class Limits(NamedTuple):
    """gunicorn's settings of these names, and its defaults.

    Attributes
    ----------
    limit_request_line, limit_request_field_size : bytes
    limit_request_fields : fields in a head
    worker_connections : open at once; beyond it the longest idle one is closed
    """

    limit_request_line: int = 4094
    limit_request_fields: int = 100
    limit_request_field_size: int = 8190
    worker_connections: int = 1000


class Connection(HttpToolsProtocol):
    """One of them.

    Attributes
    ----------
    limits : of all connections
    waiting : those of which the client has the turn, the longest first, and when its time is
        over, in the loop's s
    """

    limits = Limits()
    waiting: ClassVar[dict[Connection, float]] = {}

    def connection_made(self, transport: Any) -> None:
        """Begin; the first request has a time to arrive as the others have."""
        super().connection_made(Outgoing(transport, self))  # type: ignore[arg-type]
        # TLS pauses at this size and not only above it, and 0 would be a pause without an end.
        transport.set_write_buffer_limits(high=1 if self.scheme == "https" else 0)
        self.in_head, self.whole = False, True  # of the request that arrives
        self.last = False  # after it the connection is closed
        self.deaf = False  # what comes is no request
        self.fault = 400
        self.wait(REQUEST_S)
        if len(self.connections) > self.limits.worker_connections:
            self.shed(1)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def wait(self, seconds: float) -> None:
        """Give the turn to the client, for so long."""
        self.waiting.pop(self, None)
        self.waiting[self] = self.loop.time() + seconds

    @property
    def answering(self) -> bool:
        """True while an answer is due."""
        cycle = self.cycle
        return bool(cycle) and not (cycle.response_complete or cycle.disconnected)

    @classmethod
    def shed(cls, count: int) -> None:
        """Close those that have waited longest for their clients."""
        for connection in list(islice(cls.waiting, count)):
            del cls.waiting[connection]
            connection.transport.abort()

    @classmethod
    def watch(cls, loop: asyncio.AbstractEventLoop) -> None:
        """Keep to the times and bounds from now on."""

        def go_on(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                cls.shed(16)  # and the loop tries again in a second
                log.warning("no file descriptor left; the longest idle connections are closed")
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(go_on)
        # TLS is spoken before a connection is made and after it is closed; the loop would give a
        # client a minute and half a minute for it.
        times: Any = asyncio.constants  # type: ignore[attr-defined]
        times.SSL_HANDSHAKE_TIMEOUT, times.SSL_SHUTDOWN_TIMEOUT = REQUEST_S, LINGER_S
        cls.sweep(loop)

    @classmethod
    def sweep(cls, loop: asyncio.AbstractEventLoop) -> None:
        """Close those whose time is over, each second from now on."""
        late = [one for one, until in cls.waiting.items() if until < loop.time()]
        for connection in late:
            connection.transport.abort()
        loop.call_later(1.0, cls.sweep, loop)

    # What comes

    def data_received(self, data: bytes) -> None:
        """Parse it."""
        if self.deaf or self.transport.is_closing():
            return  # but closing now would lose the answer
        began = self.in_head
        super().data_received(data)
        if began and self.in_head:
            self.head += len(data)
            if self.head > MAX_HEAD:
                self.fault = 431
                self.send_400_response("")

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the client closed its side."""
        if self.transport.is_closing():
            return False
        self.last = True
        if not self.whole:
            self.send_400_response("")
        return self.answering

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope[GONE] = self.transport.is_closing  # type: ignore[literal-required]
        self.in_head, self.whole, self.head, self.fields, self.size = True, False, 0, 0, 0
        if not self.answering:
            self.wait(REQUEST_S)

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        super().on_url(url)
        if len(self.url) > self.limits.limit_request_line:
            self._break(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; one that could pass for another when - becomes _ is dropped."""
        self.fields, self.size = self.fields + 1, self.size + len(name) + len(value)
        if (
            self.size > MAX_HEAD
            or self.fields > self.limits.limit_request_fields
            or len(name) + len(value) > self.limits.limit_request_field_size
        ):
            self._break(431)
        if b"_" not in name:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self.parser.should_upgrade() and any(name in BODY for name, _ in self.headers):
            self._break(400)  # the parser takes what follows for the other protocol
        super().on_headers_complete()
        self.in_head = False
        if self.last or not self.timeout_keep_alive or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Give the turn to the server, unless it has already answered."""
        super().on_message_complete()
        self.whole = True
        self.deaf = bool(self.parser.should_upgrade())  # to a protocol that is not spoken here
        if self.answering:
            self.waiting.pop(self, None)
        else:
            self.wait(self.timeout_keep_alive)

    # What goes

    def on_response_complete(self) -> None:
        """Give the turn to the client."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()
        if self.transport.is_closing() or self.answering:
            return
        if self.whole and self.last:
            self.transport.close()
        elif self.whole:
            self.wait(self.timeout_keep_alive)
        elif self not in self.waiting:
            self.wait(REQUEST_S)

    def send_400_response(self, msg: str) -> None:
        """Let the application answer what cannot be read, after what was asked before it."""
        if not self.in_head and not self.whole:  # the body of a request is broken
            if not self.answering or self.cycle.response_started:  # that has its answer
                self.transport.close()
                return
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
            else:  # it gets this answer and no other
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        first = not (self.pipeline or self.answering)
        self.deaf, self.in_head, self.whole = True, False, True
        self.cycle = RequestResponseCycle(
            scope={  # type: ignore[typeddict-unknown-key, typeddict-item]
                "type": "http",
                "method": "GET",
                "path": "",
                "headers": [],
                "http_version": "1.1",
                "ekg.broken": self.fault,
            },
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        if first:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.pipeline.appendleft((self.cycle, self.app))

    def pause_writing(self) -> None:
        """Give the client some time to take its answer."""
        if not self.flow.write_paused:
            self.wait(REQUEST_S)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client has taken all."""
        super().resume_writing()
        if self.transport.is_closing():
            self.wait(LINGER_S)
        elif self.answering:
            self.waiting.pop(self, None)
        else:
            self.wait(self.timeout_keep_alive if self.whole else REQUEST_S)

    def shutdown(self) -> None:
        """Answer what has come or is on its way, then close."""
        self.last = True
        if self.answering:
            super().shutdown()
        elif self.whole:
            self.wait(LINGER_S)

    def _break(self, status: int) -> None:
        self.fault = status
        raise ValueError("a head that is not read here")


class Outgoing:
    """A transport that sends an answer's head with its body, as one packet.

    Closing waits for the client to close its side, for a moment: what it still sends would
    otherwise reset the connection, and lose the answer.
    """

    def __init__(self, transport: Any, connection: Connection):
        self._transport, self._connection = transport, connection
        self._pieces: list[bytes] = []
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it, a head once more comes or the answer is complete."""
        self._pieces.append(data)
        if len(self._pieces) > 1 or not self._connection.cycle.response_started:
            self.flush()

    def is_closing(self) -> bool:
        """Return whether nothing more is to be sent."""
        return bool(self._closing or self._transport.is_closing())

    def close(self) -> None:
        """Close once everything is sent, and the client has closed its side."""
        if self.is_closing():
            return
        self.flush()
        self._closing = True
        if self._connection.scheme == "https":  # TLS says itself that it ends
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # it is gone
            self._transport.abort()
            return
        self._connection.flow.resume_reading()
        self._connection.wait(REQUEST_S if self._connection.flow.write_paused else LINGER_S)

    def flush(self) -> None:
        """Send it now."""
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))
