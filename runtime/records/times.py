"""Rate and gaps of a table, derived from its column of times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .dates import DAY_S

# Gaps may make a recording so many times as long as its rows, or this long in any case.
MAX_LENGTHENING, MAX_LENGTH_S = 10, 3600.0
MAX_JITTER_SAMPLES = 3  # between a time and its place on an even grid
MAX_JITTER_PACKETS = 2  # the same of packets, whose times are often those of arrival
MAX_LATE_ROWS, MAX_LATE_S = 0.01, 1.0  # share of rows that may be late, as UDP packets are,
MAX_LATE_BY = 50  # and by so many rows
COUNTED_ROWS, MOST_STEPS = 1000, 0.8  # looked at first; share of steps that are a counter's
# Seconds of a unit of time, likely first, and the rates of which one is believed, Hz.
SCALES = (
    *((scale, 20.0, 10_000.0) for scale in (1.0, 1e-3, 1e-6, 1e-9)),
    *((scale, 100.0, 2000.0) for scale in (60.0, 3600.0, DAY_S)),
)
# Days after the first number count from the second: MATLAB's, and a spreadsheet's from 1954 on.
DAYS_FROM = ((700_000.0, 719_529.0), (20_000.0, 25_569.0))
EPOCH_S = 1e8  # later than this in 1973: seconds since 1970, not since a start
LAST_S = 4e9  # of a moment, in 2096


class UnusableTimesError(RecordError):
    """The times do not rise, or are too uneven to tell a gap; with a rate they are not needed."""


def place_rows(
    path: Path,
    column: str,
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    fs: float | None,
) -> tuple[float, NDArray[np.float64]]:
    """Place rows at their times, evenly spaced.

    A time that several rows share is that of a packet of samples.

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
    UnusableTimesError
        The times do not rise or are uneven.
    RecordError
        The times leave gaps too long for one recording.
    """
    steps = np.diff(times)
    if not ((steps >= 0) & (steps < np.inf)).all() or not (steps > 0).any():
        at = int(np.argmin((steps >= 0) & (steps < np.inf)))
        raise UnusableTimesError(
            f"{path}: the column {column!r} does not rise (row {at + 2} of the numbers); expected "
            "rising times, or --fs, with which they are not needed."
        )
    if not values.shape[1]:
        raise RecordError(f"{path} has times but no lead.")
    starts = np.flatnonzero(np.append(True, steps > 0))  # first rows of the packets
    sizes = np.diff(np.append(starts, len(times)))
    rate, jumps = _rate_and_jumps(path, times[starts], sizes[:-1], fs)
    lost = np.where(jumps, np.rint(np.diff(times[starts]) * rate) - sizes[:-1], 0.0)
    if (sizes == 1).all():
        # From the start on, so that the roundings of several gaps do not add up.
        lost = np.where(jumps, np.rint((times[1:] - times[0]) * rate) - starts[1:], 0.0)
        shift = np.maximum.accumulate(np.append(0.0, lost))
    else:
        shift = np.cumsum(np.append(0.0, np.maximum(lost, 0.0)))
    places = np.arange(len(times)) + np.repeat(shift, sizes)
    if places[-1] > max(MAX_LENGTHENING * len(times), MAX_LENGTH_S * rate):
        raise RecordError(
            f"{path} has {len(times) / rate:.3g} s of signal spread over "
            f"{times[-1] - times[0]:.3g} s; expected one recording."
        )
    placed = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
    placed[places.astype(np.int64)] = values
    return rate, placed


def counts(numbers: NDArray[np.float64]) -> bool:
    """Return True for numbers of samples: they rise by as much from nearly every row to the next.

    They may start anew after the largest, as those of eight bits do.
    """
    usual = _usual_step(numbers[:COUNTED_ROWS])
    if usual < 1 or usual != int(usual) or not np.isfinite(numbers).all():
        return False
    if _usual_step(numbers) != usual:
        return False
    steps = _steps(numbers, usual)
    return bool(((steps > 0) & (steps % usual == 0)).all())


def place_counted(
    path: Path, numbers: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Place rows by their numbers.

    Parameters
    ----------
    numbers : [rows], of which `counts` is true
    values : [rows, leads]

    Returns
    -------
    float64 [samples, leads], NaN for rows that were left out

    Raises
    ------
    RecordError
        They leave out more than one recording can lack.
    """
    usual = _usual_step(numbers)
    places = np.append(0.0, np.cumsum(_steps(numbers, usual) / usual))
    if places[-1] == len(values) - 1:
        return values
    if places[-1] > MAX_LENGTHENING * len(values):
        raise RecordError(
            f"{path} counts {places[-1] + 1:.0f} samples in {len(values)} rows; expected one "
            "recording."
        )
    placed = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
    placed[places.astype(np.int64)] = values
    return placed


def _steps(numbers: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    steps = np.diff(numbers)
    return np.where(steps < 0, steps + (numbers.max() - numbers.min() + usual), steps)


def _usual_step(counts: NDArray[np.float64]) -> float:
    """Return the step between most numbers, 0 if none is that of most."""
    steps = np.diff(counts)
    usual = float(np.median(steps)) if len(steps) else 0.0
    return usual if len(steps) and (steps == usual).mean() > MOST_STEPS else 0.0


def moment_of(seconds: float) -> datetime | None:
    """Return the moment so many seconds after 1970, without a zone; None if that is no date."""
    if not EPOCH_S < seconds < LAST_S:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def past_midnight(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let a clock's times of day (s) go on after midnight."""
    return times + DAY_S * np.cumsum(np.diff(times, prepend=times[:1]) < -DAY_S / 2)


def likely_scale(times: NDArray[np.float64]) -> float:
    """Seconds of the unit of times that do not state it: s, ms, us or ns, whichever gives a rate.

    A step of exactly 1 may be a second or a count, and is taken for a second.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps) or (steps == 1).all():
        return 1.0
    if times[0] > EPOCH_S:  # of today's date in s, 1e9; in ms, 1e12; in us, 1e15; in ns, 1e18
        return float(next((s for s in (1.0, 1e-3, 1e-6) if times[0] * s < 1e11), 1e-9))
    # Of a row: rows of a packet share a time. The median, for a pause may outlast the recording.
    step = float(np.median(steps)) * (len(steps) + 1) / len(times)
    return next((s for s, low, high in SCALES if low <= 1 / (step * s) <= high), 1.0)


def in_seconds(times: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Times in s; divided, where that is exact, so that ms stay whole thousandths.

    Days of a spreadsheet or of MATLAB, which count from 1900 or the year 0, become s since 1970.
    """
    if scale == DAY_S:
        first = next((zero for after, zero in DAYS_FROM if times[0] > after), 0.0)
        # To whole ms of a clock that has them: a day's part in ten digits is off by some us.
        return np.round((times - first) * DAY_S, 4)
    return times / round(1 / scale) if scale < 1 else times * scale


def with_months_first(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read the dates of moments (s since 1970) the other way: the fifth of January for 1 May.

    Moments whose day is no month stay.
    """

    def swapped(midnight: float) -> float:
        date = datetime.fromtimestamp(midnight, UTC)
        return (
            date.replace(month=date.day, day=date.month).timestamp() if date.day < 13 else midnight
        )

    days, place = np.unique(times // DAY_S * DAY_S, return_inverse=True)
    return np.array([swapped(one) for one in days])[place] + times % DAY_S


def in_order(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Put rows in the order of their times if these all fall, or a few are late by a moment.

    Returns
    -------
    times, values, and what was done, empty if nothing
    """
    steps = np.diff(times)
    falls = steps < 0
    if len(steps) and falls.any() and (steps <= 0).all():
        return times[::-1], values[::-1], "its rows were in reverse order"
    if falls.any() and falls.mean() <= MAX_LATE_ROWS and -steps.min() <= MAX_LATE_S:
        order = np.argsort(times, kind="stable")
        if np.abs(order - np.arange(len(times))).max() <= MAX_LATE_BY:  # else it starts anew
            done = f"{falls.sum()} of its rows were late and put in order"
            return times[order], values[order], done
    return times, values, ""


def digits_of_clock(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read 102259.5 as 10:22:59.5 if only so no minute has 100 s; else return the times."""
    if not (times >= 0).all() or times.max() >= 240_000 or not (times % 100 < 60).all():
        return times
    hours, rest = np.divmod(times, 10_000)
    minutes, seconds = np.divmod(rest, 100)
    steps = np.diff(times)
    if minutes.max() >= 60 or not ((steps // 40 % 10 == 1) | (steps < -230_000)).any():
        return times
    return past_midnight(np.round(3600 * hours + 60 * minutes + seconds, 6))


def _rate_and_jumps(
    path: Path, times: NDArray[np.float64], sizes: NDArray[np.int64], fs: float | None
) -> tuple[float, NDArray[np.bool_]]:
    """Return the rate in Hz of rising times (s), and which of their steps are jumps.

    Times are rounded: to ms, the steps at 360 Hz are 2 or 3 ms. Between jumps the steps still add
    up to the true duration, but for the rounding of both ends. Within that uncertainty ``fs`` is
    taken, else a whole number.

    Times of arrival jitter by more than rounding explains: some steps are much too short, others
    as much too long. In these no jump can be recognised, and they must stay near an even grid.

    Parameters
    ----------
    times : of rows, or of packets of rows
    sizes : rows from each time to the next
    """
    grain = max(
        next((10.0**-d for d in range(9) if (times.round(d) == times).all()), 1e-9),
        float(np.spacing(np.abs(times).max())),
    )
    steps = np.diff(times)
    usual = float(np.median(steps / sizes)) * sizes
    ticks = len(sizes) > 2 and np.median(sizes) > 2 and np.median(steps) <= 1.01 * grain
    if ticks:  # of a clock in whole seconds, say: of each all samples are there, but for one
        grain = 2 * float(np.median(steps / sizes))
    margin = np.maximum(0.5 * usual, 1.01 * grain)
    jumps = steps > usual + margin
    if ticks and steps[0] <= np.median(steps):
        jumps[0] = False  # it began within a second
    jittered = bool((steps < usual - margin).any())
    if jittered:
        jumps[:] = False
    if len(sizes) > 2 and sizes[0] < np.median(sizes) and not jumps[1:].all():
        counted = ~jumps & (np.arange(len(sizes)) > 0)  # the first packet is cut: 10:00:00.5
    else:
        counted = ~jumps
    count, duration = int(sizes[counted].sum()), float(steps[counted].sum())
    mean_rate = count / duration
    largest_error = max(grain, float(np.abs(steps[counted] - sizes[counted] / mean_rate).max()))
    uncertainty = 1.01 * largest_error * (int(jumps.sum()) + 1)
    if jittered:
        rows = np.append(0, np.cumsum(sizes))
        off = np.abs(times - times[0] - rows / mean_rate).max()
        packets = sizes.max() > 1
        allowed = MAX_JITTER_PACKETS * int(sizes.max()) if packets else MAX_JITTER_SAMPLES
        if off > allowed / mean_rate:
            raise UnusableTimesError(
                f"{path}: its times are uneven, up to {off:.3g} s beside those of "
                f"{mean_rate:.6g} Hz, so gaps cannot be recognised; if there are "
                "none, give --fs, with which the times are not needed."
            )
    return next(
        (
            rate
            for rate in (fs, float(round(mean_rate)))
            if rate and abs(count / rate - duration) <= uncertainty
        ),
        mean_rate,
    ), jumps
