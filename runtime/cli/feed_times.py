"""Times and counts in a feed's lines: which samples were lost on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..records.cells import number
from ..records.dates import seconds_of, zone_of

UNITS_PER_S = (1.0, 1e3, 1e6, 1e9)
LONGEST_S = 3600.0  # a longer jump is a clock that was set, and loses
UNKNOWN_S = 1.0  # so much: nobody knows how long


def sample_step(cells: Sequence[str], fs: float, decimal: str = ".") -> float | None:
    """Return by how much times or counts rise from sample to sample; None if these are none.

    Parameters
    ----------
    cells : of the first lines, one after another
    fs : Hz
    """
    times = [_value(cell, decimal) for cell in cells]
    if len(times) < 3 or None in times:
        return None
    steps = np.diff(np.array(times, dtype=np.float64))
    return next(
        (
            step
            for step in (1.0, *(scale / fs for scale in UNITS_PER_S))
            if np.all(np.abs(steps - step) <= 0.5 * step) and abs(steps.mean() - step) < 0.1 * step
        ),
        None,
    )


class LostSamples:
    """Counts the samples that a column of times or counts leaves out.

    Parameters
    ----------
    step : as of `sample_step`
    """

    def __init__(self, step: float, fs: float, decimal: str):
        self._step, self._fs, self._decimal = step, fs, decimal
        self._last: float | None = None
        self._rows = 0  # since that time

    def before(self, cell: str) -> int:
        """Return how many samples are missing between the last line and that with this time."""
        self._rows += 1
        now = _value(cell, self._decimal)
        if now is None:
            return 0
        rows, last = self._rows, self._last
        self._rows, self._last = 0, now
        if last is None or now - last < (rows + 1) * (1 - 1e-6) * self._step:
            return 0  # also where a count or a clock starts anew
        lost = round((now - last) / self._step) - rows
        return lost if lost <= LONGEST_S * self._fs else round(UNKNOWN_S * self._fs)


def _value(cell: str, decimal: str) -> float | None:
    found = number(cell, decimal)
    if found is not None:
        return found
    of_clock = seconds_of(cell)
    return None if of_clock is None else of_clock - (zone_of(cell) or 0.0)
