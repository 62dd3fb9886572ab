"""SIGHUP, and models that change under a running server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import ROOT, SIGNAL, Server, alter, linux, run

from runtime.client import Client

pytestmark = linux


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "artifacts", tmp_path / "artifacts"))


@pytest.fixture
def server(tmp_path: Path, artifacts: Path) -> Iterator[Server]:
    """On artifacts of its own."""
    with run(tmp_path, artifacts, EKG_DRAIN="0") as started:
        yield started


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def counted(server: Server, series: str = 'ekg_requests_total{route="/predict",code="200"}') -> int:
    found = re.search(re.escape(series) + r" (\d+)", server.text("/metrics"))
    return int(found[1]) if found else 0


def notice(server: Server) -> str:
    return str(json.loads(server.text("/health/ready")).get("notice", ""))


def test_a_reload_loses_no_count_and_no_request(server: Server) -> None:
    old, answered, failures = server.workers(), [0], []
    done = threading.Event()

    def ask() -> None:
        with Client(server.url, patience=5) as client:
            while not done.is_set():
                try:
                    client.predict(SIGNAL, 360)
                    answered[0] += 1
                except Exception as error:
                    failures.append(error)
                    return

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        until(lambda: answered[0] > 5)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: not set(server.workers()) & set(old))
        now = answered[0]
        until(lambda: answered[0] > now + 5)
    finally:
        done.set()
        asking.join()
    assert failures == []
    until(lambda: counted(server, 'ekg_workers{provider="cpu"}') == 2)
    assert len(server.workers()) == 2
    assert counted(server) >= answered[0]
    assert counted(server, "ekg_worker_starts_total") == 4
    assert notice(server) == ""


def test_a_reload_of_a_damaged_model_changes_nothing(server: Server, artifacts: Path) -> None:
    old = server.workers()
    alter(artifacts / "ekg_fused.onnx")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "the last reload was refused" in notice(server))
    assert "is not the file that was exported" in notice(server)
    assert server.workers() == old
    assert any(line.get("event") == "the reload is refused" for line in server.lines())
    with Client(server.url) as client:
        assert client.predict(SIGNAL, 360)["beats"]
    shutil.copytree(ROOT / "artifacts", artifacts, dirs_exist_ok=True)  # mended: the next is taken
    server.process.send_signal(signal.SIGHUP)
    until(lambda: not set(server.workers()) & set(old))
    until(lambda: notice(server) == "")


def test_a_worker_that_dies_while_a_model_is_copied_takes_no_other_down(
    server: Server, artifacts: Path
) -> None:
    dies, stays = server.workers()
    alter(artifacts / "ekg_fused.onnx")
    os.kill(dies, signal.SIGKILL)
    until(lambda: "a worker cannot begin" in notice(server))
    assert stays in server.workers()
    with Client(server.url) as client:
        assert client.predict(SIGNAL, 360)["beats"]
    shutil.copytree(ROOT / "artifacts", artifacts, dirs_exist_ok=True)
    until(lambda: counted(server, 'ekg_workers{provider="cpu"}') == 2)
    assert server.process.poll() is None
    assert notice(server) == ""


def test_workers_are_gone_soon_after_sigint(server: Server) -> None:
    started = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert time.monotonic() - started < 15  # not after gunicorn's time for an end, 30 s
