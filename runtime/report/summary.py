"""The figures of a report, derived from a study: its first page, its hours, its events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..findings import CLASSES, Event
from ..rhythm import RATE_INTERVALS
from .counted import RUN_BEATS
from .study import Floats, Study, total
from .words import AF, ASYSTOLE, BRADYCARDIA, FLAW_NAMES, PAUSE, TACHYCARDIA, VF

# A table has a row for each of these, s, whichever is the longest that gives two rows or more.
STEPS_S = (3600, 600, 60, 10)
MOST_ROWS = 50  # hours of two days; then days
DAY_S = 86_400
EXTREME_RATE = {BRADYCARDIA: np.min, TACHYCARDIA: np.max}
NO_RATE = (PAUSE, ASYSTOLE, VF)  # events that are no beats, or one interval


@dataclass(frozen=True)
class Extreme:
    """A figure and when it was reached, s; from `start` to `end` lies what it was derived from."""

    value: float
    start: float
    end: float


@dataclass(frozen=True)
class Rate:
    """The heart rate, beats a minute: its mean over all intervals, its least and greatest."""

    mean: float
    least: Extreme | None
    greatest: Extreme | None


@dataclass(frozen=True)
class Run:
    """Beats of one class in a row: from first to last beat in s, their number and rate a minute."""

    start: float
    end: float
    beats: int
    rate: float


@dataclass(frozen=True)
class ClassFigures:
    """The beats of one class.

    Attributes
    ----------
    count, share : of the beats that count
    hourly : beats in an hour of the time that was analysed
    isolated, pairs, runs : how often one, two, and more beats came in a row
    longest, fastest : among the runs
    score : mean score, 0 to 1
    """

    label: str
    count: int
    share: float
    hourly: float
    isolated: int
    pairs: int
    runs: int
    longest: Run | None
    fastest: Run | None
    score: float


@dataclass(frozen=True)
class Episodes:
    """Events of one kind: number, s in all and of the longest, share of the time analysed."""

    count: int
    seconds: float
    longest: float
    share: float


@dataclass(frozen=True)
class Row:
    """A part of the record: an hour, or less of a short one.

    Attributes
    ----------
    start, end, analysed_s, atrial_s : s; the last in atrial fibrillation
    rate : the mean heart rate; None without beats
    least, greatest : of the heart rate
    counts : beats of each class, in the order of `CLASSES`
    pauses : begun in it
    """

    start: float
    end: float
    analysed_s: float
    atrial_s: float
    beats: int
    rate: float | None
    least: float | None
    greatest: float | None
    counts: tuple[int, ...]
    pauses: int


@dataclass(frozen=True)
class EventRow:
    """An event, its length in s and the heart rate in it; None if it has none."""

    event: Event
    seconds: float
    rate: float | None


class Summary:
    """All figures of a study, each derived once."""

    def __init__(self, study: Study):
        self.study = study
        self.rate = _rate(study)
        self.longest_rr = _longest_rr(study)
        self.classes = {label: _class_figures(study, k) for k, label in enumerate(CLASSES)}
        self.episodes = {
            kind: _episodes(study, kind)
            for kind in dict.fromkeys(e.kind for e in study.counted_events)
        }
        self.events = [
            EventRow(e, study.end_of(e) - e.start, event_rate(study, e))
            for e in study.counted_events
        ]

    def episodes_of(self, kind: str) -> Episodes:
        """Return the figures of a kind, zeros if there is none."""
        return self.episodes.get(kind, Episodes(0, 0.0, 0.0, 0.0))

    @property
    def ectopic(self) -> int:
        """Beats that count and are not N."""
        return len(self.study.beat_labels) - self.classes["N"].count

    @property
    def flaws(self) -> dict[str, tuple[int, float, int]]:
        """Flaw -> seconds with it, their share, the longest stretch; only those that were met."""
        found = {}
        for flaw, name in FLAW_NAMES.items():
            bad = self.study.flaws & int(flaw) != 0
            if bad.any():
                edges = np.flatnonzero(np.diff(bad, prepend=False, append=False))
                found[name] = (
                    int(bad.sum()),
                    float(bad.mean()),
                    int((edges[1::2] - edges[::2]).max()),
                )
        return found

    def rows(self) -> Iterator[Row]:
        """Divide the record into hours of the clock, or less if it is short."""
        study = self.study
        edges = row_edges(study.seconds, study.record.start)
        starts = np.array([e.start for e in study.counted_events if e.kind == PAUSE])
        ends, atrial = study.beat_times[1:], study.spans(AF)
        moments, rates = study.rates
        for start, end in pairwise(edges.tolist()):
            inside = (study.beat_times >= start) & (study.beat_times < end)
            intervals = study.intervals[(ends >= start) & (ends < end)]
            intervals = intervals[np.isfinite(intervals)]
            near = rates[(moments >= start) & (moments < end)]
            out = study.left_out_before(np.array([start, end]))
            yield Row(
                float(start),
                float(end),
                float(end - start - (out[1] - out[0])),
                analysed(study, np.clip(atrial, start, end)),
                int(inside.sum()),
                60.0 / float(intervals.mean()) if len(intervals) else None,
                float(near.min()) if len(near) else None,
                float(near.max()) if len(near) else None,
                tuple(np.bincount(study.beat_labels[inside], minlength=len(CLASSES)).tolist()),
                int(((starts >= start) & (starts < end)).sum()),
            )


def row_edges(seconds: float, begin: datetime | None) -> Floats:
    """Return the edges of a table's rows, s, on whole hours of the clock if that is known."""
    step: float = next((s for s in STEPS_S if seconds >= 2 * s), seconds)
    if seconds / step > MOST_ROWS:
        step = DAY_S
    first = 0.0
    if begin is not None and step >= 60:
        midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        first = -((begin - midnight) / timedelta(seconds=1) % step)
    edges = np.arange(first, seconds, step)
    return np.append(np.unique(np.maximum(edges, 0.0)), seconds)


def analysed(study: Study, spans: Floats) -> float:
    """Return how much of these spans was analysed, s."""
    out = study.left_out_before(spans.ravel()).reshape(-1, 2)
    return max(0.0, total(spans) - total(out))


def event_rate(study: Study, event: Event) -> float | None:
    """Return the mean of an event's intervals as a rate, beats a minute; None if it has none.

    Of a bradycardia it is the least heart rate, of a tachycardia the greatest, as they are defined.
    """
    if event.kind in NO_RATE:
        return None
    if event.kind in EXTREME_RATE:
        moments, rates = study.rates
        inside = rates[(moments > event.start) & (moments <= study.end_of(event) + 1e-3)]
        if len(inside):
            return float(EXTREME_RATE[event.kind](inside))
    first = np.searchsorted(study.beat_times, event.start - 1e-3)
    last = np.searchsorted(study.beat_times, study.end_of(event) + 1e-3) - 1
    intervals = study.intervals[first:last]
    intervals = intervals[np.isfinite(intervals)]
    return 60.0 / float(intervals.mean()) if len(intervals) else None


def _rate(study: Study) -> Rate | None:
    intervals = study.intervals[np.isfinite(study.intervals)]
    if not len(intervals):
        return None
    moments, rates = study.rates
    extremes: list[Extreme | None] = [None, None]
    if len(rates):
        extremes = [
            Extreme(
                float(rates[at]),
                # The window's first beat is one before its intervals.
                float(moments[at] - 60.0 * RATE_INTERVALS / rates[at]),
                float(moments[at]),
            )
            for at in (int(rates.argmin()), int(rates.argmax()))
        ]
    return Rate(60.0 / float(intervals.mean()), *extremes)


def _longest_rr(study: Study) -> Extreme | None:
    if not np.isfinite(study.intervals).any():
        return None
    at = int(np.nanargmax(study.intervals))
    return Extreme(
        float(study.intervals[at]), float(study.beat_times[at]), float(study.beat_times[at + 1])
    )


def runs_of(study: Study, label: int) -> list[Run]:
    """Return the beats of a class that came in a row, single beats too, in order of time.

    Between two rows lies another beat, time that is left out, or a pause.
    """
    same = study.beat_labels == label
    apart = ~(study.intervals < study.limits.get("pause_s", np.inf))
    edges = np.flatnonzero(same[1:] & (~same[:-1] | apart)) + 1
    starts = np.concatenate([[0] if same[:1].any() else [], edges]).astype(np.int64)
    edges = np.flatnonzero(same[:-1] & (~same[1:] | apart))
    ends = np.concatenate([edges, [len(same) - 1] if same[-1:].any() else []]).astype(np.int64)
    times = study.beat_times
    return [
        Run(
            float(times[start]),
            float(times[end]),
            int(end - start + 1),
            60.0 * float(end - start) / float(times[end] - times[start]) if end > start else 0.0,
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _class_figures(study: Study, k: int) -> ClassFigures:
    of_class = study.beat_labels == k
    count = int(of_class.sum())
    # Rows of N beats are no runs.
    rows = runs_of(study, k) if CLASSES[k] != "N" else []
    enough = study.limits.get("run_beats", RUN_BEATS)
    runs = [run for run in rows if run.beats >= enough]
    return ClassFigures(
        CLASSES[k],
        count,
        count / max(1, len(of_class)),
        3600.0 * count / study.analysed_s if study.analysed_s > 0 else 0.0,
        sum(run.beats == 1 for run in rows),
        sum(1 < run.beats < enough for run in rows),
        len(runs),
        max(runs, key=lambda run: run.beats, default=None),
        max(runs, key=lambda run: run.rate, default=None),
        float(study.scores[study.counted][of_class].mean()) if count else 0.0,
    )


def _episodes(study: Study, kind: str) -> Episodes:
    lengths = [study.end_of(e) - e.start for e in study.counted_events if e.kind == kind]
    spans = study.spans(kind)
    # Of fibrillation of the ventricles and asystole nothing is analysed.
    within = total(spans) if kind in (VF, ASYSTOLE) else analysed(study, spans)
    whole = study.seconds if kind in (VF, ASYSTOLE) else study.analysed_s
    return Episodes(len(lengths), within, max(lengths), within / whole if whole > 0 else 0.0)


MAX_BINS = 300
BIN_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True)
class Trend:
    """A record in few numbers over time.

    Attributes
    ----------
    edges : float64 [bins + 1], s
    rate : float64 [3, bins], the least, mean and greatest heart rate; NaN if there is none
    ectopic : float64 [4, bins], beats of S, V, F and Q in a minute of the time analysed
    """

    edges: Floats
    rate: Floats
    ectopic: Floats


def trend_of(study: Study) -> Trend:
    """Bin a study for its trend."""
    step = next(
        (s for s in BIN_S if study.seconds / s <= MAX_BINS),
        np.ceil(study.seconds / MAX_BINS / 3600) * 3600,
    )
    starts = np.arange(0.0, study.seconds, step)
    if len(starts) > 1 and study.seconds - starts[-1] < step / 2:
        starts = starts[:-1]  # a beat in the last second would be 60 a minute
    edges = np.append(starts, study.seconds)
    minutes = np.maximum(np.diff(edges) - np.diff(study.left_out_before(edges)), 1.0) / 60
    counts = [
        np.histogram(study.beat_times[study.beat_labels == k], edges)[0]
        for k in range(1, len(CLASSES))
    ]
    moments, rates = study.rates
    rate = np.full((3, len(edges) - 1), np.nan)
    for i, part in enumerate(np.split(rates, np.searchsorted(moments, edges[1:-1]))):
        if len(part):
            rate[:, i] = part.min(), len(part) / np.sum(1.0 / part), part.max()
    return Trend(edges, rate, np.array(counts) / minutes)


def nights(begin: datetime | None, seconds: float) -> Floats:
    """Return when it is night, from 22 to 6, float64 [spans, 2], s; none without a clock."""
    if begin is None:
        return np.zeros((0, 2))
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    first = (midnight - begin) / timedelta(seconds=1)
    starts = np.arange(first - 2 * 3600, seconds, DAY_S)
    spans = np.clip(np.stack([starts, starts + 8 * 3600], axis=1), 0.0, seconds)
    return spans[spans[:, 1] > spans[:, 0]]


def successive(study: Study) -> NDArray[np.float64]:
    """Return each interval and the one after it, float64 [pairs, 2], s, neither broken."""
    pairs = np.stack([study.intervals[:-1], study.intervals[1:]], axis=1)
    return pairs[np.isfinite(pairs).all(axis=1)]
