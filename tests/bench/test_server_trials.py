"""Shared parts of the server's trials, and refusals of arguments and data they cannot use."""

from __future__ import annotations

import sys
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
