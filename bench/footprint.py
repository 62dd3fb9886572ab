"""Cost of each library before it does anything: installed size, cold start, resident memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bench.candidates import GRAPHS
from bench.environments import ROOT, folder_mb, runtime_python, size_mb
from bench.http_servers import BATCHING
from bench.measure import first_core, resident_mb
from bench.reference import network

RUNTIME = (
    *("onnxruntime", "numpy", "flask", "werkzeug", "gunicorn", "tqdm", "orjson"),
    *("uvicorn", "uvicorn-worker", "httptools", "a2wsgi"),
)
# Without those parts of uvicorn[standard] that only a developer needs.
SERVERS = {
    "FastAPI + uvicorn": ("fastapi", "uvicorn", "httptools", "uvloop", "onnxruntime", "numpy"),
    "LitServe": ("litserve", "onnxruntime", "numpy"),
    "BentoML": ("bentoml", "onnxruntime", "numpy"),
}


def measure(
    artifacts: Path, alternatives: Path | None, served: Sequence[dict[str, Any]], *, rounds: int
) -> list[dict[str, Any]]:
    """Rows for libraries in a process of their own, then for servers with one worker.

    Parameters
    ----------
    served : rows of `bench.over_http.measure`, which started the servers
    rounds : cold starts of each library, in turn; the median counts
    """
    runtime_mb = size_mb(runtime_python(), *RUNTIME)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pt"
        torch.save(network(artifacts).state_dict(), weights)
        ways = {
            "ekg runtime": (runtime_python(), "ekg", artifacts),
            "plain ONNX Runtime": (runtime_python(), "onnxruntime", artifacts / GRAPHS["fused"]),
            "SciPy + torch eager": (sys.executable, "torch", weights),
        }
        sizes = {
            "ekg runtime": runtime_mb,
            "plain ONNX Runtime": size_mb(runtime_python(), "onnxruntime", "numpy"),
            "SciPy + torch eager": size_mb(sys.executable, "torch", "scipy", "numpy"),
        }
        starts: dict[str, list[tuple[float, float | None]]] = {name: [] for name in ways}
        for _ in tqdm(range(rounds + 1), desc="cold starts", leave=False):
            for name, (python, way, given) in ways.items():
                starts[name].append(cold_start(python, way, given))
    # The first round read the files from disk, and so measured the disk.
    rows = [_row(name, sizes[name], measured[1:]) for name, measured in starts.items()]
    return rows + [
        _served_row(row, runtime_mb, alternatives) for row in served if row["body"] == "JSON"
    ]


def environment_mb() -> float | None:
    """The runtime's whole environment on disk, pip and setuptools included, MB."""
    folder = ROOT / ".venv-runtime"
    return folder_mb(folder) if folder.is_dir() else None


def cold_start(python: str, way: str, given: Path) -> tuple[float, float | None]:
    """Seconds from starting the process to its first answer, and its resident memory then, MB."""
    began = time.perf_counter()
    with subprocess.Popen(
        [python, "-m", "bench.cold", way, str(given.resolve())],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=first_core,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout
        assert process.stdin
        line = process.stdout.readline().strip()
        elapsed = time.perf_counter() - began
        resident = resident_mb(process.pid)
        process.stdin.close()
    if line != "answered":
        raise OSError(f"`python -m bench.cold {way}` gave no answer")
    return elapsed, resident


def _row(
    name: str, installed: float, measured: Sequence[tuple[float, float | None]]
) -> dict[str, Any]:
    known = [resident for _, resident in measured if resident is not None]
    return {
        "name": name,
        "installed_mb": installed,
        "cold_start_s": statistics.median(start for start, _ in measured),
        "resident_mb": statistics.median(known) if known else None,
    }


def _served_row(
    row: dict[str, Any], runtime_mb: float, alternatives: Path | None
) -> dict[str, Any]:
    packages = SERVERS.get(row["name"].removesuffix(BATCHING))
    installed = size_mb(str(alternatives), *packages) if packages else runtime_mb
    return {
        "name": f"{row['name']}, 1 worker",
        "installed_mb": installed,
        "cold_start_s": row["cold_start_s"],
        "resident_mb": row["resident_mb"],
    }
