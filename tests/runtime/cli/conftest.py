"""Running a command, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.cli.main import main
from runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., tuple[int, str, str]]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def csv_record(tmp_path: Path) -> Path:
    """Half a minute of the simulated patient, 360 Hz, without times."""
    signal = simulate(30, seed=1).signal
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in signal))
    return tmp_path / "sim.csv"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command here; gives status, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main([str(a) for a in ("--provider", "cpu", *arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def command() -> Command:
    """Run a command in a process of its own."""

    def call(
        *arguments: object, stdout: int = subprocess.PIPE, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime", "--provider", "cpu", *map(str, arguments)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | (environment or {}),
        )

    return call


@pytest.fixture
def nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if a server is started."""
    for starts in ("os.execve", "subprocess.Popen", "runtime.server.feed.make_server"):
        monkeypatch.setattr(starts, lambda *_, **__: pytest.fail("it was served"))
