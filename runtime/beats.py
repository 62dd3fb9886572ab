"""From frames to beats: when a beat is one, which class it has, where its R peak is.

The network gives probabilities for every 50 ms frame; everything that turns those into beats
is here, apart from it, and looks only at a few frames around a moment, so that a stream cut
anywhere gives the beats of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    frames = len(probabilities)
    if frames <= policy.before + policy.after:
        return np.zeros(0, dtype=np.int64), np.zeros((0, len(CLASSES)))
    # Three frames of 50 ms carry one beat (see training.train), so their sum is smooth.
    three = probabilities[:-2] + probabilities[1:-1] + probabilities[2:]
    strength = 1.0 - three[:, 0] / 3.0
    middle = strength[policy.apart : len(strength) - policy.apart]
    is_beat = middle >= policy.threshold
    for shift in range(1, policy.apart + 1):
        # Of equal neighbours the first is the beat.
        is_beat &= middle > strength[policy.apart - shift : len(strength) - policy.apart - shift]
        is_beat &= middle >= strength[policy.apart + shift :][: len(middle)]
    found = np.flatnonzero(is_beat)
    shares = three[found + policy.apart, 1:].astype(np.float64)
    return found + policy.before, shares / shares.sum(axis=1, keepdims=True)


def classify(shares: NDArray[np.float64], policy: BeatPolicy) -> NDArray[np.int64]:
    """The class of each beat, int64 [beats], index into `CLASSES`."""
    return np.asarray(np.argmax(shares * np.asarray(policy.weights), axis=1))


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
    search, reach = round(SEARCH_S * fs), round(BASELINE_S * fs)
    half = SMOOTH_SAMPLES // 2
    kernel = np.full(SMOOTH_SAMPLES, 1.0 / SMOOTH_SAMPLES)
    centres = np.asarray(near, dtype=np.int64)
    if not len(centres):
        return centres
    around = np.arange(-reach - half, reach + half + 1)
    pieces = ecg[np.clip(centres[:, None] + around, 0, len(ecg) - 1)].astype(np.float64)
    smooth = np.apply_along_axis(np.convolve, 1, pieces, kernel, mode="valid")
    deflection = np.abs(smooth - smooth.mean(axis=1, keepdims=True))
    middle = deflection[:, reach - search : reach + search + 1]
    return np.clip(centres + middle.argmax(axis=1) - search, 0, len(ecg) - 1)
