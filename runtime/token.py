"""A patient's whole state as bytes: plain numbers, checked before any is used."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .engine import NO_SEAM, RECENT_S, Engine, Patient, Rows, Seam
from .errors import InputError, StaleTokenError, TokenError
from .rhythm import RhythmTracker
from .rhythm.tracker_state import LARGEST_SAVED
from .signal.gaps import Gap, Gaps
from .signal.missing import Edge
from .signal.resample import resampler

LONGEST = 1 << 40  # samples in a stream: 34 years at 1000 Hz; times any ratio below 2**63
# A token's numbers are at most this; a forged one could otherwise overflow what it is used for.
LARGEST_STATE = 1e9  # float32 stays finite through the network; real state is below 1e5

LONGEST_AGO = 1 << 23  # samples; when a gap began that is longer makes no difference
MAX_GAPS = 1024  # that are not long over: real ones are up to eight a second, for some seconds

_MAGIC = b"EKGs"
# magic, format, network, rhythm, rate ratio (up, down), samples taken; then samples before these,
# the seam to an older model (decided, beat), and the seam to a newer one. Every later layout begins
# with these, so that a stream goes on under the next model.
_FIRST = struct.Struct("<4sH8s8sIIQQ4d")
_FIRST_SINCE = 11  # the version
# where the signal stands, and the lengths of the seven arrays that follow as float32
_REST = struct.Struct(f"<{len(Edge._fields)}d7I")
_HEAD_SIZE = _FIRST.size + _REST.size
_VERSION = 12  # raised with the layout
_NOTHING = np.zeros(0, dtype=np.float32)
_NO_RHYTHM = bytes(8)


class Began(NamedTuple):
    """How a stream began, and where it stands.

    Attributes
    ----------
    before : samples of the recording before the first that this model saw
    seam : to the model before; its samples are not kept
    now : to a model after
    """

    before: int
    seam: Seam
    now: Seam


def pack(patient: Patient, began: Began) -> bytes:
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
    head = _FIRST.pack(
        _MAGIC,
        _VERSION,
        engine.digest[:8],
        engine.rhythm_name if tracker else _NO_RHYTHM,
        patient.rate.up,
        patient.rate.down,
        patient.taken,
        began.before,
        *began.seam[1:],
        *began.now[1:],
    ) + _REST.pack(
        *rows.edges[row],
        *(len(array) for array in arrays),
    )
    body = head + b"".join(array.astype("<f4").tobytes() for array in arrays)
    return body + zlib.crc32(body).to_bytes(4, "little")


def resume(
    token: bytes, engine: Engine, recent: ArrayLike | None = None
) -> tuple[Patient, Began, bool]:
    """The patient that `pack` was given; under another model one who begins with the recent signal.

    The latter has not taken it yet, and the third value is True.

    Raises
    ------
    TokenError
        The token is damaged.
    StaleTokenError
        It is another model's, and there is no recent signal.
    """
    try:
        return *unpack(token, engine), False
    except StaleTokenError as stale:
        if recent is None or not stale.recent_s:
            raise
    fs, follow_rhythm, seam = left(token, engine.contract.fs)
    patient = engine.start(fs, follow_rhythm=follow_rhythm)
    return patient, Began(seam.before(recent), seam, seam), True


def unpack(token: bytes, engine: Engine) -> tuple[Patient, Began]:
    """What `pack` was given.

    Raises
    ------
    TokenError
        The token is damaged.
    StaleTokenError
        The token was saved by another network, rhythm, policy or version.
    """
    damaged, body = _damaged(), _checked(token)
    _, version, network, rhythm, up, down, taken, before, *seams = _FIRST.unpack_from(body)
    if version != _VERSION or network != engine.digest[:8]:
        raise _stale("by another model or version", version)
    if rhythm not in (engine.rhythm_name, _NO_RHYTHM):
        raise _stale("under another rhythm model or policy", version)
    numbers = _REST.unpack_from(body, _FIRST.size)
    edge, lengths = Edge(*numbers[: len(Edge._fields)]), numbers[len(Edge._fields) :]
    contract, policy = engine.contract, engine.contract.policy
    try:
        edge.check()
        rate = resampler(contract.fs * down / up, contract.fs)
    except (ValueError, InputError, ZeroDivisionError):
        raise damaged from None
    fits = (
        before + taken < LONGEST
        and all(NO_SEAM <= one <= (before + taken) / rate.fs + 1 for one in seams)
        and (rate.up, rate.down) == (up, down)
        and len(body) == _HEAD_SIZE + 4 * sum(lengths)
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
    state = np.frombuffer(body[_HEAD_SIZE:], dtype="<f4").astype(np.float32)
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
    began = Began(before, Seam(before, *seams[:2]), Seam(before + taken, *seams[2:]))
    return Patient(engine, rate, rows, Gaps(rate.fs, runs), tracker=tracker), began


def left(token: bytes, model_fs: int) -> tuple[float, bool, Seam]:
    """What another model's token says: its rate, Hz, whether the rhythm was followed, and its end.

    Raises
    ------
    TokenError
        The token is damaged.
    """
    _, _, _, rhythm, up, down, taken, before, _, _, *now = _FIRST.unpack_from(_checked(token))
    try:
        fs = resampler(model_fs * down / up, model_fs).fs
    except (InputError, ZeroDivisionError):
        raise _damaged() from None
    end = before + taken
    if not (end < LONGEST and all(NO_SEAM <= moment <= end / fs + 1 for moment in now)):
        raise _damaged()
    return fs, rhythm != _NO_RHYTHM, Seam(end, *now)


def _stale(saved: str, version: int) -> StaleTokenError:
    if version < _FIRST_SINCE:
        return StaleTokenError(f"the stream's token was saved {saved}; start a new stream.")
    return StaleTokenError(
        f"the stream's token was saved {saved}; give the last {RECENT_S:g} s of signal with it, "
        "or start a new stream.",
        RECENT_S,
    )


def _damaged() -> TokenError:
    return TokenError(
        "the stream's token is damaged or cut off; expected the bytes of the "
        "last answer, unchanged."
    )


def _checked(token: bytes) -> bytes:
    """The token without its checksum, which fits."""
    if not isinstance(token, bytes | bytearray | memoryview):
        raise TokenError(
            f"the stream's token is of type {type(token).__name__}; expected the "
            "bytes that `Stream.save` gave."
        )
    body, checksum = token[:-4], int.from_bytes(token[-4:], "little")
    if len(token) < _HEAD_SIZE + 4 or token[:4] != _MAGIC or zlib.crc32(body) != checksum:
        raise _damaged()
    return body
