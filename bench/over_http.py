"""``POST /predict`` of this project's server beside others with the same model, on one core each.

The servers of `bench.http_servers` all run; they get requests in turn, from another core if there
is one. This project's server answers the requests that wait together as one batch.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.candidates import Refused, require_provider
from bench.http_servers import CONNECTIONS, FS, OURS, Server, Started, halt, prepared, start
from bench.load import Connection, Failed, Request, latencies, throughput
from bench.measure import Timing, last_core, processor_s, resident_mb
from runtime import Detector
from runtime.client import Client
from runtime.simulate import simulate


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
    expected = detector.predict(window, FS).to_dict()  # type: ignore[union-attr]
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
