"""Serve the model, feed it half a minute of real ECG over and over, and print what it finds."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..client import Client, RequestError
from ..errors import InputError
from ..findings import Record
from ..records import read, sample
from ..simulate import simulate
from .address import check_address, free_port
from .common import print_answer
from .serve import server_program
from .source import paced

EXAMPLE = "--seconds 20"
MAX_DEMO_S = 86_400  # the signal is made up before it begins


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="length of the signal (default: %(default)g)",
    )
    parser.add_argument(
        "--pace",
        choices=("real", "fast"),
        default="real",
        help="as a patient's heart beats, or as fast as the server answers (default: %(default)s)",
    )
    parser.add_argument(
        "--simulated", action="store_true", help="feed it a simulated patient instead"
    )
    parser.add_argument(
        "--seed", type=int, help="another number simulates another patient (default: 1)"
    )
    parser.add_argument("--port", type=int, help="for the server (default: a free one)")


def run(args: argparse.Namespace) -> int:
    """Feed a server of its own; at a terminal the server stays until Ctrl-C."""
    if not 0 < args.seconds <= MAX_DEMO_S:
        raise InputError(
            f"--seconds is {args.seconds:g}; expected a number above 0, up to {MAX_DEMO_S}."
        )
    if args.seed is not None and not args.simulated:
        raise InputError("--seed is for the simulated patient; expected --simulated with it.")
    seed = (1 if args.seed is None else args.seed) if args.simulated else None
    if seed is not None and seed < 0:
        raise InputError(f"--seed is {seed}; expected a whole number from 0 on.")
    server_program()
    port = args.port or free_port("127.0.0.1")
    check_address("127.0.0.1", port)  # whoever answers there now is not the server started here
    url = f"http://127.0.0.1:{port}"
    with (
        Client(url, bearer=os.environ.get("EKG_TOKEN"), patience=0) as client,
        _server(args, port) as server,
    ):
        ready = _wait_ready(client, server)
        if ready is None:
            return 1  # the server has said why
        record, beats = demo_signal(args.seconds, seed)
        print(
            f"The monitor page is at {url} (provider {ready['provider']}).\n"
            f"Here are {len(record.signal) / record.fs:g} s of {record.name} "
            f"{'at real pace' if args.pace == 'real' else 'as fast as the server answers'}:\n",
            flush=True,
        )
        _feed(client, record, args.pace, beats)
        if sys.stdout.isatty():  # somebody is here, perhaps at the page
            with suppress(KeyboardInterrupt):
                print(f"the page stays at {url} until Ctrl-C", flush=True)
                server.wait()
    return 0


def demo_signal(seconds: float, seed: int | None) -> tuple[Record, Counter[str]]:
    """Return the signal that the demo shows, and how many beats of each class are in it.

    Parameters
    ----------
    seconds : length, s
    seed : of the simulated patient; None for the sample, which begins again at its end

    Returns
    -------
    the signal, named as one would say it, and the counts, empty if nobody has counted
    """
    if seed is not None:
        made = simulate(seconds, seed=seed)
        return (
            Record(
                "a simulated patient", "simulated", made.fs, made.signal.astype(np.float64), 0.0
            ),
            Counter(made.labels),
        )
    record = read(sample.FOLDER / "sample.csv")
    signal = np.resize(record.signal, round(seconds * record.fs))  # which repeats it
    length = len(record.signal) / record.fs
    labels = Counter(
        label
        for time, label in sample.reference_beats()
        for start in np.arange(0.0, seconds, length)
        if start + time < seconds
    )
    again = "" if seconds <= length else ", the same half minute over and over"
    return (
        Record(f"real ECG ({sample.SOURCE}{again})", record.lead, record.fs, signal, 0.0),
        labels,
    )


def _feed(client: Client, record: Record, pace: str, beats: Mapping[str, int]) -> None:
    found: Counter[str] = Counter()
    chunks = paced(record.signal, record.fs, pace, chunk_s=0.5)
    for answer in client.stream(chunks, record.fs):
        found.update(beat["label"] for beat in answer["beats"])
        print_answer(answer)
    counted = f"; the reference has {_counted(beats)}" if beats else ""
    print(f"\nfound {_counted(found)}{counted}")


def _counted(beats: Mapping[str, int]) -> str:
    return ", ".join(f"{beats[label]} {label}" for label in sorted(beats))


@contextmanager
def _server(args: argparse.Namespace, port: int) -> Iterator[subprocess.Popen[bytes]]:
    package = Path(__file__).resolve().parent.parent
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            package.name,
            "serve",
            "--port",
            str(port),
            "--workers",
            "1",
            "--log",
            "warning",
            "--artifacts",
            str(args.artifacts.resolve()),
            "--provider",
            args.provider,
        ],
        cwd=package.parent,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"EKG_DRAIN": "0"},
    )
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def _wait_ready(client: Client, server: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    """Return what the server says when it is ready, None if it ended before."""
    while True:
        try:
            return client.get("/health/ready")
        except RequestError:
            if server.poll() is not None:
                return None
            time.sleep(0.05)
