"""The fuzz trial: answers after an informational one are judged."""

from __future__ import annotations

import random
import socket
import threading

import pytest

from bench import fuzz_requests, fuzz_tally


def test_the_answer_after_a_continue_is_judged() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
    tally = fuzz_tally.Tally()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(1 << 16):
                    pass
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        chance = random.Random(0)
        chance.random = lambda: 0.99  # type: ignore[method-assign]  # undamaged, and listens
        fuzz_requests.broken_http(listener.getsockname()[1], tally, chance)()
        thread.join()
    assert tally.answers == {"broken HTTP": {"500": 1}}
    assert any("500 on" in fault for fault in tally.faults)


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (
            b"HTTP/1.1 102 A\r\nX: y\r\n\r\nHTTP/1.1 100 B\r\n\r\nHTTP/1.1 200 OK",
            b"HTTP/1.1 200 OK",
        ),
        (b"HTTP/1.1 400 Bad", b"HTTP/1.1 400 Bad"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
        (b"HTTP/1.1 100 Contin", b""),
        (b"", b""),
    ],
)
def test_informational_heads_are_no_answer(received: bytes, answer: bytes) -> None:
    assert fuzz_requests.final(received) == answer
