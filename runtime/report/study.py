"""A record in numbers: the time that was analysed, and the beats, intervals and rates of it.

Nothing is made of time in ventricular fibrillation, in asystole or in signal that cannot be read:
no beat of it counts, and no interval that touches it. A rhythm is followed by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..findings import CLASSES, DOUBTFUL, Beat, Event, Quality, Record
from ..records.intervals import Hrv, variability
from ..rhythm import RATE_INTERVALS
from .counted import counted_events
from .words import ASYSTOLE, VF

Floats = NDArray[np.float64]
MISSING, UNREADABLE = "missing", "unreadable"
LEFT_OUT = (VF, ASYSTOLE, MISSING, UNREADABLE)  # of time that is two of them, the first counts
QUALITY_PIECE_S = 600  # judged at once: at a rate that is not whole, longer pieces would drift
N = CLASSES.index("N")
EPSILON_S = 1e-6
FEWEST_INTERVALS = 3  # whose variability is measured


@dataclass(frozen=True)
class Study:
    """A record and what was found in it. Made by `study_of`.

    Attributes
    ----------
    times : of all beats, float64 [beats], s
    labels : of all beats, int64 [beats], index into `CLASSES`
    scores : of all beats, float64 [beats]
    events : those that have ended, in order of start
    flaws : int64 [seconds], of each second the bits of `Flaw`; `flaws_of_seconds` makes them
    missing : bool [samples], those that are missing or that no heart can have made; None: none
    gaps : start and end, s, of those stretches of them that may hide a beat
    limits : of the rhythm policy, name -> value
    made_by : the model, in words
    measured : figures of the detector against cardiologists' labels, name -> share
    """

    record: Record
    times: Floats
    labels: NDArray[np.int64]
    scores: Floats
    events: Sequence[Event]
    flaws: NDArray[np.int64]
    missing: NDArray[np.bool_] | None = None
    gaps: Sequence[tuple[float, float]] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length of the record, s."""
        return len(self.record.signal) / self.record.fs

    def spans(self, *kinds: str) -> Floats:
        """Return when events of these kinds lasted, float64 [spans, 2], s, none overlapping."""
        return union((e.start, self.end_of(e)) for e in self.counted_events if e.kind in kinds)

    @cached_property
    def standstill(self) -> dict[str, Floats]:
        """Fibrillation of the ventricles and asystole: when each lasted, float64 [spans, 2], s."""
        return {
            kind: union((e.start, self.end_of(e)) for e in self.events if e.kind == kind)
            for kind in (VF, ASYSTOLE)
        }

    @cached_property
    def settled(self) -> list[Event | None]:
        """Of each event what counts of it, None if nothing does: see `.counted`."""
        spans = union(map(tuple, np.concatenate(list(self.standstill.values()))))
        return counted_events(self.events, spans, self.beat_times, self.rates, self.limits)

    @property
    def counted_events(self) -> list[Event]:
        """The events that count."""
        return [event for event in self.settled if event is not None]

    def end_of(self, event: Event) -> float:
        """Return the end of an event, which is the record's at the latest, s."""
        return self.seconds if event.end is None else min(event.end, self.seconds)

    def signal(self, first: int, last: int) -> Floats:
        """Return samples of the record, NaN if missing or such as no heart can have made."""
        signal, missing = self.record.signal[first:last], self.missing
        return signal if missing is None else np.where(missing[first:last], np.nan, signal)

    @cached_property
    def left_out(self) -> dict[str, Floats]:
        """Reason -> the time that is left out for it, float64 [spans, 2], s."""
        doubtful = self.flaws & int(DOUBTFUL) != 0
        edges = np.flatnonzero(np.diff(doubtful, prepend=False, append=False)).reshape(-1, 2)
        # A beat on the first sample of a second belongs to it.
        unreadable = np.minimum(edges - [EPSILON_S / 10, 0], self.seconds)
        return {
            **self.standstill,
            MISSING: np.array(self.gaps, dtype=np.float64).reshape(-1, 2),
            UNREADABLE: union(map(tuple, unreadable)),
        }

    @cached_property
    def left_out_s(self) -> dict[str, float]:
        """Reason -> the time that is left out for it and for none before it, s."""
        found, before, spans = {}, 0.0, np.zeros((0, 2))
        for reason in LEFT_OUT:
            spans = union(map(tuple, np.concatenate([spans, self.left_out[reason]])))
            found[reason] = total(spans) - before
            before += found[reason]
        return found

    @property
    def analysed_s(self) -> float:
        """The time that everything is derived from, s."""
        return self.seconds - sum(self.left_out_s.values())

    def left_out_before(self, moments: Floats) -> Floats:
        """Return the time that is left out before each moment, s."""
        edges, sums = self._left_out_sums
        return np.interp(moments, edges, sums)

    @cached_property
    def _left_out_sums(self) -> tuple[Floats, Floats]:
        spans = union(map(tuple, np.concatenate(list(self.left_out.values()))))
        return sums_of(spans, self.seconds)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """The beats that count, bool [beats]: those outside of the time that is left out."""
        spans = union(map(tuple, np.concatenate(list(self.left_out.values()))))
        if not len(spans):
            return np.ones(len(self.times), dtype=bool)
        at = np.searchsorted(spans[:, 0], self.times, side="left") - 1
        inside = self.times < spans[np.maximum(at, 0), 1]
        return (at < 0) | ~inside  # type: ignore[no-any-return]

    @cached_property
    def beat_times(self) -> Floats:
        """Times of the beats that count, s."""
        return self.times[self.counted]

    @cached_property
    def beat_labels(self) -> NDArray[np.int64]:
        """Classes of the beats that count."""
        return self.labels[self.counted]

    @cached_property
    def intervals(self) -> Floats:
        """Intervals between two beats that count, float64 [beats - 1], s; NaN if one is broken."""
        times = self.beat_times
        broken = np.diff(self.left_out_before(times)) > EPSILON_S
        return np.where(broken, np.nan, np.diff(times))

    @cached_property
    def rates(self) -> tuple[Floats, Floats]:
        """Moments in s, and the heart rate at each in beats a minute, over `RATE_INTERVALS`.

        A rate stands at the end of its last interval, as in a stream.
        """
        if len(self.intervals) < RATE_INTERVALS:
            return np.zeros(0), np.zeros(0)
        sums = sliding_window_view(self.intervals, RATE_INTERVALS).sum(axis=1)
        whole = np.isfinite(sums)
        return self.beat_times[RATE_INTERVALS:][whole], 60.0 * RATE_INTERVALS / sums[whole]

    @cached_property
    def hrv(self) -> Hrv | None:
        """Variability of the intervals between two N beats; None of fewer than three of them."""
        return hrv_of(self.intervals, self.beat_labels)


def hrv_of(intervals: Floats, labels: NDArray[np.int64]) -> Hrv | None:
    """Measure the variability of the intervals between two N beats; ectopic beats are left out.

    Parameters
    ----------
    intervals : float64 [beats - 1], s; NaN if one is broken
    labels : int64 [beats], index into `CLASSES`
    """
    counts = np.isfinite(intervals) & (labels[:-1] == N) & (labels[1:] == N)
    found = variability(1000.0 * intervals, counts)
    return found if found.intervals >= FEWEST_INTERVALS and found.rmssd_ms is not None else None


def study_of(
    record: Record,
    beats: Sequence[Beat],
    events: Sequence[Event],
    flaws: NDArray[np.int64],
    **described: Any,
) -> Study:
    """Make a study of what `Detector.annotate` found; the beats themselves need not be kept.

    Parameters
    ----------
    described : `missing`, `gaps`, `limits`, `made_by` and `measured` of the study
    """
    return Study(
        record,
        np.array([beat.time for beat in beats], dtype=np.float64),
        np.array([CLASSES.index(beat.label) for beat in beats], dtype=np.int64),
        np.array([beat.score for beat in beats], dtype=np.float64),
        events,
        flaws,
        **described,
    )


def flaws_of_seconds(
    record: Record, assess: Callable[[NDArray[np.float64], float], Quality]
) -> NDArray[np.int64]:
    """Judge each second of a record.

    Parameters
    ----------
    assess : judges a piece of signal, float64 [samples] in mV, at its rate in Hz, by its seconds

    Returns
    -------
    the bits of `Flaw`, int64 [seconds], the last included if a quarter of it is there
    """
    signal, fs = record.signal, record.fs
    size = QUALITY_PIECE_S * round(fs)
    found: list[int] = []
    for second in range(0, int(len(signal) / fs), QUALITY_PIECE_S):
        at = round(second * fs)
        if len(piece := signal[at : at + size]) >= round(fs):
            found += map(int, assess(piece, fs).seconds)
    return np.array(found, dtype=np.int64)


def union(spans: Iterable[Sequence[float]]) -> Floats:
    """Return spans of time joined where they touch, float64 [spans, 2], in order."""
    joined: list[list[float]] = []
    for start, end in sorted((float(start), float(end)) for start, end in spans):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        elif end > start:
            joined.append([start, end])
    return np.array(joined, dtype=np.float64).reshape(-1, 2)


def total(spans: Floats) -> float:
    """Return the length of spans that do not overlap, s."""
    return float(np.sum(spans[:, 1] - spans[:, 0]))


def sums_of(spans: Floats, seconds: float) -> tuple[Floats, Floats]:
    """Return moments, and the time inside of spans before each: between them it is linear."""
    edges = np.concatenate([[0.0], spans.ravel(), [max(seconds, spans.max(initial=0.0))]])
    lengths = np.concatenate([[0.0], (spans[:, 1] - spans[:, 0]).cumsum()])
    return edges, np.repeat(lengths, 2)
