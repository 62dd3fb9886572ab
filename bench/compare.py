"""``python -m bench.compare``: this project beside its alternatives, all in one run.

Writes ``bench/results/<machine>/``: ``results.json``, ``README.md`` and plots. ``bench/README.md``
says what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("onnxruntime", "numpy", "scipy", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="under two minutes: fewer turns, batches and candidates",
    )
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts")
    parser.add_argument("--out", type=Path, help="default: bench/results/<machine>")
    parser.add_argument(
        "--draw",
        action="store_true",
        help="only write the report of the results.json that is there, again",
    )
    args = parser.parse_args(arguments)
    # One thread for every library that has a pool; they read this as they are loaded.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    from bench import report
    from bench.environments import keep_bytecode
    from bench.measure import machine_folder, unwind_on_sigterm

    unwind_on_sigterm()
    keep_bytecode()
    out = args.out or ROOT / "bench" / "results" / machine_folder()
    if args.draw:
        results = _measured(out)
    else:
        _check(args.artifacts, out)  # before the minutes of measuring
        results = measure(args.artifacts, quick=args.quick)
    report.write(results, out)
    for target in results["targets"]:
        print(
            f"{'yes' if target['met'] else 'NO ':4s}{target['what']}: {target['measured']} "
            f"({target['wanted']})"
        )
    print(f"wrote {out}")
    return 0


def measure(artifacts: Path, *, quick: bool) -> dict[str, Any]:
    """Measure everything that runs here; in less than two minutes if ``quick``."""
    from bench import footprint, http_servers, in_process, over_http, scaling
    from bench.environments import alternatives_python
    from bench.measure import Stopwatch, machine

    load_before = _load()
    took = Stopwatch()
    refused: list[dict[str, str]] = []
    with took("installing the alternatives, once"):
        try:
            alternatives = alternatives_python()
        except OSError as error:
            alternatives = None
            refused.append({"what": "FastAPI, LitServe, BentoML", "reason": str(error)})
    rounds, block_s = (3, 0.05) if quick else (7, 0.15)
    with took("one process"):
        process = in_process.measure(
            artifacts,
            in_process.Effort(
                (1, 64) if quick else (1, 8, 64, 512), rounds, block_s, compiled=not quick
            ),
        )
    with took("over HTTP"):
        http = over_http.measure(
            artifacts,
            http_servers.servers(alternatives),
            rounds=2 if quick else 5,
            block_s=0.5 if quick else 0.8,
        )
    grown: dict[str, Any] = {}
    with took("patients"):
        counts = (1, 16, 256) if quick else (1, 4, 16, 64, 256, 1024, 4096)
        for name, events in (("patients", False), ("patients followed", True)):
            grown[name] = scaling.by_patients(
                artifacts, counts, rounds=rounds, block_s=block_s, events=events
            )
    with took("records"):
        grown["records"] = scaling.by_record_length(
            artifacts, (0.25, 1) if quick else (1, 6, 12, 24)
        )
    with took("cores"):
        grown["cores"] = scaling.by_cores(artifacts, 1.0 if quick else 5.0)
    with took("before it does anything"):
        footprints = footprint.measure(
            artifacts, alternatives, http["rows"], rounds=2 if quick else 5
        )
    best = max((row for row in grown["patients"]), key=lambda row: row["patients_per_core"])
    here = machine()
    grown["capacity"] = scaling.capacity(
        best["patients_per_core"],
        max(process["sgemm_gflops"].values()),
        f"this machine's core ({here['cpu']})",
    )
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": here,
        "command": "python -m bench.compare" + (" --quick" if quick else ""),
        "versions": {name: version(name) for name in PACKAGES},
        "model": _model(artifacts),
        "load_before": load_before,
        "load_after": _load(),
        "took_s": round(sum(took.wall_s.values())),
        "parts_s": took.to_dict(),
        "rows": process["rows"],
        "sgemm_gflops": process["sgemm_gflops"],
        "flops_per_second_of_signal": process["flops_per_second_of_signal"],
        "http": http,
        "scaling": grown,
        "footprint": footprints,
        "environment_mb": footprint.environment_mb(),
        "refused": refused + process["refused"] + http["refused"],
    }


def _check(artifacts: Path, out: Path) -> None:
    """Stop with one sentence if there is nothing to measure or nowhere to write."""
    from bench.candidates import GRAPHS
    from runtime.errors import EkgError
    from runtime.model.artifacts import Artifacts

    try:
        Artifacts(artifacts).path(GRAPHS["fused"])
        out.mkdir(parents=True, exist_ok=True)
    except EkgError as error:
        raise SystemExit(f"--artifacts {artifacts}: {error}") from None
    except OSError as error:
        raise SystemExit(f"--out {out} cannot be made: {error.strerror}.") from None
    if not os.access(out, os.W_OK):
        raise SystemExit(f"--out {out} cannot be written into.")


def _measured(out: Path) -> dict[str, Any]:
    """The results of an earlier run; stops with one sentence if they cannot be read."""
    try:
        results: dict[str, Any] = json.loads((out / "results.json").read_text())
        results["rows"], results["targets"], results["machine"]
    except OSError as error:
        raise SystemExit(
            f"--draw: {out / 'results.json'} cannot be read: {error.strerror}; "
            "measure first, without --draw."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"--draw: {out / 'results.json'} holds no results ({error!r}).") from None
    return results


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _model(artifacts: Path) -> str:
    """Name of the model: the start of the file's SHA-256, as the manifest has it."""
    files = json.loads((artifacts / "manifest.json").read_text())["files"]
    return next(str(file["sha256"])[:12] for file in files if file["name"] == "ekg_fused.onnx")


if __name__ == "__main__":
    sys.exit(main())
