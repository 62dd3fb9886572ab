"""``POST /predict`` of this project's server beside others with the same model, on one core each.

The servers all run; they get requests in turn, from another core if there is one. Each has one
worker and is kept on one core, because work for a core is compared. None writes a log of requests.

This project's server answers the requests that wait together as one batch. LitServe and BentoML
can do that too if they are set up to, so each has a row with it and one without.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
from runtime.client import Client
from runtime.server.wire import result_fields
from runtime.simulate import simulate

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
    """

    name: str
    command: Sequence[str]
    requests: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    answers: bool = True
    polls: bool = False


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


def measure(
    artifacts: Path, chosen: Sequence[Server], *, rounds: int, block_s: float, provider: str = "cpu"
) -> dict[str, Any]:
    """Rows for every server and kind of body that answered to the end, and the servers refused.

    Parameters
    ----------
    rounds, block_s : turns of each server, and the length of one for each measure, s
    """
    window = np.round(simulate(8.0, seed=9).signal[3 * FS : 4 * FS], 4)
    detector = Detector.load(artifacts, provider=provider)
    expected = result_fields(detector.predict(window, FS))  # type: ignore[arg-type]
    running: list[ServerTrial] = []
    refused: list[dict[str, str]] = []
    with ExitStack() as stack:
        for server in tqdm(chosen, desc="starting servers", leave=False):
            found: list[ServerTrial] = []
            try:
                with ExitStack() as own:  # one that is refused is stopped at once
                    started = own.enter_context(start(server, artifacts, provider, window))
                    for kind, path in server.requests.items():
                        request = prepared(kind, path, window)
                        agreement = _checked(server, started.port, request, expected, provider)
                        found.append(
                            ServerTrial(
                                server,
                                started,
                                request,
                                {
                                    "name": server.name,
                                    "body": kind,
                                    "provider": provider,
                                    "nodes": _nodes(started.port) if server.name == OURS else {},
                                    "cold_start_s": started.cold_start_s,
                                    "resident_mb": None,
                                    "agreement": agreement,
                                },
                            )
                        )
                    if server.polls:
                        halt(started)
                    stack.enter_context(own.pop_all())
                running += found
            except (Failed, Refused, OSError) as reason:
                refused.append({"what": f"{server.name} over HTTP", "reason": str(reason)})
        with last_core():
            running = take_turns(running, rounds, block_s, refused)
        for trial in running:
            trial.row["resident_mb"] = resident_mb(trial.started.pid)
    return {
        "rows": [trial.row for trial in running],
        "refused": refused,
        "connections": CONNECTIONS,
        "request_bytes": {kind: len(prepared(kind, "/", window).body) for kind in ("JSON", "raw")},
    }


@dataclass(frozen=True)
class Started:
    port: int
    pid: int  # of its process group too
    cold_start_s: float


@dataclass
class ServerTrial:
    """A server with one kind of body: the figures of its turns, and the row they become."""

    server: Server
    started: Started
    request: Request
    row: dict[str, Any]
    times: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def turn(self, block_s: float) -> None:
        """Send requests for so long one after another, then as long over many connections at once.

        Raises
        ------
        Failed, OSError
            It answered with an error, or is gone.
        """
        port, pid = self.started.port, self.started.pid
        with self._awake():
            self.times += latencies(port, self.request, block_s)
            used = processor_s(pid)
            self.rates.append(throughput(port, self.request, block_s, CONNECTIONS))
            after = processor_s(pid)
        if used is not None and after is not None:
            self.costs.append(1000 * (after - used) / (self.rates[-1] * block_s))

    @contextmanager
    def _awake(self) -> Iterator[None]:
        if not self.server.polls:
            yield
            return
        os.killpg(self.started.pid, signal.SIGCONT)
        try:
            yield
        finally:
            halt(self.started)

    def finish(self) -> None:
        """Fill in the row."""
        timing = Timing.of(self.times, 0.0).to_dict()
        timing.pop("cpu_ms")
        self.row |= {
            "latency": timing,
            "requests_per_s": float(np.median(self.rates)),
            "cpu_ms": float(np.median(self.costs)) if self.costs else None,
        }


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
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
    )
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
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


def take_turns(
    running: Sequence[ServerTrial], rounds: int, block_s: float, refused: list[dict[str, str]]
) -> list[ServerTrial]:
    """Load every server in turn; gives those that answered to the end, their rows filled in.

    One that fails on the way is refused and gets no more: the others' minutes are not lost.
    """
    left = list(running)
    with tqdm(total=rounds * len(running), desc="HTTP", leave=False) as bar:
        for turn in range(rounds):
            first = turn % max(1, len(left))
            for trial in left[first:] + left[:first]:
                name, body = trial.server.name, trial.row["body"]
                bar.set_postfix_str(f"{name} {body}")
                try:
                    trial.turn(block_s)
                except (Failed, OSError) as reason:
                    left.remove(trial)
                    refused.append({"what": f"{name} over HTTP, {body}", "reason": str(reason)})
                bar.update()
    for trial in left:
        trial.finish()
    return left


def _checked(
    server: Server, port: int, request: Request, expected: dict[str, Any], provider: str
) -> str:
    """Refuse a server that answers differently than the detector does, or on another provider."""
    with Connection(port, request) as connection:
        body = connection.ask()
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Refused(f"{server.name} answers no JSON object but {body[:80]!r}")
    if not server.answers:
        return "no model"
    require_provider(provider, {_onnx_name(answer.get("provider")): 1}, server.name)
    differing = [key for key, value in expected.items() if answer.get(key) != value]
    if differing:
        raise Refused(f"{server.name} answers another {', '.join(differing)} than the detector")
    return "the detector's answer"


def _nodes(port: int) -> dict[str, int]:
    """Nodes of this project's server by execution provider; the others do not report theirs."""
    with Client(f"http://127.0.0.1:{port}", patience=0) as client:
        nodes: dict[str, int] = client.get("/model")["nodes"]
    return nodes


def _onnx_name(provider: str | None) -> str:
    from runtime.model.providers import ONNX_NAMES

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
