"""The report: targets, tables and plots of made-up results."""

from __future__ import annotations

import json

import pytest

from bench import report
from bench.candidates import CARRIED, WINDOWS
from bench.in_process import PUSH
from bench.over_http import FLOOR, OURS


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


def test_every_limit_is_judged(results):
    judged = {target["what"]: target for target in report.targets(results)}
    assert judged["`Stream.push` of one second against the bare graph"]["met"]
    assert judged[f"{WINDOWS}, against `Stream.push`"]["measured"] == "13.57 times"
    assert not judged[f"{CARRIED}, against `Stream.push`"]["met"]
    assert not judged["`/predict` JSON p50 against the empty route"]["met"]
    assert judged["JSON answers/s against FastAPI + uvicorn"]["met"]
    assert judged["raw answers/s against the best of their JSON"]["met"]
    assert judged["the graph's share of one-thread sgemm"]["measured"] == "43.00 %"
    assert judged["a 24-hour record annotated, file to file, one core"]["met"]
    assert not judged["server resident"]["met"]
    assert len(judged) == 14


def test_targets_without_measurements_are_left_out(results):
    for key in ("http", "footprint", "scaling"):
        results[key] = None
    results["environment_mb"] = None
    assert all(
        "graph" in t["what"] or "push" in t["what"] or "beats" in t["what"]
        for t in report.targets(results)
    )


def test_the_report_is_written_and_drawn(results, tmp_path):
    report.write(results, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| **ekg fused** | cpu |" in text
    assert "- fused, cuda; int8, cuda: there is no GPU" in text
    assert "extrapolated" in text or "measured" in text
    for name in ("latency", "throughput", "http", "scaling"):
        assert f"![{name}]({name}.png)" in text
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "results.json").read_text())["targets"]


def test_a_percentile_needs_a_call_beyond_it(results):
    results["targets"] = []
    for calls, cells in (
        (100, "| 0.33 | 0.44 | 0.55 |"),
        (99, "| 0.33 | 0.44 |  |"),
        (19, "| 0.33 |  |  |"),
    ):
        results["http"]["rows"][0]["latency"] = {
            "calls": calls,
            "p50_ms": 0.33,
            "p95_ms": 0.44,
            "p99_ms": 0.55,
        }
        assert cells in report.markdown(results)


def test_unknown_memory_is_left_blank(results):
    results["footprint"][0]["resident_mb"] = None
    results["targets"] = report.targets(results)
    assert f"| {OURS}, 1 worker | 160 |  | 0.60 |" in report.markdown(results)
    assert not any(target["what"] == "server resident" for target in results["targets"])
    assert any("cold start" in target["what"] for target in results["targets"])


def test_the_count_of_patients_is_explained_if_it_is_known(results):
    results["targets"] = []
    assert "whichever is longer" not in report.markdown(results)
    for line in results["scaling"]["patients"]:
        line["cpu_ms"] = 1.0
    assert "whichever is longer" in report.markdown(results)


def test_every_table_has_as_many_cells_in_each_row(results):
    results["targets"] = report.targets(results)
    tables = [block for block in report.markdown(results).split("\n\n") if block.startswith("|")]
    assert len(tables) == 9
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
