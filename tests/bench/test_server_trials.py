"""Shared parts of the server's trials, and refusals of arguments and data they cannot use."""

from __future__ import annotations

import random
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from bench import server_common, server_fuzz, server_kill, server_overload, server_soak


@pytest.mark.parametrize(
    ("count", "of", "rank"),
    [
        (100, 99, 99),
        (100, 50, 50),
        (100, 100, 100),
        (101, 99, 100),
        (200, 99, 198),
        (1, 99, 1),
        (10, 0, 1),
    ],
)
def test_a_share_is_by_nearest_rank(count: int, of: float, rank: int) -> None:
    """The smallest value that so many per cent do not exceed: p99 of 100 is not the largest."""
    assert server_common.share(range(count, 0, -1), of) == rank


def test_a_share_of_no_values_is_zero() -> None:
    assert server_common.share([], 99) == 0


def test_a_server_that_does_not_get_ready_is_killed() -> None:
    class Late(server_common.Server):
        def __init__(self) -> None:
            self.killed = False

        def wait_ready(self) -> None:
            raise KeyboardInterrupt

        def kill(self) -> None:
            self.killed = True

    server = Late()
    with pytest.raises(KeyboardInterrupt), server:
        pass
    assert server.killed


def test_the_answer_after_a_continue_is_judged() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
    tally = server_fuzz.Tally()
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
        server_fuzz.broken_http(listener.getsockname()[1], tally, chance)()
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
    assert server_fuzz.final(received) == answer


def test_without_records_the_streams_are_simulated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from training import download

    (tmp_path / "mitdb").mkdir()
    monkeypatch.setattr(download, "data_folder", lambda: tmp_path)
    source, signals = server_kill.recordings(2, 3600)
    assert source.startswith("simulated")
    assert [len(signal) for signal in signals] == [3600, 3600]


@pytest.mark.parametrize(
    ("trial", "arguments"),
    [
        (server_fuzz, ["--requests", "-1"]),
        (server_overload, ["--seconds", "0"]),
        (server_overload, ["--fs", "10"]),
        (server_kill, ["--streams", "0"]),
        (server_kill, ["--pace", "nan"]),
        (server_soak, ["--workers", "0"]),
    ],
)
def test_arguments_that_measure_nothing_are_refused(
    trial: ModuleType,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["trial", *arguments])
    with pytest.raises(SystemExit) as left:
        trial.main()
    assert left.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_too_few_requests_for_a_soak_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["server_soak", "--requests", "9"])
    with pytest.raises(SystemExit):
        server_soak.main()
    assert "--requests 9: at least 10 are needed" in capsys.readouterr().err
