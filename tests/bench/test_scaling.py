"""Conclusions from the timings of growing work."""

from __future__ import annotations

import pytest

from bench.measure import Timing
from bench.scaling import patients_row


@pytest.mark.parametrize(("cpu_ms", "patients"), [(5.0, 10_000), (20.0, 5_000)])
def test_a_core_serves_by_the_longer_of_wall_clock_and_processor_time(
    cpu_ms: float, patients: float
) -> None:
    row = patients_row(100, Timing(50, 10.0, 11.0, 12.0, cpu_ms))
    assert row["patients_per_core"] == patients
    assert row["us_per_patient"] == 100
