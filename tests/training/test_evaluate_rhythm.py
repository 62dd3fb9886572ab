"""Rhythm events against a reference: what counts as found."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.findings import CLASSES, Event
from training.recordings import FS, Record
from training.rhythm_matching import ventricular_runs


def record(labels: str) -> Record:
    """A beat each second, the first at 1 s."""
    beats = (np.arange(len(labels)) + 1) * FS
    return Record(
        "100",
        "mitdb",
        ("MLII",),
        np.zeros((1, (len(labels) + 1) * FS), np.float32),
        beats,
        np.array([CLASSES.index(label) for label in labels], np.int8),
        np.zeros((0, 2), np.int64),
    )


def event(kind: str, start: float, end: float) -> Event:
    return Event(kind, start, end, 0.9, "")


def test_runs_of_the_reference_have_three_beats_and_end_with_the_record() -> None:
    assert ventricular_runs(record("NVVNVVVNNVVVV"), []) == [(5.0, 3, False), (10.0, 4, False)]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (event("ventricular_run", 4.0, 7.0), True),
        (event("ventricular_tachycardia", 6.0, 6.5), True),
        (event("ventricular_run", 6.9, 9.0), True),
        (event("ventricular_run", 7.3, 9.0), False),
        (event("ventricular_run", 1.0, 2.7), False),
        (event("supraventricular_run", 3.0, 7.0), False),
        (event("couplet", 3.0, 7.0), False),
    ],
)
def test_a_run_is_found_if_an_event_of_its_kind_overlaps(told: Event, found: bool) -> None:
    assert ventricular_runs(record("NNVVVVVNN"), [told]) == [(3.0, 5, found)]
