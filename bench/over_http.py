"""``POST /predict`` of this project's server beside others with the same model, on one core each.

The servers all run; they are asked in turn, from another core where there is one. Each has one
worker and is kept on one core, because that is what is compared: work for a core. None writes a
log of requests.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.candidates import Refused, require_provider
from bench.environments import ROOT, runtime_python
from bench.load import Connection, Failed, Request, latencies, throughput
from bench.measure import Timing, first_core, last_core, processor_s, resident_mb
from runtime import Detector
from runtime.simulate import simulate
from runtime.wire import result_fields

CONNECTIONS = 8  # at once, for the throughput
START_WITHIN_S = 60.0
FS = 360
OURS, FLOOR = "ekg server", "empty Flask route"


@dataclass(frozen=True)
class Server:
    """How one server is started.

    Attributes
    ----------
    name : as it stands in the tables
    command : ``{port}`` is filled in
    requests : JSON or raw -> the path that takes it
    settings : of its environment
    answers : whether it runs the model
    """

    name: str
    command: Sequence[str]
    requests: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    answers: bool = True


def servers(alternatives: Path | None) -> list[Server]:
    """This project's server, the empty route, and what the alternatives' Python can start."""
    ours, raw = runtime_python(), "/predict?fs=360"
    found = [
        Server(OURS, [ours, "-m", "runtime", "--provider", "{provider}", "serve", "--port",
                      "{port}", "--workers", "1", "--log", "warning"],
               {"JSON": "/predict", "raw": raw}),
        # gunicorn as it comes: what this project makes of it must not move the floor.
        Server(FLOOR, [ours, "-m", "gunicorn", "--threads", "8", "--bind", "127.0.0.1:{port}",
                       "bench.servers.with_nothing:app"],
               {"JSON": "/predict", "raw": raw}, answers=False),
    ]
    if alternatives is None:
        return found
    python = str(alternatives)
    return [
        *found,
        Server("FastAPI + uvicorn", [
            python, "-m", "uvicorn", "bench.servers.with_fastapi:app", "--port", "{port}",
            "--log-level", "warning", "--no-access-log"],
            {"JSON": "/predict", "raw": "/predict_raw?fs=360"}),
        Server("LitServe", [python, "-m", "bench.servers.with_litserve", "{port}"],
               {"JSON": "/predict"}),
        Server("BentoML", [
            python, "-m", "bentoml", "serve", "bench.servers.with_bentoml:Ekg", "--host",
            "127.0.0.1", "--port", "{port}"], {"JSON": "/predict"},
            {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_CONFIG_OPTIONS":
             "monitoring.enabled=false api_server.logging.access.enabled=false"}),
    ]


def measure(artifacts: Path, chosen: Sequence[Server], *, rounds: int, block_s: float,
            provider: str = "cpu") -> dict[str, Any]:
    """Rows for every server and kind of body, and what was refused.

    Parameters
    ----------
    rounds, block_s : turns of each server, and the length of one for each measure, s
    """
    window = np.round(simulate(8.0, seed=9).signal[3 * FS : 4 * FS], 4)
    detector = Detector.load(artifacts, provider=provider)
    expected = result_fields(detector.predict(window, FS))  # type: ignore[arg-type]
    rows, refused = [], []
    with ExitStack() as stack:
        running: list[tuple[dict[str, Any], int, Request]] = []
        for server in tqdm(chosen, desc="starting servers", leave=False):
            try:
                started = stack.enter_context(start(server, artifacts, provider, window))
                for kind, path in server.requests.items():
                    request = prepared(kind, path, window)
                    row = {"name": server.name, "body": kind, "provider": provider,
                           "cold_start_s": started.cold_start_s, "resident_mb": None,
                           "agreement": _checked(server, started.port, request, expected,
                                                 provider)}
                    running.append((row, started.port, request))
                    rows.append(row)
            except (Failed, Refused, OSError) as reason:
                refused.append({"what": f"{server.name} over HTTP", "reason": str(reason)})
        with last_core():
            _take_turns(running, rounds, block_s)
        for row, port, _ in running:
            row["resident_mb"] = resident_mb(_pids[port])
    return {"rows": rows, "refused": refused, "connections": CONNECTIONS,
            "request_bytes": {kind: len(prepared(kind, "/", window).body)
                              for kind in ("JSON", "raw")}}


@dataclass(frozen=True)
class Started:
    port: int
    cold_start_s: float


_pids: dict[int, int] = {}


@contextmanager
def start(server: Server, artifacts: Path, provider: str, window: np.ndarray[Any, Any]
          ) -> Iterator[Started]:
    """A server that has answered once; it is stopped at the end, its children too.

    Raises
    ------
    Failed
        It stopped, or did not answer in time.
    """
    port = _free_port()
    command = [part.format(port=port, provider=provider) for part in server.command]
    environment = os.environ | server.settings | {
        "EKG_ARTIFACTS": str(artifacts), "EKG_PROVIDER": provider, "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, process_group=0,
                               preexec_fn=first_core)
    try:
        kind, path = next(iter(server.requests.items()))
        _wait(process, port, prepared(kind, path, window), server.name)
        _pids[port] = process.pid
        yield Started(port, time.perf_counter() - began)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def prepared(kind: str, path: str, window: np.ndarray[Any, Any]) -> Request:
    """One second of signal as JSON or as raw float32."""
    if kind == "raw":
        return Request(path, "application/octet-stream", window.astype("<f4").tobytes())
    numbers = [round(float(value), 4) for value in window]
    return Request(path, "application/json", json.dumps({"signal": numbers, "fs": FS}).encode())


def _take_turns(running: Sequence[tuple[dict[str, Any], int, Request]], rounds: int,
                block_s: float) -> None:
    """Ask every server in turn; fills in the rows."""
    times: list[list[float]] = [[] for _ in running]
    rates: list[list[float]] = [[] for _ in running]
    costs: list[list[float]] = [[] for _ in running]
    with tqdm(total=rounds * len(running), desc="HTTP", leave=False) as bar:
        for turn in range(rounds):
            for i in [(turn + j) % len(running) for j in range(len(running))]:
                row, port, request = running[i]
                bar.set_postfix_str(f"{row['name']} {row['body']}")
                times[i] += latencies(port, request, block_s)
                used = processor_s(_pids[port])
                rates[i].append(throughput(port, request, block_s, CONNECTIONS))
                if used is not None:
                    after = processor_s(_pids[port]) or used
                    costs[i].append(1000 * (after - used) / (rates[i][-1] * block_s))
                bar.update()
    for (row, _, _), wall, rate, cost in zip(running, times, rates, costs, strict=True):
        timing = Timing.of(wall, 0.0).to_dict()
        timing.pop("cpu_ms")
        row |= {"latency": timing, "requests_per_s": float(np.median(rate)),
                "cpu_ms": float(np.median(cost)) if cost else None}


def _checked(server: Server, port: int, request: Request, expected: dict[str, Any],
             provider: str) -> str:
    """Refuse a server that answers differently than the detector does, or on another provider."""
    with Connection(port, request) as connection:
        answer = json.loads(connection.ask())
    if not server.answers:
        return "no model"
    require_provider(provider, {_onnx_name(answer.get("provider")): 1}, server.name)
    differing = [key for key, value in expected.items() if answer.get(key) != value]
    if differing:
        raise Refused(f"{server.name} answers another {', '.join(differing)} than the detector")
    return "the detector's answer"


def _onnx_name(provider: str | None) -> str:
    from runtime.providers import ONNX_NAMES

    return ONNX_NAMES.get(provider or "", str(provider))


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
