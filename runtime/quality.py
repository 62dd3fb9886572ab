"""What is wrong with a signal, said as a quality and never as a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLAT_MV = 0.03  # a QRS of any lead is larger; what moves less for a second is no ECG
CLIPPED_RUN = 5  # so many equal samples at the extreme: the amplifier's end, not a peak
HUGE_MV = 20.0  # no surface ECG swings so far: a loose electrode, or the wrong units


@dataclass(frozen=True)
class Quality:
    """Is this signal fit to be read?

    Attributes
    ----------
    ok : nothing was found wrong
    flat : share of the seconds in which the signal hardly moves (lead off)
    clipped : share of the seconds that stay at the signal's extreme value
    range_mv : largest less smallest value of the signal, mV
    """

    flat: float
    clipped: float
    range_mv: float

    @property
    def ok(self) -> bool:
        return self.flat == 0 and self.clipped == 0 and self.range_mv <= HUGE_MV

    def to_dict(self) -> dict[str, object]:
        return {"ok": self.ok, "flat": round(self.flat, 4), "clipped": round(self.clipped, 4),
                "range_mv": round(self.range_mv, 4)}


def assess(ecg: NDArray[np.floating], fs: float) -> Quality:
    """Judge a signal second by second.

    Parameters
    ----------
    ecg : [samples], mV, at least one sample
    fs : Hz
    """
    second = min(max(round(fs), 1), len(ecg))
    seconds = ecg[: len(ecg) // second * second].reshape(-1, second)
    low, high = float(ecg.min()), float(ecg.max())
    flat = np.ptp(seconds, axis=1) < FLAT_MV
    clipped = ~flat & (_longest_run(seconds == high) | _longest_run(seconds == low))
    return Quality(float(flat.mean()), float(clipped.mean()), high - low)


def _longest_run(extreme: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows hold at least `CLIPPED_RUN` true values in a row."""
    if extreme.shape[1] < CLIPPED_RUN:
        return np.zeros(len(extreme), dtype=bool)
    runs = np.lib.stride_tricks.sliding_window_view(extreme, CLIPPED_RUN, axis=1)
    return np.asarray(np.any(np.all(runs, axis=2), axis=1))
