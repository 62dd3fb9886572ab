"""The servers whose ``/predict`` is compared: commands and routes, and one started and stopped.

Each has one worker and is kept on one core, because work for a core is compared. None writes a log
of requests. LitServe and BentoML can answer waiting requests as one batch if they are set up to, so
each is there with it and without.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.environments import ROOT, runtime_python
from bench.load import Connection, Failed, Request
from bench.measure import first_core

CONNECTIONS = 8  # at once, for the throughput
START_WITHIN_S = 60.0
FS = 360
OURS, FLOOR = "ekg server", "empty Flask route"
BATCHING = ", its own batching"  # ends such a row's name


@dataclass(frozen=True)
class Server:
    """Command and routes of one server.

    Attributes
    ----------
    name : as it stands in the tables
    command : ``{port}`` is filled in
    requests : JSON or raw -> the path that takes it
    settings : of its environment
    answers : True if it runs the model
    polls : True if it takes a good part of its core without requests; between its turns it is
        halted, because all servers share that core
    folder : checkout that it runs from
    """

    name: str
    command: Sequence[str]
    requests: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    answers: bool = True
    polls: bool = False
    folder: Path = ROOT


def servers(alternatives: Path | None) -> list[Server]:
    """This project's server, the empty route, and what the alternatives' Python can start."""
    ours, raw = runtime_python(), "/predict?fs=360"
    found = [
        Server(
            OURS,
            [
                ours,
                "-m",
                "runtime",
                "--provider",
                "{provider}",
                "serve",
                "--port",
                "{port}",
                "--workers",
                "1",
                "--log",
                "warning",
            ],
            {"JSON": "/predict", "raw": raw},
        ),
        # gunicorn as it comes: what this project makes of it must not move the floor.
        Server(
            FLOOR,
            [
                ours,
                "-m",
                "gunicorn",
                "--threads",
                "8",
                "--bind",
                "127.0.0.1:{port}",
                "bench.servers.with_nothing:app",
            ],
            {"JSON": "/predict", "raw": raw},
            answers=False,
        ),
    ]
    if alternatives is None:
        return found
    python = str(alternatives)
    litserve = [python, "-m", "bench.servers.with_litserve", "{port}"]
    bentoml = [python, "-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", "{port}"]
    quiet = {
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": "monitoring.enabled=false "
        "api_server.logging.access.enabled=false",
    }
    return [
        *found,
        Server(
            "FastAPI + uvicorn",
            [
                python,
                "-m",
                "uvicorn",
                "bench.servers.with_fastapi:app",
                "--port",
                "{port}",
                "--log-level",
                "warning",
                "--no-access-log",
            ],
            {"JSON": "/predict", "raw": "/predict_raw?fs=360"},
        ),
        Server("LitServe", litserve, {"JSON": "/predict"}),
        Server(
            "LitServe" + BATCHING,
            [*litserve, str(CONNECTIONS), "0.002"],
            {"JSON": "/predict"},
            polls=True,
        ),
        Server(
            "BentoML", [*bentoml, "bench.servers.with_bentoml:Ekg"], {"JSON": "/predict"}, quiet
        ),
        Server(
            "BentoML" + BATCHING,
            [*bentoml, "bench.servers.with_bentoml:BatchingEkg"],
            {"JSON": "/predict"},
            quiet,
        ),
    ]


@dataclass(frozen=True)
class Started:
    port: int
    pid: int  # of its process group too
    cold_start_s: float


@contextmanager
def start(
    server: Server, artifacts: Path, provider: str, window: np.ndarray[Any, Any]
) -> Iterator[Started]:
    """A server that has answered once; it is stopped at the end, its children too.

    Raises
    ------
    Failed
        It stopped, or did not answer in time.
    """
    port = _free_port()
    command = [part.format(port=port, provider=provider) for part in server.command]
    environment = (
        os.environ
        | server.settings
        | {
            "EKG_ARTIFACTS": str(artifacts),
            "EKG_PROVIDER": provider,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(server.folder), os.environ.get("PYTHONPATH")))
            ),
        }
    )
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=server.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=first_core,
    )
    try:
        kind, path = next(iter(server.requests.items()))
        _wait(process, port, prepared(kind, path, window), server.name)
        yield Started(port, process.pid, time.perf_counter() - began)
    finally:
        with suppress(ProcessLookupError):  # it may have stopped, for a reason raised above
            os.killpg(process.pid, signal.SIGTERM)
            os.killpg(process.pid, signal.SIGCONT)  # one that is halted stays deaf until then
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def halt(started: Started) -> None:
    """Stop a server's processes where they are; SIGCONT lets them go on."""
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGSTOP)


def prepared(kind: str, path: str, window: np.ndarray[Any, Any]) -> Request:
    """One second of signal as JSON or as raw float32."""
    if kind == "raw":
        return Request(path, "application/octet-stream", window.astype("<f4").tobytes())
    numbers = [round(float(value), 4) for value in window]
    return Request(path, "application/json", json.dumps({"signal": numbers, "fs": FS}).encode())


def _wait(process: subprocess.Popen[bytes], port: int, request: Request, name: str) -> None:
    end = time.perf_counter() + START_WITHIN_S
    while time.perf_counter() < end:
        if process.poll() is not None:
            raise Failed(f"{name} stopped with status {process.returncode} as it started")
        try:
            with Connection(port, request) as connection:
                connection.ask()
                return
        except (Failed, OSError):
            time.sleep(0.01)
    raise Failed(f"{name} did not answer within {START_WITHIN_S:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
