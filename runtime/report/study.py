"""A record in numbers: heart rate, and a trend over the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..findings import CLASSES, DOUBTFUL, Beat, Event, Flaw, Quality, Record
from ..signal.missing import Gaps, missing_samples
from .words import FLAW_NAMES, VF

MAX_TREND_BINS = 300
BIN_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
QUALITY_PIECE_S = 600  # judged at once: at a rate that is not whole, longer pieces would drift
RATE_INTERVALS = 8  # a heart rate is the median over so many, as in a live stream


@dataclass(frozen=True)
class Study:
    """A record and what was found in it.

    Attributes
    ----------
    beats : in order of time
    events : those that have ended, in order of start
    flaws : int64 [seconds], of each second the bits of `Flaw`; `flaws_of_seconds` makes them
    made_by : the model, in words
    """

    record: Record
    beats: Sequence[Beat]
    events: Sequence[Event]
    flaws: NDArray[np.int64]
    made_by: str

    @property
    def seconds(self) -> float:
        """Length of the record, s."""
        return len(self.record.signal) / self.record.fs

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """Times of the beats, float64 [beats], s."""
        return np.array([beat.time for beat in self.beats], dtype=np.float64)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Classes of the beats, int64 [beats], index into `CLASSES`."""
        return np.array([CLASSES.index(beat.label) for beat in self.beats], dtype=np.int64)

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Samples that are missing, or that no heart can have made, bool [samples]."""
        return missing_samples(self.record.signal, self.record.fs)

    @cached_property
    def doubtful(self) -> NDArray[np.bool_]:
        """Seconds in which beats may be false or missing, bool [seconds]."""
        return self.flaws & int(DOUBTFUL | Flaw.MISSING) != 0

    @cached_property
    def rates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Moments in s, and the heart rate at each in beats a minute.

        Derived from intervals in readable signal without a gap and outside of ventricular
        fibrillation.
        """
        if len(self.times) <= RATE_INTERVALS:
            return np.zeros(0), np.zeros(0)
        intervals = np.diff(self.times)
        doubtful_before = np.concatenate([[0], np.cumsum(self.doubtful)])
        first, last = (
            np.clip(np.floor(t).astype(np.int64), 0, len(doubtful_before) - 1)
            for t in (self.times[:-1], self.times[1:] + 1)
        )
        sound = doubtful_before[last] == doubtful_before[first]
        gaps = Gaps(self.record.fs)
        gaps.add(self.missing, 0)
        starts = [gap.start / self.record.fs for gap in gaps.at_rate(1, 1)]
        sound &= np.diff(np.searchsorted(starts, self.times)) == 0
        for event in self.events:
            if event.kind == VF:
                sound &= (self.times[1:] < event.start) | (self.times[:-1] > (event.end or 0.0))
        whole = sliding_window_view(sound, RATE_INTERVALS).all(axis=1)
        median = np.median(sliding_window_view(intervals, RATE_INTERVALS)[whole], axis=1)
        middle = sliding_window_view(self.times[1:], RATE_INTERVALS)[whole, RATE_INTERVALS // 2]
        return middle, 60.0 / median


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


@dataclass(frozen=True)
class Trend:
    """A record in few numbers over time.

    Attributes
    ----------
    edges : float64 [bins + 1], s
    rate : float64 [3, bins], 10th percentile, median and 90th percentile of the heart rate, beats
        a minute; NaN if there is none
    anomalies : float64 [4, bins], beats of S, V, F and Q a minute
    flaws : float64 [6, bins], share of the seconds with each flaw, in the order of `FLAW_NAMES`
    """

    edges: NDArray[np.float64]
    rate: NDArray[np.float64]
    anomalies: NDArray[np.float64]
    flaws: NDArray[np.float64]


def trend_of(study: Study) -> Trend:
    """Bin a study for its overview."""
    step = next(
        (s for s in BIN_S if study.seconds / s <= MAX_TREND_BINS),
        np.ceil(study.seconds / MAX_TREND_BINS / 3600) * 3600,
    )
    starts = np.arange(0.0, study.seconds, step)
    if len(starts) > 1 and study.seconds - starts[-1] < step / 2:
        starts = starts[:-1]  # a beat in the last second would be 60 a minute
    edges = np.append(starts, study.seconds)
    minutes = np.diff(edges) / 60
    anomalies = (
        np.array(
            [np.histogram(study.times[study.labels == k], edges)[0] for k in range(1, len(CLASSES))]
        )
        / minutes
    )
    moments, rates = study.rates
    rate = np.full((3, len(edges) - 1), np.nan)
    for i, part in enumerate(np.split(rates, np.searchsorted(moments, edges[1:-1]))):
        if len(part):
            rate[:, i] = np.percentile(part, (10, 50, 90))
    middles = np.arange(len(study.flaws)) + 0.5
    seconds = np.maximum(np.histogram(middles, edges)[0], 1)
    flaws = np.array(
        [
            np.histogram(middles[study.flaws & int(flaw) != 0], edges)[0] / seconds
            for flaw in FLAW_NAMES
        ]
    )
    return Trend(edges, rate, anomalies, flaws)
