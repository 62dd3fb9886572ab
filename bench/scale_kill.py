"""Kill trials of live streams: `python -m bench.scale_kill`. Nothing lost, doubled or foreign.

Simulated patients run through workers and brokers on this machine, faster than life, while one
part after another is killed, frozen or cut off, at random moments. What a reader keeps afterwards
has to be exactly what the detector finds in the same signals without any of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import count, machine_folder, positive, unwind_on_sigterm
from bench.scale_common import (
    Process,
    compare,
    publisher_arguments,
    read_all,
    wait_for_chunks,
    worker_arguments,
)
from bench.server_common import ROOT, write
from scale.demo import expected
from scale.live.broker import Access
from scale.live.local import LocalBroker, cluster

WORKERS = 2
FROZEN_S = 30.0
NEAR, FAR = "10.77.25.1", "10.77.25.2"  # of two hosts in namespaces of their own


class Trial:
    """Broker, workers and publisher, and something that is done to them again and again.

    Attributes
    ----------
    what : is done
    pause_s : between two of them, at the mean
    disturbed : times that it was done
    """

    what = ""
    pause_s = 4.0
    workers_needed = WORKERS
    replicas = 1

    def __init__(self, scratch: Path, args: argparse.Namespace, stack: contextlib.ExitStack):
        self.args, self._stack = args, stack
        self.disturbed = 0
        self.choice = random.Random(args.seed)
        self.seconds = args.times * self.pause_s * args.pace + 20
        self.nodes = self.brokers(scratch)
        self.urls = [node.url for node in self.nodes]
        for node in self.nodes:
            stack.callback(node.kill)
            node.start()
        self.workers = [self.worker(i) for i in range(self.workers_needed)]
        for worker in self.workers:
            stack.callback(worker.kill)
        self.access = Access(tuple(self.urls))
        wait_for_chunks(self.access, 0)
        self.publisher = Process(
            *publisher_arguments(
                self.urls, patients=args.patients, seconds=self.seconds, pace=args.pace
            )
        )
        stack.callback(self.publisher.kill)
        wait_for_chunks(self.access, args.patients)

    def brokers(self, scratch: Path) -> list[LocalBroker]:
        return [LocalBroker(scratch)]

    def worker(self, number: int) -> Process:
        return Process(*worker_arguments(self.urls, replicas=self.replicas))

    def disturb(self) -> None:
        """Do it once, after a pause of a random length."""
        raise NotImplementedError

    def recover(self) -> None:
        """Leave everything running, for the rest of the signal."""

    def pause(self) -> None:
        time.sleep(self.pause_s * self.choice.uniform(0.5, 1.5))


class KilledWorker(Trial):
    what = "a worker killed with -9 and started again"

    def disturb(self) -> None:
        self.pause()
        worker = self.choice.choice(self.workers)
        worker.kill()
        worker.start()
        self.disturbed += 1


class KilledNode(Trial):
    what = "a node of three killed with -9 and started again after 2 s"
    pause_s = 8.0
    replicas = 3

    def brokers(self, scratch: Path) -> list[LocalBroker]:
        return cluster(scratch)

    def disturb(self) -> None:
        time.sleep((self.pause_s - 2) * self.choice.uniform(0.5, 1.5))
        node = self.choice.choice(self.nodes)
        node.kill()
        time.sleep(2)
        node.start()
        self.disturbed += 1


class KilledPublisher(Trial):
    what = "the publisher killed with -9 and started again"

    def disturb(self) -> None:
        self.pause()
        self.publisher.kill()
        self.publisher.start()
        self.disturbed += 1


class FrozenWorker(Trial):
    what = f"a worker of four frozen for {FROZEN_S:g} s and woken, two at a time"
    pause_s = 16.0
    workers_needed = 4

    def __init__(self, scratch: Path, args: argparse.Namespace, stack: contextlib.ExitStack):
        self._frozen: list[tuple[float, Process]] = []
        super().__init__(scratch, args, stack)

    def disturb(self) -> None:
        if len(self._frozen) == 2:
            self._wake()
        time.sleep(self.choice.uniform(0.0, 2.0))
        frozen = [worker for _, worker in self._frozen]
        worker = self.choice.choice([one for one in self.workers if one not in frozen])
        worker.signal(signal.SIGSTOP)
        self._frozen.append((time.monotonic(), worker))
        self.disturbed += 1
        if len(self._frozen) == 1:
            time.sleep(FROZEN_S / 2)

    def _wake(self) -> None:
        since, worker = self._frozen.pop(0)
        time.sleep(max(0.0, since + FROZEN_S - time.monotonic()))
        worker.signal(signal.SIGCONT)

    def recover(self) -> None:
        while self._frozen:
            self._wake()


class CutLink(Trial):
    what = "the link between two hosts cut for 1 to 8 s and healed"
    pause_s = 9.0

    def brokers(self, scratch: Path) -> list[LocalBroker]:
        self._hosts = self._stack.enter_context(two_hosts())
        return [LocalBroker(scratch, host=NEAR)]

    def worker(self, number: int) -> Process:
        prefix = ("ip", "netns", "exec", self._hosts) if number == 0 else ()
        return Process(*worker_arguments(self.urls), prefix=prefix)

    def disturb(self) -> None:
        time.sleep(self.choice.uniform(2.0, 6.0))
        ip("link", "set", "ekg-near", "down")
        time.sleep(self.choice.uniform(1.0, 8.0))
        ip("link", "set", "ekg-near", "up")
        self.disturbed += 1


class CrashedWorker(Trial):
    what = "a worker ended after it published and before it saved, and started again"
    pause_s = 20.0

    def worker(self, number: int) -> Process:
        module = "bench.scale_crash" if number == 0 else "scale"
        return Process(*worker_arguments(self.urls), module=module)

    def disturb(self) -> None:
        while self.workers[0].process.poll() is None:  # it ends by itself
            if self.publisher.process.poll() is not None:
                return
            time.sleep(0.1)
        self.disturbed += 1
        self.workers[0].start()


SCENARIOS: dict[str, type[Trial]] = {
    "worker": KilledWorker,
    "node": KilledNode,
    "publisher": KilledPublisher,
    "frozen": FrozenWorker,
    "link": CutLink,
    "checkpoint": CrashedWorker,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale_kill", description=__doc__.splitlines()[0]
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--patients", type=count, default=16)
    parser.add_argument("--times", type=count, default=20, help="that something is done, each")
    parser.add_argument("--pace", type=positive, default=4.0, help="times real pace")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    unwind_on_sigterm()
    results = {}
    if args.scenarios:  # those of an earlier run stand beside them
        folder = ROOT / "bench" / "results" / (args.machine or machine_folder())
        with contextlib.suppress(FileNotFoundError):
            results = json.loads((folder / "scale_kill.json").read_text())["scenarios"]
    for name in args.scenarios or SCENARIOS:
        results[name] = trial(SCENARIOS[name], args)
    rows = [
        (
            result["what"],
            f"{result['times']} times in {result['seconds']:.0f} s; of {result['expected']} "
            f"findings {result['missing']} missing, {result['doubled']} doubled, "
            f"{result['foreign']} foreign; {result['recognised']} second deliveries recognised",
        )
        for result in results.values()
    ]
    whole = {
        "patients": args.patients,
        "pace": args.pace,
        "scenarios": results,
        "passed": all(result["passed"] for result in results.values()),
    }
    what = "Live streams: kills, freezes and cuts"
    return 0 if write("kill", what, whole, rows, args.machine, of="scale") else 1


def trial(kind: type[Trial], args: argparse.Namespace) -> dict[str, Any]:
    """One scenario from empty logs to the comparison."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        it = kind(Path(scratch), args, stack)
        while it.disturbed < args.times and it.publisher.process.poll() is None:
            it.disturb()
        it.recover()
        finished = it.publisher.process.wait(900) == 0
        wanted = expected(args.patients, it.seconds)
        outcome = compare(asyncio.run(read_all(it.access, len(wanted), 600)), wanted)
    print(f"{kind.what}: {it.disturbed} times, {outcome}", flush=True)
    return {
        "what": kind.what,
        "times": it.disturbed,
        "seconds": time.monotonic() - began,
        "signal_s": it.seconds,
        "load_average": os.getloadavg(),
        **vars(outcome),
        "passed": outcome.passed and finished and it.disturbed >= args.times,
    }


@contextlib.contextmanager
def two_hosts() -> Iterator[str]:
    """Make two hosts with a link, move this process to the near one, give the far one's name."""
    libc, here = ctypes.CDLL(None, use_errno=True), os.open("/proc/self/ns/net", os.O_RDONLY)
    near, far = f"ekg-near-{os.getpid()}", f"ekg-far-{os.getpid()}"
    try:
        for name in (near, far):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", near, "link", "add", "ekg-near", "type", "veth", "peer", "ekg-far", "netns", far)
        for name, device, address in ((near, "ekg-near", NEAR), (far, "ekg-far", FAR)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
        with open(f"/run/netns/{near}") as there:
            if libc.setns(there.fileno(), 0):
                raise OSError(ctypes.get_errno(), "a namespace cannot be entered")
        yield far
    finally:
        libc.setns(here, 0)
        os.close(here)
        for name in (near, far):
            subprocess.run(["ip", "netns", "del", name], check=False)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
