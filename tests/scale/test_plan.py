"""The plan multiplies what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scale.plan import RESULTS, Costs, Prices, Size, archive, live, main, measured

COSTS = Costs(0.6, 0.2, 0.3, 0.1, 60.0, 1000.0, 500.0, 24000.0, 20.0)


def test_live_needs_grow_with_the_patients() -> None:
    one = {need.what: need for need in live(COSTS, Size(patients=1000), Prices())}
    ten = {need.what: need for need in live(COSTS, Size(patients=10_000), Prices())}
    assert one["worker cores"].amount == pytest.approx(1.0)
    assert one["broker cores, all nodes"].amount == pytest.approx(1.0)
    assert one["written to each copy of the logs"].amount == pytest.approx(1.9)
    for what, need in one.items():
        assert ten[what].amount == pytest.approx(10 * need.amount)
        assert ten[what].dollars == pytest.approx(10 * need.dollars)


def test_the_archive_is_core_hours() -> None:
    needs = {need.what: need for need in archive(COSTS, Size(days=3600), Prices(core_hour=0.1))}
    assert needs["core hours, once"].amount == pytest.approx(20.0)
    assert needs["core hours, once"].dollars == pytest.approx(2.0)


def test_the_committed_costs_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    if not (RESULTS / "scale_overhead.json").is_file():
        pytest.skip("no results of the trials are committed")
    assert measured(RESULTS).worker_ms > 0
    assert main([]) == 0
    assert "100,000 live patients" in capsys.readouterr().out


def test_costs_come_from_the_largest_trial(tmp_path: Path) -> None:
    trial = {
        "patients": 100, "minutes": 1.0, "worker_ms": 1.0, "broker_ms": 0.5, "publisher_ms": 0.1,
        "workers_mb": [60.0, 60.0],
        "stored_bytes_a_second": {"ECG_IN": 1100, "ECG_OUT": 500, "KV_ecg-states": 400},
    }  # fmt: skip
    larger = trial | {"patients": 300, "worker_ms": 0.7, "workers_mb": [70.0, 80.0]}
    (tmp_path / "scale_live.json").write_text(json.dumps({"trials": [trial, larger]}))
    spent = [[90.0, 50.0], [60.0, 49.0], [70.0, 53.0]]  # on the wall, of processors
    (tmp_path / "scale_overhead.json").write_text(json.dumps({"loop": spent, "signal_hours": 48}))
    costs = measured(tmp_path)
    assert (costs.worker_ms, costs.day_s, costs.patient_mb) == (0.7, 25.0, 0.15)
    assert costs.worker_mb == pytest.approx(52.5)
    assert costs.state_bytes == pytest.approx(24_000)
