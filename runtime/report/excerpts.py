"""Stretches of signal that are drawn as strips, and their choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..findings import CLASSES, Event
from .study import Study
from .words import CLASS_NAMES, EXTREMES, KINDS, clock, length, title

STRIP_S = 10.0  # 250 mm of paper
LEAD_IN_S = 1.0  # of signal before an event that is longer than its strip


@dataclass(frozen=True)
class Excerpt:
    """A stretch of signal that is drawn, and why.

    Attributes
    ----------
    kind : of the event, class of the beat, or extreme of the heart rate
    start, end : of the event, s; equal for a beat or an extreme
    caption : one line over the strip
    rule : that the event met, in words; a second line
    strip_start : s; the strip is `STRIP_S` long
    """

    kind: str
    start: float
    end: float
    caption: str
    rule: str
    strip_start: float

    @property
    def file(self) -> str:
        """Name of the picture; sorts by kind, then by time."""
        return f"{self.kind}-{clock(self.start).replace(':', '.')}.png"


def choose_excerpts(study: Study, each: int) -> list[Excerpt]:
    """Choose what is drawn.

    Of each kind of event the longest, of couplets and of each class of beat the surest, the
    slowest and the fastest heart rate.

    Parameters
    ----------
    each : at most so many of a kind
    """
    chosen: list[Excerpt] = []
    for kind in KINDS:
        of_kind = sorted(
            (event for event in study.events if event.kind == kind),
            key=lambda e: (
                0.0 if e.kind == "couplet" else e.start - (e.end or 0.0),
                -e.confidence,
                e.start,
            ),
        )
        chosen += sorted(
            (_of_event(study, event) for event in of_kind[:each]), key=lambda excerpt: excerpt.start
        )
    moments, rates = study.rates
    if len(rates):
        for name, at in zip(EXTREMES, (int(rates.argmin()), int(rates.argmax())), strict=True):
            chosen.append(
                _excerpt(
                    study, name, moments[at], moments[at], f"{title(name)}: {rates[at]:.0f}/min"
                )
            )
    for k, label in reversed(list(enumerate(CLASSES))[1:]):
        few: list[Excerpt] = []
        of_class = [study.beats[int(i)] for i in np.flatnonzero(study.labels == k)]
        for beat in sorted(of_class, key=lambda b: (-b.score, b.time)):
            if len(few) == each:
                break
            if not any(
                e.strip_start <= beat.time <= e.strip_start + STRIP_S for e in (*chosen, *few)
            ):
                few.append(
                    _excerpt(
                        study,
                        label,
                        beat.time,
                        beat.time,
                        f"{CLASS_NAMES[label]} beat, score {beat.score:.2f}",
                    )
                )
        chosen += sorted(few, key=lambda excerpt: excerpt.start)
    return chosen


def _of_event(study: Study, event: Event) -> Excerpt:
    end = event.end if event.end is not None else study.seconds
    return _excerpt(
        study,
        event.kind,
        event.start,
        end,
        f"{title(event.kind)}, {length(end - event.start)}, confidence {event.confidence:.2f}",
        event.rule,
    )


def _excerpt(
    study: Study, kind: str, start: float, end: float, caption: str, rule: str = ""
) -> Excerpt:
    long = end - start > STRIP_S - 2 * LEAD_IN_S
    begin = start - LEAD_IN_S if long else (start + end - STRIP_S) / 2
    return Excerpt(kind, start, end, caption, rule, max(0.0, min(begin, study.seconds - STRIP_S)))
