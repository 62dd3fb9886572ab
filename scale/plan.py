"""What so many patients and Holter days need: `python -m scale.plan`, from measured costs.

The costs are read from the results of `bench.scale_live` and `bench.scale_overhead`; the prices are
list prices. Everything else is multiplication, so that it can be checked by hand, and at a small
size against the real thing.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_A_MONTH = 30 * 24 * 3600
FINDINGS_A_SECOND = 1.25  # of a patient: beats, and now and then an event
DAY_BYTES_A_SECOND = 500  # of an archive: int16 at 250 Hz
RESULTS = Path(__file__).resolve().parent.parent / "bench" / "results" / "amd-epyc-2-cores"


@dataclass(frozen=True)
class Costs:
    """Measured on one machine.

    Attributes
    ----------
    worker_ms, broker_ms : of a core, for a second of one patient more
    worker_base_ms, broker_base_ms : of a core, for a second of one worker, or of a log, however few
        its patients
    patient_mb : memory of a worker for each patient that it follows
    worker_mb : memory of a worker without patients
    in_bytes, out_bytes, state_bytes : in the logs for a second of one patient; of one saved state
    day_s : of a core for a day of an archive
    """

    worker_ms: float
    broker_ms: float
    worker_base_ms: float
    broker_base_ms: float
    patient_mb: float
    worker_mb: float
    in_bytes: float
    out_bytes: float
    state_bytes: float
    day_s: float


@dataclass(frozen=True)
class Prices:
    """List prices, in dollars: by default Amazon's in us-east-1, on demand, Linux, in 2026.

    Attributes
    ----------
    core_hour : of a physical core with 4 GB: half of a c6a.xlarge (4 threads, 8 GB, 0.153 an hour)
    disk_gb_month : gp3
    object_gb_month : S3 standard, the first 50 TB
    zone_gb : traffic between zones, both directions
    """

    core_hour: float = 0.153 / 2
    disk_gb_month: float = 0.08
    object_gb_month: float = 0.023
    zone_gb: float = 0.02


@dataclass(frozen=True)
class Size:
    """What is wanted.

    Attributes
    ----------
    patients : live
    days : of an archive, each 24 h of one lead
    log_hours, checkpoint_s, replicas : as `ekg worker` takes them
    used : share of a core, of a disk and of memory that is planned with; the rest is for peaks, and
        for the nodes that are down
    workers : at least so many, each on a core of its own
    """

    patients: int = 100_000
    days: int = 100_000
    log_hours: float = 24.0
    checkpoint_s: float = 60.0
    replicas: int = 3
    used: float = 0.6
    workers: int = 1


@dataclass(frozen=True)
class Need:
    """A line of the plan: what it is, how much, and what that costs a month."""

    what: str
    amount: float
    unit: str
    dollars: float = 0.0


def live(costs: Costs, size: Size, prices: Prices) -> Iterator[Need]:
    """What the live patients need."""
    count, month = size.patients, SECONDS_A_MONTH / 3600
    processes = max(size.workers, _full(count, costs.worker_ms, costs.worker_base_ms, size.used))
    logs = _full(count, costs.broker_ms, costs.broker_base_ms, size.used)
    workers = (count * costs.worker_ms + processes * costs.worker_base_ms) / 1000 / size.used
    brokers = (count * costs.broker_ms + logs * costs.broker_base_ms) / 1000 / size.used
    brokers *= size.replicas
    states = costs.state_bytes / size.checkpoint_s
    written = (costs.in_bytes + costs.out_bytes + states) * count / 1e6
    kept = (costs.in_bytes + costs.out_bytes) * count * size.log_hours * 3600 / 1e9
    kept = (kept + costs.state_bytes * count / 1e9) * size.replicas / size.used
    memory = (count * costs.patient_mb + processes * costs.worker_mb) / 1000 / size.used
    copied = written * (size.replicas - 1) / 1000 * SECONDS_A_MONTH
    yield Need("workers, at least", processes, "processes")
    yield Need("pairs of logs, at least", logs, "pairs")
    yield Need("worker cores", workers, "cores", workers * prices.core_hour * month)
    yield Need("broker cores, all nodes", brokers, "cores", brokers * prices.core_hour * month)
    yield Need("memory of the workers", memory, "GB")
    yield Need("written to each copy of the logs", written, "MB/s")
    yield Need(
        "between the nodes, copies in other zones",
        written * (size.replicas - 1),
        "MB/s",
        copied * prices.zone_gb,
    )
    yield Need("disk of the logs, all nodes", kept, "GB", kept * prices.disk_gb_month)
    yield Need("messages taken", count * (1 + FINDINGS_A_SECOND) / 1000, "thousand/s")


def _full(patients: int, ms: float, base_ms: float, used: float) -> int:
    """So many processes, each busy for this share of a core, take these patients."""
    return max(1, math.ceil(patients * ms / (1000 * used - base_ms)))


def archive(costs: Costs, size: Size, prices: Prices) -> Iterator[Need]:
    """What the archive needs, once."""
    hours = size.days * costs.day_s / 3600
    stored = size.days * 24 * 3600 * DAY_BYTES_A_SECOND / 1e9
    yield Need("core hours, once", hours, "h", hours * prices.core_hour)
    yield Need("for it to be done in a day", hours / 24 / size.used, "cores")
    yield Need("read in that day", stored * 1000 / (24 * 3600), "MB/s")
    yield Need("stored a month (int16, 250 Hz)", stored, "GB", stored * prices.object_gb_month)


def measured(folder: Path) -> Costs:
    """The costs in a folder of results: of the most patients, and what more of them made more.

    What a second costs was a straight line over the number of patients, with a part for each worker
    and broker that does not depend on it (their turns, a wake-up for a message), so that few
    patients cost more each.
    """
    trials = json.loads((folder / "scale_live.json").read_text())["trials"]
    most, least = trials[-1], trials[0]
    archived = json.loads((folder / "scale_overhead.json").read_text())
    loop_s = statistics.median(processors for _, processors in archived["loop"])
    more = most["patients"] - least["patients"]
    patient_mb = max(0.0, sum(most["workers_mb"]) - sum(least["workers_mb"])) / more
    workers = len(most["workers_mb"])
    worker_ms, worker_base_ms = _line(least, most, "worker_ms")
    broker_ms, broker_base_ms = _line(least, most, "broker_ms")
    stored = most["stored_bytes_a_second"]
    return Costs(
        worker_ms=worker_ms,
        broker_ms=broker_ms,
        worker_base_ms=worker_base_ms / workers,
        broker_base_ms=broker_base_ms,
        patient_mb=patient_mb,
        worker_mb=(sum(most["workers_mb"]) - most["patients"] * patient_mb) / workers,
        in_bytes=stored["ECG_IN"],
        out_bytes=stored["ECG_OUT"],
        # Of a patient whose recording has ended there is no stream to save.
        state_bytes=max(
            one["stored_bytes_a_second"]["KV_ecg-states"] * one["minutes"] * 60 for one in trials
        ),
        day_s=24 * loop_s / archived["signal_hours"],
    )


def _line(least: dict[str, Any], most: dict[str, Any], name: str) -> tuple[float, float]:
    """What a patient more costs in these trials, and what there is without one."""
    few, many = least["patients"] * least[name], most["patients"] * most[name]
    slope = max(0.0, many - few) / (most["patients"] - least["patients"])
    return slope, max(0.0, many - most["patients"] * slope)


def table(of: str, dollars: str, needs: Iterable[Need]) -> str:
    """The needs as Markdown, under the headings of what they are for and of their costs."""
    rows = [
        f"| {need.what} | {need.amount:,.0f} {need.unit} | "
        f"{f'{need.dollars:,.0f}' if need.dollars else ''} |"
        for need in needs
    ]
    return "\n".join([f"| {of} | | {dollars} |", "|---|---|---|", *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan."""
    parser = argparse.ArgumentParser(prog="python -m scale.plan", description=__doc__)
    parser.add_argument("--patients", type=int, default=Size.patients, help="live")
    parser.add_argument("--days", type=int, default=Size.days, help="of an archive")
    parser.add_argument("--log-hours", type=float, default=Size.log_hours)
    parser.add_argument("--core-hour", type=float, default=Prices.core_hour, help="$")
    parser.add_argument("--results", type=Path, default=RESULTS, help="of the trials")
    args = parser.parse_args(arguments)
    try:
        costs = measured(args.results)
    except FileNotFoundError as error:
        print(f"error: {error.filename} does not exist; expected results of the trials.")
        return 2
    size = Size(args.patients, args.days, args.log_hours)
    prices = Prices(core_hour=args.core_hour)
    print(f"measured: {costs}\n")
    print(table(f"{size.patients:,} live patients", "$ a month", live(costs, size, prices)))
    print("\n" + table(f"{size.days:,} Holter days", "$", archive(costs, size, prices)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
