"""Stretches of signal that are drawn as strips, and their choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ..findings import CLASSES, Event
from .summary import Extreme, Summary
from .words import KINDS

STRIP_S = 10.0  # 250 mm of paper
NARROW_S = 7.6  # of it that paper of 190 mm shows
# Between strips of one kind: s, and share of the record. Neighbours of one run show nothing new.
MIN_APART_S, MIN_APART = 20.0, 0.01
LEAD_IN_S = 1.0  # of signal before an event that is longer than its strip
MOST_CANDIDATES = 2000  # of a class: the surest
LEAST, GREATEST, LONGEST_RR = "least", "greatest", "longest_rr"
BRIEF = ("couplet", "pause")  # events of which the surest stands first, not the longest


@dataclass(frozen=True)
class Excerpt:
    """A stretch of signal that is drawn, and why.

    Attributes
    ----------
    kind : of the event, class of the beat, or extreme of the heart rate
    start, end : of the event, s; equal for a beat
    strip_start : s; the strip is `STRIP_S` long
    rate, rr, score : beats a minute, s, 0 to 1; None if it has none
    event : it is an event's
    """

    kind: str
    start: float
    end: float
    strip_start: float
    rate: float | None = None
    rr: float | None = None
    score: float | None = None
    event: Event | None = None

    @property
    def name(self) -> str:
        """Name of its picture and its place in the page; sorts by kind, then by time."""
        tenths = round(10 * self.start)
        return f"{self.kind}-{tenths // 10:06d}.{tenths % 10}"

    @property
    def anchor(self) -> str:
        """The part of the strip that narrow paper shows: xMin, xMid or xMax, as SVG has it."""
        long = self.end - self.start > NARROW_S - 2 * LEAD_IN_S
        left = self.start - LEAD_IN_S if long else (self.start + self.end - NARROW_S) / 2
        spare = STRIP_S - NARROW_S
        places = {"xMin": 0.0, "xMid": spare / 2, "xMax": spare}
        return min(places, key=lambda name: abs(left - self.strip_start - places[name]))

    def shows(self, start: float, end: float) -> bool:
        """Return True if a stretch lies wholly in the strip."""
        return self.strip_start <= start and end <= self.strip_start + STRIP_S


def choose_excerpts(summary: Summary, most: int) -> list[Excerpt]:
    """Choose what is drawn: one of each kind, the gravest first, before a second of any.

    The first of a kind is the longest event or the surest beat. Each that follows is as far in
    time from the others of its kind as can be, among the better half; none is a neighbour.

    Parameters
    ----------
    most : strips in all

    Returns
    -------
    the strips, kind by kind from the gravest, then by time
    """
    waiting = {kind: candidates for kind, candidates in _candidates(summary).items() if candidates}
    order = list(waiting)
    apart = max(MIN_APART_S, MIN_APART * summary.study.seconds)
    better = {kind: some[: (len(some) + 1) // 2] for kind, some in waiting.items()}
    chosen: dict[str, list[Excerpt]] = {kind: [] for kind in order}
    count = 0
    while waiting and count < most:
        for kind in [*waiting]:
            if count == most:
                break
            # Other than an event, what any strip shows already needs none of its own.
            shown = chosen[kind] if kind in KINDS else list(chain(*chosen.values()))
            free = [
                one
                for one in waiting[kind]
                if not any(other.shows(one.start, one.end) for other in shown)
            ]
            if not free:
                del waiting[kind]
                continue
            best = free[0]
            if chosen[kind]:
                left = set(map(id, free))
                good = [one for one in better[kind] if id(one) in left] or free[:1]
                best = max(good, key=lambda one: _distance(one, chosen[kind]))
                if _distance(best, chosen[kind]) < apart:
                    del waiting[kind]
                    continue
            chosen[kind].append(best)
            count += 1
            waiting[kind] = [one for one in waiting[kind] if one is not best]
    return [
        excerpt for kind in order for excerpt in sorted(chosen[kind], key=lambda one: one.start)
    ]


def _distance(one: Excerpt, others: Iterable[Excerpt]) -> float:
    return min(abs(one.start - other.start) for other in others)


def _candidates(summary: Summary) -> dict[str, list[Excerpt]]:
    """Kind -> everything of it that could be drawn, the best first."""
    study = summary.study
    found: dict[str, list[Excerpt]] = {}
    for kind in KINDS:
        events = [row for row in summary.events if row.event.kind == kind]
        if kind in BRIEF:
            events.sort(key=lambda row: (-row.event.confidence, row.event.start))
        else:
            events.sort(key=lambda row: (-row.seconds, row.event.start))
        found[kind] = [
            _excerpt(
                study.seconds,
                kind,
                row.event.start,
                row.event.start + row.seconds,
                rate=row.rate,
                event=row.event,
            )
            for row in events
        ]
    for name, extreme in extremes(summary).items():
        value = {"rr" if name == LONGEST_RR else "rate": extreme.value}
        found[name] = [_excerpt(study.seconds, name, extreme.start, extreme.end, **value)]
    scores = study.scores[study.counted]
    for k, label in reversed(list(enumerate(CLASSES))[1:]):
        at = np.flatnonzero(study.beat_labels == k)
        at = at[np.lexsort((study.beat_times[at], -scores[at]))][:MOST_CANDIDATES]
        found[label] = [
            _excerpt(
                study.seconds,
                label,
                float(study.beat_times[i]),
                float(study.beat_times[i]),
                score=float(scores[i]),
            )
            for i in at
        ]
    return found


def extremes(summary: Summary) -> dict[str, Extreme]:
    """Return the least and greatest heart rate and the longest interval, those that there are."""
    rate = summary.rate
    found = {
        LEAST: rate.least if rate else None,
        GREATEST: rate.greatest if rate else None,
        LONGEST_RR: summary.longest_rr,
    }
    return {name: extreme for name, extreme in found.items() if extreme is not None}


def _excerpt(seconds: float, kind: str, start: float, end: float, **measured: object) -> Excerpt:
    long = end - start > STRIP_S - 2 * LEAD_IN_S
    begin = start - LEAD_IN_S if long else (start + end - STRIP_S) / 2
    begin = max(0.0, min(begin, seconds - STRIP_S))
    return Excerpt(kind, start, end, begin, **measured)  # type: ignore[arg-type]


def strip_beats(summary: Summary, start: float) -> Sequence[int]:
    """Return the beats in a strip that count, as indices into `Study.beat_times`."""
    return range(*np.searchsorted(summary.study.beat_times, (start, start + STRIP_S)).tolist())
