"""The R peak of a beat: the largest deflection, up or down, close to where a frame found it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .loops import beat_loops

# The search reaches this far to either side of where the frames say the beat is: their 50 ms
# raster, and the reference marks they were trained on, are not nearer than that.
SEARCH_S = 0.09
LEVEL_S = 0.20  # the level that a deflection is measured from: the mean over so much around
MANY = 16  # beats, from which on they are moved together
SMOOTH_SAMPLES = 5  # 14 ms at 360 Hz: noise moves no peak, a QRS keeps its own


def r_peaks(ecg: NDArray[np.float32], near: Iterable[int], fs: int) -> list[int]:
    """Move each beat to its R peak.

    Parameters
    ----------
    ecg : float32 [samples], mV, unfiltered
    near : sample positions of the beats
    fs : Hz

    Returns
    -------
    sample positions inside the signal
    """
    places = list(near)
    if len(places) >= MANY and beat_loops is None:
        return _of_many(ecg, np.array(places), fs)
    search, reach, around, ones = _window(fs)
    if beat_loops is not None:
        ecg = np.ascontiguousarray(ecg, dtype=np.float32)
        return [beat_loops.r_peak(ecg, place, search, reach) for place in places]
    half, end, size = len(around) // 2, len(ecg), len(ones)
    found = []
    for centre in places:
        first, last = centre - half, centre + half + 1
        piece = (
            ecg[first:last]
            if first >= 0 and last <= end
            else ecg.take(centre + around, mode="clip")
        )
        smooth = np.correlate(piece, _SMOOTH)
        level = float(ones.dot(smooth)) / size
        close = smooth[reach - search : reach + search + 1]
        up, down = int(close.argmax()), int(close.argmin())
        upright = close.item(up) + close.item(down) >= 2 * level
        found.append(min(max(centre - search + (up if upright else down), 0), end - 1))
    return found


def _of_many(ecg: NDArray[np.float32], near: NDArray[np.int64], fs: int) -> list[int]:
    """`r_peaks` of many beats at once, to the last bit; for one it would take twice as long."""
    search, reach, around, ones = _window(fs)
    pieces, size = ecg.take(near[:, None] + around, mode="clip"), len(ones)
    smooth = pieces[:, :size].copy()
    for shift in range(1, SMOOTH_SAMPLES):  # in the order in which `np.correlate` adds
        smooth += pieces[:, shift : shift + size]
    levels = np.array([float(ones.dot(row)) for row in smooth]) / size
    close = smooth[:, reach - search : reach + search + 1]
    up, down = close.argmax(axis=1), close.argmin(axis=1)
    rows = np.arange(len(near))
    swing = close[rows, up].astype(np.float64) + close[rows, down]
    peaks = near - search + np.where(swing >= 2 * levels, up, down)
    return np.clip(peaks, 0, len(ecg) - 1).tolist()  # type: ignore[no-any-return]


_SMOOTH = np.ones(SMOOTH_SAMPLES, dtype=np.float32)  # the largest sum is the largest mean


@lru_cache(maxsize=4)
def _window(fs: int) -> tuple[int, int, NDArray[np.int64], NDArray[np.float32]]:
    """Sizes of the search at a rate.

    Returns
    -------
    samples to either side that the peak may lie in; those of the level; offsets of all that is
    looked at; a one for each smoothed sample of the level
    """
    reach = round(LEVEL_S * fs)
    wide = reach + SMOOTH_SAMPLES // 2
    return (
        round(SEARCH_S * fs),
        reach,
        np.arange(-wide, wide + 1),
        np.ones(2 * reach + 1, dtype=np.float32),
    )
