"""The page's trial: what it says at its end, and that it leaves nothing running."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import page

BEAT = (1.0, "N")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[Any]]:
    """Processes that the trial starts: sleepers that never get ready."""
    processes: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen

    def start(_: list[str], **options: Any) -> subprocess.Popen[Any]:
        program = [sys.executable, "-c", "import time; time.sleep(60)"]
        processes.append(popen(program, **options))
        return processes[-1]

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(page.subprocess, "Popen", start)
    monkeypatch.setattr(page, "wait_ready", fail)
    return processes


def test_a_server_that_does_not_get_ready_is_stopped(started: list[subprocess.Popen[Any]]) -> None:
    with pytest.raises(KeyboardInterrupt), page.served():
        pass
    assert [process.poll() is None for process in started] == [False]


def test_an_error_in_the_long_run_stops_the_feed_at_once(
    started: list[subprocess.Popen[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "simulate", lambda *_, **__: SimpleNamespace(signal=np.zeros(9)))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        page.watch_hours(None, 1.0)
    assert time.monotonic() - began < 30
    assert [process.poll() is None for process in started] == [False]


@pytest.mark.parametrize(("found", "status"), [([BEAT], 0), ([BEAT] + [(9.0, "V")] * 256, 1)])
def test_the_exit_status_is_1_for_any_fault(
    monkeypatch: pytest.MonkeyPatch, found: list[Any], status: int
) -> None:
    measured = {"beats": [BEAT], "gaps_over_100_ms": 0}
    monkeypatch.setattr(page, "served", lambda: nullcontext(SimpleNamespace(url="")))
    monkeypatch.setattr(page, "chromium", lambda: nullcontext())
    monkeypatch.setattr(page, "unwind_on_sigterm", lambda: None)
    monkeypatch.setattr(page, "watch", lambda *_: dict(measured))
    monkeypatch.setattr(page, "beats", lambda _: found)
    monkeypatch.setattr(page.subprocess, "run", lambda *_, **__: None)
    assert page.main(["--seconds", "12"]) == status


def test_a_recording_is_watched_as_long_as_it_lasts(tmp_path: Path) -> None:
    """Whatever --seconds says: a longer wait would end after the signal has."""
    record = tmp_path / "record.csv"
    assert page.write_table(record, None, None, 12.0) == 12.0
    assert page.write_table(tmp_path / "again.csv", str(record), None, 600.0) == 12.0
    with pytest.raises(SystemExit, match=r"5 s of signal .* at least 10 s"):
        page.write_table(tmp_path / "again.csv", str(record), None, 5.0)
