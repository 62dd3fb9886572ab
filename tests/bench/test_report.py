"""The report: tables and plots of made-up results."""

from __future__ import annotations

import json

from bench import report
from bench.http_servers import OURS
from bench.targets import targets


def test_the_report_is_written_and_drawn(results, tmp_path):
    report.write(results, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| **ekg fused** | cpu |" in text
    assert "- fused, cuda; int8, cuda: there is no GPU" in text
    assert "| one process | 66 | 61 |" in text
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
    results["targets"] = targets(results)
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
    results["targets"] = targets(results)
    tables = [block for block in report.markdown(results).split("\n\n") if block.startswith("|")]
    assert len(tables) == 10
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
