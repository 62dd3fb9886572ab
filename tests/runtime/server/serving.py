"""A real server for tests: gunicorn with two workers, on a port of its own."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[3]
FS = 360
SIGNAL = simulate(10, seed=7).signal
RUNTIME = [sys.executable, "-m", "runtime"]
linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")


class Server:
    """A real one, with two workers."""

    def __init__(
        self,
        folder: Path,
        artifacts: Path = ROOT / "artifacts",
        *,
        bearer: str = "",
        trusted: Path | None = None,
        **environment: str,
    ):
        self.port = free_port()
        self.url = f"{'https' if trusted else 'http'}://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        self.tls = ssl.create_default_context(cafile=trusted) if trusted else None
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *RUNTIME,
                    "--artifacts",
                    str(artifacts),
                    "--provider",
                    "cpu",
                    "serve",
                    "--port",
                    str(self.port),
                    "--workers",
                    "2",
                ],
                cwd=ROOT,
                stderr=log,
                stdout=log,
                env=os.environ | {"EKG_ALLOW_HOST": "x"} | environment,  # tests say Host: x
            )
        try:
            self.until(lambda: 'ekg_workers{provider="cpu"} 2' in self.text("/metrics"))
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def text(self, path: str) -> str:
        request = Request(self.url + path, headers=self.headers)
        with urlopen(request, timeout=10, context=self.tls) as answer:
            return str(answer.read().decode())

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something holds; a server that is not there does not."""
        end = time.monotonic() + seconds
        while True:
            with suppress(OSError):
                if holds():
                    return
            assert time.monotonic() < end
            assert self.process.poll() is None
            time.sleep(0.05)

    def workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def lines(self) -> list[dict[str, object]]:
        return [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
        ]


@contextmanager
def run(folder: Path, artifacts: Path = ROOT / "artifacts", **settings: Any) -> Iterator[Server]:
    server = Server(folder, artifacts, **settings)
    try:
        yield server
    finally:
        server.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def exchange(server: Server, octets: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 10) as link:
        link.sendall(octets)
        link.shutdown(socket.SHUT_WR)
        received = b""
        while piece := link.recv(1 << 16):
            received += piece
        return received


def alter(file: Path) -> None:
    with file.open("r+b") as stored:
        stored.seek(500)
        stored.write(b"\xff\x00")
