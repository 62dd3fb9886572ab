"""A patient made up for a test: beats by letters, readable signal, a tracker that follows both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from runtime.beats import from_beats
from runtime.detector import load_rhythm
from runtime.findings import CLASSES, Beat, Event
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel, RhythmPolicy, RhythmTracker, closed, take_together
from runtime.simulate import simulate

EVEN = (1.0,) * len(CLASSES)  # class weights that leave the network's opinion
LATE_S = 1.6  # a network decides on a beat so much later, at most
# The beats of a test have the labels that they are to have.
LABELLED = RhythmPolicy(template=None, rr_baseline=None)


@lru_cache(maxsize=1)
def shipped() -> RhythmModel:
    """The rhythm of ``artifacts/``."""
    return load_rhythm()


def tracker_of(policy: RhythmPolicy = LABELLED, weights: Sequence[float] = EVEN) -> RhythmTracker:
    """A tracker with the shipped models and this policy."""
    return RhythmTracker(replace(shipped(), policy=policy), weights)


def push(
    tracker: RhythmTracker, beats: Sequence[Beat], signal: np.ndarray, decided: float
) -> tuple[list[Beat], list[Event]]:
    """Give a tracker the next signal and the beats decided in it, as the engine does."""
    take_together([tracker.seconds], [np.asarray(signal, dtype=np.float32)])
    block, events = tracker.follow(from_beats(beats, FS), decided)
    return block.to_beats(FS), events


def resumed(tracker: RhythmTracker, signal: np.ndarray) -> RhythmTracker:
    """The same tracker, saved and restored; ``signal`` is all that it has taken."""
    return RhythmTracker.restore(
        tracker.save(), np.asarray(signal, dtype=np.float32), tracker.model, EVEN
    )


def events_of(
    beats: Sequence[Beat], signal: np.ndarray, policy: RhythmPolicy = LABELLED
) -> list[Event]:
    """The events of a whole recording."""
    tracker = tracker_of(policy)
    _, events = push(tracker, beats, signal, len(signal) / FS - LATE_S)
    return closed(events + tracker.finish())


def beat(time: float, probabilities: Sequence[float], label: str | None = None) -> Beat:
    """A beat on the nearest sample; its label is that of the largest probability, if not given."""
    at = int(np.argmax(probabilities)) if label is None else CLASSES.index(label)
    return Beat(round(time * FS) / FS, CLASSES[at], probabilities[at], tuple(probabilities))


def normal(
    times: Iterable[float], probabilities: Sequence[float] = (0.95, 0.05, 0.0, 0.0, 0.0)
) -> list[Beat]:
    """An N beat at each time."""
    return [beat(float(time), probabilities, "N") for time in times]


def beats_of(
    pattern: str, *, rate: float = 75.0, start: float = 0.4, score: float = 0.9
) -> list[Beat]:
    """A beat for each letter; a dot is a beat left out."""
    return [
        beat(
            start + i * 60.0 / rate,
            [score if one == label else (1 - score) / 4 for one in CLASSES],
            label,
        )
        for i, label in enumerate(pattern)
        if label != "."
    ]


def between(beats: Sequence[Beat], start: float, end: float) -> list[Beat]:
    """The beats from one moment to another, s."""
    return [one for one in beats if start <= one.time < end]


def quiet(seconds: float) -> np.ndarray:
    """Signal that is fit to be read."""
    return simulate(seconds, seed=2, ectopic=0.0).signal


def bare(events: Iterable[Event]) -> list[tuple[str, float, float | None, str]]:
    """Events without their confidence, which the network's rounding may move."""
    return [(event.kind, event.start, event.end, event.rule) for event in events]
