"""Fuzz: `python -m bench.server_fuzz`. No input makes the server fail.

Hostile requests of four kinds: those that schemathesis makes of the OpenAPI file (if it is
installed: ``pip install schemathesis``, or ``--schemathesis PATH``), valid requests mutated,
stream tokens mutated (with their checksum repaired, so that the checks behind it are reached), and
broken HTTP on raw sockets. No answer may be a 5xx, every refusal is problem+json, no request may
hang, no worker may die or grow.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.fuzz_requests import broken_http, requests, tokens
from bench.fuzz_tally import Sender, Tally
from bench.measure import count, unwind_on_sigterm
from bench.server_common import FS, Server, write
from runtime.client import Client
from runtime.simulate import simulate

MEMORY_GROWTH = 1.10


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--requests", type=count, default=24_000, help="beside schemathesis's")
    parser.add_argument("--workers", type=count, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--schemathesis",
        default=shutil.which("schemathesis"),
        help="its program, where it is in another environment",
    )
    parser.add_argument("--examples", type=count, default=300, help="schemathesis's, a route")
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    tally, chance = Tally(), random.Random(args.seed)
    unwind_on_sigterm()
    with Server(args.workers) as server:
        sender = Sender(server.port, tally)
        stages: list[tuple[str, float, Callable[[], None]]] = [
            ("mutated requests", 0.45, requests(sender, chance)),
            ("mutated tokens", 0.35, tokens(server.url, sender, chance)),
            ("broken HTTP", 0.20, broken_http(server.port, tally, chance)),
        ]
        for _, share, send in stages:  # warm-up: the largest bodies leave their mark on memory
            for _ in range(int(args.requests * share / 4)):
                send()
        workers, memory = server.workers(), server.resident_mb()
        for _, share, send in stages:
            for _ in range(int(args.requests * share * 3 / 4)):
                send()
        generated, passed = schemathesis(server, args.schemathesis, args.examples)
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
        "exit_status": status,
        "complaints": complaints[:20],
        "passed": (
            not tally.faults
            and same
            and not complaints
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
                ("5xx, answers that are no problem+json, no answer", len(tally.faults)),
                ("slowest answer", f"{tally.slowest_s:.2f} s"),
                ("workers that died", "none" if same else "SOME"),
                ("resident after warm-up and at the end", f"{memory:.1f} and {grown:.1f} MB"),
                ("after SIGTERM", f"exit status {status}, {len(complaints)} complaints in the log"),
            ],
            args.machine,
        )
        else 1
    )


def schemathesis(server: Server, program: str | None, examples: int) -> tuple[int, bool | None]:
    """Cases that it made, and True if every check passed; None if it is not installed.

    One of its checks is left out, that schema-valid requests are accepted: no JSON schema can
    say that a signal has to last a second at its own rate.
    """
    if not program:
        return 0, None
    done = subprocess.run(
        [
            str(Path(program).resolve()),
            "run",
            f"{server.url}/openapi.json",
            "--max-examples",
            str(examples),
            "--phases",
            "examples,coverage,fuzzing",
            "--exclude-checks",
            "positive_data_acceptance",
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
