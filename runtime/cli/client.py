"""Send a record's one-second windows to a server and print labels and round trips."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter

import numpy as np

from ..client import DEFAULT_URL, AwayError, Client
from ..errors import EkgError
from ..findings import Record
from .common import RECORD, count, signal_choice, signal_options
from .source import recording_or_simulated

EXAMPLE = "mitdb/208 --url http://127.0.0.1:8000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument("record", nargs="?", help=f"{RECORD} (default: the simulated patient)")
    signal_options(parser)
    parser.add_argument("--url", default=DEFAULT_URL, help="of the server (default: %(default)s)")
    parser.add_argument(
        "--count",
        type=count,
        default=100,
        metavar="N",
        help="most windows to send (default: %(default)s)",
    )
    parser.add_argument(
        "--token", default=os.environ.get("EKG_TOKEN"), help="bearer token (default: EKG_TOKEN)"
    )


def run(args: argparse.Namespace) -> int:
    """Send them; gives 1 if a request failed."""
    recording = recording_or_simulated(args.record, **signal_choice(args))
    with Client(args.url, bearer=args.token) as client:
        failures = send_windows(client, recording, args.count)
    return 1 if failures else 0


def send_windows(client: Client, recording: Record, max_windows: int) -> int:
    """Send one-second windows one after another and print what came back; gives the failures.

    Raises
    ------
    AwayError
        No window was answered, and no server is there.
    """
    samples = round(recording.fs)
    windows = [
        recording.signal[i * samples : (i + 1) * samples]
        for i in range(min(max_windows, len(recording.signal) // samples))
    ]
    labels: Counter[str] = Counter()
    times: list[float] = []
    failures, last_failure = 0, None
    for window in windows:
        started = time.perf_counter()
        try:
            labels[client.predict(window, recording.fs)["label"]] += 1
        except EkgError as error:
            failures, last_failure = failures + 1, error
            if isinstance(error, AwayError):  # each of the others would wait as long
                if not times:
                    raise
                break
        else:
            times.append(1000 * (time.perf_counter() - started))
    print(
        f"{recording.name}, lead {recording.lead}: {len(times) + failures} of {len(windows)} "
        f"one-second windows, {failures} failures"
    )
    if last_failure:
        print(f"last failure: {last_failure}")
    if times:
        p50, p95, p99 = np.percentile(times, (50, 95, 99))
        print("labels: " + ", ".join(f"{k} {n}" for k, n in labels.most_common()))
        print(f"round trip: p50 {p50:.2f} ms, p95 {p95:.2f} ms, p99 {p99:.2f} ms")
    return failures
