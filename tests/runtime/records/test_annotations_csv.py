"""Beats as a table."""

from __future__ import annotations

from pathlib import Path

from runtime import Beat
from runtime.records import write_csv


def test_table_has_time_label_and_score(tmp_path: Path) -> None:
    beats = [Beat(0.5, "N", 0.9, (0.9, 0.1, 0, 0, 0)), Beat(1.25, "V", 0.8, (0.1, 0.1, 0.8, 0, 0))]
    lines = write_csv(tmp_path / "a" / "x.csv", beats).read_text().splitlines()
    assert lines == ["time,label,score", "0.5000,N,0.9000", "1.2500,V,0.8000"]
