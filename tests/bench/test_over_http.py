"""The servers' turns: one that fails is listed with its reason, our rows name their nodes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench import http_servers, over_http
from bench.load import Request
from runtime.detector import DEFAULT_ARTIFACTS

REQUEST = Request("/predict", "application/json", b"{}")


@contextmanager
def listening(resets_after: int | None = None) -> Iterator[int]:
    """The port of a server that answers, at most so often in all; then it hangs up on everyone."""
    answered = 0

    def answer(connection: socket.socket) -> None:
        nonlocal answered
        with connection, suppress(OSError):  # the client hangs up
            while connection.recv(4096) and answered != resets_after:
                answered += 1
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def trial(name: str, port: int) -> over_http.ServerTrial:
    server = http_servers.Server(name, (), {"JSON": "/predict"})
    return over_http.ServerTrial(
        server,
        http_servers.Started(port, os.getpid(), 1.0),
        REQUEST,
        {"name": name, "body": "JSON"},
    )


def test_a_server_that_hangs_up_is_refused_and_the_others_stay() -> None:
    refused: list[dict[str, str]] = []
    with listening() as sound, listening(resets_after=5) as failing:
        left = over_http.take_turns(
            [trial("failing", failing), trial("sound", sound)], 3, 0.02, refused
        )
    assert [entry.row["name"] for entry in left] == ["sound"]
    assert left[0].row["requests_per_s"] > 0
    assert len(left[0].rates) == 3
    assert [entry["what"] for entry in refused] == ["failing over HTTP, JSON"]
    assert refused[0]["reason"]


def test_no_rows_if_all_servers_fail() -> None:
    refused: list[dict[str, str]] = []
    with listening(resets_after=0) as failing:
        assert over_http.take_turns([trial("failing", failing)], 3, 0.02, refused) == []
    assert len(refused) == 1


def test_our_rows_say_which_nodes_ran_where() -> None:
    ours, *_ = http_servers.servers(None)
    found = over_http.measure(DEFAULT_ARTIFACTS, [ours], rounds=1, block_s=0.05)
    assert found["refused"] == []
    assert [row["body"] for row in found["rows"]] == ["JSON", "raw"]
    for row in found["rows"]:
        assert list(row["nodes"]) == ["CPUExecutionProvider"]
        assert row["nodes"]["CPUExecutionProvider"] > 0
