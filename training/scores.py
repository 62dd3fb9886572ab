"""Reported beats against the reference, one to one, in the papers' convention (e and j are N)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.findings import CLASSES
from training.ec57 import MATCH_S
from training.recordings import FS, Record

NONE = len(CLASSES)  # row of false beats, column of missed ones


def score_record(
    record: Record,
    beats: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    start_s: float = 0.0,
    stop_s: float = math.inf,
) -> Score:
    """`score` reported beats (sample positions at 360 Hz) against a record's reference."""
    return score(
        record.beats,
        record.labels,
        beats,
        labels,
        FS,
        flutter=record.flutter,
        start_s=start_s,
        stop_s=stop_s,
    )


def score(
    reference: NDArray[np.int64],
    truth: NDArray[np.integer],
    beats: NDArray[np.int64],
    labels: NDArray[np.int64],
    fs: float,
    *,
    flutter: ArrayLike = (),
    start_s: float = 0.0,
    stop_s: float = math.inf,
    window_s: float = MATCH_S,
) -> Score:
    """Compare reported beats with the reference, one to one within 150 ms.

    Parameters
    ----------
    reference, beats : [beats], ascending sample positions at ``fs`` Hz
    truth, labels : their classes, indices into `CLASSES`
    flutter : [episodes, 2], first and last sample of episodes left out: no beats are defined there
    start_s, stop_s : beats outside are left out (EC57 gives a detector 5 minutes to learn)
    """

    def counts(samples: NDArray[np.int64]) -> NDArray[np.bool_]:
        kept = (samples >= start_s * fs) & (samples < stop_s * fs)
        for begin, end in np.reshape(flutter, (-1, 2)):
            kept &= (samples < begin) | (samples > end)
        return kept

    # Matched first, so that a beat at the start's edge is not torn from its partner.
    samples, there, reported, partner = align(reference, truth, beats, labels, window_s * fs)
    kept = counts(samples)
    confusion = np.zeros((NONE + 1, NONE + 1), dtype=np.int64)
    np.add.at(confusion, (there[kept], reported[kept]), 1)
    timed = kept & (there < NONE) & (reported < NONE)
    return Score(confusion, (beats[partner[timed]] - samples[timed]) / fs)


def total_score(scores: Iterable[Score]) -> Score:
    """The sum over records: every beat counts alike."""
    return sum(scores, start=Score.empty())


@dataclass(frozen=True)
class Score:
    """Reported beats against the reference, in the papers' convention (e and j are N).

    Attributes
    ----------
    confusion : int64 [6, 6]; rows are the reference N, S, V, F, Q and 'no beat', columns what
        was reported, with 'missed' as the last
    errors_s : float64 [matched], time reported less time of the reference, s
    """

    confusion: NDArray[np.int64]
    errors_s: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Score:
        return cls(np.zeros((NONE + 1, NONE + 1), dtype=np.int64), np.zeros(0))

    def __add__(self, other: Score) -> Score:
        return Score(
            self.confusion + other.confusion, np.concatenate([self.errors_s, other.errors_s])
        )

    @property
    def qrs(self) -> Rates:
        """Beats found, whatever their label."""
        return Rates(
            int(self.confusion[:NONE, :NONE].sum()),
            int(self.confusion[:NONE].sum()),
            int(self.confusion[:, :NONE].sum()),
        )

    def of(self, label: str) -> Rates:
        """Beats of one class found and labelled so; missed and false beats count."""
        i = CLASSES.index(label)
        return Rates(
            int(self.confusion[i, i]), int(self.confusion[i].sum()), int(self.confusion[:, i].sum())
        )

    @property
    def accuracy(self) -> float:
        """Share of the reference beats found and rightly labelled."""
        return share(int(np.trace(self.confusion[:NONE, :NONE])), int(self.confusion[:NONE].sum()))

    def summary(self) -> dict[str, float]:
        """The figures by name, for logs and reports, 0 to 1 (times in s)."""
        figures = {"accuracy": self.accuracy}
        for name, rates in (
            ("QRS", self.qrs),
            ("VEB", self.of("V")),
            ("SVEB", self.of("S")),
            ("F", self.of("F")),
            ("Q", self.of("Q")),
        ):
            figures |= {
                f"{name} Se": rates.sensitivity,
                f"{name} +P": rates.predictivity,
                f"{name} F1": rates.f1,
            }
        figures["time error, median absolute"] = (
            float(np.median(np.abs(self.errors_s))) if len(self.errors_s) else float("nan")
        )
        return {name: float(value) for name, value in figures.items()}

    def __str__(self) -> str:
        return (
            f"QRS {self.qrs}  VEB {self.of('V')}  SVEB {self.of('S')}  "
            f"accuracy {100 * self.accuracy:.2f}"
        )


@dataclass(frozen=True)
class Rates:
    """Counts of beats that were right, that were there, and that were reported."""

    right: int
    there: int
    reported: int

    @property
    def sensitivity(self) -> float:
        """Share of those there that were found, 0 to 1 (nan: there were none)."""
        return share(self.right, self.there)

    @property
    def predictivity(self) -> float:
        """Share of those reported that were right, 0 to 1 (nan: none were reported)."""
        return share(self.right, self.reported)

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 0 to 1 (nan: none there, none reported)."""
        return share(2 * self.right, self.there + self.reported)

    def __str__(self) -> str:
        return "/".join(
            f"{100 * part:.2f}" for part in (self.sensitivity, self.predictivity, self.f1)
        )


def align(
    reference: NDArray[np.int64],
    truth: NDArray[np.integer],
    beats: NDArray[np.int64],
    labels: NDArray[np.int64],
    within: float = MATCH_S * FS,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Reference and reported beats beside each other: first the reference's, then the false ones.

    Returns
    -------
    samples : int64 [events], the reference's position, a false beat's own
    there, reported : int64 [events], indices into `CLASSES`; `NONE` if that one has no beat
    partner : int64 [events], index into ``beats``; -1 if the beat is missed
    """
    pairs = match(reference, beats, within)
    partner = np.full(len(reference), -1)
    partner[pairs[:, 0]] = pairs[:, 1]
    false = np.setdiff1d(np.arange(len(beats)), pairs[:, 1])
    partner = np.concatenate([partner, false])
    return (
        np.concatenate([reference, beats[false]]),
        np.concatenate([truth, np.full(len(false), NONE)]).astype(np.int64),
        np.where(partner >= 0, np.append(labels, NONE)[partner], NONE),
        partner,
    )


def match(
    reference: NDArray[np.int64], found: NDArray[np.int64], within: float
) -> NDArray[np.int64]:
    """Pair two ascending lists of sample positions one to one, the nearest pairs first.

    Returns
    -------
    int64 [pairs, 2], indices into both, ascending
    """
    low = np.searchsorted(found, reference - within, side="left")
    high = np.searchsorted(found, reference + within, side="right")
    first = np.repeat(np.arange(len(reference)), high - low)
    second = np.concatenate(
        [np.arange(a, b) for a, b in zip(low, high, strict=True)] or [np.zeros(0, dtype=np.int64)]
    ).astype(np.int64)
    order = np.argsort(np.abs(reference[first] - found[second]), kind="stable")
    free_first, free_second = np.ones(len(reference), bool), np.ones(len(found), bool)
    pairs = []
    for i, j in zip(first[order], second[order], strict=True):
        if free_first[i] and free_second[j]:
            free_first[i] = free_second[j] = False
            pairs.append((i, j))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def share(part: int, whole: int) -> float:
    """Part of a whole, 0 to 1; NaN of nothing."""
    return float(part / whole) if whole else float("nan")
