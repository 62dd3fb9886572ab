"""What follows the network against the network: ``python -m bench.ratios``, four minutes.

A second of one patient, and of a batch, through `Stream.push` and `Detector.push` to beats, events
and quality, beside the bare graph on the same batch, in turns; thousands of patients beside fewer;
and ``annotate`` of a long record, from file to file. All in processor time. Prints each beside its
bar; ``--out DIR`` writes it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.before_after import write_record
from bench.measure import count, last_core, machine, positive, unwind_on_sigterm
from bench.profile_stages import annotated
from runtime import Detector
from runtime.model.contract import FS
from runtime.simulate import simulate

BATCH, CROWDS = 64, (64, 256, 1024, 4096)
ALONE, FOLLOWED = "network alone", "rhythm followed, events and quality"
WARM_UP_S = 60.0  # of signal: by then the usual QRS complex and interval are known
TURN_S = 0.25
Call = Callable[[], None]


class Figure(NamedTuple):
    """A ratio, or a time in s, and its bars."""

    what: str
    value: float
    must: float
    target: float
    at_most: bool = True

    def row(self) -> str:
        """A row of a Markdown table."""
        met = self.value <= self.must if self.at_most else self.value >= self.must
        bars = f"{self.must:.3g} | {self.target:.3g}"
        return f"| {self.what} | {self.value:.2f} | {bars} | {'yes' if met else 'no'} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.ratios", description=__doc__)
    parser.add_argument("--rounds", type=count, default=40, help="(default: %(default)s)")
    parser.add_argument(
        "--hours", type=positive, default=24.0, help="of the record (default: %(default)g)"
    )
    parser.add_argument("--records", type=count, default=3, help="times it is annotated")
    parser.add_argument("--crowds", type=count, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for ratios.md")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    with last_core(), tempfile.TemporaryDirectory() as folder:
        figures = [*pushes(args.rounds), crowds(args.crowds)]
        record = write_record(Path(folder) / "record", args.hours)
        times = [processor_s(partial(annotated, record)) for _ in range(args.records)]
    figures.append(
        Figure(
            f"s of processor time for {args.hours:g} hours, file to file, median of {len(times)}",
            statistics.median(times),
            10 * args.hours / 24,
            5 * args.hours / 24,
        )
    )
    text = table(figures)
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "ratios.md").write_text(text)


def pushes(rounds: int) -> list[Figure]:
    """Measure the ratios: the median over rounds, in each of which all take turns."""
    detector = Detector.load(provider="cpu")
    calls = {
        "graph": graph(detector, 1),
        ALONE: push(detector, 1, events=False),
        FOLLOWED: push(detector, 1, events=True),
        "graphs": graph(detector, BATCH),
        "batch": push(detector, BATCH, events=True),
    }
    ms: dict[str, list[float]] = {name: [] for name in calls}
    for turn in tqdm(range(rounds), desc="in turns", unit="round"):
        for name in list(calls)[:: 1 if turn % 2 else -1]:
            ms[name].append(median_ms(calls[name]))

    def ratio(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(ms[name], ms[other], strict=True))

    return [
        Figure(f"`Stream.push` against the graph, {ALONE}", ratio(ALONE, "graph"), 1.3, 1.15),
        Figure(f"`Stream.push` against the graph, {FOLLOWED}", ratio(FOLLOWED, "graph"), 2.0, 1.5),
        Figure(
            f"the graph's share of {BATCH} patients' second, {FOLLOWED}",
            ratio("graphs", "batch"),
            *(0.6, 0.8),
            at_most=False,
        ),
    ]


def crowds(rounds: int, sizes: Sequence[int] = CROWDS) -> Figure:
    """Cost of one of the most patients against that of one of as many as are cheapest."""
    detector = Detector.load(provider="cpu")
    calls = {size: push(detector, size, events=True) for size in sizes}
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in tqdm(range(rounds), desc="crowds", unit="round"):
        for size in sizes[:: 1 if turn % 2 else -1]:
            costs[size].append(median_ms(calls[size]) / size)
    cost = {size: statistics.median(found) for size, found in costs.items()}
    return Figure(
        f"cost of one of {max(sizes):,} patients against the cheapest, {FOLLOWED}",
        cost[max(sizes)] / min(cost.values()),
        *(1.1, 1.05),
    )


def graph(detector: Detector, batch: int) -> Call:
    """The bare graph on a second of each patient, its carry going on."""
    turns = _turns(batch)
    carry = np.zeros((batch, detector.contract.carry_size), dtype=np.float32)

    def call() -> None:
        nonlocal carry
        _, carry = detector.session.run(next(turns), carry)

    return call


def push(detector: Detector, batch: int, *, events: bool) -> Call:
    """A second of each patient's stream, which is warm."""
    turns = _turns(batch)
    streams = [detector.stream(FS, events=events) for _ in range(batch)]

    def call() -> None:
        chunk = next(turns)
        if batch == 1:
            streams[0].push(chunk[0])
        else:
            detector.push(streams, list(chunk))
        if events:
            for stream in streams:
                stream.events()

    for _ in range(round(WARM_UP_S)):
        call()
    return call


def median_ms(call: Call) -> float:
    """Median processor time of a call in a turn of `TURN_S`; other work adds little to it."""
    taken: list[float] = []
    end = time.perf_counter() + TURN_S
    while len(taken) < 3 or time.perf_counter() < end:
        taken.append(1000 * processor_s(call))
    return statistics.median(taken)


def processor_s(call: Call) -> float:
    """Processor time of a call, s."""
    began = time.process_time()
    call()
    return time.process_time() - began


def table(figures: Sequence[Figure]) -> str:
    """The figures as Markdown."""
    here = machine()
    lines = [
        "# What follows the network, against the network",
        "",
        f"One core of {here['cores']} ({here['cpu']}), Python {here['python']}, load "
        f"{os.getloadavg()[0]:.1f}, {datetime.now(UTC):%Y-%m-%d}; "
        "written by `python -m bench.ratios`.",
        "",
        "| | measured | must | target | met |",
        "|---|---|---|---|---|",
        *(figure.row() for figure in figures),
    ]
    return "\n".join(lines) + "\n"


def _turns(batch: int) -> Iterator[NDArray[np.float32]]:
    """Seconds of as many patients, again and again, float32 [batch, samples]."""
    signal = simulate(WARM_UP_S, fs=FS, seed=5).signal.astype(np.float32)
    rows = np.stack([np.roll(signal, -97 * patient) for patient in range(batch)])
    return cycle(np.ascontiguousarray(rows.reshape(batch, -1, FS).swapaxes(0, 1)))


if __name__ == "__main__":
    main()
