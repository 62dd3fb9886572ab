"""Cost as work grows: patients in a batch, length of a record, cores."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.environments import ROOT
from bench.in_process import live, patients
from bench.measure import Timing, cores, first_core, take_turns
from bench.reference import seconds
from runtime import Detector
from runtime.simulate import simulate
from training.recordings import FS

BATCH = 64  # patients a call, to compare cores
WARM_UP = 60  # seconds: by then a patient's usual QRS complex and interval are known


def by_patients(
    artifacts: Path, counts: Sequence[int], *, rounds: int, block_s: float, events: bool = False
) -> list[dict[str, Any]]:
    """A second of signal of so many live patients in one `Detector.push`, to their beats.

    With ``events`` the rhythm is followed.
    """
    detector = Detector.load(artifacts, provider="cpu")
    calls = {
        str(count): live(detector, list(seconds(patients(count))), events=events)
        for count in counts
    }
    for call in calls.values() if events else ():
        for _ in range(WARM_UP):
            call()
    with tqdm(total=rounds * len(calls), desc="patients", leave=False) as bar:
        timings = take_turns(
            calls, rounds=rounds, block_s=block_s, step=lambda _: bar.update() and None
        )
    return [patients_row(count, timings[str(count)]) for count in counts]


def patients_row(count: int, timing: Timing) -> dict[str, Any]:
    """A core's patients go by the longer of wall clock and processor time, as everywhere."""
    return {
        "patients": count,
        "ms": timing.p50_ms,
        "cpu_ms": timing.cpu_ms,
        "us_per_patient": 1000 * timing.p50_ms / count,
        "patients_per_core": 1000 * count / max(timing.p50_ms, timing.cpu_ms),
    }


def by_record_length(artifacts: Path, hours: Sequence[float]) -> list[dict[str, Any]]:
    """`python -m runtime annotate`, from WFDB file to WFDB file, on one core."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for length in tqdm(hours, desc="records", leave=False):
            name = f"r{round(60 * length)}"
            _write_record(Path(folder), name, length)
            began = time.perf_counter()
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "runtime",
                    "--artifacts",
                    str(artifacts.resolve()),
                    "annotate",
                    f"{folder}/{name}",
                    "--out",
                    folder,
                ],
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
                preexec_fn=first_core,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            elapsed = time.perf_counter() - began
            rows.append(
                {
                    "hours": length,
                    "s": elapsed,
                    "times_real_time": 3600 * length / elapsed,
                    "found": done.stdout.strip().rsplit("lead ", 1)[-1],
                }
            )
    return rows


def by_cores(artifacts: Path, seconds_each: float) -> list[dict[str, Any]]:
    """Live patients of as many processes as there are cores to use, each on one thread."""
    rows = []
    for count in range(1, max(1, len(cores()) or os.cpu_count() or 1) + 1):
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.scaling", str(artifacts), str(seconds_each)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
            for _ in range(count)
        ]
        for worker in workers:
            assert worker.stdout
            worker.stdout.readline()  # it is loaded and warm
        rates = (
            [float(worker.communicate("go\n")[0]) for worker in workers]
            if count == 1
            else _all_at_once(workers)
        )
        rows.append({"cores": count, "patients": sum(rates)})
    return rows


def capacity(patients_per_core: float, sgemm_gflops: float, here: str) -> list[dict[str, Any]]:
    """Live patients of a machine: this one measured, others by their sgemm, which is a guess.

    The network is arithmetic first, so it goes with what a core's matrix product reaches; how
    much of that a machine gets out of small layers differs, so measure before relying on it.
    """
    rows: list[dict[str, Any]] = [
        {
            "machine": here,
            "gflops": sgemm_gflops,
            "patients_per_core": patients_per_core,
            "measured": True,
        }
    ]
    for gflops, class_ in (
        (5, "a core of 5 GFLOP/s (small boards)"),
        (15, "a core of 15 GFLOP/s (newer boards, old laptops)"),
        (50, "a core of 50 GFLOP/s (servers with AVX2)"),
        (150, "a core of 150 GFLOP/s (servers with AVX-512)"),
    ):
        rows.append(
            {
                "machine": class_,
                "gflops": gflops,
                "measured": False,
                "patients_per_core": patients_per_core * gflops / sgemm_gflops,
            }
        )
    return rows


def _write_record(folder: Path, name: str, hours: float) -> None:
    """A WFDB record in two leads and 16 bits; an hour of simulated ECG, repeated."""
    import wfdb

    samples = round(3600 * hours * FS)
    hour = simulate(min(3600.0, 3600 * hours), seed=11).signal
    lead = np.resize(np.round(200 * hour).astype(np.int16), samples)
    wfdb.wrsamp(
        name,
        fs=FS,
        units=["mV", "mV"],
        sig_name=["MLII", "V1"],
        d_signal=np.stack([lead, -lead], axis=1),
        fmt=["16", "16"],
        adc_gain=[200, 200],
        baseline=[0, 0],
        write_dir=str(folder),
    )


def _all_at_once(workers: Sequence[subprocess.Popen[str]]) -> list[float]:
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [float(worker.communicate()[0]) for worker in workers]


def _work(artifacts: Path, seconds_each: float) -> None:
    """Print that it is ready, wait for a line, work, print patients a second."""
    push = live(Detector.load(artifacts, provider="cpu"), list(seconds(patients(BATCH))))
    push()
    print("ready", flush=True)
    sys.stdin.readline()
    calls, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds_each:
        push()
        calls += 1
    print(calls * BATCH / elapsed)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), float(sys.argv[2]))
