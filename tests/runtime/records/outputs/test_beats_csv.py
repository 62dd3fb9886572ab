"""The table of ``annotate --csv``."""

from __future__ import annotations

from pathlib import Path

from outputs_made import BEATS

from runtime.records import write_csv


def test_table_has_time_label_and_score(tmp_path: Path) -> None:
    lines = write_csv(tmp_path / "a" / "x.csv", BEATS).read_text().splitlines()
    assert lines == ["time,label,score", "0.5000,N,0.9000", "1.2500,V,0.8000"]
