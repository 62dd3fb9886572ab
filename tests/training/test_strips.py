"""Wrong beats are drawn as wrong, and the strip lies where they are densest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.findings import CLASSES
from training import strips
from training.recordings import FS, Record
from training.simulated import simulated_records


def record(beats: list[int], labels: list[int]) -> Record:
    return Record(
        "x",
        "made up",
        ("I",),
        np.zeros((1, 60 * FS), dtype=np.float32),
        np.array(beats, dtype=np.int64),
        np.array(labels, dtype=np.int8),
        np.array([[50 * FS, 55 * FS]]),
    )


def test_wrong_about_s_or_v() -> None:
    reference = record([1000, 2000, 3000, 4000, 5000, 6000], [0, 1, 2, 0, 3, 0])
    found = np.array([1003, 2000, 4000, 5000, 6000, 7000, 52 * FS])
    labels = np.array([0, 0, 1, 0, 0, 2, 2])
    # S called N, V missed, N called S, a false V; not: F called N, a V in flutter.
    assert strips.wrong_beats(reference, found, labels).tolist() == [2000, 3000, 4000, 7000]


def test_the_strip_holds_the_densest_stretch_in_its_middle() -> None:
    samples = np.array([10.0, 30.0, 31.0, 32.0, 33.0, 50.0]) * FS
    assert strips.densest(samples.astype(np.int64)) == pytest.approx(31.5 - 4)
    assert strips.densest(np.array([FS])) == 0.0


def test_disagreement_is_red(detector: Detector, tmp_path: Path) -> None:
    made = simulated_records(1, seconds=20)[0]
    _, (axes,) = strips.sheet(1)
    labels = made.labels.astype(np.int64)
    labels[2] = 4
    strips.strip(axes, made, 0.0, made.beats, labels)
    red = [text.get_text() for text in axes.texts if text.get_color() == "#c00000"]
    assert red == [CLASSES[made.labels[2]], "Q"]
    shown = int((made.beats < strips.STRIP_S * FS).sum())
    assert len(axes.texts) == 2 * shown
    wrong = replace(made, labels=np.full(len(made.labels), 2, dtype=np.int8))
    strips.draw_hardest(detector, [made, wrong], tmp_path / "hardest.png")
    assert (tmp_path / "hardest.png").stat().st_size > 10_000
