"""Signals that are no ECG in mV: likely in other units, as counts or uV are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .missing import missing_samples
from .policy import MissingLimits

LARGEST_MV = 20.0  # of two seconds of any ECG, without the outermost hundredths
WINDOW_S = 2.0


def unlike_ecg(ecg: NDArray[np.float64], fs: float, limits: MissingLimits) -> int | None:
    """The first sample that no heart can have made, if most samples are like it; else None.

    Such a signal is likely in other units; so is one that spans more than `LARGEST_MV` in most
    stretches of two seconds: its largest sample is given. Samples that are missing are none of
    these, nor those that are repeated, which stand for missing ones. Parameters as of
    `missing_samples`.
    """
    with np.errstate(invalid="ignore"):
        other = ~np.isnan(ecg) & (np.diff(ecg, prepend=np.nan) != 0)
    impossible = missing_samples(ecg, fs, limits) & other
    if impossible.sum() > len(ecg) / 2:
        return int(impossible.argmax())
    own = ecg[other & (np.abs(ecg) < np.inf)]
    size = min(len(own), round(WINDOW_S * fs))
    if len(own) <= len(ecg) / 2:
        return None
    windows = own[: len(own) // size * size].reshape(-1, size)
    low, high = np.quantile(windows, (0.01, 0.99), axis=1)
    if np.median(high - low) <= LARGEST_MV:
        return None
    return int(np.nan_to_num(np.abs(ecg - np.median(own))).argmax())
