"""Shared by the trials of live streams: brokers, workers, a publisher, and the comparison.

A trial is passed if what a reader keeps of the log of findings is exactly what the detector finds
in the same signals without any broker: none missing, none doubled, none foreign.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bench.server_common import ROOT
from scale.demo import FS
from scale.live.broker import IN, OUT, PASSING, STATES, Access, connect, ended
from scale.live.central import finding_name
from scale.live.log import LogReader
from scale.live.reader import Recogniser, findings


class Process:
    """A command of this project in a process of its own.

    Parameters
    ----------
    prefix : what it is started by, as a network namespace's command
    """

    def __init__(self, *arguments: object, module: str = "scale", prefix: Sequence[str] = ()):
        self._command = [*prefix, sys.executable, "-m", module, *map(str, arguments)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, cwd=ROOT, start_new_session=True)

    def kill(self) -> None:
        """``kill -9``, of the whole group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)


def worker_arguments(
    urls: Sequence[str], *, replicas: int = 1, lease: float = 3.0, checkpoint: float = 3.0
) -> list[object]:
    """Arguments of a worker that loses its partitions and saves its patients soon."""
    servers = [part for url in urls for part in ("--server", url)]
    return [
        *("--provider", "cpu", "worker", *servers, "--replicas", replicas, "--partitions", 8),
        *("--lease", lease, "--checkpoint", checkpoint, "--log-gb", 2),
    ]


def publisher_arguments(
    urls: Sequence[str], *, patients: int, seconds: float, pace: object, chunk: float = 1.0
) -> list[object]:
    """Arguments of a publisher of simulated patients that goes on where it was killed."""
    servers = [part for url in urls for part in ("--server", url)]
    return [
        *("publish", "--simulate", patients, "--seconds", seconds, "--pace", pace),
        *("--chunk", chunk, "--fs", FS, "--resume", *servers),
    ]


@dataclass
class Outcome:
    """What a reader kept, against what was expected."""

    expected: int = 0
    kept: int = 0
    missing: int = 0
    doubled: int = 0
    foreign: int = 0
    recognised: int = 0
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def passed(self) -> bool:
        return self.kept == self.expected > 0 and not (self.missing + self.doubled + self.foreign)


def compare(messages: Sequence[dict[str, Any]], expected: Sequence[tuple[str, str]]) -> Outcome:
    """Compare the log of findings with what was expected; a reader keeps each number once."""
    recogniser, outcome = Recogniser(), Outcome(expected=len(expected))
    found: Counter[tuple[str, str]] = Counter()
    for message in messages:
        if not recogniser.is_new(message):
            continue
        if message["kind"] == "note":
            outcome.notes[message["text"]] += 1
        else:
            found[message["patient"], finding_name(message)] += 1
    want = Counter(expected)
    outcome.kept, outcome.recognised = sum(found.values()), recogniser.doubled
    outcome.missing = sum((want - found).values())
    outcome.doubled = sum(count - 1 for key, count in found.items() if key in want and count > 1)
    outcome.foreign = sum(count for key, count in found.items() if key not in want)
    return outcome


async def read_all(access: Access, at_least: int, within_s: float) -> list[dict[str, Any]]:
    """All messages of the log of findings, once there are so many and no more come."""
    client = await connect(access, name="trial")
    messages: list[dict[str, Any]] = []

    async def collect() -> None:
        async for message in findings(client, from_start=True):
            messages.append(message)

    collecting = asyncio.create_task(collect())
    until, seen = time.monotonic() + within_s, -1
    while time.monotonic() < until and (len(messages) < at_least or len(messages) > seen):
        seen = len(messages)
        await asyncio.sleep(5)
    await ended(collecting)
    await client.close()
    return messages


async def latencies(access: Access) -> list[float]:
    """From the broker's taking a chunk to its taking each finding that it decided, s."""
    client = await connect(access, name="trial")
    try:
        js = client.jetstream(timeout=5)
        last = (await js.stream_info(OUT)).state.last_seq
        log, found, silent = LogReader(client, js, OUT, "ecg.out.*", 0), [], 0
        while log.seq < last and silent < 50:
            entries = await log.take()
            found += [
                (entry.received - orjson.loads(entry.data)["received"]) / 1e9 for entry in entries
            ]
            silent = 0 if entries else silent + 1
            await asyncio.sleep(0.05)
        await log.close()
        return found
    finally:
        await client.close()


async def stored_bytes(access: Access) -> dict[str, int]:
    """Bytes that the broker holds of signal, findings and states."""
    client = await connect(access, name="trial")
    try:
        js = client.jetstream(timeout=5)
        return {
            name: (await js.stream_info(name)).state.bytes for name in (IN, OUT, f"KV_{STATES}")
        }
    finally:
        await client.close()


def wait_for_chunks(access: Access, chunks: int, within_s: float = 300.0) -> None:
    """Wait until the log of signal is there and holds so many chunks."""

    async def wait() -> None:
        until = time.monotonic() + within_s
        client = await connect(access, name="trial")
        try:
            js = client.jetstream(timeout=5)
            while time.monotonic() < until:
                with contextlib.suppress(*PASSING):  # it is not there yet
                    if (await js.stream_info(IN)).state.messages >= chunks:
                        return
                await asyncio.sleep(0.2)
            raise TimeoutError(f"there were no {chunks} chunks within {within_s:g} s.")
        finally:
            await client.close()

    asyncio.run(wait())
