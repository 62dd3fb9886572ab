"""Soak: `python -m bench.server_soak`. Memory and latency stay where they are.

Two hundred thousand requests of every kind, over connections that come and go; resident memory
and p99 are noted ten times on the way. Then a hundred requests one after another.
"""

from __future__ import annotations

import argparse
import base64
import json
import selectors
import sys
import time
from statistics import median

from bench.load import Connection, Request
from bench.measure import count, processor_s, unwind_on_sigterm
from bench.server_common import FS, Server, share, write
from runtime.client import Client
from runtime.simulate import simulate

JSON, RAW = "application/json", "application/octet-stream"
CONNECTIONS, REQUESTS_EACH = 4, 500  # a connection is closed after so many
PARTS = 10
MEMORY_GROWTH, P99_GROWTH = 1.05, 1.2


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_soak", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--requests", type=count, default=200_000)
    parser.add_argument("--workers", type=count, default=2)
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    if args.requests < PARTS:
        parser.error(f"--requests {args.requests}: at least {PARTS} are needed, one in each part")
    unwind_on_sigterm()
    with Server(args.workers) as server:
        requests = kinds(server.url)
        # Warm-up: with more at once than later, so that memory has been where it can come to, but
        # not so many that the long requests among them, all at one worker, are refused.
        load(server.port, requests, args.requests // 10, CONNECTIONS + 2)
        parts: list[dict[str, float]] = []
        for _ in range(PARTS):
            started, used = time.perf_counter(), processor_s(server.process.pid) or 0.0
            times = load(server.port, requests, args.requests // PARTS)
            used = (processor_s(server.process.pid) or 0.0) - used
            parts.append(
                {
                    "requests": len(times),
                    "p50_ms": 1000 * share(times, 50),
                    "p99_ms": 1000 * share(times, 99),
                    "resident_mb": server.resident_mb(),
                    "threads": server.threads(),
                    "server_cpu_ms_each": 1000 * used / len(times),
                    "seconds": time.perf_counter() - started,
                }
            )
            print(
                f"{len(parts)}/{PARTS}: p99 {parts[-1]['p99_ms']:.2f} ms, "
                f"{parts[-1]['resident_mb']:.1f} MB",
                flush=True,
            )
        sequential = hundred(server.url)
        status, complaints = server.stop(), server.complaints()
    return 0 if report(parts, sequential, args.workers, status, complaints, args.machine) else 1


def report(
    parts: list[dict[str, float]],
    sequential: dict[str, float],
    workers: int,
    status: int,
    complaints: list[str],
    folder: str | None,
) -> bool:
    """Judge, write, print; gives whether it passed."""
    memory = [part["resident_mb"] for part in parts]
    halves = [
        median(part["p99_ms"] for part in half)
        for half in (parts[: PARTS // 2], parts[PARTS // 2 :])
    ]
    costs = [
        median(part["server_cpu_ms_each"] for part in half)
        for half in (parts[: PARTS // 2], parts[PARTS // 2 :])
    ]
    requests = sum(int(part["requests"]) for part in parts)
    result = {
        "requests": requests,
        "failures": 0,
        "workers": workers,
        "connections": CONNECTIONS,
        "parts": parts,
        "p99_ms_median_of_first_and_second_half": halves,
        "hundred_sequential": sequential,
        "exit_status": status,
        "complaints": complaints,
        "passed": (
            max(memory) <= MEMORY_GROWTH * memory[0]
            and status == 0
            and not complaints
            and halves[1] <= P99_GROWTH * halves[0]
        ),
    }
    return write(
        "soak",
        "Soak: memory and latency stay where they are",
        result,
        [
            ("requests, all answered 200", f"{requests:,}"),
            (
                "requests a second",
                f"{requests / sum(part['seconds'] for part in parts):.0f} with "
                f"{CONNECTIONS} connections, {workers} workers",
            ),
            (
                "resident after warm-up, largest after it, at the end",
                f"{memory[0]:.1f}, {max(memory):.1f}, {memory[-1]:.1f} MB (master and workers)",
            ),
            (
                "p99, median of the first and of the second half",
                f"{halves[0]:.2f} and {halves[1]:.2f} ms",
            ),
            (
                "the server's processor time for a request, the same",
                f"{costs[0]:.2f} and {costs[1]:.2f} ms",
            ),
            (
                "threads at the first and at the last of ten readings",
                f"{parts[0]['threads']:.0f} and {parts[-1]['threads']:.0f}",
            ),
            (
                "100 requests one after another",
                f"p50 {sequential['p50_ms']:.2f}, p99 {sequential['p99_ms']:.2f}, the slowest "
                f"{sequential['slowest_ms']:.2f} ms, no failure",
            ),
            ("after SIGTERM", f"exit status {status}, {len(complaints)} complaints in the log"),
        ],
        folder,
    )


def kinds(url: str) -> list[Request]:
    """A request of each kind, all valid."""
    signal = simulate(20, seed=3).signal
    second = signal[FS : 2 * FS]
    carry = Client(url).push(signal[: 5 * FS], FS)["carry"]
    token = base64.b64decode(carry)
    batch = {"signal": [second[:90].tolist()] * 2, "carry": [carry] * 2}
    tensor = {"name": "ecg", "shape": [1, FS], "datatype": "FP32", "data": second.tolist()}
    return [
        Request("/predict?fs=360", RAW, second.tobytes()),
        Request("/predict", JSON, json.dumps({"signal": second.tolist(), "fs": FS}).encode()),
        Request("/predict?fs=250&units=uV", RAW, (1000 * signal[:2500]).tobytes()),
        Request(f"/stream?carry_bytes={len(token)}", RAW, token + second[:90].tobytes()),
        Request(
            "/stream",
            JSON,
            json.dumps({"signal": second[:90].tolist(), "carry": carry, "end": True}).encode(),
        ),
        Request("/stream", JSON, json.dumps(batch).encode()),
        Request("/v2/models/ekg/infer", JSON, json.dumps({"inputs": [tensor]}).encode()),
    ]


def load(
    port: int, requests: list[Request], number: int, connections: int = CONNECTIONS
) -> list[float]:
    """Round trips, s; a connection asks again as soon as it is answered."""
    times: list[float] = []
    opened = 0
    with selectors.DefaultSelector() as selector:

        def connect() -> None:
            nonlocal opened
            connection = Connection(port, requests[opened % len(requests)])
            opened += 1
            selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), 0])
            connection.send()

        for _ in range(connections):
            connect()
        while len(times) < number:
            for key, _ in selector.select(30):
                connection: Connection = key.fileobj  # type: ignore[assignment]
                if connection.receive() is None:
                    continue
                times.append(time.perf_counter() - key.data[0])
                key.data[1] += 1
                if key.data[1] == REQUESTS_EACH:
                    selector.unregister(connection)
                    connection.__exit__()
                    connect()
                else:
                    key.data[0] = time.perf_counter()
                    connection.send()
        for key in list(selector.get_map().values()):
            key.fileobj.__exit__()  # type: ignore[union-attr]
    return times


def hundred(url: str) -> dict[str, float]:
    """A hundred windows, one after another; a failure raises."""
    client, signal, times = Client(url, patience=0), simulate(100, seed=4).signal, []
    for i in range(100):
        started = time.perf_counter()
        client.predict(signal[i * FS : (i + 1) * FS], FS)
        times.append(1000 * (time.perf_counter() - started))
    return {"p50_ms": share(times, 50), "p99_ms": share(times, 99), "slowest_ms": max(times)}


if __name__ == "__main__":
    sys.exit(main())
