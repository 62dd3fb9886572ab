"""Missing samples: those that are not there, and those that no heart can have made.

NaN is the one way to say that a sample is missing. A value is taken as missing too if no heart can
make it: sentinels (-999, -32768), spikes of pacemakers and cables, the end of an amplifier's range,
and a value that repeats itself exactly for so long as no noise lets it: 0, mid-range or the last
value, which devices write if they have none. A signal that never moved is a flat line, and stays
one. Each is decided from the samples up to it, so a signal cut anywhere is the whole's.
Missing samples are bridged: the signal is held at the value before, so that the network sees
nothing of them. Where they are long enough to hide a beat they are remembered as gaps, and the
signal is eased back to its own level after them, because the network takes a step for a beat.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .gaps import GAP_S
from .loops import loops
from .policy import MissingLimits

# Electrodes offset an ECG by 300 mV at most (IEC 60601-2-25), and an amplifier adds some.
LARGEST_MV = 500.0
# IEC 60601-2-27 asks monitors to follow 320 mV/s. The steepest QRS complexes of mitdb, svdb,
# ptbxl and cinc2017 reach 230 to 440; a spike of 20 mV with round flanks in 50 ms is steeper.
STEEPEST_MV_S = 1000.0
LARGEST_STEP_MV = 12.0  # however long samples are missing; a QRS complex and baseline wander
# From a value that no heart can make the signal comes back to where it was, or its tail is as
# false; but where it was may have been a QRS complex, which is over by then.
BACK_MV, BACK_S = 2.0, 0.1
NEW_LEVEL_S = 0.5  # after so long a signal elsewhere is no spike but another level
EASED_MV = 1e-4  # what is left of it counts no more
AT_ONCE = 1 << 16  # samples, of which lists are made
PIECE_S = 600.0  # of a recording, bridged at once
NONE_YET, STILL, MOVING = 2.0, 1.0, 0.0  # has the signal begun, and has it moved since?
MARKS = 4  # looked at in a run of `MissingLimits.constant_s`, of which three are alike
_LARGEST_STATE = 1e9  # of an offset; real ones are below 1e3
_NOWHERE = -4 * LARGEST_MV  # stands for a sample that is no number: near to nothing


class Edge(NamedTuple):
    """Where a signal stands between two chunks: all that `bridge` keeps of it. Plain numbers.

    Attributes
    ----------
    offset : taken off the signal, mV
    last, second, third : the last three samples that are not missing, the latest first, mV
    came : the last sample of all, mV
    away : samples that are missing since
    jumped : 1 if one of them was a number
    begun : `NONE_YET`, `STILL` or `MOVING`
    ease : added to the next sample to ease it back after a gap, mV
    repeats : how often the last value has followed itself exactly
    """

    offset: float = 0.0
    last: float = 0.0
    second: float = 0.0
    third: float = 0.0
    came: float = _NOWHERE
    away: float = 0.0
    jumped: float = 0.0
    begun: float = NONE_YET
    ease: float = 0.0
    repeats: float = 0.0

    def check(self) -> None:
        """Raise ValueError for numbers that no signal can have left."""
        if not (
            all(map(math.isfinite, self))
            and all(abs(value) <= LARGEST_MV for value in (self.last, self.second, self.third))
            and (abs(self.came) <= LARGEST_MV or self.came == _NOWHERE)
            and abs(self.offset) <= _LARGEST_STATE
            and abs(self.ease) <= _LARGEST_STATE
            and all(
                0 <= count <= 1 << 40 and count == int(count) for count in (self.away, self.repeats)
            )
            and self.jumped in (0, 1)
            and self.begun in (NONE_YET, STILL, MOVING)
        ):
            raise ValueError("the signal does not stand anywhere")


NO_SIGNAL = Edge()  # before a recording's first sample


class Bridged(NamedTuple):
    """Signal without gaps.

    Attributes
    ----------
    ecg : float32 [patients, samples], mV, less the offset
    edges : the state after it, of each patient
    missing : patient -> bool [samples], True for missing ones; of patients who have any
    back : patient -> samples before these that turn out to be missing; of patients who have any
    """

    ecg: NDArray[np.float32]
    edges: tuple[Edge, ...]
    missing: dict[int, NDArray[np.bool_]]
    back: dict[int, int]


def bridge(
    ecg: NDArray[np.float64], edges: Sequence[Edge], fs: float, limits: MissingLimits
) -> Bridged:
    """Find the missing samples of the next chunk and hold the signal over them.

    Parameters
    ----------
    ecg : float64 [patients, samples], mV, NaN if one is missing
    edges : the state before it, of each patient
    fs : Hz
    """
    if not ecg.shape[1]:
        return Bridged(ecg.astype(np.float32), tuple(edges), {}, {})
    held, missing, back = np.empty(ecg.shape, dtype=np.float32), {}, {}
    moved_on = plain_after(ecg, edges, fs, limits, held)
    for patient, after in enumerate(moved_on):
        if after is None:  # seldom
            row, edge = ecg[patient], edges[patient]
            held[patient], mask, moved_on[patient], before = _bridge(row, edge, fs, limits)
            if mask.any():
                missing[patient] = mask
            if before:
                back[patient] = before
    return Bridged(held, tuple(moved_on), missing, back)  # type: ignore[arg-type]


def missing_samples(
    ecg: NDArray[np.float64], fs: float, limits: MissingLimits
) -> NDArray[np.bool_]:
    """True for samples that are missing, or that no heart can have made, bool [samples].

    Parameters
    ----------
    ecg : [samples], mV, a recording from its start on; NaN if a sample is missing
    fs : Hz
    """
    found = np.zeros(len(ecg), dtype=bool)
    for at, piece in bridged_pieces(ecg, fs, limits):
        if (mask := piece.missing.get(0)) is not None:
            found[at : at + len(mask)] = mask
            found[at - piece.back.get(0, 0) : at] = True
    return found


def bridged_pieces(
    ecg: NDArray[np.float64], fs: float, limits: MissingLimits
) -> Iterator[tuple[int, Bridged]]:
    """Bridge a recording in pieces of `PIECE_S`, so that a day needs no second copy of it.

    Parameters as of `missing_samples`. Gives the number of each piece's first sample, and the piece
    of one patient.
    """
    edge, size = NO_SIGNAL, max(1, round(PIECE_S * fs))
    for at in range(0, len(ecg), size):
        piece = bridge(ecg[at : at + size][None], [edge], fs, limits)
        (edge,) = piece.edges
        yield at, piece


def plain_after(
    ecg: NDArray[np.float64],
    edges: Sequence[Edge],
    fs: float,
    limits: MissingLimits,
    held: NDArray[np.float32] | None = None,
) -> list[Edge | None]:
    """Each patient's state after a chunk of which nothing is missing, nearly always; else None.

    Parameters
    ----------
    ecg : float64 [patients, samples], mV, one sample at least
    edges : the state before it
    held : float32 [patients, samples], filled with the signal less its offset
    """
    most, step = limits.constant_s * fs, min(LARGEST_STEP_MV, STEEPEST_MV_S / fs)
    if loops is not None:
        given = np.ascontiguousarray(ecg), edges, most, step, LARGEST_MV, MARKS, Edge
        after: list[Edge | None] = (
            loops.plain(*given) if held is None else loops.plain(*given, held)
        )
        return after
    return [
        _plain_after(row, edge, most, step, None if held is None else held[patient])
        for patient, (row, edge) in enumerate(zip(ecg, edges, strict=True))
    ]


def _plain_after(
    ecg: NDArray[np.float64],
    edge: Edge,
    most: float,
    step: float,
    held: NDArray[np.float32] | None,
) -> Edge | None:
    """`plain_after` of one patient: ``most`` repeats of a value, and the largest step, mV."""
    offset, last, second, third, _, away, _, begun, ease, repeats = edge
    low, high = ecg.item(ecg.argmin()), ecg.item(ecg.argmax())
    # Of NaN argmin and argmax give the place, and no comparison with it is true.
    if away or ease or not (low >= -LARGEST_MV and high <= LARGEST_MV):
        return None
    newest = ecg[-3:].tolist()
    still = begun and low == high
    if begun:
        if begun == NONE_YET:
            offset = last = second = third = ecg.item(0)
        begun = STILL if low == high == last else MOVING
    if repeats + len(ecg) > most and not still and _may_be_constant(ecg, last, repeats, most):
        return None
    if newest[-1] != (newest[-2] if len(newest) > 1 else last):
        repeats = 0.0
    else:
        repeats = _repeats(ecg, last, repeats)
    if max(high, last) - min(low, last) > step:
        if abs(ecg.item(0) - last) > step:
            return None
        slopes = np.correlate(ecg, _DIFFERENCE)
        if slopes.item(slopes.argmax()) > step or slopes.item(slopes.argmin()) < -step:
            return None
    if len(newest) == 3:
        third, second, last = newest
    else:
        last, second, third = (*newest[::-1], last, second)[:3]
    if held is not None:
        np.subtract(ecg, offset, out=held, casting="same_kind")
    return Edge(offset, last, second, third, last, 0.0, 0.0, begun, 0.0, repeats)


_DIFFERENCE = np.array([-1.0, 1.0])


def _may_be_constant(ecg: NDArray[np.float64], last: float, repeats: float, most: float) -> bool:
    """True if one value may be repeated more than ``most`` times; False is certain."""
    if ecg.item(0) == last and _leading(ecg, last) + repeats > most:
        return True
    marks = ecg[:: max(1, int(most / MARKS))]
    alike = marks[1:] == marks[:-1]
    return len(ecg) > most and bool((alike[2:] & alike[1:-1] & alike[:-2]).any())


def _leading(ecg: NDArray[np.float64], value: float) -> int:
    """Samples at the start that have this value."""
    other = ecg != value
    return int(other.argmax()) if other.any() else len(ecg)


def _repeats(ecg: NDArray[np.float64], last: float, repeats: float) -> float:
    """How often the last value has followed itself, after ``repeats`` times that of before."""
    run = _leading(ecg[::-1], ecg.item(-1))
    if run < len(ecg):
        return float(run - 1)
    return run + (repeats if ecg.item(0) == last else -1.0)


def _bridge(
    ecg: NDArray[np.float64], edge: Edge, fs: float, limits: MissingLimits
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Edge, int]:
    """`bridge` for one patient whose chunk may have missing samples.

    Returns
    -------
    float64 [samples], mV less the offset; bool [samples], True if missing; the state after it; and
    the samples before these that turn out to be missing
    """
    held, missing, back = np.empty(len(ecg)), np.zeros(len(ecg), dtype=bool), 0
    for at in range(0, len(ecg), AT_ONCE):
        part = slice(at, at + AT_ONCE)
        edge, before = _bridge_part(ecg[part], edge, fs, limits, held[part], missing[part])
        missing[max(0, at - before) : at] |= before > 0
        back = max(back, before - at)
    return held, missing, edge, back


def _bridge_part(
    ecg: NDArray[np.float64],
    edge: Edge,
    fs: float,
    limits: MissingLimits,
    held: NDArray[np.float64],
    missing: NDArray[np.bool_],
) -> tuple[Edge, int]:
    """Fill ``held`` and ``missing``; gives the state after it, and the missing samples before."""
    offset, last, second, third, came, away, jumped, begun, ease, repeats = edge
    step = min(LARGEST_STEP_MV, STEEPEST_MV_S / fs)
    new_level, back, gap = NEW_LEVEL_S * fs, BACK_S * fs, GAP_S * fs
    eased = math.exp(-1 / (limits.ease_s * fs))
    with np.errstate(invalid="ignore"):
        usable = np.abs(ecg) <= LARGEST_MV
        values = np.where(usable, ecg, _NOWHERE)
        slopes = np.diff(values, prepend=came)
        doubtful = np.flatnonzero(~usable | (np.abs(slopes) > step)).tolist()
    samples, moved = values.tolist(), np.flatnonzero(slopes).tolist()
    at, size, before = 0, len(samples), 0
    # Of runs of one value the place from which on they are missing, and their first sample.
    constant = _constants(moved, size, repeats, int(limits.constant_s * fs))
    if constant:
        doubtful = sorted({*doubtful, *constant})
    while at < size:
        if not away and begun != NONE_YET:  # on to the next sample that is not plain
            place = bisect_left(doubtful, at)
            end = doubtful[place] if place < len(doubtful) else size
            if end > at:
                held[at:end] = ecg[at:end] - offset
                if ease:
                    ease = _ease(held[at:end], ease, eased)
                last, second, third = (*samples[max(at, end - 3) : end][::-1], last, second, third)[
                    :3
                ]
                if begun == STILL:
                    place = bisect_left(moved, at)
                    if place < len(moved) and moved[place] < end:
                        begun = MOVING
                came, at = samples[end - 1], end
                continue
            if begun == MOVING and (first := constant.get(at)) is not None:
                missing[max(first, 0) : at] = True
                before = max(before, -first)
        # As long as nothing has moved, a step is where the signal begins.
        middle = sorted((last, second, third))[1]
        start, found = at, False
        while at < size and not found:
            value = samples[at]
            if value != _NOWHERE:
                if begun == NONE_YET:
                    last = second = third = middle = offset = value
                    begun, found = STILL, True
                elif begun == STILL:
                    if abs(value - last) > step:
                        offset += value - last
                        last = second = third = middle = value
                    elif value != last:
                        begun = MOVING
                    found = True
                elif value != came:  # what is repeated exactly is a rail, or stands for a gap
                    most = BACK_MV if jumped and away < back else LARGEST_STEP_MV
                    allowed = min(most, STEEPEST_MV_S * (away + 1) / fs)
                    if abs(value - last) <= allowed:
                        found = True
                    elif away >= new_level and abs(value - came) <= step:
                        offset += value - middle
                        last = second = third = middle = value
                        found = True
            came = value
            if not found:
                jumped = jumped or float(value != _NOWHERE)
                away += 1
                at += 1
        level = middle - offset + ease
        held[start:at], missing[start:at] = level, True
        if found:
            if away >= gap and begun == MOVING:
                ease = level - (samples[at] - offset)
            last, second, third = samples[at], last, second
            held[at] = samples[at] - offset
            if ease:
                ease = _ease(held[at : at + 1], ease, eased)
            away = jumped = 0.0
            at += 1
    repeats = 0.0 if away else size - 1.0 - moved[-1] if moved else repeats + size
    return Edge(offset, last, second, third, came, away, jumped, begun, ease, repeats), before


def _constants(moved: list[int], size: int, repeats: float, most: int) -> dict[int, int]:
    """Runs of one value that is repeated more than ``most`` times.

    Parameters
    ----------
    moved : samples that differ from the one before
    repeats : of the value before the first sample

    Returns
    -------
    the place of the first sample that is one too many -> the run's first sample
    """
    first, found = -1 - int(repeats), {}
    for end in (*moved, size):
        if end - first > most + 1:
            found[max(0, first + most + 1)] = first
        first = end
    return found


def _ease(held: NDArray[np.float64], ease: float, eased: float) -> float:
    """Ease the samples after a gap, in place; gives what is left for the next one."""
    left = np.full(len(held) + 1, eased)
    left[0] = ease
    # One after another, so that cuts make no difference to the last bit.
    np.multiply.accumulate(left, out=left)
    left[np.abs(left) < EASED_MV] = 0.0
    held += left[:-1]
    return left.item(-1)
