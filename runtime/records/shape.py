"""The shape of a signal whose name or unit is in doubt: its size, and whether it has QRS complexes.

Both are measured second by second or so and then taken in the middle, so that a spike, a value that
stands for a missing one, or a minute without electrodes counts for nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .digital import AT_ONCE, Signal

WINDOW_S = 2.0  # holds a beat of any heart above 30 a minute
MAX_WINDOWS = 1800  # an hour is enough
MAX_LOOKED_AT = 100_000  # samples, of which a median is nearly that of all
LARGEST_ECG_MV, SMALLEST_ECG_MV = 20.0, 0.05
LARGEST_OFFSET_MV = 300.0  # of electrodes, by IEC 60601-2-25; half a supply is more
FARTHEST_ECG_MV, MIN_NEAR = 500.0, 0.9  # as `runtime.signal.missing` has it; and share within
SLOPE_S = 0.02  # a QRS complex rises or falls in this time, noise of single samples does not
SHARP = 6.0  # ECG has 8 and more; noise about 3, pulse and breath 2 to 5
MIN_LEVELS = 8  # fewer values than this are marks, or the last bit of a converter


def usual_range(signal: Signal, fs: float) -> float:
    """Largest less smallest value in two seconds, the median of all that are not flat.

    A hundredth of the values at either end, 20 ms, is left out: spikes are shorter, R peaks wider.

    Parameters
    ----------
    signal : [samples], NaN if one is missing
    fs : Hz

    Returns
    -------
    in the signal's unit; 0 for a flat line
    """
    windows = _windows(_first_present(signal, MAX_WINDOWS * max(2, round(WINDOW_S * fs))), fs)
    if not windows.size:
        return 0.0
    low, high = np.quantile(windows, (0.01, 0.99), axis=1)
    ranges = (high - low)[high > low]
    return float(np.median(ranges)) if len(ranges) else 0.0


def ecg_range(signal: Signal, fs: float) -> float:
    """Return `usual_range` of a signal in mV without values that stand for missing ones.

    These are a few, now and then, beyond what electrodes and amplifiers give.
    """
    size = usual_range(signal, fs)
    if size <= LARGEST_ECG_MV:
        return size
    present = _first_present(signal, MAX_WINDOWS * max(2, round(WINDOW_S * fs)))
    near = present[np.abs(present) <= FARTHEST_ECG_MV]
    return usual_range(near, fs) if len(near) >= MIN_NEAR * len(present) else size


def level(signal: Signal) -> float:
    """Median of a signal, [samples], NaN if one is missing; 0 if most are one and the same value.

    Such a value stands for missing samples, and is no level.
    """
    present = _present(signal, max(1, len(signal) // MAX_LOOKED_AT))
    if not len(present):
        return 0.0
    median = float(np.median(present))
    return median if (present == median).mean() < 0.5 else 0.0


def sharpness(signal: Signal, fs: float) -> float:
    """Steepest slope of two seconds over a usual one: a measure of QRS complexes.

    Parameters
    ----------
    signal : [samples], any unit, NaN if one is missing
    fs : Hz

    Returns
    -------
    the median over the windows; 0 for a flat line, a count and a signal of few values
    """
    present = signal[np.isfinite(signal)]
    if len(np.unique(present[: round(60 * fs)])) < MIN_LEVELS or _counts(present):
        return 0.0
    lag = max(1, round(SLOPE_S * fs))
    windows = np.abs(np.diff(_windows(present, fs)[:, ::lag], axis=1))
    if not windows.size:
        return 0.0
    steps = windows[windows > 0]
    least = float(steps.min()) if len(steps) else 1.0
    usual = np.maximum(np.quantile(windows, 0.75, axis=1), least)
    return float(np.median(windows.max(axis=1) / usual))


def doubt(signal: Signal, fs: float) -> str | None:
    """The likely unit of numbers that cannot be an ECG in mV; None if they can be.

    Parameters
    ----------
    signal : [samples], numbers without a unit
    fs : Hz

    Returns
    -------
    ``uV``, ``V`` or ``counts``
    """
    size = ecg_range(signal, fs)
    if size > LARGEST_ECG_MV:
        present = signal[np.isfinite(signal)]
        whole = bool((present == np.rint(present)).all())
        offset = abs(float(np.median(present))) > 2 * size or float(present.min()) >= 0
        small = size / 1000 < SMALLEST_ECG_MV
        counts = (whole and (offset or small)) or size / 1000 > LARGEST_ECG_MV
        return "counts" if counts else "uV"
    if 0 < size < SMALLEST_ECG_MV and sharpness(signal, fs) >= SHARP:
        return "V"
    return None


def _first_present(signal: Signal, count: int) -> NDArray[np.float64]:
    """Return the first so many of the samples that are there, all of fewer."""
    taken, left = [], count
    for at in range(0, len(signal), AT_ONCE):
        piece = signal[at : at + AT_ONCE]
        taken.append(piece[np.isfinite(piece)][:left])
        left -= len(taken[-1])
        if left <= 0:
            break
    return np.concatenate(taken) if taken else np.zeros(0)


def _present(signal: Signal, step: int) -> NDArray[np.float64]:
    """Every so many of the samples that are there, without a second copy of a day of them."""
    taken, skip = [], 0
    for at in range(0, len(signal), AT_ONCE):
        piece = signal[at : at + AT_ONCE]
        piece = piece[np.isfinite(piece)]
        taken.append(piece[skip::step].copy())
        skip = (skip - len(piece)) % step
    return np.concatenate(taken) if taken else np.zeros(0)


def _windows(signal: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Cut into [windows, samples]; what is shorter than one is one."""
    size = min(len(signal), max(2, round(WINDOW_S * fs)))
    count = min(len(signal) // size, MAX_WINDOWS) if size else 0
    return signal[: count * size].reshape(count, size)


def _counts(signal: NDArray[np.float64]) -> bool:
    """True if most steps are the same and not 0: a clock, or a count that starts anew."""
    steps = np.diff(signal[: 1 << 16])
    if not len(steps):
        return False
    usual = np.median(steps)
    return bool(usual != 0 and (np.abs(steps - usual) < 1e-6 * abs(usual)).mean() > 0.5)
