"""The load client against a server that answers in awkward ways."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from bench import load

REQUEST = load.Request("/predict", "application/json", b"{}")


@pytest.fixture
def serve() -> Iterator:
    """serve(pieces) -> port of a server that answers every request with these pieces."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(pieces: list[bytes]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # the client hangs up
                while connection.recv(4096):
                    for piece in pieces:
                        connection.sendall(piece)

    def start(*pieces: bytes) -> int:
        threading.Thread(target=answer, args=(list(pieces),), daemon=True).start()
        return listener.getsockname()[1]

    yield start
    listener.close()


def test_an_answer_in_pieces_is_put_together(serve):
    port = serve(b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 4\r\n\r\nab", b"cd")
    with load.Connection(port, REQUEST) as connection:
        assert connection.ask() == b"abcd"
        assert connection.ask() == b"abcd"


def test_a_chunked_answer_is_put_together(serve):
    port = serve(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"3\r\ncde\r\n0\r\n\r\n",
    )
    with load.Connection(port, REQUEST) as connection:
        assert connection.ask() == b"abcde"


def test_an_error_is_not_an_answer(serve):
    port = serve(b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad")
    with (
        load.Connection(port, REQUEST) as connection,
        pytest.raises(load.Failed, match="500 Oh: bad"),
    ):
        connection.ask()


def test_latency_and_throughput_count_answers(serve):
    port = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert len(load.latencies(port, REQUEST, 0.05)) > 5
    assert load.throughput(port, REQUEST, 0.05, connections=1) > 100


def test_a_server_too_slow_for_the_block_still_has_a_latency_and_no_throughput(serve):
    port = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert len(load.latencies(port, REQUEST, 1e-9)) <= 1
    with pytest.raises(load.Failed, match="no answer to 1 connections"):
        load.throughput(port, REQUEST, 0.0, connections=1)
