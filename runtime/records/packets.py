"""Tables whose rows are no samples of all columns: packets as rows, sensors of several rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_PACKET = 5  # samples in a row; fewer may be leads
SMOOTH = 0.5  # of the steps' power: from sample to sample less than from row to row
LOOKED_AT = 20_000  # numbers that show it
REGULAR = 0.95  # of a slower sensor's rows, so many are equally far apart


def are_packets(values: NDArray[np.float64]) -> bool:
    """Return True if each row holds samples that follow each other, not leads beside each other.

    Then a signal goes on from the end of a row to the start of the next.

    Parameters
    ----------
    values : [rows, columns], without times
    """
    columns = values.shape[1]
    some = values[: max(2, LOOKED_AT // max(columns, 1))]
    if columns < MIN_PACKET or not np.isfinite(some).all():
        return False
    down = _power(np.diff(some, axis=0))
    within, across = _power(np.diff(some, axis=1)), _power(some[1:, 0] - some[:-1, -1])
    return max(within, across) < SMOOTH * down


def filled(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give rows without a time that of their packet: the last that is stated, or else the next.

    Parameters
    ----------
    times : [rows], NaN where none is stated
    """
    known = np.flatnonzero(~np.isnan(times))
    if not len(known) or len(known) == len(times):
        return times
    if known[0] == 0:
        return times[known[np.searchsorted(known, np.arange(len(times)), side="right") - 1]]
    if known[-1] == len(times) - 1:
        return times[known[np.searchsorted(known, np.arange(len(times)))]]
    return times


def own_stride(samples: NDArray[np.float64]) -> int:
    """Return after how many rows a slower sensor has a sample each time; 1 for any other.

    Parameters
    ----------
    samples : [rows], NaN in the rows between
    """
    first = int(np.isfinite(samples).argmax())
    some = np.isfinite(samples[first : first + LOOKED_AT])
    if (some[1:] & some[:-1]).any():  # two rows that follow each other
        return 1
    steps = np.diff(np.flatnonzero(np.isfinite(samples)))
    if not len(steps):
        return 1
    stride = int(np.median(steps))
    regular = stride > 1 and (steps == stride).mean() >= REGULAR and not (steps % stride).any()
    return stride if regular else 1


def _power(steps: NDArray[np.float64]) -> float:
    return float(np.mean(np.square(steps)))
