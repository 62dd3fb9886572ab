"""Fuzz: `python -m bench.server_fuzz`. No input makes the server fail, or an innocent client wait.

Hostile requests of five kinds, over many connections at once: those that schemathesis makes of the
OpenAPI file (if it is installed: ``pip install schemathesis``, or ``--schemathesis PATH``), valid
requests mutated, stream tokens mutated (with their checksum repaired, so that the checks behind it
are reached), bodies up to the limits, and broken HTTP on raw sockets. No answer may be a 5xx but
503, every refusal is problem+json, every JSON answer is JSON, no request may hang, no worker may
die or keep memory. Meanwhile a client sends a second of signal each 20 ms; its waits are measured.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.fuzz_requests import bodies, broken_http, requests, tokens
from bench.fuzz_tally import RAW, Innocent, Sender, Tally
from bench.load import Request
from bench.measure import count, positive, unwind_on_sigterm
from bench.server_common import FS, Server, write
from bench.server_common import share as percentile
from runtime.client import Client
from runtime.simulate import simulate

MEMORY_GROWTH = 1.10


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--requests", type=count, default=26_000, help="beside schemathesis's")
    parser.add_argument("--workers", type=count, default=2)
    parser.add_argument("--connections", type=count, default=64, help="at once")
    parser.add_argument("--settle", type=positive, default=60.0, help="s before memory is read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--schemathesis",
        default=shutil.which("schemathesis"),
        help="its program, where it is in another environment",
    )
    parser.add_argument("--examples", type=count, default=300, help="schemathesis's, a route")
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    tally = Tally()
    unwind_on_sigterm()
    with Server(args.workers) as server:
        share = args.requests // args.connections
        attack(server, tally, args.connections, args.seed, share // 4)  # the largest bodies leave
        time.sleep(args.settle)  # their mark on memory
        workers, memory = server.workers(), server.resident_mb()
        second = simulate(2, seed=1).signal[:FS].astype("<f4").tobytes()
        innocent = Innocent(server.port, Request("/predict?fs=360", RAW, second))
        with innocent:
            attack(server, tally, args.connections, args.seed + 1, share - share // 4)
        generated, passed = schemathesis(server, args.schemathesis, args.examples)
        time.sleep(args.settle)
        same, grown = server.workers() == workers, server.resident_mb()
        Client(server.url).predict(simulate(2).signal, FS)  # it still works
        status, complaints = server.stop(), server.complaints()
    sent = generated + sum(sum(counts.values()) for counts in tally.answers.values())
    result: dict[str, Any] = {
        "requests": sent,
        "answers": {k: dict(v) for k, v in tally.answers.items()},
        "schemathesis": {"generated": generated, "passed": passed},
        "faults": tally.faults[:50],
        "slowest_s": tally.slowest_s,
        "same_workers": same,
        "resident_mb": [memory, grown],
        "settled_s": args.settle,
        "connections": args.connections,
        "innocent": {
            "requests": len(innocent.waits_s),
            "p50_ms": 1000 * percentile(innocent.waits_s, 50),
            "p99_ms": 1000 * percentile(innocent.waits_s, 99),
            "worst_ms": 1000 * percentile(innocent.waits_s, 100),
            "health_worst_ms": 1000 * percentile(innocent.health_s, 100),
            "refused": innocent.refused,
            "lost": innocent.lost,
        },
        "exit_status": status,
        "complaints": complaints[:20],
        "passed": (
            not tally.faults
            and same
            and not complaints
            and not innocent.lost
            and passed is not False
            and grown <= MEMORY_GROWTH * memory
            and status == 0
        ),
    }
    return (
        0
        if write(
            "fuzz",
            "Fuzz: no input makes the server fail",
            result,
            [
                ("hostile requests", f"{sent:,}"),
                *(
                    (stage, ", ".join(f"{n:,} x {code}" for code, n in sorted(counts.items())))
                    for stage, counts in tally.answers.items()
                ),
                (
                    "schemathesis",
                    f"{generated:,} cases, {'all checks passed' if passed else 'FAILED'}"
                    if passed is not None
                    else "not installed",
                ),
                (
                    "5xx but 503, refusals that are no problem+json, no JSON, no answer",
                    len(tally.faults),
                ),
                ("connections at once", args.connections),
                ("slowest answer", f"{tally.slowest_s:.2f} s"),
                (
                    "an innocent client's waits meanwhile",
                    f"{len(innocent.waits_s):,} requests, p50 "
                    f"{1000 * percentile(innocent.waits_s, 50):.0f}, p99 "
                    f"{1000 * percentile(innocent.waits_s, 99):.0f}, worst "
                    f"{1000 * percentile(innocent.waits_s, 100):.0f} ms; {innocent.refused} "
                    f"refused with 503, {innocent.lost} connections lost; health at worst "
                    f"{1000 * percentile(innocent.health_s, 100):.0f} ms",
                ),
                ("workers that died", "none" if same else "SOME"),
                (
                    f"resident {args.settle:g} s after warm-up and after the end",
                    f"{memory:.1f} and {grown:.1f} MB",
                ),
                ("after SIGTERM", f"exit status {status}, {len(complaints)} complaints in the log"),
            ],
            args.machine,
        )
        else 1
    )


def attack(server: Server, tally: Tally, connections: int, seed: int, each: int) -> None:
    """Send so many hostile requests over each of so many connections, at once."""

    def one(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        sender = Sender(server.port, tally)
        stages = (
            requests(sender, chance),
            tokens(server.url, sender, chance),
            broken_http(server.port, tally, chance),
            bodies(sender, chance),
        )
        for _ in range(each):
            chance.choices(stages, (0.42, 0.35, 0.2, 0.03))[0]()

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(one, range(connections)))


def schemathesis(server: Server, program: str | None, examples: int) -> tuple[int, bool | None]:
    """Cases that it made, and True if every check passed; None if it is not installed."""
    if not program:
        return 0, None
    done = subprocess.run(
        [
            str(Path(program).resolve()),
            "--config-file",
            str(Path(__file__).with_name("schemathesis.toml")),
            "run",
            f"{server.url}/openapi.json",
            "--max-examples",
            str(examples),
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--seed",
            "1",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/tmp",
    )
    made = re.search(r"([\d,]+) generated", done.stdout)
    if done.returncode:
        print(done.stdout)
    return int(made[1].replace(",", "")) if made else 0, done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
