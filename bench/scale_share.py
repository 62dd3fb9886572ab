"""A tenth of a percent of the plan: `python -m bench.scale_share`. 100 live patients, 100 days.

The real code takes what `scale.plan` computes for 100,000 of each at a thousandth of the size: live
patients at real pace over two workers and a broker of one node, and days of real signal (mitdb's
DS1, one half hour after another, ten different days under as many names as wanted) by `ekg
archive`. Processor time, memory and bytes stand beside what the plan says without its reserve.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import count, positive, processor_s, resident_mb, unwind_on_sigterm
from bench.scale_archive import archive_command, start
from bench.scale_live import trial
from bench.server_common import write
from scale.plan import RESULTS, Prices, Size, archive, live, measured
from training.databases import DS1
from training.download import data_folder

FS, DAY_S = 360, 24 * 3600
DIFFERENT_DAYS = 10
WORKERS = 2


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale_share", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--patients", type=count, default=100)
    parser.add_argument("--minutes", type=positive, default=5.0, help="of the live patients")
    parser.add_argument("--days", type=count, default=100)
    parser.add_argument(
        "--within",
        type=positive,
        default=60.0,
        help="minutes for the days; those that are done by then count (default: %(default)g)",
    )
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    unwind_on_sigterm()
    data = data_folder()
    if data is None:
        print("no recordings at hand (set EKG_DATA to the folder that holds mitdb/)")
        return 2
    followed = trial(args.patients, args.minutes, WORKERS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "days"
        make_days(data, folder, args.days)
        days = annotate_days(folder, Path(scratch) / "out", args.days, args.within)
    return report(followed, days, args.machine)


def report(followed: dict[str, Any], days: dict[str, Any], machine: str | None) -> int:
    """Write what was measured beside what the plan says of the same size."""
    costs = measured(RESULTS)
    size = Size(followed["patients"], days["done"], used=1.0, replicas=1, workers=WORKERS)
    planned = {
        need.what: need.amount for needs in (live, archive) for need in needs(costs, size, Prices())
    }
    stored = followed["stored_bytes_a_second"]
    pairs = {
        "workers, cores": (
            followed["worker_ms"] * followed["patients"] / 1000,
            planned["worker cores"],
        ),
        "broker, cores": (
            followed["broker_ms"] * followed["patients"] / 1000,
            planned["broker cores, all nodes"],
        ),
        "memory of the workers, MB": (
            sum(followed["workers_mb"]),
            followed["patients"] * costs.patient_mb + WORKERS * costs.worker_mb,
        ),
        "signal and findings in the logs, kB/s": (
            (stored["ECG_IN"] + stored["ECG_OUT"]) * followed["patients"] / 1000,
            (costs.in_bytes + costs.out_bytes) * followed["patients"] / 1000,
        ),
        "days, core hours": (days["processor_s"] / 3600, planned["core hours, once"]),
    }
    result = {
        "live": followed,
        "days": days,
        "measured_and_planned": pairs,
        "passed": True,  # nothing is held
    }
    rows = [
        (
            "run",
            f"{followed['patients']} patients for {followed['minutes']:g} min at a load average of "
            f"{followed['load_average'][0]:.1f}; {days['done']} of {days['wanted']} days in "
            f"{days['wall_s'] / 60:.0f} min at {days['load_average'][0]:.1f}, "
            f"at most {days['peak_mb']:.0f} MB",
        ),
        *(
            (what, f"{found:.3g} measured, {plan:.3g} planned: {found / plan:.2f} times")
            for what, (found, plan) in pairs.items()
        ),
    ]
    write("share", "The plan at a tenth of a percent", result, rows, machine, of="scale")
    return 0


def make_days(data: Path, folder: Path, days: int) -> None:
    """Write so many days of two leads at 360 Hz; after the tenth they repeat, as hard links."""
    folder.mkdir()
    size = 3 * FS * DAY_S  # format 212 holds the two leads of a sample in three bytes
    for day in range(days):
        name = f"day{day:04}"
        signal_file = folder / f"{name}.dat"
        if day < DIFFERENT_DAYS:
            with signal_file.open("wb") as file:
                for record in itertools.islice(itertools.cycle(DS1), day, None):
                    file.write((data / "mitdb" / f"{record}.dat").read_bytes())
                    if file.tell() >= size:
                        break
                file.truncate(size)
        else:
            os.link(folder / f"day{day % DIFFERENT_DAYS:04}.dat", signal_file)
        lines = [f"{name} 2 {FS} {FS * DAY_S}"]
        lines += [f"{name}.dat 212 200 11 1024 0 0 0 {lead}" for lead in ("MLII", "V1")]
        (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


def annotate_days(folder: Path, out: Path, days: int, within_min: float) -> dict[str, Any]:
    """`ekg archive` of the folder, ended if it takes longer; gives what it took until then."""
    command = [*archive_command(folder, out), "--workers", str(WORKERS)]
    began, load, peak = time.monotonic(), [], 0.0
    done, spent = 0, 0.0
    process = start(command)
    try:
        while process.poll() is None and time.monotonic() < began + 60 * within_min:
            time.sleep(1)
            load.append(os.getloadavg()[0])
            spent = max(spent, processor_s(process.pid) or 0.0)
            peak = max(peak, resident_mb(process.pid) or 0.0)
            done = len(list(out.glob("*.json"))) if out.is_dir() else 0
        finished = process.poll()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if finished not in (None, 0) or not done:
        raise RuntimeError(f"{done} days done, exit status {finished}; expected one day at least.")
    return {
        "done": done,
        "wanted": days,
        "wall_s": time.monotonic() - began,
        "processor_s": spent,  # of days that are not done too, of each worker one at most
        "peak_mb": peak,
        "load_average": [sum(load) / len(load), max(load)],
    }


if __name__ == "__main__":
    sys.exit(main())
