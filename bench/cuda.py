"""Measure the ways through CUDA against all CPU cores: ``python -m bench.cuda``.

For every batch of one-second chunks the candidates take turns, each checked against the CPU
first: the CPU with all cores, CUDA with arrays on the host, and, with signal and carry on the GPU,
the fused graph and the CuPy filter before the CNN, each with and without a CUDA graph. What is
written: bench/results/<machine>/cuda.json, and on the screen what to set in runtime/cuda.py.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bench.measure import cpu_name
from runtime.artifacts import Artifacts
from runtime.cuda import GRAPHS, CudaNet
from runtime.errors import EkgError
from runtime.inference import DEFAULT_ARTIFACTS, Detector
from runtime.session import usable_cores

RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
CPU_BATCHES = 256  # a CPU gains nothing from larger ones, and would take minutes
TOLERANCE = 1e-4  # float32 sums in another order; TF32 arithmetic is ten times farther off

Calls = dict[str, Callable[[], object]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print, write the JSON; without a GPU one sentence and status 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=main.__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--machine", help="folder under bench/results; the GPU's name by default")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each candidate and batch")
    parser.add_argument("--largest", type=int, default=BATCHES[-1], help="batch")
    args = parser.parse_args(arguments)
    if args.largest < BATCHES[0]:
        parser.error(f"--largest {args.largest}: the smallest batch is {BATCHES[0]}")
    try:
        machine = describe(args.artifacts)
        rows = [row for batch in BATCHES if batch <= args.largest
                for row in measure(args.artifacts, batch, args.seconds)]
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = conclusions(rows)
    for name, value in found.items():
        print(f"{name}: {value}")
    print(f"set CUPY_FROM_BATCH = {found['CuPy filter is faster from batch']} in runtime/cuda.py")
    folder = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower()).strip("-")
    path = RESULTS / (args.machine or folder) / "cuda.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(
        {"machine": machine, "conclusions": found, "rows": rows}, indent=1) + "\n")
    print(f"wrote {path}")
    return 0


def measure(artifacts: Path, batch: int, seconds: float) -> list[dict[str, Any]]:
    """One row for each candidate at this batch, largest difference from the CPU included.

    Raises
    ------
    EkgError
        CUDA or CuPy cannot be used here.
    """
    ecg = np.random.default_rng(batch).normal(size=(batch, 360)).astype(np.float32)
    calls, answers = candidates(artifacts, ecg)
    expected = answers.pop("cpu")
    differences = {name: float(np.abs(answer - expected).max()) for name, answer in answers.items()}
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise EkgError(f"{name} differs from the CPU by {difference:.2g} at batch {batch}; "
                           f"at most {TOLERANCE:g} is allowed, so nothing was timed.")
    if batch > CPU_BATCHES:
        calls.pop("cpu")
    rows = []
    for name, times in take_turns(calls, seconds).items():
        p5, median, p95 = np.percentile(times, (5, 50, 95)).tolist()
        rows.append({"candidate": name, "batch": batch, "ms": 1000 * median, "p5_ms": 1000 * p5,
                     "p95_ms": 1000 * p95, "windows_per_s": batch / median, "runs": len(times),
                     "differs_by": differences.get(name, 0.0)})
        print(f"batch {batch:6d}  {name:22s} {1000 * median:9.3f} ms  "
              f"{batch / median:12,.0f} windows/s", flush=True)
    return rows


def candidates(artifacts: Path, ecg: np.ndarray) -> tuple[Calls, dict[str, np.ndarray]]:
    """What can be timed on this chunk, and what each answers to it."""
    batch = len(ecg)
    cpu = Detector.load(artifacts, provider="cpu", threads=0)
    cuda = Detector.load(artifacts, provider="cuda")
    start = np.zeros((batch, cpu.contract.carry_size), dtype=np.float32)
    calls: Calls = {"cpu": lambda: cpu.session.run(ecg, start),
                    "cuda, host arrays": lambda: cuda.session.run(ecg, start)}
    answers = {name: call()[0] for name, call in calls.items()}  # type: ignore[index]
    for way in GRAPHS:
        for recorded in (False, True):
            name = f"{way}, CUDA graph" if recorded else way
            net = CudaNet.load(artifacts, way=way, cuda_graph=recorded)
            calls[name] = on_gpu(net, ecg)
            answers[name] = net.run(ecg, start)[0]
    return calls, answers


def on_gpu(net: CudaNet, ecg: np.ndarray) -> Callable[[], object]:
    """One step with signal and carry on the GPU, finished when it returns."""
    carry = net.start(len(ecg))
    with net.stream:
        signal = net.cupy.asarray(ecg)

    def step() -> None:
        net.step(signal, carry)
        net.stream.synchronize()

    return step


def take_turns(calls: Calls, seconds: float) -> dict[str, list[float]]:
    """Times in s; the first calls, which compile, search and record, are not among them."""
    for call in calls.values():
        for _ in range(5):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or not all(times.values()):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return times


def conclusions(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the rows say: the best of each, the batches where one overtakes the other."""
    def best(names: Callable[[str], bool]) -> float:
        return max(row["windows_per_s"] for row in rows if names(row["candidate"]))

    def fastest(names: Callable[[str], bool]) -> dict[int, float]:
        times: dict[int, float] = {}
        for row in rows:
            if names(row["candidate"]):
                times[row["batch"]] = min(times.get(row["batch"], np.inf), row["ms"])
        return times

    def overtakes(new: dict[int, float], old: dict[int, float]) -> int | None:
        """The batch from which `new` stays the faster one."""
        ahead = None
        for batch in sorted(new.keys() & old.keys(), reverse=True):
            if new[batch] >= old[batch]:
                break
            ahead = batch
        return ahead

    cpu, gpu = fastest("cpu".__eq__), fastest(lambda name: name != "cpu")
    cpu_best, gpu_best = best("cpu".__eq__), best(lambda name: name != "cpu")
    return {
        "windows/s, CPU with all cores": round(cpu_best),
        "windows/s, CUDA": round(gpu_best),
        "CUDA over CPU": round(gpu_best / cpu_best, 2),
        "CUDA is faster from batch": overtakes(gpu, cpu),
        "one window, CUDA, ms": round(gpu[min(gpu)], 4),
        "one window, CPU, ms": round(cpu[min(cpu)], 4),
        "CuPy filter is faster from batch": overtakes(fastest(lambda name: "cupy" in name),
                                                      fastest(lambda name: "fused" in name)),
    }


def describe(artifacts: Path) -> dict[str, Any]:
    """The machine, the versions and the model."""
    cupy = CudaNet.load(artifacts).cupy
    return {
        "gpu": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        "driver": cupy.cuda.runtime.driverGetVersion(), "cupy": cupy.__version__,
        "onnxruntime": onnxruntime.__version__, "cuda": onnxruntime.cuda_version,
        "cpu": cpu_name(), "cores": usable_cores(), "python": platform.python_version(),
        "model": Artifacts(artifacts).digest(GRAPHS["fused"]).hex(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "timing": "wall clock around one call and its end on the GPU, candidates in turn, warm; "
                  "'host arrays' includes both copies, the other CUDA rows none",
    }


if __name__ == "__main__":
    sys.exit(main())
