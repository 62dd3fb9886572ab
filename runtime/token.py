"""A patient's whole state as bytes: plain numbers, checked before any is used."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate, pairwise

import numpy as np

from .engine import Engine, Patient, Rows
from .errors import InputError, StaleTokenError, TokenError
from .model.contract import FORMAT
from .rhythm import RhythmTracker
from .rhythm.tracker import LARGEST_SAVED
from .signal.missing import Edge, Gap, Gaps
from .signal.resample import resampler

LONGEST = 1 << 40  # samples in a stream: 34 years at 1000 Hz; times any ratio below 2**63
# A token's numbers are at most this; a forged one could otherwise overflow what it is used for.
LARGEST_STATE = 1e9  # float32 stays finite through the network; real state is below 1e5

LONGEST_AGO = 1 << 23  # samples; when a gap began that is longer makes no difference
MAX_GAPS = 1024  # that are not long over: real ones are up to eight a second, for some seconds

_MAGIC = b"EKGs"
# magic, format, network, rhythm, rate ratio (up, down), samples taken, where the signal stands, and
# the lengths of the seven arrays that follow as float32
_HEAD = struct.Struct(f"<4sH8s8sIIQ{len(Edge._fields)}d7I")
_VERSION = FORMAT + 9  # raised with the layout
_NOTHING = np.zeros(0, dtype=np.float32)
_NO_RHYTHM = bytes(8)


def pack(patient: Patient) -> bytes:
    """The patient's token, about 23 kB; it names the network and the rhythm.

    Raises
    ------
    InputError
        The recording is finished.
    """
    if patient.end is not None:
        raise InputError("the stream is finished; there is nothing to resume.")
    rows, row, engine = patient.rows, patient.row, patient.engine
    recent, waiting = np.split(rows.past[row], [rows.past.shape[1] - rows.waiting])
    tracker = patient.tracker
    arrays = (
        rows.tail[row],
        waiting,
        rows.carry[row],
        rows.recent_frames[row].ravel(),
        recent,
        tracker.save() if tracker else _NOTHING,
        np.array(
            [
                min(patient.taken - sample, LONGEST_AGO)
                for gap in patient.gaps.runs
                for sample in gap
            ],
            dtype=np.float32,
        ),
    )
    head = _HEAD.pack(
        _MAGIC,
        _VERSION,
        engine.digest[:8],
        engine.rhythm_name if tracker else _NO_RHYTHM,
        patient.rate.up,
        patient.rate.down,
        patient.taken,
        *rows.edges[row],
        *(len(array) for array in arrays),
    )
    body = head + b"".join(array.astype("<f4").tobytes() for array in arrays)
    return body + zlib.crc32(body).to_bytes(4, "little")


def unpack(token: bytes, engine: Engine) -> Patient:
    """The patient that `pack` was given.

    Raises
    ------
    TokenError
        The token is damaged.
    StaleTokenError
        The token was saved by another network, rhythm, policy or version.
    """
    damaged = TokenError(
        "the stream's token is damaged or cut off; expected the bytes of the "
        "last answer, unchanged."
    )
    if not isinstance(token, bytes | bytearray | memoryview):
        raise TokenError(
            f"the stream's token is of type {type(token).__name__}; expected the "
            "bytes that `Stream.save` gave."
        )
    if len(token) < _HEAD.size + 4 or token[:4] != _MAGIC:
        raise damaged
    body, checksum = token[:-4], int.from_bytes(token[-4:], "little")
    if zlib.crc32(body) != checksum:
        raise damaged
    _, version, network, rhythm, up, down, taken, *numbers = _HEAD.unpack_from(body)
    edge, lengths = Edge(*numbers[: len(Edge._fields)]), numbers[len(Edge._fields) :]
    if version != _VERSION or network != engine.digest[:8]:
        raise StaleTokenError(
            "the stream's token was saved by another model or version; start a new stream."
        )
    if rhythm not in (engine.rhythm_name, _NO_RHYTHM):
        raise StaleTokenError(
            "the stream's token was saved under another rhythm model or policy; start a new stream."
        )
    contract, policy = engine.contract, engine.contract.policy
    try:
        edge.check()
        rate = resampler(contract.fs * down / up, contract.fs)
    except (ValueError, InputError, ZeroDivisionError):
        raise damaged from None
    fits = (
        taken < LONGEST
        and (rate.up, rate.down) == (up, down)
        and len(body) == _HEAD.size + 4 * sum(lengths)
        and lengths[0] == rate.kept(taken)
        and lengths[1] == rate.complete(taken) % contract.hop
        and lengths[2] == contract.carry_size
        and lengths[3] == len(contract.classes) * (policy.context_before + policy.context_after)
        and lengths[4] == engine.reach
        and lengths[5] <= LARGEST_SAVED
        and (lengths[5] > 0) == (rhythm != _NO_RHYTHM)
        and lengths[6] <= 2 * MAX_GAPS
        and lengths[6] % 2 == 0
    )
    if not fits:
        raise damaged
    state = np.frombuffer(body[_HEAD.size :], dtype="<f4").astype(np.float32)
    if not (np.abs(state) <= LARGEST_STATE).all():
        raise damaged
    tail, waiting, carry, frames, recent, packed, ago = (
        state[at:end] for at, end in pairwise(accumulate(lengths, initial=0))
    )
    frames = frames.reshape(1, -1, len(contract.classes))
    if (frames < 0).any() or (np.abs(frames.sum(axis=2) - 1) > 1e-3).any():
        raise damaged
    rows = Rows(
        tail[None],
        np.concatenate([recent, waiting])[None],
        carry[None],
        frames,
        (edge,),
        (taken,),
        len(waiting),
    )
    tracker = None
    if len(packed):
        try:
            tracker = RhythmTracker.restore(packed, recent, engine.rhythm, policy.class_weights)
        except ValueError:
            raise damaged from None
    ends = [taken - int(samples) for samples in ago]
    if any(later < earlier for earlier, later in pairwise(ends)) or max(ends, default=0) > taken:
        raise damaged
    runs = [Gap(max(0, start), end) for start, end in zip(ends[::2], ends[1::2], strict=True)]
    return Patient(engine, rate, rows, Gaps(rate.fs, runs), tracker=tracker)
