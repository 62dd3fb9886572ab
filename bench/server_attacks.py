"""Attacks: `python -m bench.server_attacks`. What stopped the server once costs others little now.

Each attack runs against a server of its own while a client sends a second of signal each 20 ms and
asks for the health now and then. Reported are its worst waits, answers that were none, and the
memory before, at most and a while after.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from bench.fuzz_tally import RAW, Innocent
from bench.load import Request
from bench.measure import count, positive, unwind_on_sigterm
from bench.server_common import FS, Server, share, write
from runtime.server.bodies import MAX_JSON
from runtime.simulate import simulate

JSON = "application/json"
MAX_WAIT_S, MAX_HEALTH_S, MEMORY_GROWTH = 0.5, 0.2, 1.2
SILENT, STALLED, AT_ONCE, HOLD_S = 2300, 140, 10, 12.0
START = b'{"fs":360,"signal":['
# Before, again and again, after: bodies that are dear to parse.
SHAPES = {
    "a million numbers": (START, b"0.1,", b"0.1]}"),
    "garbage behind a million numbers": (START, b"0.1,", b"x]}"),
    "a million lists": (START, b"[],", b"[]]}"),
    "hundreds of thousands of keys": (b"{", b'"a":1,', b'"b":2}'),
    "deep nesting": (b"", b"[", b""),
    "a number of millions of digits": (START, b"9", b"]}"),
}
Attack = Callable[[int], Counter[str]]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_attacks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--workers", type=count, default=2)
    parser.add_argument("--settle", type=positive, default=60.0, help="s before memory is read")
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(8192, hard)), hard))
    unwind_on_sigterm()
    attacks: dict[str, Attack] = {
        f"{SILENT:,} silent connections": partial(held, number=SILENT, octets=b""),
        f"{STALLED} bodies that do not come": partial(held, number=STALLED, octets=head(70_000)),
    }
    for name, parts in SHAPES.items():
        request = Request("/predict", JSON, filled(*parts))
        attacks[f"{AT_ONCE} JSON bodies of 4 MiB: {name}"] = partial(
            sent, request=request, number=AT_ONCE
        )
    large = Request("/predict", JSON, filled(*SHAPES["a million numbers"]) * 4)
    attacks[f"{AT_ONCE} JSON bodies of 16 MiB"] = partial(sent, request=large, number=AT_ONCE)
    attacks["six infer requests of 8 MB"] = partial(sent, request=tensors(), number=6)
    rows = [trial(name, attack, args) for name, attack in attacks.items()]
    result: dict[str, Any] = {"attacks": rows, "passed": all(row["passed"] for row in rows)}
    table = [(row["attack"], line(row)) for row in rows]
    return 0 if write("attacks", "Attacks: others wait little", result, table, args.machine) else 1


def trial(name: str, attack: Attack, args: argparse.Namespace) -> dict[str, Any]:
    """Attack a server of its own; gives the row."""
    second = simulate(2, seed=1).signal[:FS].astype("<f4").tobytes()
    with Server(args.workers) as server:
        innocent = Innocent(server.port, Request("/predict?fs=360", RAW, second))
        with innocent:
            time.sleep(1.0)
        base, workers = server.resident_mb(), server.workers()
        quiet = share(innocent.waits_s, 100)
        peak, done = [base], threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                peak.append(server.resident_mb())

        watching = threading.Thread(target=watch)
        watching.start()
        innocent = Innocent(server.port, Request("/predict?fs=360", RAW, second))
        with innocent:
            answers = attack(server.port)
        time.sleep(args.settle)
        done.set()
        watching.join()
        after, same = server.resident_mb(), server.workers() == workers
    worst, health = share(innocent.waits_s, 100), share(innocent.health_s, 100)
    return {
        "attack": name,
        "answers": dict(answers),
        "worst_wait_ms": 1000 * worst,
        "p99_wait_ms": 1000 * share(innocent.waits_s, 99),
        "worst_wait_before_ms": 1000 * quiet,
        "worst_health_ms": 1000 * health,
        "refused": innocent.refused,
        "lost": innocent.lost,
        "resident_mb": {"before": base, "most": max(peak), "after": after},
        "settled_s": args.settle,
        "passed": worst <= MAX_WAIT_S
        and health <= MAX_HEALTH_S
        and after <= MEMORY_GROWTH * base
        and same
        and not innocent.lost
        and not any(code.startswith("5") and code != "503" for code in answers),
    }


def line(row: dict[str, Any]) -> str:
    memory = row["resident_mb"]
    answers = ", ".join(f"{n} x {code}" for code, n in sorted(row["answers"].items()))
    return (
        f"innocent's worst wait {row['worst_wait_ms']:.0f} ms "
        f"({row['worst_wait_before_ms']:.0f} before), health {row['worst_health_ms']:.0f} ms, "
        f"{row['refused']} refused, {row['lost']} lost; memory {memory['before']:.0f}, at most "
        f"{memory['most']:.0f}, {row['settled_s']:g} s later {memory['after']:.0f} MB; "
        f"attackers {answers or 'not answered'}; {'held' if row['passed'] else 'NOT HELD'}"
    )


def held(port: int, number: int, octets: bytes) -> Counter[str]:
    """Open so many connections, send this on each, and hold them."""
    with ExitStack() as stack:
        for _ in range(number):
            link = socket.create_connection(("127.0.0.1", port), 10)
            stack.enter_context(link)
            if octets:
                link.sendall(octets)
        time.sleep(HOLD_S)
    return Counter()


def sent(port: int, request: Request, number: int) -> Counter[str]:
    """Send a request so many times at once; gives the answers' statuses."""

    def one(_: int) -> str:
        with socket.create_connection(("127.0.0.1", port), 60) as link, suppress(OSError):
            with suppress(ConnectionResetError, BrokenPipeError):  # it was refused before the end
                link.sendall(request.encode(port))
            return link.recv(1 << 16)[9:12].decode() or "closed"
        return "closed"

    with ThreadPoolExecutor(number) as pool:
        return Counter(pool.map(one, range(number)))


def head(announced: int) -> bytes:
    """The beginning of a request whose body does not come."""
    return (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
        f"Content-Length: {announced}\r\n\r\n{{"
    ).encode()


def filled(before: bytes, unit: bytes, after: bytes) -> bytes:
    """A body just within the limit."""
    return before + unit * ((MAX_JSON - len(before) - len(after)) // len(unit)) + after


def tensors() -> Request:
    """An infer request of two million samples, JSON with the binary tensor behind it."""
    samples = 1_999_998
    ecg = {
        "name": "ecg",
        "shape": [1, samples],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 4 * samples},
    }
    fields = {"inputs": [ecg], "parameters": {"binary_data_output": True}}
    text = json.dumps(fields).encode()
    kind = f"{JSON}\r\nInference-Header-Content-Length: {len(text)}"
    return Request("/v2/models/ekg/infer", kind, text + struct.pack("<f", 0.0) * samples)


if __name__ == "__main__":
    sys.exit(main())
