"""A demonstration: `python -m scale.demo`, or `make scale-demo`. A worker is killed, nothing lost.

Broker, two workers, simulated patients and the central view start on this machine. A worker is
killed with -9 and, later, another one started. At the end the page's own figures are compared with
what the detector finds in the same signals without any of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .cli.options import positive
from .ekg import Detector, EkgError, common, simulate
from .live.broker import BrokerError
from .live.central import Central, follow, served
from .live.local import LocalBroker

FS = 250  # Hz
KILL_AFTER, START_AFTER = 0.35, 0.6  # of the signal
LEASE_S = 4.0
WAIT_S = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it to its end; the exit status is 0 if nothing was lost, doubled or foreign."""
    parser = argparse.ArgumentParser(prog="python -m scale.demo", description=__doc__)
    parser.add_argument("--patients", type=common.count, default=100)
    parser.add_argument("--seconds", type=positive, default=60.0, help="of signal, at real pace")
    parser.add_argument("--port", type=common.count, default=8080, help="of the page")
    args = parser.parse_args(arguments)
    try:
        return asyncio.run(_play(args))
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


async def _play(args: argparse.Namespace) -> int:
    print(f"making {args.patients} patients up ...", flush=True)
    central = Central(expected(args.patients, args.seconds))

    def say(text: str) -> None:
        central.remarks.append(text)
        print(text, flush=True)

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(LocalBroker(folder))
        url = stack.enter_context(served(central, args.port))
        workers = [stack.enter_context(_command("worker", broker)) for _ in range(2)]
        following = asyncio.create_task(_follow(central, broker))
        await _workers(central, 2)
        say(f"broker and two workers run; the central view is on {url}")
        publisher = stack.enter_context(
            _command(
                "publish",
                broker,
                *("--simulate", args.patients, "--seconds", args.seconds, "--fs", FS),
            )
        )
        await asyncio.sleep(KILL_AFTER * args.seconds)
        workers[0].kill()
        say("one worker was killed (-9); the other takes its patients over")
        await asyncio.sleep((START_AFTER - KILL_AFTER) * args.seconds)
        stack.enter_context(_command("worker", broker))
        say("a third worker comes, and takes half of the patients")
        until = time.monotonic() + args.seconds + WAIT_S
        while time.monotonic() < until and central.state()["to_come"]:
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)  # for what should not come
        following.cancel()
        publisher.wait(10)
        state = central.state()
        say(
            f"the page counts {state['findings']} findings of {len(state['patients'])} patients: "
            f"{state['lost'] + state['to_come']} lost, {state['doubled']} doubled, "
            f"{state['foreign']} foreign"
        )
        wrong = state["lost"] + state["to_come"] + state["doubled"] + state["foreign"]
        return 1 if wrong or not state["due"] else 0


def expected(patients: int, seconds: float) -> list[tuple[str, str]]:
    """Patient and `finding_name` of every finding, as the detector alone has them.

    Parameters
    ----------
    patients, seconds : as ``ekg publish --simulate`` takes them, at `FS`
    """
    detector, found = Detector.load(provider="cpu"), []
    for i in range(patients):
        made, stream = simulate(seconds, fs=FS, seed=i), detector.stream(FS, events=True)
        beats = stream.push(made.signal) + stream.finish()
        names = [f"{beat.label}@{round(beat.time * FS)}" for beat in beats]
        names += [
            f"{event.kind}@{round(event.start * FS)}" + ("" if event.end is None else "-end")
            for event in stream.events()
        ]
        found += [(f"sim-{i:04}", name) for name in names]
    return found


async def _follow(central: Central, broker: LocalBroker) -> None:
    """Feed the page once the first worker has made the logs."""
    while True:
        with contextlib.suppress(BrokerError):
            await follow(central, broker.access, from_start=True)
        await asyncio.sleep(0.2)


async def _workers(central: Central, number: int) -> None:
    """Wait until so many workers hold partitions."""
    until = time.monotonic() + WAIT_S
    while sum(held > 0 for held in central.state()["workers"].values()) < number:
        if time.monotonic() > until:
            raise BrokerError(f"there were no {number} workers within {WAIT_S:g} s.")
        await asyncio.sleep(0.2)


@contextlib.contextmanager
def _command(name: str, broker: LocalBroker, *more: object) -> Iterator[subprocess.Popen[bytes]]:
    """A command of this folder in a process of its own, killed at the end."""
    own = ("--lease", LEASE_S, "--checkpoint", 10, "--log-gb", 1) if name == "worker" else ()
    package = str(__package__)
    command = [sys.executable, "-m", package if package == "scale" else "ekg", name]
    command += ["--server", broker.url, *map(str, (*own, *more))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
