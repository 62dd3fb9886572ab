"""Runs of ectopic beats, compared run by run as EC57 (4.2) does.

A couplet is two ectopic beats in a row, a short run three to five, a long run six or more, and
fibrillation counts as a long run: ventricular fibrillation of V beats, atrial fibrillation of S
beats. A run is found if the other annotator has a run of its kind, as long or longer, from
150 ms before its first beat to 150 ms after its last.

Source: ANSI/AAMI EC57:1998; G. Moody, WFDB Applications Guide, rxr(1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST = 6  # beats that are told apart
SIZES = {"couplet": (2, 2), "short run": (3, 5), "long run": (LONGEST, LONGEST)}
Spans = Sequence[tuple[float, float]]


class Rhythm(NamedTuple):
    """One annotator's ectopic beats of one kind.

    Attributes
    ----------
    times : float64 [beats], s, of all beats
    ectopic : bool [beats]
    fibrillation : start and end, s
    """

    times: NDArray[np.float64]
    ectopic: NDArray[np.bool_]
    fibrillation: Spans = ()

    def runs(self) -> list[tuple[float, float, int]]:
        """Start, end (s) and length of each run, in order of start.

        >>> Rhythm(np.arange(5.0), np.array([True, True, False, True, False])).runs()
        [(0.0, 1.0, 2), (3.0, 3.0, 1)]
        """
        counted = self.ectopic & ~inside(self.times, self.fibrillation)
        found = [(start, end, LONGEST) for start, end in self.fibrillation]
        for is_run, group in groupby(range(len(self.times)), key=lambda i: bool(counted[i])):
            beats = list(group)
            if is_run:
                first, last = float(self.times[beats[0]]), float(self.times[beats[-1]])
                found.append((first, last, min(len(beats), LONGEST)))
        return sorted(found)

    def longest(self, start: float, end: float) -> int:
        """Length of the longest run within a stretch, s; of longer ones what lies within it."""
        if any(a < end and b > start for a, b in self.fibrillation):
            return LONGEST
        first, last = np.searchsorted(self.times, (start, end), side="left")
        last += int(last < len(self.times) and self.times[last] <= end)
        longest = length = 0
        for ectopic in self.ectopic[first:last]:
            length = length + 1 if ectopic else 0
            longest = max(longest, length)
        return min(longest, LONGEST)


def compare_runs(
    reference: Rhythm, test: Rhythm, *, start_s: float, within_s: float
) -> dict[str, int]:
    """Runs of each of `SIZES` that are there and found, and that are reported and right.

    Runs that begin before ``start_s`` are left out.
    """
    counts = {}
    for of, one, other in (("there", reference, test), ("reported", test, reference)):
        runs = [run for run in one.runs() if run[0] >= start_s]
        for size, (least, most) in SIZES.items():
            those = [run for run in runs if least <= run[2] <= most]
            counts[f"{size}, {of}"] = len(those)
            counts[f"{size}, {of} and met"] = sum(
                other.longest(start - within_s, end + within_s) >= least for start, end, _ in those
            )
    return counts


def inside(times: NDArray[np.float64], spans: Iterable[tuple[float, float]]) -> NDArray[np.bool_]:
    """True for times within any span, bool [times]."""
    held = np.zeros(len(times), dtype=bool)
    for start, end in spans:
        held |= (times >= start) & (times <= end)
    return held
