"""RR intervals, and what they say of the heart: its rate, and how the rate varies (HRV).

Measures and their definitions: Task Force of the ESC and the NASPE, Heart rate variability,
Circulation 93 (1996) 1043-1065.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import Beat, Event
from ..rhythm.events.silence import ASYSTOLE
from ..rhythm.events.ventricular import VF
from .packages import need

BROKEN_BY = (VF, ASYSTOLE)  # events in which an interval says nothing of the heart's rate
DIFFERENCE_MS = 50.0  # of pNN50
EPSILON_MS = 1e-3  # differences of samples' times that are equal differ in their last bits
SEGMENT_S = 300.0  # of LF and HF: stationary in five minutes
SHORTEST_SEGMENT_S = 120.0  # holds five waves of the slowest, 0.04 Hz
MIN_COVERED = 0.9  # share of a segment that NN intervals must cover


def sound_intervals(
    times: NDArray[np.float64],
    doubtful: NDArray[np.bool_],
    events: Sequence[Event],
    gaps: Sequence[tuple[float, float]] = (),
) -> NDArray[np.bool_]:
    """Return which intervals lie in readable signal and touch no gap, no VF and no asystole.

    Parameters
    ----------
    times : [beats], s
    doubtful : [seconds], True if beats may be false there
    gaps : start and end, s, of missing signal

    Returns
    -------
    bool [beats - 1]
    """
    before, after = times[:-1], times[1:]
    doubtful_before = np.concatenate([[0], np.cumsum(doubtful)])
    first, last = (
        np.clip(np.floor(t).astype(np.int64), 0, len(doubtful_before) - 1)
        for t in (before, after + 1)
    )
    sound = doubtful_before[last] == doubtful_before[first]
    closed = [(e.start, e.end or 0.0) for e in events if e.kind in BROKEN_BY]
    for start, end in (*closed, *gaps):
        sound &= (after < start) | (before > end)
    return sound


@dataclass(frozen=True)
class Hrv:
    """How the heart rate varies; None where there are too few intervals.

    Attributes
    ----------
    intervals : number of NN intervals, between two N beats that follow each other
    mean_ms, sdnn_ms : mean and standard deviation of the NN intervals
    rmssd_ms : root mean square of the differences of NN intervals that follow each other
    pnn50 : share of these differences that are above 50 ms, %
    lf_ms2, hf_ms2, lf_hf : power from 0.04 to 0.15 Hz, from 0.15 to 0.4 Hz, and their ratio: means
        over stretches of five minutes; None if they were not asked for
    """

    intervals: int
    mean_ms: float | None
    sdnn_ms: float | None
    rmssd_ms: float | None
    pnn50: float | None
    lf_ms2: float | None = None
    hf_ms2: float | None = None
    lf_hf: float | None = None


def hrv(beats: Sequence[Beat], sound: NDArray[np.bool_], *, frequency: bool = False) -> Hrv:
    """Measure the variability of the NN intervals.

    Parameters
    ----------
    sound : [beats - 1], intervals that count; see `sound_intervals`
    frequency : measure LF and HF too, which needs the package ``neurokit2``

    Raises
    ------
    MissingPackageError
        There is no package ``neurokit2``.
    InputError
        LF and HF are asked for, and no two minutes are without gaps and ectopic beats enough.
    """
    times = np.array([beat.time for beat in beats], dtype=np.float64)
    normal = np.array([beat.label == "N" for beat in beats], dtype=bool)
    counts = sound & normal[:-1] & normal[1:] if len(beats) > 1 else np.zeros(0, dtype=bool)
    intervals = np.diff(times) * 1000.0
    found = variability(intervals, counts)
    if frequency:
        low, high, ratio = _powers(times[1:][counts], intervals[counts])
        found = replace(found, lf_ms2=low, hf_ms2=high, lf_hf=ratio)
    return found


def variability(intervals: NDArray[np.float64], counts: NDArray[np.bool_]) -> Hrv:
    """Measure the variability of those intervals that count, but for LF and HF.

    Parameters
    ----------
    intervals : [intervals], ms
    counts : bool [intervals], True between two N beats, if nothing is missing between
    """
    nn = intervals[counts]
    differences = np.diff(intervals)[counts[:-1] & counts[1:]]
    some = len(differences) > 0
    return Hrv(
        len(nn),
        float(nn.mean()) if len(nn) else None,
        float(nn.std(ddof=1)) if len(nn) > 1 else None,
        float(np.sqrt(np.mean(differences**2))) if some else None,
        float(np.mean(np.abs(differences) > DIFFERENCE_MS + EPSILON_MS) * 100) if some else None,
    )


def _powers(ends: NDArray[np.float64], nn: NDArray[np.float64]) -> tuple[float, float, float]:
    """LF and HF in ms^2 and their ratio, of the stretches that NN intervals nearly fill.

    Parameters
    ----------
    ends : [intervals], s, when each ends
    nn : [intervals], ms
    """
    neurokit = need("neurokit2", "to measure LF and HF")
    found = []
    for place in _segments(ends, nn):
        measured: Any = neurokit.hrv_frequency(
            {"RRI": nn[place], "RRI_Time": ends[place]}, normalize=False, silent=True
        )
        found.append([float(measured[f"HRV_{band}"].iloc[0]) for band in ("LF", "HF")])
    if not found:
        raise InputError(
            f"LF and HF need {SHORTEST_SEGMENT_S:g} s of which N beats that follow each other fill "
            f"{MIN_COVERED:.0%}; there are none here."
        )
    low, high = np.mean(found, axis=0)
    return float(low), float(high), float(low / high)


def _segments(ends: NDArray[np.float64], nn: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Indices of the intervals of each stretch that is long and full enough."""
    if not len(ends):
        return []
    starts = ends - nn / 1000.0
    begin, found = float(starts[0]), []
    while begin < ends[-1]:
        place = np.flatnonzero((starts >= begin) & (ends <= begin + SEGMENT_S))
        if len(place):
            length = min(SEGMENT_S, float(ends[-1]) - begin)
            covered = nn[place].sum() / 1000.0
            if length >= SHORTEST_SEGMENT_S and covered >= MIN_COVERED * length:
                found.append(place)
        begin += SEGMENT_S
    return found
