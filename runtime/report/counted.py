"""The rhythm events that count: those whose rule is met outside of fibrillation and asystole.

A stream recognises fibrillation of the ventricles some seconds after it began, and reports until
then what its beats seemed to be: a tachycardia, a run. A finished recording knows better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..findings import Event
from .words import AF, ASYSTOLE, BRADYCARDIA, TACHYCARDIA, VF

Floats = NDArray[np.float64]
# Beats that an event is made of at the least, from the limits of the policy.
BEATS = {
    "ventricular_tachycardia": lambda run, pattern: run,
    "ventricular_run": lambda run, pattern: run,
    "supraventricular_run": lambda run, pattern: run,
    "couplet": lambda run, pattern: 2,
    "pause": lambda run, pattern: 2,
    "bigeminy": lambda run, pattern: 2 * pattern - 1,
    "trigeminy": lambda run, pattern: 3 * pattern - 2,
}
RUN_BEATS, PATTERN_BEATS, AF_MIN_S = 3, 3, 10.0  # if no policy is given


def counted_events(
    events: Sequence[Event],
    standstill: Floats,
    beat_times: Floats,
    rates: tuple[Floats, Floats],
    limits: Mapping[str, Any],
) -> list[Event | None]:
    """Cut events to what lies outside of a standstill; None for one whose rule is not met there.

    Parameters
    ----------
    standstill : fibrillation of the ventricles and asystole, float64 [spans, 2], s
    beat_times : of the beats that count, s
    rates : moments in s, and the heart rate at each
    limits : of the rhythm policy, name -> value
    """
    found: list[Event | None] = []
    for event in events:
        end = event.start if event.end is None else event.end
        inside = (standstill[:, 0] < end) & (standstill[:, 1] > event.start)
        if event.kind in (VF, ASYSTOLE) or not inside.any():
            found.append(event)
            continue
        edges = np.clip(standstill[inside].ravel(), event.start, end)
        edges = np.concatenate([[event.start], edges, [end]]).reshape(-1, 2)
        first, last = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist()
        left = replace(event, start=first, end=last)
        if event.kind == AF:  # goes on after it
            lasted = (edges[:, 1] - edges[:, 0]).sum()
            found.append(event if lasted >= limits.get("af_min_s", AF_MIN_S) else None)
        else:
            found.append(left if _is_met(left, beat_times, rates, limits) else None)
    return found


def _is_met(
    event: Event, beat_times: Floats, rates: tuple[Floats, Floats], limits: Mapping[str, Any]
) -> bool:
    end = event.start if event.end is None else event.end
    if event.kind in (BRADYCARDIA, TACHYCARDIA):
        moments, values = rates
        inside = values[(moments > event.start) & (moments <= end + 1e-3)]
        if event.kind == BRADYCARDIA:
            return bool((inside < limits.get("bradycardia_bpm", np.inf)).any())
        return bool((inside > limits.get("tachycardia_bpm", 0.0)).any())
    beats = int(((beat_times >= event.start - 1e-3) & (beat_times <= end + 1e-3)).sum())
    run, pattern = limits.get("run_beats", RUN_BEATS), limits.get("pattern_beats", PATTERN_BEATS)
    needed = BEATS.get(event.kind)
    return needed is None or beats >= needed(run, pattern)
