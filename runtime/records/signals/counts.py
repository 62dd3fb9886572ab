"""Whole numbers for formats that store those: exact where the signal came from a converter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..shape import usual_range

ON_GRID = 0.01  # of a count: so far may a value lie beside a whole one
FINE_COUNTS = 1000  # in the usual range of a signal; fewer would be seen


@dataclass(frozen=True)
class Counts:
    """A signal is (counts - baseline) / gain.

    Attributes
    ----------
    gain : counts a unit
    baseline : count of 0
    exact : no sample moves by more than rounding errors
    """

    gain: float
    baseline: int
    exact: bool

    def of(self, samples: NDArray[np.float64], missing: int) -> NDArray[np.int64]:
        """Return the counts of samples; ``missing`` for NaN."""
        counts = np.rint(np.nan_to_num(samples) * self.gain) + self.baseline
        return np.where(np.isnan(samples), missing, counts).astype(np.int64)


def find_counts(samples: NDArray[np.float64], bits: int) -> Counts:
    """Find gain and baseline for so many bits, of which the lowest count stands for missing.

    The gain of the converter is found again if all samples lie on a grid; else the range of the
    signal is spread over all counts.
    """
    most = 2 ** (bits - 1) - 2
    present = np.unique(samples[np.isfinite(samples)])
    if not len(present):
        return Counts(1.0, 0, True)
    grid = _grid(present)
    if grid is not None:
        low, high = np.rint(present[0] * grid), np.rint(present[-1] * grid)
        baseline = 0 if max(abs(low), abs(high)) <= most else int(-np.rint((low + high) / 2))
        if high - low <= 2 * most:
            return Counts(grid, baseline, True)
    middle, half = (present[0] + present[-1]) / 2, max((present[-1] - present[0]) / 2, 1e-12)
    gain = float(f"{most / half:.6g}") * (1 - 1e-5)
    gain = float(f"{gain:.6g}")
    return Counts(gain, int(-np.rint(middle * gain)), False)


def is_fine(counts: Counts, samples: NDArray[np.float64], fs: float) -> bool:
    """Return True if a signal's usual range spans enough counts, or all samples are exact."""
    return counts.exact or usual_range(samples, fs) * counts.gain >= FINE_COUNTS


def _grid(present: NDArray[np.float64]) -> float | None:
    """Counts a unit of a signal on a grid through 0; None if it lies on none.

    Parameters
    ----------
    present : sorted, each value once
    """
    if len(present) < 2:
        step = abs(present[0]) or 1.0
    else:
        steps = np.diff(present)
        step = float(steps[steps > 1e-9 * np.abs(present).max()].min(initial=np.inf))
    if not 0 < step < np.inf:
        return None
    far = present[np.argmax(np.abs(present))]
    gain = abs(float(np.rint(far / step) / far)) if far else 1 / step
    errors = {
        candidate: float(np.abs(present * candidate - np.rint(present * candidate)).max())
        for candidate in (float(np.rint(gain)), float(f"{gain:.6g}"), gain)
        if candidate > 0
    }
    best = min(errors.values(), default=np.inf)
    for candidate, error in errors.items():  # the roundest of those that are as good
        if error <= min(ON_GRID, 2 * best + 1e-6):
            return candidate
    return None
