"""Keep-alive HTTP load from one thread: prepared requests, hardly any parsing of answers."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

ANSWER_WITHIN_S = 30.0


class Failed(Exception):  # noqa: N818
    """A server answered with an error, too late, or not at all."""


@dataclass(frozen=True)
class Request:
    """One prepared ``POST``.

    Attributes
    ----------
    path : with its query
    media_type : of the body
    body : bytes
    """

    path: str
    media_type: str
    body: bytes

    def encode(self, port: int) -> bytes:
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: {self.media_type}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        ).encode() + self.body


class Connection:
    """A keep-alive connection that has at most one request under way."""

    def __init__(self, port: int, request: Request):
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = request.encode(port)
        self._received = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self) -> None:
        self._socket.sendall(self._message)

    def receive(self) -> bytes | None:
        """The answer's body once it is complete, else None; to be called when readable."""
        try:
            piece = self._socket.recv(1 << 16)
        except OSError as error:
            raise Failed(f"no answer ({error})") from error
        if not piece:
            raise Failed("the server closed the connection")
        self._received += piece
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or not _complete(head.lower(), body):
            return None
        self._received = b""
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(f"{head.splitlines()[0].decode()}: {body[:200].decode(errors='replace')}")
        return _unchunked(body) if b"chunked" in head.lower() else body

    def ask(self) -> bytes:
        """Send, and wait for the answer."""
        self.send()
        while (answer := self.receive()) is None:
            pass
        return answer


def latencies(port: int, request: Request, seconds: float) -> list[float]:
    """Round trips of one connection that asks again as soon as it is answered, s."""
    times = []
    with Connection(port, request) as connection:
        connection.ask()
        end = time.perf_counter() + seconds
        while (started := time.perf_counter()) < end:
            connection.ask()
            times.append(time.perf_counter() - started)
    return times


def throughput(port: int, request: Request, seconds: float, connections: int) -> float:
    """Answers a second to so many connections that each ask again as soon as answered.

    Raises
    ------
    Failed
        An answer was an error, or there was none in that time.
    """
    answered = 0
    opened = [Connection(port, request) for _ in range(connections)]
    try:
        with selectors.DefaultSelector() as selector:
            for connection in opened:
                selector.register(connection, selectors.EVENT_READ)
                connection.send()
            started = time.perf_counter()
            while (now := time.perf_counter()) < started + seconds:
                for key, _ in selector.select(ANSWER_WITHIN_S):
                    connection = key.fileobj  # type: ignore[assignment]
                    if connection.receive() is not None:
                        answered += 1
                        connection.send()
            if not answered:
                raise Failed(f"no answer to {connections} connections in {seconds:g} s")
            return answered / (now - started)
    finally:
        for connection in opened:
            connection.__exit__()


def _complete(head: bytes, body: bytes) -> bool:
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, _, rest = head.partition(b"content-length:")
    return len(body) >= int(rest.split(b"\r\n", 1)[0] or 0)


def _unchunked(body: bytes) -> bytes:
    pieces: list[bytes] = []
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(pieces)
        pieces.append(rest[:length])
        body = rest[length + 2 :]
