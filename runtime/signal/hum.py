"""Mains hum: 50 and 60 Hz that last all through a second of signal."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def without_hum(rows: NDArray[np.floating], fs: float) -> NDArray[np.float64]:
    """The signal less its hum, the 50 and 60 Hz that last all through each second.

    The hum is the median over tenths of a second, in which a QRS counts for nothing.

    Parameters
    ----------
    rows : [seconds, samples], mV
    fs : Hz, of which a tenth is a whole number
    """
    tenth = round(fs / 10)
    waves_of = mains(fs, tenth)
    parts = rows.reshape(len(rows), -1, tenth)
    waves = median((parts @ waves_of).swapaxes(1, 2))
    return np.asarray((parts - (waves @ waves_of.T * (tenth / 2))[:, None]).reshape(rows.shape))


@lru_cache(maxsize=16)
def mains(fs: float, samples: int) -> NDArray[np.float64]:
    """[samples, 4]: cosine and sine of 50 and of 60 Hz, scaled to give amplitudes."""
    angle = 2 * np.pi * np.arange(samples)[:, None] * np.array([50.0, 60.0]) / fs
    return np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(samples, 4) * 2 / samples


def median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`numpy.median` along the last axis, which has twenty times this overhead."""
    middle = (values.shape[-1] - 1) // 2, values.shape[-1] // 2
    ordered = np.partition(values, middle, axis=-1)
    return np.asarray((ordered[..., middle[0]] + ordered[..., middle[1]]) / 2)
