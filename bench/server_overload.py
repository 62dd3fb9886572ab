"""Overload: `python -m bench.server_overload`. Accepted requests are served in time.

Requests arrive at ten times the rate that the server was measured to sustain, whether or not it
keeps up (an open loop, Poisson), for a minute. Each is minutes of signal, so that one computer
can send ten times as many as it can compute. A round trip counts from when the request was due.
"""

from __future__ import annotations

import argparse
import random
import selectors
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from bench.load import Request, latencies, throughput
from bench.measure import count, positive, unwind_on_sigterm
from bench.server_common import Server, share, write
from runtime.simulate import simulate

RAW = "application/octet-stream"
CONNECTIONS = 256
IDLE_S = 5.0  # a link that was idle for longer may be closed by the server: another is opened
ACCEPTED_GROWTH = 3.0  # times the unloaded p99
WELL_AFTER_S = 1.0


@dataclass
class Tally:
    """Round trips, s, by outcome."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    without_retry_after: int = 0


class Link:
    """A keep-alive connection with at most one request under way."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due, self.left, self.received = 0.0, memoryview(b""), b""
        self.answered = time.perf_counter()

    def fileno(self) -> int:
        return self.socket.fileno()

    def begin(self, message: bytes, due: float) -> None:
        self.due, self.left, self.received = due, memoryview(message), b""

    def write(self) -> bool:
        """Send what the socket takes; True if all is sent."""
        try:
            self.left = self.left[self.socket.send(self.left) :]
        except BlockingIOError:
            return False
        except OSError:  # reading will raise it
            self.left = memoryview(b"")
        return not self.left

    def read(self) -> bytes | None:
        """The head of the answer once it is complete; empty if the connection is gone."""
        try:
            piece = self.socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self.received += piece
        if not piece:
            return b""
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        return head if len(body) >= length else None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_overload", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=positive, default=60.0, help="of overload")
    parser.add_argument("--times", type=positive, default=10.0, help="the sustained rate")
    parser.add_argument("--signal", type=positive, default=120.0, help="s of signal in a request")
    parser.add_argument("--fs", type=int, default=100, help="Hz")
    parser.add_argument("--workers", type=count, default=2)
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    if not 100 <= args.fs <= 1000:
        parser.error(f"--fs {args.fs}: expected a rate that the server takes, 100 to 1000 Hz")
    unwind_on_sigterm()
    signal = simulate(args.signal, fs=args.fs, seed=5).signal
    request = Request(f"/predict?fs={args.fs}", RAW, np.asarray(signal, "<f4").tobytes())
    with Server(args.workers) as server:
        quiet = latencies(server.port, request, 8.0)
        capacity = throughput(server.port, request, 8.0, args.workers)
        rate = args.times * capacity
        used = time.process_time()
        tally = overload(server.port, request.encode(server.port), rate, args.seconds)
        taken = (time.process_time() - used) / args.seconds
        time.sleep(WELL_AFTER_S)
        after = latencies(server.port, request, 3.0)
        complaints = server.complaints()
    p99 = 1000 * share(quiet, 99)
    accepted, well = 1000 * share(tally.accepted, 99), 1000 * share(after, 99)
    result = {
        "request": f"{args.signal:g} s at {args.fs} Hz, raw float32",
        "workers": args.workers,
        "unloaded_ms": summary(quiet),
        "capacity_per_s": capacity,
        "offered_per_s": rate,
        "seconds": args.seconds,
        "cores_taken_by_the_load": taken,
        "accepted": len(tally.accepted),
        "refused": len(tally.refused),
        "other": sorted(set(tally.other)),
        "others": len(tally.other),
        "refused_without_retry_after": tally.without_retry_after,
        "accepted_ms": summary(tally.accepted),
        "refused_ms": summary(tally.refused),
        "a_second_later_ms": summary(after),
        "complaints": complaints,
        "passed": (
            accepted <= ACCEPTED_GROWTH * p99
            and well <= ACCEPTED_GROWTH * p99
            and not tally.other
            and not tally.without_retry_after
            and not complaints
            and bool(tally.refused)
        ),
    }
    return (
        0
        if write(
            "overload",
            "Overload: who is accepted is served in time",
            result,
            [
                ("request", result["request"]),
                ("unloaded, one connection", line(quiet)),
                ("sustained", f"{capacity:.0f} a second with {args.workers} workers"),
                (
                    "offered",
                    f"{rate:.0f} a second for {args.seconds:g} s, which takes the sender "
                    f"{taken:.0%} of a core of the same machine",
                ),
                (
                    "accepted",
                    f"{len(tally.accepted)} ({len(tally.accepted) / args.seconds:.0f} a second);"
                    f" {line(tally.accepted)}; {accepted / p99:.2f} times the unloaded p99",
                ),
                (
                    "refused with 503 and Retry-After",
                    f"{len(tally.refused)}; {line(tally.refused)}",
                ),
                ("anything else", len(tally.other)),
                ("a second later", line(after)),
            ],
            args.machine,
        )
        else 1
    )


def overload(port: int, message: bytes, rate: float, seconds: float) -> Tally:
    """Send at this rate whatever the answers are."""
    tally, chance = Tally(), random.Random(0)
    # As many clients as connections, who send in turn: the latest to be answered first would pile
    # all on the workers that happen to hold a few of them.
    idle = deque(Link(port) for _ in range(CONNECTIONS))
    waiting: deque[float] = deque()  # due, but every connection is in use
    with selectors.DefaultSelector() as selector:
        due = time.perf_counter()
        end = due + seconds
        while (now := time.perf_counter()) < end or waiting or selector.get_map():
            while due <= now and due < end:
                waiting.append(due)
                due += chance.expovariate(rate)
            while waiting and idle:
                link = idle.popleft()
                if now - link.answered > IDLE_S:
                    link = renewed(link, port)
                link.begin(message, waiting.popleft())
                selector.register(
                    link,
                    selectors.EVENT_READ
                    if link.write()
                    else selectors.EVENT_READ | selectors.EVENT_WRITE,
                )
            for key, events in selector.select(max(0.0, min(due - time.perf_counter(), 0.05))):
                link = key.fileobj  # type: ignore[assignment]
                if events & selectors.EVENT_WRITE and link.write():
                    selector.modify(link, selectors.EVENT_READ)
                head = link.read() if events & selectors.EVENT_READ else None
                if head is not None:
                    selector.unregister(link)
                    link.answered = time.perf_counter()
                    note(tally, head, link.answered - link.due)
                    again = bool(head) and b"connection: close" not in head.lower()
                    idle.append(link if again and not link.left else renewed(link, port))
    return tally


def note(tally: Tally, head: bytes, seconds: float) -> None:
    if head.startswith(b"HTTP/1.1 200"):
        tally.accepted.append(seconds)
    elif head.startswith(b"HTTP/1.1 503"):
        tally.refused.append(seconds)
        tally.without_retry_after += b"retry-after:" not in head.lower()
    else:
        tally.other.append(head[:40].decode(errors="replace") or "connection lost")


def renewed(link: Link, port: int) -> Link:
    link.socket.close()
    return Link(port)


def summary(times: list[float]) -> dict[str, float]:
    return {f"p{of}": round(1000 * share(times, of), 3) for of in (50, 95, 99, 100)}


def line(times: list[float]) -> str:
    return f"p50 {1000 * share(times, 50):.1f}, p99 {1000 * share(times, 99):.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
