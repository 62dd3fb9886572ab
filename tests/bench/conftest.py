"""Made-up results of a benchmark, for its targets, tables and plots."""

from __future__ import annotations

import pytest

from bench.candidates import CARRIED, WINDOWS
from bench.http_servers import FLOOR, OURS
from bench.in_process import PUSH


def row(name: str, batch: int, p50: float, *, patients: float = 9000.0, share: float = 0.3):
    timing = {"calls": 9, "p50_ms": p50, "p95_ms": 2 * p50, "p99_ms": 3 * p50, "cpu_ms": p50}
    return {
        "name": name,
        "provider": "cpu",
        "ours": name.startswith("ekg"),
        "batch": batch,
        "nodes": {"CPUExecutionProvider": 1},
        "stages": {},
        "agreement": "within 1e-07",
        "largest_difference": 1e-7,
        "end_to_end": timing,
        "windows_per_s": patients,
        "real_time_factor": patients,
        "patients_per_core": patients,
        "share_of_sgemm": share,
    }


def served(name: str, body: str, p50: float, rate: float):
    return {
        "name": name,
        "body": body,
        "provider": "cpu",
        "agreement": "same",
        "latency": {"calls": 9, "p50_ms": p50, "p95_ms": p50, "p99_ms": p50},
        "requests_per_s": rate,
        "cpu_ms": None,
        "cold_start_s": 1.0,
        "resident_mb": 100.0,
    }


@pytest.fixture
def results():
    return {
        "when": "2020-01-01",
        "command": "python -m bench.compare",
        "model": "abc",
        "machine": {
            "cpu": "Made up",
            "cores": 2,
            "system": "Linux",
            "architecture": "x86_64",
            "python": "3.11",
        },
        "versions": {"torch": "2"},
        "load_before": 0.0,
        "load_after": 0.1,
        "took_s": 66,
        "parts_s": {"one process": {"wall": 65.9, "processor": 61.2}},
        "sgemm_gflops": {"numpy": 100.0, "onnxruntime": 200.0},
        "flops_per_second_of_signal": 3_400_000,
        "environment_mb": 190.0,
        "rows": [
            row(PUSH, 1, 0.14),
            row("ekg fused", 1, 0.10),
            row(WINDOWS, 1, 1.9),
            row(CARRIED, 1, 0.9),
            row(PUSH, 64, 5.0, patients=11_000),
            row("ekg fused", 64, 2.5, patients=25_000, share=0.43),
        ],
        "http": {
            "connections": 8,
            "rows": [
                served(OURS, "JSON", 0.5, 1000),
                served(OURS, "raw", 0.4, 1400),
                served(FLOOR, "JSON", 0.3, 3000),
                served("FastAPI + uvicorn", "JSON", 0.9, 900),
            ],
        },
        "footprint": [
            {
                "name": f"{OURS}, 1 worker",
                "installed_mb": 160.0,
                "resident_mb": 130.0,
                "cold_start_s": 0.6,
            }
        ],
        "scaling": {
            "patients": [
                {
                    "patients": n,
                    "ms": n / 10,
                    "us_per_patient": 100.0,
                    "patients_per_core": 10_000.0,
                }
                for n in (1, 64)
            ],
            "records": [{"hours": h, "s": 0.4 * h, "times_real_time": 9000.0} for h in (1, 24)],
            "cores": [{"cores": 1, "patients": 10_000.0}],
            "capacity": [
                {
                    "machine": "this",
                    "gflops": 200.0,
                    "patients_per_core": 10_000.0,
                    "measured": True,
                }
            ],
        },
        "refused": [
            {"what": what, "reason": "there is no GPU"} for what in ("fused, cuda", "int8, cuda")
        ],
    }
