"""Measure the ways through CUDA against all CPU cores: ``python -m bench.cuda``.

For every batch of one-second chunks the candidates take turns, each checked against the CPU
first: the CPU with all cores (one session for all of them, or one for each), CUDA with arrays on
the host, and, with signal and carry on the GPU, the fused graph and the CuPy filter before the
CNN, each with and without a CUDA graph, and our kernels for both, also with arrays on the host.
Then the filter alone: our kernel, the fused graph's convolution, and a copy of as many bytes, which
nothing that reads and writes them can beat. It writes bench/results/<machine>/cuda.json and
cuda.png.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bench.cuda_candidates import Calls, candidates, filters, load
from bench.cuda_conclusions import conclusions, draw
from bench.measure import cpu_name
from runtime.detector import DEFAULT_ARTIFACTS
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.cuda import GRAPHS, CudaNet
from runtime.model.session import usable_cores

RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16384)  # four times more fill 80 GB with all ways
CPU_BATCHES = 4096  # larger ones would take seconds a call, and a core is at its best from 16 on
TOLERANCE = 1e-4  # float32 sums in another order; TF32 arithmetic is ten times farther off


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print, write the JSON; without a GPU one sentence and status 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=main.__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--machine", help="folder under bench/results; the GPU's name by default")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each candidate and batch")
    parser.add_argument("--largest", type=int, default=BATCHES[-1], help="batch")
    parser.add_argument(
        "--draw",
        action="store_true",
        help="only draw the cuda.json of --machine that is there, again",
    )
    args = parser.parse_args(arguments)
    if args.largest < BATCHES[0]:
        parser.error(f"--largest {args.largest}: the smallest batch is {BATCHES[0]}")
    if args.draw:
        path = RESULTS / (args.machine or "") / "cuda.json"
        if not path.is_file():
            parser.error(f"--draw: there is no {path}; name its folder by --machine.")
        draw(json.loads(path.read_text()), path.with_suffix(".png"))
        return 0
    batches = [batch for batch in BATCHES if batch <= args.largest]
    try:
        machine = describe(args.artifacts)
        folder = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower()).strip("-")
        path = RESULTS / (args.machine or folder) / "cuda.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        report: dict[str, Any] = {"machine": machine, "conclusions": {}, "rows": [], "filters": []}
        for kind, measured in (("filters", measure_filter), ("rows", measure)):
            for batch in batches:
                try:
                    report[kind] += measured(args.artifacts, batch, args.seconds)
                except (MemoryError, RuntimeError) as error:  # of CuPy, of ONNX Runtime
                    if isinstance(error, EkgError) or not re.search("memory|allocat", str(error)):
                        raise
                    print(
                        f"a batch of {batch} needs more memory than this GPU has: "
                        f"{str(error).splitlines()[0]}",
                        file=sys.stderr,
                    )
                    break
                _save(report, path)  # what a larger batch, or its end, breaks off is not lost
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report["conclusions"] = conclusions(report["rows"])
    _save(report, path)
    for name, value in report["conclusions"].items():
        print(f"{name}: {value}")
    print(f"wrote {path}")
    draw(report, path.with_suffix(".png"))
    return 0


def _save(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")


def measure(artifacts: Path, batch: int, seconds: float) -> list[dict[str, Any]]:
    """One row for each candidate at this batch, largest difference from the CPU included.

    Raises
    ------
    EkgError
        CUDA or CuPy cannot be used here.
    """
    ecg = np.random.default_rng(batch).normal(size=(batch, 360)).astype(np.float32)
    calls, answers = candidates(artifacts, ecg)
    differences = _checked(answers, batch)
    if batch > CPU_BATCHES:
        calls = {name: call for name, call in calls.items() if not name.startswith("cpu")}
    return _rows(calls, batch, seconds, differences)


def measure_filter(artifacts: Path, batch: int, seconds: float) -> list[dict[str, Any]]:
    """As `measure`, for the filter alone."""
    ecg = np.random.default_rng(batch).normal(size=(batch, 360)).astype(np.float32)
    calls, answers = filters(artifacts, load(artifacts, "cupy"), ecg)
    return _rows(calls, batch, seconds, _checked(answers, batch))


def _checked(answers: dict[str, np.ndarray], batch: int) -> dict[str, float]:
    """Each one's difference from the first; `EkgError` if it is too large."""
    reference, *_ = answers
    found = {
        name: float(np.abs(answer - answers[reference]).max()) for name, answer in answers.items()
    }
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise EkgError(
                f"{name} differs from {reference} by {difference:.2g} at batch {batch}; "
                f"at most {TOLERANCE:g} is allowed, so nothing was timed."
            )
    return found


def _rows(
    calls: Calls, batch: int, seconds: float, differences: dict[str, float]
) -> list[dict[str, Any]]:
    rows = []
    for name, times in take_turns(calls, seconds).items():
        p5, median, p95 = np.percentile(times, (5, 50, 95)).tolist()
        rows.append(
            {
                "candidate": name,
                "batch": batch,
                "ms": 1000 * median,
                "p5_ms": 1000 * p5,
                "p95_ms": 1000 * p95,
                "windows_per_s": batch / median,
                "runs": len(times),
                "differs_by": differences.get(name),
            }
        )
        print(
            f"batch {batch:6d}  {name:32s} {1000 * median:9.3f} ms  "
            f"{batch / median:12,.0f} windows/s",
            flush=True,
        )
    return rows


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


def describe(artifacts: Path) -> dict[str, Any]:
    """The machine, the versions and the model."""
    cupy = CudaNet.load(artifacts).cupy
    return {
        "gpu": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "cuda": onnxruntime.cuda_version,
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "model": Artifacts(artifacts).digest(GRAPHS["fused"]).hex(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "timing": "wall clock around one call and its end on the GPU, candidates in turn, warm; "
        "'host arrays' includes both copies, the other CUDA rows none",
    }


if __name__ == "__main__":
    sys.exit(main())
