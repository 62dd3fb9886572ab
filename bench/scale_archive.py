"""Archive trial: `python -m bench.scale_archive`. Every good record once, whatever ends meanwhile.

Records of mitdb and svdb, repeated under other names, five of them damaged: a plain loop of
`annotate`, then 1, 2 and 3 workers, then three workers of which one is killed; later the scheduler
is killed and started again. Every result has to be the loop's, byte for byte.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.measure import count, positive, unwind_on_sigterm
from bench.server_common import ROOT, free_port, write
from training.download import data_folder

DATABASES = ("mitdb", "svdb")
DAMAGED = 5
PYTHON = (sys.executable, "-m")


def main() -> int:
    args = parsed("archive", __doc__, records=200, rounds=2)
    data = data_folder()
    if data is None:
        print("no recordings at hand (set EKG_DATA to the folder that holds mitdb/)")
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        records, damaged = make_archive(data, folder / "archive", args.records, args.minutes)
        times: dict[str, list[Spent]] = {}
        for turn in range(args.rounds):
            plain = folder / f"loop{turn}"
            with spending(times.setdefault("loop", [])):
                loop(records, plain)
            for workers in (1, 2, 3):
                out = folder / f"workers{workers}-{turn}"
                with spending(times.setdefault(f"{workers} workers", [])):
                    archive(folder / "archive", out, workers)
        with spending(times.setdefault("a second run, nothing to do", [])):
            archive(folder / "archive", out, 3)
        faults = with_faults(folder)
        differing = [
            str(record.name) for record in records if not same(plain, faults["out"], record.name)
        ]
        result = {
            "records": args.records,
            "signal_hours": sum(hours(record) for record in records),
            "wall_s": {key: [one.wall for one in spent] for key, spent in times.items()},
            "processor_s": {key: [one.processors for one in spent] for key, spent in times.items()},
            "load_average": os.getloadavg(),
            "faults": {key: value for key, value in faults.items() if key not in ("out", "errors")},
            "damaged": damaged,
            "damaged_named": sorted(named(faults["errors"], damaged)),
            "differing": differing,
        }
    median = {
        key: Spent(*map(statistics.median, zip(*spent, strict=True)))
        for key, spent in times.items()
    }
    more = result["overhead"] = above(times["loop"], times["1 workers"])
    result["loop_cpu_s"] = median["loop"].processors
    result["passed"] = (
        not differing
        and result["damaged_named"] == sorted(damaged)
        and faults["status"] == 2
        and faults["worker_killed"]
        and faults["scheduler_killed"]
    )
    rows = [
        ("archive", f"{args.records} records, {result['signal_hours']:.0f} h, {DAMAGED} damaged"),
        *(
            (f"{key}, s on the wall (of processors)", f"{spent.wall:.0f} ({spent.processors:.0f})")
            for key, spent in median.items()
        ),
        (
            "overhead of one worker over the loop, the cluster's start and damaged ones included",
            f"{more['wall']:.1%} on the wall, {more['processors']:.1%} of processors",
        ),
        (
            "three workers, one killed, the scheduler killed and started again",
            f"{faults['seconds']:.0f} s; {len(differing)} of {len(records)} good records differ "
            f"from the loop's; {len(result['damaged_named'])} of {DAMAGED} damaged ones named",
        ),
    ]
    what = "Archives: 200 records, killed worker and scheduler"
    return 0 if write("archive", what, result, rows, args.machine, of="scale") else 1


def parsed(name: str, about: str, *, records: int, rounds: int) -> argparse.Namespace:
    """The command line of a trial of archives, `python -m bench.scale_NAME`, with its defaults."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.scale_{name}", description=about.splitlines()[0]
    )
    parser.add_argument(
        "--records", type=count, default=records, help=f"{DAMAGED} of them damaged (%(default)s)"
    )
    parser.add_argument("--minutes", type=positive, help="of each record (default: all of it)")
    parser.add_argument("--rounds", type=count, default=rounds, help="in turns (%(default)s)")
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    unwind_on_sigterm()
    return args


def above(plain: Sequence[Spent], worker: Sequence[Spent]) -> dict[str, float]:
    """How much more the worker takes, as a share of the plain loop; medians."""
    return {
        "wall": statistics.median(one.wall for one in worker)
        / statistics.median(one.wall for one in plain)
        - 1,
        "processors": statistics.median(one.processors for one in worker)
        / statistics.median(one.processors for one in plain)
        - 1,
    }


def make_archive(
    data: Path, folder: Path, records: int, minutes: float | None
) -> tuple[list[Path], list[str]]:
    """Records under new names, the last ones damaged; gives the good ones and the damaged names."""
    folder.mkdir()
    sources = sorted(header for name in DATABASES for header in (data / name).glob("*.hea"))
    made = []
    for i, header in zip(range(records), itertools.cycle(sources)):
        name, old = f"r{i:04}", header.stem
        text = header.read_text().replace(f"{old}.dat", f"{name}.dat")
        content = header.with_suffix(".dat").read_bytes()
        first, _, rest = text.partition("\n")
        _, leads, fs, samples, *_ = first.split()
        if minutes:  # both databases hold two leads in three bytes
            samples = str(round(minutes * 60 * float(fs)))
            content = content[: 3 * int(samples)]
        (folder / f"{name}.hea").write_text(f"{name} {leads} {fs} {samples}\n{rest}")
        (folder / f"{name}.dat").write_bytes(content)
        made.append(folder / name)
    good, bad = made[:-DAMAGED], made[-DAMAGED:]
    for i, record in enumerate(bad):
        signal_file, header = record.with_suffix(".dat"), record.with_suffix(".hea")
        content = signal_file.read_bytes()
        signal_file.unlink()
        if i == 0:  # cut off
            signal_file.write_bytes(content[: len(content) // 3])
        elif i == 1:  # empty
            signal_file.write_bytes(b"")
        elif i > 2:  # headers that make no sense, and one without its signal (2)
            signal_file.write_bytes(content)
            header.write_text("" if i == 3 else "no header at all\n")
    return good, [record.name for record in bad]


class Spent(NamedTuple):
    """Time on the wall and of processors, s."""

    wall: float
    processors: float


@contextlib.contextmanager
def spending(into: list[Spent]) -> Iterator[None]:
    """Add what the commands inside take."""

    def processors() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    wall, used = time.monotonic(), processors()
    yield
    into.append(Spent(time.monotonic() - wall, processors() - used))


def loop(records: Sequence[Path], out: Path) -> None:
    """`annotate` of all good records, one after another."""
    subprocess.run(
        [*PYTHON, "runtime", "annotate", *map(str, records), "--out", str(out)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def archive_command(source: Path, out: Path) -> list[str]:
    return [*PYTHON, "scale", "archive", str(source), "--out", str(out)]


def archive(source: Path, out: Path, workers: int) -> None:
    """`archive` on so many processes of its own."""
    done = subprocess.run(
        [*archive_command(source, out), "--workers", str(workers)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 2):
        raise RuntimeError(done.stderr)


def with_faults(folder: Path) -> dict[str, Any]:
    """Three workers and a scheduler of their own; a worker is killed, then the scheduler."""
    port, out = free_port(), folder / "faults"
    address = f"tcp://127.0.0.1:{port}"
    scheduler_command = [*PYTHON, "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    scheduler_command += ["--port", str(port), "--no-dashboard"]
    worker_command = [*PYTHON, "distributed.cli.dask_worker", address, "--nthreads", "1"]
    worker_command += ["--no-dashboard", "--local-directory", str(folder)]
    processes = [start(scheduler_command), *(start(worker_command) for _ in range(3))]
    began = time.monotonic()
    client = subprocess.Popen(
        [*archive_command(folder / "archive", out), "--scheduler", address],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    total = len(list((folder / "archive").glob("*.hea")))
    try:
        worker_killed = when_done(out, total // 5, client, processes[3])
        scheduler_killed = when_done(out, total // 2, client, processes[0])
        time.sleep(2)
        processes[0] = start(scheduler_command)
        # Dask's workers end with their scheduler. Here as on a cluster a supervisor starts others.
        for process in processes[1:3]:
            process.wait(120)
        processes += [start(worker_command) for _ in range(3)]
        _, errors = client.communicate(timeout=1800)
    finally:
        client.kill()
        client.wait()
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return {
        "out": out,
        "seconds": time.monotonic() - began,
        "status": client.returncode,
        "worker_killed": worker_killed,
        "scheduler_killed": scheduler_killed,
        "errors": errors,
    }


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def when_done(
    out: Path, results: int, client: subprocess.Popen[str], process: subprocess.Popen[bytes]
) -> bool:
    """Kill a process and its children with -9 once so many results are there."""
    while len(list(out.glob("*.json"))) < results:
        if client.poll() is not None:
            return False
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    return True


def same(plain: Path, out: Path, name: str) -> bool:
    found = list(out.glob(f"{name}.*.ekg"))
    return len(found) == 1 and found[0].read_bytes() == (plain / f"{name}.ekg").read_bytes()


def named(errors: str, damaged: Sequence[str]) -> set[str]:
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    return {name for name in damaged if any(name in line for line in lines)}


def hours(record: Path) -> float:
    _, _, fs, samples, *_ = record.with_suffix(".hea").read_text().split()
    return int(samples) / float(fs.split("/")[0]) / 3600


if __name__ == "__main__":
    sys.exit(main())
