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
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Electrodes offset an ECG by 300 mV at most (IEC 60601-2-25), and an amplifier adds some.
LARGEST_MV = 500.0
# The upstroke of a QRS complex of 10 mV, as large as there are, takes 10 ms or more.
STEEPEST_MV_S = 1500.0
LARGEST_STEP_MV = 12.0  # however long samples are missing; a QRS complex and baseline wander
# From a value that no heart can make the signal comes back to where it was; its tail is as false.
BACK_MV = 2.0
NEW_LEVEL_S = 0.5  # after so long a signal elsewhere is no spike but another level
# A QRS complex takes 0.06 s and more, so in less no beat is lost, and it is no gap.
GAP_S = 0.08
EASE_S = 0.3  # time constant of the way back; see `training/experiments.md`
EASED_MV = 1e-4  # what is left of it counts no more
SNIPPET_S = 0.05  # of signal between missing samples: nothing can be read in less
AT_ONCE = 1 << 16  # samples, of which lists are made
NONE_YET, STILL, MOVING = 2.0, 1.0, 0.0  # has the signal begun, and has it moved since?
_NOWHERE = -4 * LARGEST_MV  # stands for a sample that is no number: near to nothing

# State of a signal, of which `bridge` is given and gives back a row for each patient. `OFFSET` is
# taken off the signal, mV; the last three samples that are no gap, the latest first; the last
# sample that came; how many are missing since, and 1 if one of them was no NaN; how far the signal
# has begun; and what is added to the next sample to ease it back after a gap, mV.
OFFSET, LAST, SECOND, THIRD, CAME, AWAY, JUMPED, BEGUN, EASE = range(9)
COLUMNS = 9


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
    edges : float64 [patients, `COLUMNS`], the state after it
    missing : patient -> bool [samples], True for missing ones; of patients who have any
    """

    ecg: NDArray[np.float32]
    edges: NDArray[np.float64]
    missing: dict[int, NDArray[np.bool_]]


def no_signal(patients: int) -> NDArray[np.float64]:
    """State before a recording's first sample, float64 [patients, `COLUMNS`]."""
    edges = np.zeros((patients, COLUMNS))
    edges[:, CAME], edges[:, BEGUN] = _NOWHERE, NONE_YET
    return edges


def is_state(edges: NDArray[np.float64]) -> bool:
    """True if `bridge` can have left this state."""
    row = edges.ravel().tolist()
    if len(row) != COLUMNS or not all(map(math.isfinite, row)):
        return False
    return (
        all(abs(value) <= LARGEST_MV for value in row[LAST:CAME])
        and (abs(row[CAME]) <= LARGEST_MV or row[CAME] == _NOWHERE)
        and abs(row[OFFSET]) <= 1e9
        and abs(row[EASE]) <= 1e9
        and row[AWAY] >= 0
        and row[AWAY] == int(row[AWAY])
        and row[JUMPED] in (0, 1)
        and row[BEGUN] in (NONE_YET, STILL, MOVING)
    )


def bridge(ecg: NDArray[np.float64], edges: NDArray[np.float64], fs: float) -> Bridged:
    """Find the missing samples of the next chunk and hold the signal over them.

    Parameters
    ----------
    ecg : float64 [patients, samples], mV, NaN if one is missing
    edges : float64 [patients, `COLUMNS`], the state before it
    fs : Hz
    """
    patients, samples = ecg.shape
    if not samples:
        return Bridged(ecg.astype(np.float32), edges, {})
    if patients == 1:
        row = edges[0].tolist()
        if _plain(ecg[0], row, fs):
            after = _after(ecg[0], row)
            # From one row a number is subtracted faster than an array.
            return Bridged((ecg - row[OFFSET]).astype(np.float32), np.array([after]), {})
        odd: Sequence[int] = (0,)
        held, after_all = ecg - edges[:, :1], edges.copy()
    else:
        odd, after_all = _odd(ecg, edges, fs)
        held = ecg - edges[:, :1]
    missing = {}
    for patient in odd:
        row, mask = edges[patient].tolist(), np.zeros(samples, dtype=bool)
        for at in range(0, samples, AT_ONCE):
            part = slice(at, at + AT_ONCE)
            held[patient, part], mask[part], row = _bridge(ecg[patient, part], row, fs)
        after_all[patient] = row
        if mask.any():
            missing[patient] = mask
    return Bridged(held.astype(np.float32), after_all, missing)


def missing_samples(ecg: NDArray[np.float64], fs: float) -> NDArray[np.bool_]:
    """True for samples that are missing, or that no heart can have made, bool [samples].

    Parameters
    ----------
    ecg : [samples], mV, a recording from its start on; NaN if a sample is missing
    fs : Hz
    """
    found = bridge(ecg[None], no_signal(1), fs).missing.get(0)
    return np.zeros(len(ecg), dtype=bool) if found is None else found


def unlike_ecg(ecg: NDArray[np.float64], fs: float) -> int | None:
    """The first sample that no heart can have made, if most samples are like it; else None.

    Such a signal is likely in other units. Samples that are missing are none of these, nor those
    that are repeated, which stand for missing ones. Parameters as of `missing_samples`.
    """
    with np.errstate(invalid="ignore"):
        other = ~np.isnan(ecg) & (np.diff(ecg, prepend=np.nan) != 0)
    impossible = missing_samples(ecg, fs) & other
    return int(impossible.argmax()) if impossible.sum() > len(ecg) / 2 else None


def _largest_step(fs: float) -> float:
    """Largest step of a heart from one sample to the next, mV."""
    return min(LARGEST_STEP_MV, STEEPEST_MV_S / fs)


def _plain(ecg: NDArray[np.float64], row: list[float], fs: float) -> bool:
    """True if nothing is missing: nearly always, and known in a few microseconds."""
    if row[AWAY] or row[BEGUN] == NONE_YET or row[EASE]:
        return False
    last, step = row[LAST], _largest_step(fs)
    low, high = min(ecg.item(ecg.argmin()), last), max(ecg.item(ecg.argmax()), last)
    # Of NaN argmin and argmax give the place, and no comparison with it is true.
    if not (low >= -LARGEST_MV and high <= LARGEST_MV):
        return False
    if high - low <= step:
        return True
    if abs(ecg.item(0) - last) > step:
        return False
    slopes = np.correlate(ecg, _DIFFERENCE) if len(ecg) > 1 else _DIFFERENCE[:0]
    return not len(slopes) or (
        slopes.item(slopes.argmax()) <= step and slopes.item(slopes.argmin()) >= -step
    )


_DIFFERENCE = np.array([-1.0, 1.0])


def _odd(
    ecg: NDArray[np.float64], edges: NDArray[np.float64], fs: float
) -> tuple[list[int], NDArray[np.float64]]:
    """Patients whose chunk is not plain, and the state after the chunk of the others."""
    last, step = edges[:, LAST], _largest_step(fs)
    low, high = np.minimum(ecg.min(axis=1), last), np.maximum(ecg.max(axis=1), last)
    with np.errstate(invalid="ignore"):  # of infinities, which are odd
        plain = (high - low <= step) & (low >= -LARGEST_MV) & (high <= LARGEST_MV)
    plain &= (edges[:, AWAY] == 0) & (edges[:, BEGUN] == MOVING) & (edges[:, EASE] == 0)
    after = edges.copy()
    newest = min(ecg.shape[1], 3)
    after[:, LAST + newest : CAME] = edges[:, LAST : CAME - newest]
    after[:, LAST : LAST + newest] = ecg[:, : -newest - 1 : -1]
    after[:, CAME] = ecg[:, -1]
    odd = []
    for patient in np.flatnonzero(~plain).tolist():
        row = edges[patient].tolist()
        if _plain(ecg[patient], row, fs):
            after[patient] = _after(ecg[patient], row)
        else:
            odd.append(patient)
    return odd, after


def _after(ecg: NDArray[np.float64], row: list[float]) -> list[float]:
    """State after a plain chunk."""
    newest = ecg[-3:].tolist()
    begun = row[BEGUN]
    if begun == STILL and not (ecg == row[LAST]).all():
        begun = MOVING
    last, second, third = (*newest[::-1], row[LAST], row[SECOND], row[THIRD])[:3]
    return [row[OFFSET], last, second, third, last, 0.0, 0.0, begun, 0.0]


def _bridge(
    ecg: NDArray[np.float64], row: list[float], fs: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[float]]:
    """`bridge` for one patient whose chunk may have missing samples.

    Returns
    -------
    float64 [samples], mV less the offset; bool [samples], True if missing; the state after it
    """
    offset, last, second, third, came, away, jumped, begun, ease = row
    step, new_level, gap = _largest_step(fs), NEW_LEVEL_S * fs, GAP_S * fs
    eased = math.exp(-1 / (EASE_S * fs))
    with np.errstate(invalid="ignore"):
        usable = np.abs(ecg) <= LARGEST_MV
        values = np.where(usable, ecg, _NOWHERE)
        steep = np.abs(np.diff(values, prepend=came)) > step
    doubtful = np.flatnonzero(~usable | steep).tolist()
    samples = values.tolist()
    moved = np.flatnonzero(np.diff(values, prepend=came)).tolist()
    held, missing = np.empty(len(ecg)), np.zeros(len(ecg), dtype=bool)
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
                    most = BACK_MV if jumped else LARGEST_STEP_MV
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
    return held, missing, [offset, last, second, third, came, away, jumped, begun, ease]


def _ease(held: NDArray[np.float64], ease: float, eased: float) -> float:
    """Ease the samples after a gap, in place; gives what is left for the next one."""
    left = np.full(len(held) + 1, eased)
    left[0] = ease
    # One after another, so that cuts make no difference to the last bit.
    np.multiply.accumulate(left, out=left)
    left[np.abs(left) < EASED_MV] = 0.0
    held += left[:-1]
    return left.item(-1)
