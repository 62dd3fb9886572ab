"""Beats as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ..findings import Beat
from .targets import writing


def write_csv(path: Path, beats: Sequence[Beat]) -> Path:
    """Write time (s), label and score of each beat as CSV; returns the path."""
    with writing(path.parent), path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("time", "label", "score"))
        writer.writerows((f"{b.time:.4f}", b.label, f"{b.score:.4f}") for b in beats)
    return path
