"""Missing samples: those that are not there, and those that no heart can have made.

NaN is the one way to say that a sample is missing. A value is taken as missing too if no heart can
make it: sentinels (-999, -32768), spikes of pacemakers and cables, the end of an amplifier's range.
Each is decided when it comes, from the samples before it, so a signal cut anywhere is the whole's.
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

from .loops import loops

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
# A QRS complex takes 0.06 s and more, so in less no beat is lost, and it is no gap.
GAP_S = 0.08
EASE_S = 0.3  # time constant of the way back; see `training/experiments.md`
EASED_MV = 1e-4  # what is left of it counts no more
SNIPPET_S = 0.05  # of signal between missing samples: nothing can be read in less
AT_ONCE = 1 << 16  # samples, of which lists are made
PIECE_S = 600.0  # of a recording, bridged at once
NONE_YET, STILL, MOVING = 2.0, 1.0, 0.0  # has the signal begun, and has it moved since?
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

    def check(self) -> None:
        """Raise ValueError for numbers that no signal can have left."""
        if not (
            all(map(math.isfinite, self))
            and all(abs(value) <= LARGEST_MV for value in (self.last, self.second, self.third))
            and (abs(self.came) <= LARGEST_MV or self.came == _NOWHERE)
            and abs(self.offset) <= _LARGEST_STATE
            and abs(self.ease) <= _LARGEST_STATE
            and 0 <= self.away <= 1 << 40
            and self.away == int(self.away)
            and self.jumped in (0, 1)
            and self.begun in (NONE_YET, STILL, MOVING)
        ):
            raise ValueError("the signal does not stand anywhere")


NO_SIGNAL = Edge()  # before a recording's first sample


class Gap(NamedTuple):
    """Samples that are missing, from the first to before the last."""

    start: int
    end: int


class Gaps:
    """The missing samples of one patient that are not too long ago to matter.

    Attributes
    ----------
    runs : from where to where samples are missing, in order, at the patient's rate
    """

    def __init__(self, fs: float, runs: Sequence[Gap] = ()):
        self.runs = list(runs)
        self._gap, self._snippet = GAP_S * fs, SNIPPET_S * fs

    def add(self, missing: NDArray[np.bool_], first: int) -> None:
        """Take the mask of the samples from the ``first`` on."""
        edges = np.flatnonzero(np.diff(missing, prepend=False, append=False)).tolist()
        runs = self.runs
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if runs and first + start - runs[-1].end < self._snippet:
                runs[-1] = Gap(runs[-1].start, first + end)
                continue
            if runs and not self._hides_a_beat(runs[-1]):
                runs.pop()
            runs.append(Gap(first + start, first + end))

    def at_rate(self, up: int, down: int) -> list[Gap]:
        """The gaps long enough to hide a beat, at a rate that is ``up / down`` times this."""
        return [
            Gap(run.start * up // down, -(-run.end * up // down))
            for run in self.runs
            if self._hides_a_beat(run)
        ]

    def forget(self, before: int) -> None:
        """Drop what ended before this sample."""
        if self.runs[0].end < before:
            self.runs = [run for run in self.runs if run.end >= before]

    def _hides_a_beat(self, run: Gap) -> bool:
        return run.end - run.start >= self._gap


class Bridged(NamedTuple):
    """Signal without gaps.

    Attributes
    ----------
    ecg : float32 [patients, samples], mV, less the offset
    edges : the state after it, of each patient
    missing : patient -> bool [samples], True for missing ones; of patients who have any
    """

    ecg: NDArray[np.float32]
    edges: tuple[Edge, ...]
    missing: dict[int, NDArray[np.bool_]]


def bridge(ecg: NDArray[np.float64], edges: Sequence[Edge], fs: float) -> Bridged:
    """Find the missing samples of the next chunk and hold the signal over them.

    Parameters
    ----------
    ecg : float64 [patients, samples], mV, NaN if one is missing
    edges : the state before it, of each patient
    fs : Hz
    """
    patients, samples = ecg.shape
    if not samples:
        return Bridged(ecg.astype(np.float32), tuple(edges), {})
    if patients == 1 and (after := plain_after(ecg[0], edges[0], fs)) is not None:
        # From one row a number is subtracted faster than an array.
        return Bridged((ecg - after.offset).astype(np.float32), (after,), {})
    held, moved_on, missing = np.empty(ecg.shape), [], {}
    for patient, (row, edge) in enumerate(zip(ecg, edges, strict=True)):
        after = plain_after(row, edge, fs)
        if after is not None:
            np.subtract(row, after.offset, out=held[patient])
        else:
            held[patient], mask, after = _bridge(row, edge, fs)
            if mask.any():
                missing[patient] = mask
        moved_on.append(after)
    return Bridged(held.astype(np.float32), tuple(moved_on), missing)


def missing_samples(ecg: NDArray[np.float64], fs: float) -> NDArray[np.bool_]:
    """True for samples that are missing, or that no heart can have made, bool [samples].

    Parameters
    ----------
    ecg : [samples], mV, a recording from its start on; NaN if a sample is missing
    fs : Hz
    """
    found = np.zeros(len(ecg), dtype=bool)
    for at, piece in bridged_pieces(ecg, fs):
        if (mask := piece.missing.get(0)) is not None:
            found[at : at + len(mask)] = mask
    return found


def bridged_pieces(ecg: NDArray[np.float64], fs: float) -> Iterator[tuple[int, Bridged]]:
    """Bridge a recording in pieces of `PIECE_S`, so that a day needs no second copy of it.

    Parameters as of `missing_samples`. Gives the number of each piece's first sample, and the piece
    of one patient.
    """
    edge, size = NO_SIGNAL, max(1, round(PIECE_S * fs))
    for at in range(0, len(ecg), size):
        piece = bridge(ecg[at : at + size][None], [edge], fs)
        (edge,) = piece.edges
        yield at, piece


def gap_spans(missing: NDArray[np.bool_], fs: float) -> tuple[tuple[float, float], ...]:
    """Return start and end, s, of each gap: of missing samples that may hide a beat.

    Parameters
    ----------
    missing : bool [samples], as of `missing_samples`
    fs : Hz
    """
    gaps = Gaps(fs)
    for at in range(0, len(missing), AT_ONCE):
        gaps.add(missing[at : at + AT_ONCE], at)
    return tuple((gap.start / fs, gap.end / fs) for gap in gaps.at_rate(1, 1))


def unlike_ecg(ecg: NDArray[np.float64], fs: float) -> int | None:
    """The first sample that no heart can have made, if most samples are like it; else None.

    Such a signal is likely in other units. Samples that are missing are none of these, nor those
    that are repeated, which stand for missing ones. Parameters as of `missing_samples`.
    """
    with np.errstate(invalid="ignore"):
        other = ~np.isnan(ecg) & (np.diff(ecg, prepend=np.nan) != 0)
    impossible = missing_samples(ecg, fs) & other
    return int(impossible.argmax()) if impossible.sum() > len(ecg) / 2 else None


def plain_after(ecg: NDArray[np.float64], edge: Edge, fs: float) -> Edge | None:
    """State after a chunk of which nothing is missing, nearly always; else None.

    Parameters
    ----------
    ecg : float64 [samples], mV, one at least
    """
    offset, last, second, third, _, away, _, begun, ease = edge
    rise, fall = math.nan, math.nan  # not known yet
    if loops is not None:
        low, high, rise, fall = loops.extent(np.ascontiguousarray(ecg))
    else:
        low, high = ecg.item(ecg.argmin()), ecg.item(ecg.argmax())
    # Of NaN argmin and argmax give the place, and no comparison with it is true.
    if away or ease or not (low >= -LARGEST_MV and high <= LARGEST_MV):
        return None
    newest = ecg[-3:].tolist()
    if begun:
        if begun == NONE_YET:
            offset = last = second = third = ecg.item(0)
        begun = STILL if low == high == last else MOVING
    step = min(LARGEST_STEP_MV, STEEPEST_MV_S / fs)
    if max(high, last) - min(low, last) > step:
        if abs(ecg.item(0) - last) > step:
            return None
        if math.isnan(rise):
            slopes = np.correlate(ecg, _DIFFERENCE)
            rise, fall = slopes.item(slopes.argmax()), slopes.item(slopes.argmin())
        if rise > step or fall < -step:
            return None
    if len(newest) == 3:
        third, second, last = newest
    else:
        last, second, third = (*newest[::-1], last, second)[:3]
    return Edge(offset, last, second, third, last, 0.0, 0.0, begun, 0.0)


_DIFFERENCE = np.array([-1.0, 1.0])


def _bridge(
    ecg: NDArray[np.float64], edge: Edge, fs: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Edge]:
    """`bridge` for one patient whose chunk may have missing samples.

    Returns
    -------
    float64 [samples], mV less the offset; bool [samples], True if missing; the state after it
    """
    held, missing = np.empty(len(ecg)), np.zeros(len(ecg), dtype=bool)
    for at in range(0, len(ecg), AT_ONCE):
        part = slice(at, at + AT_ONCE)
        edge = _bridge_part(ecg[part], edge, fs, held[part], missing[part])
    return held, missing, edge


def _bridge_part(
    ecg: NDArray[np.float64],
    edge: Edge,
    fs: float,
    held: NDArray[np.float64],
    missing: NDArray[np.bool_],
) -> Edge:
    """Fill ``held`` and ``missing``; gives the state after it."""
    offset, last, second, third, came, away, jumped, begun, ease = edge
    step = min(LARGEST_STEP_MV, STEEPEST_MV_S / fs)
    new_level, back, gap = NEW_LEVEL_S * fs, BACK_S * fs, GAP_S * fs
    eased = math.exp(-1 / (EASE_S * fs))
    with np.errstate(invalid="ignore"):
        usable = np.abs(ecg) <= LARGEST_MV
        values = np.where(usable, ecg, _NOWHERE)
        steep = np.abs(np.diff(values, prepend=came)) > step
    doubtful = np.flatnonzero(~usable | steep).tolist()
    samples = values.tolist()
    moved = np.flatnonzero(np.diff(values, prepend=came)).tolist()
    at, size = 0, len(samples)
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
    return Edge(offset, last, second, third, came, away, jumped, begun, ease)


def _ease(held: NDArray[np.float64], ease: float, eased: float) -> float:
    """Ease the samples after a gap, in place; gives what is left for the next one."""
    left = np.full(len(held) + 1, eased)
    left[0] = ease
    # One after another, so that cuts make no difference to the last bit.
    np.multiply.accumulate(left, out=left)
    left[np.abs(left) < EASED_MV] = 0.0
    held += left[:-1]
    return left.item(-1)
