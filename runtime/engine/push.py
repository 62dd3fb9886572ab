"""The next chunk of each of many patients: through the network, then through the rhythm.

Patients that are equally far share arrays, a row for each, and everything here works on all rows
at once. One patient is a block of one row: the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..beats import NO_BEATS, Beats, as_block, choose_label
from ..errors import InputError
from ..model.contract import Contract
from ..model.frames import find_beats
from ..rhythm import RhythmTracker, follow_together, take_together
from ..signal.gaps import Gap
from ..signal.loops import beat_loops
from ..signal.missing import Edge, bridge
from ..signal.r_peak import r_peaks
from ..signal.resample import Resampler
from ..signal.units import as_numbers, check_signal, to_millivolts
from .patient import Engine, Patient, Rows

# Samples in one run of the network, over the batch: about 90 patients' second, whose values
# between the layers still fit the caches; more in a run take longer each.
RUN_SAMPLES = 1 << 15
RUN_SECONDS = 60  # and the longest piece
NO_GAPS: Sequence[Gap] = ()
KEPT_S = 10.0  # that gaps are remembered after everything around them is decided


def push(patients: Sequence[Patient], chunks: Sequence[ArrayLike], *, units: str) -> list[Beats]:
    """The beats that the next chunk of each patient decides, in as few runs as possible.

    Either every chunk is taken, or, if one of them cannot be used, none.

    Raises
    ------
    InputError
        A chunk cannot be used, a patient comes twice, or a recording is finished already.
    """
    if len(patients) != len(chunks) or len(set(patients)) != len(patients):
        raise InputError(
            f"got {len(set(patients))} streams and {len(chunks)} chunks; "
            "expected one chunk for each stream."
        )
    for patient in patients:
        _refuse_finished(patient)
    beats = [NO_BEATS] * len(patients)
    for members, rows, ecg in _grouped(patients, chunks, units):
        found = _advance([patients[i] for i in members], rows, ecg)
        for i, decided in zip(members, found, strict=True):
            beats[i] = decided
    return beats


def push_one(
    patient: Patient, samples: ArrayLike, *, units: str = "mV", end: bool = False
) -> Beats:
    """`push` for one patient, who has nobody to be grouped with; ``end`` finishes too."""
    _refuse_finished(patient)
    ecg, alone = check_signal(samples, units=units, dimensions=(1,)), (patient,)
    return _advance(alone, _stacked(alone), ecg[None], end=end)[0]


def push_whole(patients: Sequence[Patient], ecg: NDArray[np.float64]) -> list[Beats]:
    """All beats of whole recordings, of new patients of one rate.

    Parameters
    ----------
    ecg : [patients, samples], mV, checked
    """
    size = _together(patients[0], ecg.shape[1])
    return [
        beats
        for at in range(0, len(patients), size)
        for beats in _advance(
            patients[at : at + size],
            _stacked(patients[at : at + size]),
            ecg[at : at + size],
            end=True,
        )
    ]


def _stacked(patients: Sequence[Patient]) -> Rows:
    """The state of patients that are equally far, in this order."""
    first = patients[0].rows
    if len(first.taken) == len(patients) and (
        len(patients) == 1
        or all(one.rows is first and one.row == row for row, one in enumerate(patients))
    ):
        return first

    def rows(name: str) -> Any:
        return np.concatenate([getattr(one.rows, name)[one.row : one.row + 1] for one in patients])

    return Rows(
        rows("tail"),
        rows("past"),
        rows("carry"),
        rows("recent_frames"),
        tuple(one.rows.edges[one.row] for one in patients),
        tuple(one.taken for one in patients),
        first.waiting,
    )


def _place(patient: Patient) -> tuple[object, ...]:
    """Equal for patients whose arrays can be stacked: those as far from the next output and hop."""
    rows, rate, taken = patient.rows, patient.rate, patient.taken
    return rate, taken > 0, taken % rate.down, rows.tail.shape[1], rows.waiting


def _grouped(
    patients: Sequence[Patient], chunks: Sequence[ArrayLike], units: str
) -> list[tuple[list[int], Rows, NDArray[np.float64]]]:
    """The groups that can run together, all of it checked.

    Returns
    -------
    of each group the indices of its patients, their state, and their samples, float64
    [patients, samples], mV
    """
    arrays = [as_numbers(chunk, (1,)) for chunk in chunks]
    places: dict[int, tuple[object, ...]] = {}  # of states, which many patients may share
    groups: dict[tuple[int, Engine, tuple[object, ...]], list[int]] = {}
    for i, (patient, array) in enumerate(zip(patients, arrays, strict=True)):
        place = places.get(id(patient.rows))
        if place is None:
            place = places[id(patient.rows)] = _place(patient)
        groups.setdefault((len(array), patient.engine, place), []).append(i)
    accepted = []
    for (samples, _, _), members in groups.items():
        size = _together(patients[members[0]], samples)
        for at in range(0, len(members), size):
            some = members[at : at + size]
            ecg = to_millivolts(_as_rows([arrays[i] for i in some]), units)
            accepted.append((some, _stacked([patients[i] for i in some]), ecg))
    return accepted


def _together(patient: Patient, samples: int) -> int:
    """Number of chunks like this one that are run together."""
    return max(
        1, int(RUN_SAMPLES * patient.rate.fs / (patient.engine.contract.fs * max(1, samples)))
    )


def _refuse_finished(patient: Patient) -> None:
    if patient.end is not None:
        raise InputError("the stream is finished; start a new one for more signal.")


def _as_rows(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Equally long arrays as the rows of one, without a copy if there is one: a quick stack."""
    together = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return together.reshape(len(arrays), -1)


def _advance(
    patients: Sequence[Patient], rows: Rows, ecg: NDArray[np.float64], *, end: bool = False
) -> list[Beats]:
    """Feed patients that are equally far their next samples, checked, [patients, samples], mV."""
    engine, rate = patients[0].engine, patients[0].rate
    before, samples = rows.taken, ecg.shape[1]
    chunk, edges, missing, back = bridge(ecg, rows.edges, rate.fs, engine.rhythm.quality.missing)
    if end:
        chunk = _held(chunk, rows, engine.contract, rate)
        for patient, taken in zip(patients, before, strict=True):
            if patient.tracker:
                patient.tracker.seconds.limit = int((taken + samples) * rate.step)
    pieces: list[list[Beats]] = []
    piece = int(RUN_SECONDS * rate.fs)
    for start in range(0, chunk.shape[1], piece):
        part = chunk if chunk.shape[1] <= piece else chunk[:, start : start + piece]
        rows, hops, found = _step(engine, rate, rows, part, edges)
        followed: list[int] = []
        trackers: list[RhythmTracker] = []
        gaps_of: list[Sequence[Gap]] = []
        for row, patient in enumerate(patients):
            patient.rows, patient.row, gaps = rows, row, NO_GAPS
            if row in missing:
                patient.gaps.add(
                    missing[row][start : start + piece],
                    before[row] + start,
                    0 if start else back.get(row, 0),
                )
            if patient.gaps.runs:  # seldom
                gaps = _gaps(patient)
                found[row] = _outside(found[row], gaps)
            if patient.tracker:
                followed.append(row)
                trackers.append(patient.tracker)
                gaps_of.append(gaps)
        if followed and hops.shape[1]:
            seen = list(hops)
            take_together([one.seconds for one in trackers], [seen[row] for row in followed])
            decided = _decided([patients[row] for row in followed])
            beats, events = follow_together(
                trackers, [found[row] for row in followed], decided, gaps_of
            )
            for row, own in zip(followed, beats, strict=True):
                found[row] = own
            for place, began in events.items():
                patients[followed[place]].events += began
        pieces.append(found)
    if end:
        for patient, taken in zip(patients, before, strict=True):
            patient.end = taken + samples
            if patient.tracker:
                patient.events += patient.tracker.finish(_gaps(patient))
    if len(pieces) == 1 and not end:
        return pieces[0]
    return [
        _joined([found[row] for found in pieces], patient, engine.contract)
        for row, patient in enumerate(patients)
    ]


def _decided(patients: Sequence[Patient]) -> list[float]:
    """`Patient.decided` of each, which is the same for patients of one rate who are equally far."""
    moments: dict[int, float] = {}
    for patient in patients:
        if patient.taken not in moments:
            moments[patient.taken] = patient.decided
    return [moments[patient.taken] for patient in patients]


def _gaps(patient: Patient) -> list[Gap]:
    """The gaps that matter to what is not decided yet, at the model's rate."""
    gaps, rate = patient.gaps, patient.rate
    if not gaps.runs:
        return []
    gaps.forget(int((patient.followed - KEPT_S) * rate.fs))
    return gaps.at_rate(rate.up, rate.down)


def _outside(beats: Beats, gaps: Sequence[Gap]) -> Beats:
    """The beats that are not in a gap, where the signal is only held."""
    if not gaps or not beats.samples:
        return beats
    return as_block(
        row
        for row in zip(*beats, strict=True)
        if not any(gap.start <= row[0] < gap.end for gap in gaps)
    )


def _joined(parts: Sequence[Beats], patient: Patient, contract: Contract) -> Beats:
    """The pieces' beats as one block, without those found after a recording's end."""
    rows = [
        row
        for part in parts
        for row in zip(*part, strict=True)
        if patient.end is None or row[0] / contract.fs < patient.seconds
    ]
    return as_block(rows)


def _held(
    chunk: NDArray[np.float32], rows: Rows, contract: Contract, rate: Resampler
) -> NDArray[np.float32]:
    """The last samples, and the last value for as long as the network looks ahead."""
    if not (chunk.shape[1] or rows.taken[0]):  # a recording without a sample
        return chunk
    last = next(array[:, -1:] for array in (chunk, rows.tail, rows.past) if array.shape[1])
    ahead = contract.delay + (contract.policy.context_after + 3) * contract.hop
    held = -(-ahead * rate.down // rate.up) + rate.half + 1
    return np.concatenate([chunk, last.repeat(held, axis=1)], axis=1)


def _step(
    engine: Engine,
    rate: Resampler,
    rows: Rows,
    chunk: NDArray[np.float32],
    edges: tuple[Edge, ...],
) -> tuple[Rows, NDArray[np.float32], list[Beats]]:
    """One run of the network, at most: the state after it, the signal it saw, each one's beats."""
    hop = engine.contract.hop
    fresh, tail = rate.push(rows.tail, chunk, rows.taken[0])
    new = chunk.shape[1]
    taken = tuple([before + new for before in rows.taken])
    line = np.concatenate((rows.past, fresh), axis=1)
    ready, samples = rows.waiting + fresh.shape[1], line.shape[1]
    waiting = ready % hop
    hops = np.ascontiguousarray(line[:, samples - ready : samples - waiting])
    if ready < hop:
        return (
            Rows(tail, line, rows.carry, rows.recent_frames, edges, taken, waiting),
            hops,
            [NO_BEATS] * len(line),
        )
    probabilities, carry = engine.run(hops, rows.carry)
    frames = np.concatenate((rows.recent_frames, probabilities), axis=1)
    found = _decide(engine, rate, frames, line, waiting, taken)
    after = Rows(
        tail,
        line[:, ready - waiting :],
        carry,
        frames[:, ready // hop :],
        edges,
        taken,
        waiting,
    )
    return after, hops, found


def _decide(
    engine: Engine,
    rate: Resampler,
    frames: NDArray[np.float32],
    line: NDArray[np.float32],
    waiting: int,
    taken: Sequence[int],
) -> list[Beats]:
    """Each patient's beats among the last frames.

    Parameters
    ----------
    frames : float32 [patients, frames, 6], the last of each
    line : float32 [patients, samples], the last of each
    waiting : samples at the end of `line` that are in no frame
    taken : samples taken since each one's start
    """
    contract, samples = engine.contract, line.shape[1]
    fs, hop = contract.fs, contract.hop
    # A frame stands for the same place in every row, and the signal around it lies in the row.
    first = samples - waiting - frames.shape[1] * hop + hop // 2 - contract.delay
    # From a position in the row to one in the recording.
    shifts = [rate.complete(one) - (row + 1) * samples for row, one in enumerate(taken)]
    if beat_loops is not None:
        frames = np.ascontiguousarray(frames, dtype=np.float32)
        decided = beat_loops.decide(frames, line, engine.beat_limits, first, shifts)
        return [
            NO_BEATS if beats is None else tuple.__new__(Beats, beats)  # `_make`, in less time
            for beats in decided
        ]
    owners, found, class_probabilities = find_beats(frames, contract.policy)
    if not found:
        return [NO_BEATS] * len(line)
    near = [
        owner * samples + first + frame * hop for owner, frame in zip(owners, found, strict=True)
    ]
    weights = contract.policy.class_weights
    blocks: list[list[tuple[int, list[float], int]]] = [[] for _ in line]
    for owner, place, peak, row in zip(
        owners, near, r_peaks(line.ravel(), near, fs), class_probabilities, strict=True
    ):
        if place + shifts[owner] > -hop:  # beats before the recording's start do not count
            blocks[owner].append((max(peak + shifts[owner], 0), row, choose_label(row, weights)))
    return [as_block(block) for block in blocks]
