"""Shared by the server's trials: a server to be ill-treated, ports, and the results' files."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.measure import children, machine, machine_folder, resident_mb
from runtime.client import Client, RequestError

ROOT = Path(__file__).resolve().parent.parent
START_WITHIN_S = 60.0
FS = 360


class Server:
    """This project's server on loopback, in a process group of its own."""

    def __init__(self, workers: int, *, port: int | None = None, log: str = "warning"):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the object
        self._command = [
            sys.executable,
            "-m",
            "runtime",
            "--provider",
            "cpu",
            "serve",
            "--port",
            str(self.port),
            "--workers",
            str(workers),
            "--log",
            log,
        ]
        self._workers = workers
        self.start()

    def __enter__(self) -> Server:
        try:
            self.wait_ready()
        except BaseException:  # Ctrl-C too: `__exit__` will not be called
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def kill(self) -> None:
        """``kill -9`` of all of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Stop it as an operator does; gives the exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def wait_ready(self) -> None:
        """Wait until every worker has loaded its model."""
        until = time.monotonic() + START_WITHIN_S
        client = Client(self.url, patience=START_WITHIN_S)
        client.get("/health/ready")
        while time.monotonic() < until:
            with suppress(OSError):
                if f'ekg_workers{{provider="cpu"}} {self._workers}\n' in self.metrics():
                    return
            time.sleep(0.1)
        raise RequestError("the workers did not all start.")

    def metrics(self) -> str:
        """The text of ``/metrics``."""
        with urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return children(self.process.pid)

    def resident_mb(self) -> float:
        """Resident memory of the master and the workers, MB.

        NaN, which passes no trial, if the system does not report it.
        """
        resident = resident_mb(self.process.pid)
        return math.nan if resident is None else resident

    def threads(self) -> int:
        """Threads of the master and the workers; 0 without /proc."""
        folders = [Path(f"/proc/{pid}/task") for pid in (self.process.pid, *self.workers())]
        return sum(len(list(folder.iterdir())) for folder in folders if folder.is_dir())

    def complaints(self) -> list[str]:
        """Lines of the log that a healthy server does not write."""
        self.log.seek(0)
        return [
            line
            for line in self.log.read().decode(errors="replace").splitlines()
            if '"level": "error"' in line or "Traceback" in line or "terminate called" in line
        ]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def share(values: Sequence[float], of: float) -> float:
    """A percentile, by nearest rank; 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * of / 100) - 1)] if ordered else 0.0


def write(
    name: str,
    what: str,
    result: dict[str, Any],
    rows: Sequence[tuple[str, object]],
    folder: str | None,
    *,
    of: str = "server",
) -> bool:
    """Write ``OF_NAME.json`` and ``.md`` and print the table; gives whether it passed."""
    out = ROOT / "bench" / "results" / (folder or machine_folder())
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{of}_{name}.json").write_text(
        json.dumps({"machine": machine(), **result}, indent=1) + "\n"
    )
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    text = f"# {what}\n\n`python -m bench.{of}_{name}`; {where}\n\n| | |\n|---|---|\n{table}\n"
    (out / f"{of}_{name}.md").write_text(text)
    print(text)
    return bool(result["passed"])
