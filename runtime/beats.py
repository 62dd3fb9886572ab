"""From frames to beats: when a beat is one, which class it has, where its R peak is.

The network gives probabilities for every 50 ms frame; everything that turns those into beats
is here, apart from it, and looks only at a few frames around a moment, so that a stream cut
anywhere gives the beats of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CLASSES = ("N", "S", "V", "F", "Q")


@dataclass(frozen=True)
class Beat:
    """One heart beat.

    Attributes
    ----------
    time : s from the recording's start, at the R peak
    label : AAMI class: N, S (supraventricular), V (ventricular), F (fusion), Q (paced, unknown)
    score : the network's probability for this label, 0 to 1
    probabilities : of N, S, V, F and Q, given that there is a beat; sum 1
    """

    time: float
    label: str
    score: float
    probabilities: tuple[float, ...] = field(repr=False)

    @property
    def anomaly(self) -> bool:
        return self.label != "N"


@dataclass(frozen=True)
class BeatPolicy:
    """When frames make a beat. The model file carries the values chosen with it.

    Attributes
    ----------
    threshold : least mean probability of 'a beat' over three frames, 0 to 1
    apart : frames; a beat is the strongest within so many on either side (3: 150 ms, so
        that two beats are at least 200 ms apart)
    weights : factor for each class before the largest wins; 1 leaves the network's opinion
    """

    threshold: float = 0.5
    apart: int = 3
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)

    @property
    def before(self) -> int:
        """Frames before a moment that decide on it."""
        return self.apart + 1

    @property
    def after(self) -> int:
        """Frames after a moment that must be known before it is decided."""
        return self.apart + 1


def find_beats(probabilities: NDArray[np.float32], policy: BeatPolicy
               ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the beats among frames.

    Parameters
    ----------
    probabilities : [frames, 6]: none, N, S, V, F, Q. The first ``policy.before`` and the last
        ``policy.after`` frames only give context: they were, or will be, decided elsewhere.

    Returns
    -------
    frames : int64 [beats], ascending
    shares : float64 [beats, 5], the classes' probabilities given that there is a beat, sum 1
    """
    _, found, shares = find_beats_of_all(probabilities[None], policy)
    return found, shares


def find_beats_of_all(probabilities: NDArray[np.float32], policy: BeatPolicy
                      ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """`find_beats` for many patients at once: [patients, frames, 6].

    Returns
    -------
    patients : int64 [beats], ascending; frames and shares of each beat as of `find_beats`
    """
    apart, frames = policy.apart, probabilities.shape[1]
    decided = frames - policy.before - policy.after
    if decided <= 0:
        nobody = np.zeros(0, dtype=np.int64)
        return nobody, nobody, np.zeros((0, len(CLASSES)))
    # Three frames of 50 ms carry one beat (see training.train), so their sum is smooth. The
    # patients follow one another here; what is mixed at their ends is decided elsewhere.
    frame = probabilities.reshape(-1, 1 + len(CLASSES))
    weakness = np.correlate(frame[:, 0], _THREE, "same")
    # Few frames are strong, so only those are held against their neighbours.
    rows, found = (weakness.reshape(-1, frames)[:, policy.before : policy.before + decided]
                   <= 3.0 * (1.0 - policy.threshold)).nonzero()
    found += policy.before
    at = (rows * frames + found)[:, None]
    around = weakness.take(at + _span(-apart, apart))
    strongest = around.argmin(axis=1) == apart  # of equal neighbours the first is the beat
    rows, found = rows[strongest], found[strongest]
    three = np.add.reduce(frame.take(at[strongest] + _span(-1, 1), axis=0), axis=1)
    shares = three[:, 1:].astype(np.float64)
    return rows, found, shares / np.add.reduce(shares, axis=1, keepdims=True)


_THREE = np.ones(3, dtype=np.float32)


def classify(shares: NDArray[np.float64], policy: BeatPolicy) -> NDArray[np.int64]:
    """The class of each beat, int64 [beats], index into `CLASSES`."""
    return np.asarray((shares * policy.weights).argmax(axis=1))


# The search reaches this far to either side of where the frames say the beat is: their 50 ms
# raster, and the reference marks they were trained on, are not nearer than that.
SEARCH_S = 0.09
BASELINE_S = 0.20  # the level that a deflection is measured from: the mean over so much around
SMOOTH_SAMPLES = 5  # 14 ms at 360 Hz: noise moves no peak, a QRS keeps its own


def place_at_r_peak(ecg: NDArray[np.float32], near: Sequence[int] | NDArray[np.int64], fs: int
                    ) -> NDArray[np.int64]:
    """Move each beat to its R peak: the largest deflection, up or down, close by.

    Parameters
    ----------
    ecg : float32 [samples], mV, unfiltered
    near : [beats], sample positions
    fs : Hz

    Returns
    -------
    int64 [beats], sample positions inside the signal
    """
    centres = np.asarray(near, dtype=np.int64)
    if not len(centres):
        return centres
    around, deflection = _search(fs)
    pieces = ecg.take(centres[:, None] + around, mode="clip").astype(np.float64)
    # float32 makes equal again what the product's order of summing has made unequal.
    height = np.abs((pieces @ deflection).astype(np.float32))
    found = centres + (height.argmax(axis=1) - height.shape[1] // 2)
    return np.minimum(np.maximum(found, 0), len(ecg) - 1)


@lru_cache(maxsize=4)
def _search(fs: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The samples around a beat that are looked at, and the matrix that makes of them the
    deflection at each sample where its peak may be: the smoothed signal less its mean."""
    search, reach, half = round(SEARCH_S * fs), round(BASELINE_S * fs), SMOOTH_SAMPLES // 2
    places, wide = np.arange(-reach, reach + 1), np.arange(-reach - half, reach + half + 1)
    smoothed = (np.abs(wide[:, None] - places) <= half) / SMOOTH_SAMPLES
    deflection = smoothed - smoothed.mean(axis=1, keepdims=True)
    return wide, np.ascontiguousarray(deflection[:, reach - search : reach + search + 1])


@lru_cache(maxsize=8)
def _span(first: int, last: int) -> NDArray[np.int64]:
    """The whole numbers from first to last."""
    return np.arange(first, last + 1)
