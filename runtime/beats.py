"""From frames to beats: when a beat is one, which class it has, where its R peak is.

The network gives probabilities for every 50 ms frame; everything that turns those into beats
is here, apart from it, and looks only at a few frames around a moment, so that a stream cut
anywhere gives the beats of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .findings import CLASSES


@dataclass(frozen=True)
class BeatPolicy:
    """When frames make a beat. The model file carries the values that go with it.

    Attributes
    ----------
    threshold : least mean probability of 'a beat' over three frames, 0 to 1; this one finds
        beats best in training patients left out (`training.choose`)
    apart : frames from one beat's to the next's at least (3: 150 ms; their R peaks, sought
        around, may be nearer): a beat's is the strongest of so many before and one fewer after,
        for every one after delays the answer by 50 ms
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
        return self.apart


def find_beats(probabilities: NDArray[np.float32], policy: BeatPolicy
               ) -> list[tuple[int, int, list[float]]]:
    """Find the beats among the frames of one signal.

    Parameters
    ----------
    probabilities : [frames, 6]: none, N, S, V, F, Q. The first ``policy.before`` and the last
        ``policy.after`` frames only give context: they were, or will be, decided elsewhere.

    Returns
    -------
    of each beat, in order: its frame; its class, an index into `CLASSES`; the probabilities of all
        classes, given that there is a beat, sum 1
    """
    # Three frames of 50 ms carry one beat (see training.train), so their sum is smooth.
    none, apart = probabilities[:, 0].tolist(), policy.apart
    weakness = [a + b + c for a, b, c in zip(none, none[1:], none[2:], strict=False)]
    least, end = 3.0 * (1.0 - policy.threshold), len(none) - policy.after
    beats = []
    for frame, weak in enumerate(weakness, 1):
        if weak <= least and apart < frame < end:
            around = weakness[frame - 1 - apart : frame - 1 + apart]
            if around.index(min(around)) == apart:  # of equal neighbours the first is the beat
                three = zip(*probabilities[frame - 1 : frame + 2].tolist(), strict=True)
                _, n, s, v, f, q = [a + b + c for a, b, c in three]
                total = n + s + v + f + q
                shares = [n / total, s / total, v / total, f / total, q / total]
                weighted = [a * b for a, b in zip(shares, policy.weights, strict=True)]
                beats.append((frame, weighted.index(max(weighted)), shares))
    return beats


def find_beats_of_all(probabilities: NDArray[np.float32], policy: BeatPolicy
                      ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64],
                                 NDArray[np.float64]]:
    """`find_beats` for many patients at once, or for many frames: the same to the last bit.

    Parameters
    ----------
    probabilities : [patients, frames, 6]

    Returns
    -------
    patients, frames, classes : int64 [beats], ascending by patient and frame
    shares : float64 [beats, 5]
    """
    none, apart = probabilities[:, :, 0].astype(np.float64), policy.apart
    weakness = none[:, :-2] + none[:, 1:-1] + none[:, 2:]
    width = weakness.shape[1]
    # Few frames are strong, so only those are held against their neighbours.
    rows, found = (weakness[:, apart : max(apart, width - apart + 1)]
                   <= 3.0 * (1.0 - policy.threshold)).nonzero()
    around = weakness.take((rows * width + found)[:, None] + np.arange(2 * apart))
    strongest = around.argmin(axis=1) == apart
    rows, found = rows[strongest], found[strongest] + apart + 1
    middle = rows * probabilities.shape[1] + found
    three = probabilities.reshape(-1, 1 + len(CLASSES)).take(
        middle + _ABOUT, axis=0).astype(np.float64)  # [3, beats, 6]
    shares = (three[0] + three[1] + three[2])[:, 1:]
    shares = shares / shares.cumsum(axis=1)[:, -1:]  # one after another: `sum` does not promise it
    return rows, found, (shares * policy.weights).argmax(axis=1), shares


_ABOUT = np.array([[-1], [0], [1]])


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
    search, reach, around, every = _search(fs)
    pieces = ecg.take(centres[:, None] + around, mode="clip")
    # The pieces follow one another; what is mixed at their ends is cut off.
    smooth = np.correlate(pieces.ravel(), _SMOOTH, "full")[SMOOTH_SAMPLES - 1 :].reshape(
        pieces.shape)[:, : 2 * reach + 1]
    # Row by row: the product of all with one would sum in another order.
    level = np.array(list(map(every.dot, smooth)), dtype=np.float64) / len(every)
    close = smooth[:, reach - search : reach + search + 1].astype(np.float64)
    up = close.max(axis=1) + close.min(axis=1) >= 2 * level
    places = np.where(up, close.argmax(axis=1), close.argmin(axis=1)) - search
    return np.clip(centres + places, 0, len(ecg) - 1)


def r_peak(ecg: NDArray[np.float32], near: int, fs: int) -> int:
    """`place_at_r_peak` for one beat, the same to the last bit."""
    search, reach, around, every = _search(fs)
    first, last = near - len(around) // 2, near + len(around) // 2 + 1
    if first < 0 or last > len(ecg):
        return int(place_at_r_peak(ecg, (near,), fs)[0])
    smooth = np.correlate(ecg[first:last], _SMOOTH)
    level = float(every.dot(smooth)) / len(every)
    close = smooth[reach - search : reach + search + 1]
    up, down = int(close.argmax()), int(close.argmin())
    return near - search + (up if close.item(up) + close.item(down) >= 2 * level else down)


_SMOOTH = np.ones(SMOOTH_SAMPLES, dtype=np.float32)  # the largest sum is the largest mean


@lru_cache(maxsize=4)
def _search(fs: int) -> tuple[int, int, NDArray[np.int64], NDArray[np.float32]]:
    """Samples to either side where the peak may be; those of the level; all that are looked at;
    a one for each smoothed sample that makes the level."""
    reach = round(BASELINE_S * fs)
    wide = reach + SMOOTH_SAMPLES // 2
    return (round(SEARCH_S * fs), reach, np.arange(-wide, wide + 1),
            np.ones(2 * reach + 1, dtype=np.float32))
