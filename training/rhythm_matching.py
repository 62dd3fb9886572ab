"""Rhythm events compared with a reference, by window, duration and episode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.findings import CLASSES, Event
from runtime.model.contract import FS
from runtime.rhythm.events.runs import VENTRICULAR_RUN, VT
from runtime.signal.features import WINDOW_S
from training.recordings import Record

LONG_RUN = 5  # V beats in a row that must not be missed
V_RUNS = (VT, VENTRICULAR_RUN)


def ventricular_runs(record: Record, events: Sequence[Event]) -> list[tuple[float, int, bool]]:
    """Each run of 3 or more V beats in the reference: its start (s), its length, and True if a
    closed event of a run or of ventricular tachycardia overlaps it."""
    reported = [event for event in events if event.kind in V_RUNS]
    return [
        (start, length, any(overlap(event, start, end) for event in reported))
        for start, end, length in runs_of_v(record)
        if length >= 3
    ]


def overlap(event: Event, start: float, end: float) -> bool:
    return event.start <= end + 0.2 and (event.end or 0) >= start - 0.2


def runs_of_v(record: Record) -> Iterator[tuple[float, float, int]]:
    """Start and end (s) and length of each run of V beats in the reference."""
    is_v = np.concatenate([[False], record.labels == CLASSES.index("V"), [False]])
    edges = np.flatnonzero(np.diff(is_v.astype(np.int8)))
    for first, last in edges.reshape(-1, 2):
        yield record.beats[first] / FS, record.beats[last - 1] / FS, int(last - first)


def meets(event: Event, others: Sequence[Event]) -> bool:
    """True if an event of the same kind overlaps; VT and V run count as one."""
    kinds = V_RUNS if event.kind in V_RUNS else (event.kind,)
    return any(o.kind in kinds and overlap(o, event.start, event.end or 0) for o in others)


def begins_inside(event: Event, noisy: NDArray[np.float64]) -> bool:
    """True if an event begins in a noisy block."""
    return bool(((noisy[:, 0] <= event.start) & (event.start < noisy[:, 1])).any())


def covered(events: Iterable[Event], kinds: Sequence[str], count: int) -> NDArray[np.bool_]:
    """Windows, one each second, that events cover for at least half, bool [count]."""
    second = np.arange(count + WINDOW_S)
    share = np.zeros(len(second))
    for event in events:
        if event.kind in kinds:
            share += np.clip(
                np.minimum(event.end or 0.0, second + 1) - np.maximum(event.start, second), 0, 1
            )
    total = np.convolve(share, np.ones(WINDOW_S), "valid")[:count]
    return np.asarray(total >= WINDOW_S / 2)


def painted(spans: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Tenths of a second inside any span (s), bool [size]."""
    inside = np.zeros(size, dtype=bool)
    for start, end in np.rint(spans * 10).astype(np.int64):
        inside[start:end] = True
    return inside


def stretches(wrong: NDArray[np.bool_], least: int = 1) -> list[float]:
    """Starts of the stretches of at least so many true values."""
    edges = np.flatnonzero(np.diff(np.pad(wrong.astype(np.int8), 1))).reshape(-1, 2)
    return [float(first) for first, last in edges if last - first >= least]


def four(
    truth: NDArray[np.int64], called: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """TP, FN, FP, TN of the windows kept."""
    real = truth == 1
    return np.array(
        [
            (kept & m).sum()
            for m in (real & called, real & ~called, ~real & called, ~real & ~called)
        ],
        dtype=np.int64,
    )


def se_sp(counts: NDArray[np.int64]) -> dict[str, float]:
    tp, fn, fp, tn = (int(c) for c in counts)
    return {"Se": share(tp, tp + fn), "Sp": share(tn, tn + fp), "there": tp + fn, "other": tn + fp}


def share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
