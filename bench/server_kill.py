"""Kill test: `python -m bench.server_kill`. Nothing lost, nothing doubled.

Fifty streams of real records run through four workers, at many times real pace, first in peace,
then while workers, the master and the whole server are killed with -9 and started again and
again. Every stream has to end with exactly the beats of its undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from bench.measure import count, positive, unwind_on_sigterm
from bench.server_common import FS, Server, write
from runtime.client import Client, RequestError
from runtime.simulate import simulate

Beats = list[tuple[float, str, float]]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_kill", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--streams", type=count, default=50)
    parser.add_argument("--workers", type=count, default=4)
    parser.add_argument("--minutes", type=positive, default=30.0, help="of each record")
    parser.add_argument("--pace", type=positive, default=20.0, help="times real pace")
    parser.add_argument("--chunk", type=positive, default=4.0, help="s of signal in a request")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    unwind_on_sigterm()
    source, signals = recordings(args.streams, round(args.minutes * 60 * FS))
    with Server(args.workers) as server:
        peace, _, _ = run(server, signals, args, disturb=False)
        fault, tried_again, kills = run(server, signals, args, disturb=True)
        server.wait_ready()
    differing = [i for i, (a, b) in enumerate(zip(peace, fault, strict=True)) if a != b]
    result = {
        "streams": len(signals),
        "source": source,
        "workers": args.workers,
        "pace": args.pace,
        "minutes": args.minutes,
        "chunk_s": args.chunk,
        "kills": dict(kills),
        "requests_tried_again": tried_again,
        "beats": sum(map(len, peace)),
        "streams_that_differ": len(differing),
        "passed": not differing and sum(map(len, peace)) > 0 and sum(kills.values()) > 0,
    }
    return (
        0
        if write(
            "kill",
            "Kill test: nothing lost, nothing doubled",
            result,
            [
                (
                    "streams",
                    f"{len(signals)} of {source}, {args.minutes:g} min each, at {args.pace:g} "
                    f"times real pace, {args.chunk:g} s chunks, {args.workers} workers",
                ),
                (
                    "killed with -9",
                    ", ".join(f"{kind} {n} times" for kind, n in sorted(kills.items())),
                ),
                ("requests that had to be tried again", tried_again),
                ("beats of the undisturbed run", sum(map(len, peace))),
                ("streams whose beats differ from it", len(differing)),
            ],
            args.machine,
        )
        else 1
    )


def recordings(count: int, samples: int) -> tuple[str, list[NDArray[np.float32]]]:
    """Signals for the streams: mitdb's records, or simulated ones without data."""
    from runtime.records import read
    from training.download import data_folder

    folder = data_folder()
    names = (
        sorted(path.with_suffix("") for path in (folder / "mitdb").glob("*.hea")) if folder else []
    )
    if not names:
        return "simulated ECG (no recordings at hand)", [
            simulate(samples / FS, seed=seed).signal for seed in range(count)
        ]
    signals = [read(name).signal[:samples].astype(np.float32) for name in names[:count]]
    while len(signals) < count:  # the first ones again, from their middle
        again = read(names[len(signals) % len(names)]).signal.astype(np.float32)
        signals.append(np.roll(again, len(again) // 2)[:samples])
    return "mitdb", signals


def run(
    server: Server, signals: list[NDArray[np.float32]], args: argparse.Namespace, *, disturb: bool
) -> tuple[list[Beats], int, Counter[str]]:
    """All streams to their ends: the beats of each, requests tried again, and kills."""
    kills: Counter[str] = Counter()
    done = threading.Event()
    killer = threading.Thread(target=kill, args=(server, done, kills, args.seed))
    clients = [Client(server.url, patience=120) for _ in signals]

    def stream(client: Client, signal: NDArray[np.float32]) -> Beats:
        chunks = paced(signal, args.chunk, args.pace if disturb else 1e9)
        return [
            (beat["time"], beat["label"], beat["score"])
            for answer in client.stream(chunks, FS)
            for beat in answer["beats"]
        ]

    if disturb:
        killer.start()
    try:
        with ThreadPoolExecutor(len(signals)) as pool:
            beats = list(pool.map(stream, clients, signals))
    finally:
        done.set()
        if disturb:
            killer.join()
    return beats, sum(client.retries for client in clients), kills


def paced(
    signal: NDArray[np.float32], chunk_s: float, pace: float
) -> Iterator[NDArray[np.float32]]:
    """Chunks of the signal when they are due."""
    started, size = time.monotonic(), round(chunk_s * FS)
    for at in range(0, len(signal), size):
        time.sleep(max(0.0, started + at / FS / pace - time.monotonic()))
        yield signal[at : at + size]


def kill(server: Server, done: threading.Event, kills: Counter[str], seed: int) -> None:
    """Kill something every second or so, and see that there is a server again."""
    choice = random.Random(seed)
    while not done.wait(choice.uniform(0.5, 1.5)):
        what = choice.choices(("a worker", "the master", "the server"), (6, 1, 2))[0]
        workers = server.workers()
        if what == "a worker" and workers:
            os.kill(choice.choice(workers), signal.SIGKILL)
        elif what == "the master":
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
        elif what == "the server":
            server.kill()
        else:
            continue
        kills[what] += 1
        if what != "a worker":
            start_again(server)


def start_again(server: Server) -> None:
    """Start until it stays: the orphans of a killed master hold the port for up to a second."""
    while True:
        server.start()
        with suppress(RequestError):
            Client(server.url, patience=30).get("/health/ready")
            if server.process.poll() is None:
                return
        server.kill()  # it may still be starting, and would stay beside the next


if __name__ == "__main__":
    sys.exit(main())
