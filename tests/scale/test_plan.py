"""The plan multiplies what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scale.plan import RESULTS, Costs, Prices, Size, archive, live, main, measured

COSTS = Costs(0.6, 0.2, 0.0, 0.0, 0.1, 60.0, 1000.0, 500.0, 24000.0, 20.0)


def test_live_needs_grow_with_the_patients() -> None:
    one = {need.what: need for need in live(COSTS, Size(patients=1000), Prices())}
    ten = {need.what: need for need in live(COSTS, Size(patients=10_000), Prices())}
    assert one["worker cores"].amount == pytest.approx(1.0)
    assert one["broker cores, all nodes"].amount == pytest.approx(1.0)
    assert one["written to each copy of the logs"].amount == pytest.approx(1.9)
    assert ten["workers, at least"].amount == 10
    for what in set(one) - {"pairs of logs, at least"}:
        need = one[what]
        assert ten[what].amount == pytest.approx(10 * need.amount)
        assert ten[what].dollars == pytest.approx(10 * need.dollars)


def test_what_a_worker_costs_without_patients_weighs_with_few() -> None:
    """Two workers of 20 ms a second each, and half a millisecond for each patient."""
    costs = replace(COSTS, worker_ms=0.5, worker_base_ms=20.0, broker_ms=0.1, broker_base_ms=50.0)
    size = Size(patients=100, used=1.0, replicas=1, workers=2)
    needs = {need.what: need.amount for need in live(costs, size, Prices())}
    assert needs["worker cores"] == pytest.approx(0.09)
    assert needs["broker cores, all nodes"] == pytest.approx(0.06)
    many = {need.what: need.amount for need in live(costs, Size(patients=11_600), Prices())}
    assert many["workers, at least"] == 10  # 1,160 patients and 20 ms fill 0.6 of a core
    assert many["worker cores"] == pytest.approx((11_600 * 0.5 + 200) / 600)


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


def test_costs_come_from_the_smallest_and_the_largest_trial(tmp_path: Path) -> None:
    trial = {
        "patients": 100, "minutes": 1.0, "worker_ms": 1.0, "broker_ms": 0.5, "publisher_ms": 0.1,
        "workers_mb": [60.0, 60.0],
        "stored_bytes_a_second": {"ECG_IN": 1100, "ECG_OUT": 500, "KV_ecg-states": 400},
    }  # fmt: skip
    larger = trial | {"patients": 300, "worker_ms": 0.6, "workers_mb": [70.0, 80.0]}
    (tmp_path / "scale_live.json").write_text(json.dumps({"trials": [trial, larger]}))
    spent = [[90.0, 50.0], [60.0, 49.0], [70.0, 53.0]]  # on the wall, of processors
    (tmp_path / "scale_overhead.json").write_text(json.dumps({"loop": spent, "signal_hours": 48}))
    costs = measured(tmp_path)
    assert (costs.day_s, costs.patient_mb) == (25.0, 0.15)
    assert costs.worker_ms == pytest.approx((300 * 0.6 - 100 * 1.0) / 200)
    assert costs.worker_base_ms == pytest.approx((100 - 40) / 2)
    assert (costs.broker_ms, costs.broker_base_ms) == (0.5, 0.0)
    assert costs.worker_mb == pytest.approx(52.5)
    assert costs.state_bytes == pytest.approx(24_000)
