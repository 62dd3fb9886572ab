"""The servers beside ours: one that fails is listed with its reason, all are stopped."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from bench import over_http
from bench.load import Failed, Request
from bench.servers import model
from runtime import Detector
from runtime.detector import DEFAULT_ARTIFACTS
from runtime.server.wire import result_fields
from runtime.simulate import simulate

REQUEST = Request("/predict", "application/json", b"{}")
WINDOW = np.zeros(360)


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
    server = over_http.Server(name, (), {"JSON": "/predict"})
    return over_http.ServerTrial(
        server, over_http.Started(port, os.getpid(), 1.0), REQUEST, {"name": name, "body": "JSON"}
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


def test_the_status_of_a_server_that_stops_at_its_start_is_reported() -> None:
    stops = over_http.Server(
        "gone", [sys.executable, "-c", "raise SystemExit(3)"], {"JSON": "/predict"}
    )
    with (
        pytest.raises(Failed, match="gone stopped with status 3 as it started"),
        over_http.start(stops, Path("artifacts"), "cpu", WINDOW),
    ):
        pass


def test_batching_has_rows_of_its_own() -> None:
    names = [server.name for server in over_http.servers(Path("python"))]
    for name in ("LitServe", "BentoML"):
        assert {name, name + over_http.BATCHING} <= set(names)
    assert len(set(names)) == len(names)


def test_batch_composition_does_not_change_answers(detector: Detector) -> None:
    """Windows of two lengths, mixed: each gets its own answer, in its own place."""
    signal = simulate(12, seed=3, ectopic=0.3).signal
    windows = [signal[at : at + (720 if at % 720 else 360)] for at in range(0, 3600, 360)]
    expected = [
        {**result_fields(detector.predict(window, 360)), "provider": "cpu"} for window in windows
    ]
    assert model.load_many()([(window.tolist(), 360.0) for window in windows]) == expected
    assert model.load()(windows[1].tolist(), 360.0) == expected[1]


def test_our_rows_say_which_nodes_ran_where() -> None:
    ours, *_ = over_http.servers(None)
    found = over_http.measure(DEFAULT_ARTIFACTS, [ours], rounds=1, block_s=0.05)
    assert found["refused"] == []
    assert [row["body"] for row in found["rows"]] == ["JSON", "raw"]
    for row in found["rows"]:
        assert list(row["nodes"]) == ["CPUExecutionProvider"]
        assert row["nodes"]["CPUExecutionProvider"] > 0
