"""Rate and gaps of a table, derived from its column of times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError

# Gaps may make a recording so many times as long as its rows, or this long in any case.
MAX_LENGTHENING, MAX_LENGTH_S = 10, 3600.0
MAX_JITTER_SAMPLES = 3  # between a time and its place on an even grid


def place_rows(
    path: Path,
    column: str,
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    fs: float | None,
) -> tuple[float, NDArray[np.float64]]:
    """Place rows at their times, evenly spaced.

    Parameters
    ----------
    column : name of the column of times
    times : [rows], s
    values : [rows, leads]
    fs : Hz, taken if the times allow it

    Returns
    -------
    the rate in Hz, and the values, float64 [samples, leads], NaN in the gaps

    Raises
    ------
    RecordError
        The times do not rise, are uneven, or leave gaps too long for one recording.
    """
    steps = np.diff(times)
    if not ((steps > 0) & (steps < np.inf)).all():
        raise RecordError(f"{path}: the column {column!r} does not rise; expected numbers of s.")
    if not values.shape[1]:
        raise RecordError(f"{path} has times but no lead.")
    rate, jumps = _rate_and_jumps(path, times, fs)
    rows = np.arange(len(times))
    lost = np.where(jumps, np.rint((times[1:] - times[0]) * rate) - rows[1:], 0.0)
    places = rows + np.maximum.accumulate(np.append(0.0, lost))
    if places[-1] > max(MAX_LENGTHENING * len(rows), MAX_LENGTH_S * rate):
        raise RecordError(
            f"{path} has {len(rows) / rate:.3g} s of signal spread over "
            f"{times[-1] - times[0]:.3g} s; expected one recording."
        )
    placed = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
    placed[places.astype(np.int64)] = values
    return rate, placed


def _rate_and_jumps(
    path: Path, times: NDArray[np.float64], fs: float | None
) -> tuple[float, NDArray[np.bool_]]:
    """Return the rate in Hz of rising times (s), and which of their steps are jumps.

    Times are rounded: to ms, the steps at 360 Hz are 2 or 3 ms. Between jumps the steps still add
    up to the true duration, but for the rounding of both ends. Within that uncertainty ``fs`` is
    taken, else a whole number.

    Times of arrival jitter by more than rounding explains: some steps are much too short, others
    as much too long. In these no jump can be recognised, and they must stay near an even grid.
    """
    grain = max(
        next((10.0**-d for d in range(9) if (times.round(d) == times).all()), 1e-9),
        float(np.spacing(np.abs(times).max())),
    )
    steps = np.diff(times)
    usual = float(np.median(steps))
    margin = max(0.5 * usual, 1.01 * grain)
    jumps = steps > usual + margin
    jittered = bool((steps < usual - margin).any())
    if jittered:
        jumps[:] = False
    count, duration = int((~jumps).sum()), float(steps[~jumps].sum())
    mean_rate = count / duration
    largest_error = max(grain, float(np.abs(steps[~jumps] - duration / count).max()))
    uncertainty = 1.01 * largest_error * (int(jumps.sum()) + 1)
    if jittered:
        off = np.abs(times - times[0] - np.arange(len(times)) / mean_rate).max()
        if off > MAX_JITTER_SAMPLES / mean_rate:
            raise RecordError(
                f"{path}: its times are uneven, up to {off:.3g} s beside those of "
                f"{mean_rate:.6g} Hz, so gaps cannot be recognised; if there are "
                "none, give --fs and leave the times out."
            )
    return next(
        (
            rate
            for rate in (fs, float(round(mean_rate)))
            if rate and abs(count / rate - duration) <= uncertainty
        ),
        mean_rate,
    ), jumps
