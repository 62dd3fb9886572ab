"""Annotations made up for the tests of writers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import numpy as np

from runtime.detector import load_rhythm
from runtime.findings import Beat, Event, Record
from runtime.records import Annotation
from runtime.signal.quality import assess
from runtime.simulate import simulate

BEATS = [Beat(0.5, "N", 0.9, (0.9, 0.1, 0, 0, 0)), Beat(1.25, "V", 0.8, (0.1, 0.1, 0.8, 0, 0))]


def annotation_of(
    beats: Sequence[Beat],
    events: Sequence[Event] = (),
    *,
    fs: float = 250,
    name: str = "rec",
    seconds: float = 40,
    lead: str = "MLII",
    start: datetime | None = None,
) -> Annotation:
    """These findings in a simulated signal."""
    rhythm = load_rhythm()
    signal = simulate(seconds, fs=round(fs), seed=1).signal.astype(np.float64)
    record = Record(name, lead, fs, signal, 0.0, leads=(lead,), start=start)
    judge = partial(assess, policy=rhythm.quality, noise=rhythm.noise)
    return Annotation(record, beats, events, judge, made_by="ekg, model 01234567")
