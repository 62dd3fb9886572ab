"""Live signal: chunks of any size and rate in, beats out, state that can be saved and moved.

A stream's state is a value: a few thousand numbers that `Stream.save` turns into bytes. Nothing
about a patient is kept in the model's session, so one session serves any number of them.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.artifacts import FORMAT, Contract
from runtime.beats import (
    BASELINE_S,
    CLASSES,
    SMOOTH_SAMPLES,
    Beat,
    classify,
    find_beats_of_all,
    place_at_r_peak,
)
from runtime.errors import InputError, StaleTokenError, TokenError
from runtime.resample import Resampler, ratio
from runtime.rhythm import LARGEST_SAVED, Event, Rhythm, RhythmPolicy

MILLIVOLTS = {"mV": 1.0, "V": 1000.0, "uV": 0.001, "µV": 0.001}
LONGEST = 1 << 40  # samples in a stream: 34 years at 1000 Hz; times any ratio below 2**63
LARGEST_MV = 1000.0  # beyond any amplifier; keeps float32 exact enough
# Samples in one run of the network, over the batch: about 90 patients' second, whose values
# between the layers still fit the caches; more in a run take longer each.
RUN_SAMPLES = 1 << 15
RUN_SECONDS = 60  # and the longest piece
# What a token may hold at most; a forged one could otherwise overflow what it is used for.
LARGEST_STATE = 1e9  # float32 stays finite through the network; real state is below 1e5

Run = Callable[[NDArray[np.float32], NDArray[np.float32]],
               tuple[NDArray[np.float32], NDArray[np.float32]]]


class Stream:
    """One patient's signal. Made by `Detector.stream` or `Detector.resume`.

    Not safe to push from two threads at once; two streams are.

    Attributes
    ----------
    fs : Hz
    rhythm : follows the rhythm and the signal's quality; None where that was not asked for
    """

    def __init__(self, contract: Contract, model: bytes, run: Run, fs: float,
                 rhythm: Rhythm | None = None):
        self._contract, self._model, self._run = contract, model, run
        self._step = ratio(fs, contract.fs)
        self.fs = float(contract.fs / self._step)
        self._resampler = Resampler(self._step)
        self._offset: float | None = None  # the recording's first sample, mV
        self._last = 0.0  # the newest sample less the offset, mV
        self._waiting = np.zeros(0, dtype=np.float32)  # model-rate samples short of a hop
        self._carry = np.zeros(contract.carry_size, dtype=np.float32)
        self._frames = 0  # frames the network has given
        before = np.zeros((contract.policy.before, len(contract.classes)), dtype=np.float32)
        before[:, 0] = 1.0  # before the recording: no beat
        self._context = before  # the last frames, which decide on the next beat
        self._recent = np.zeros(0, dtype=np.float32)  # the last signal, where R peaks are sought
        self._finished = False
        self.rhythm = rhythm
        self._events: list[Event] = []

    @property
    def seconds(self) -> float:
        """Signal taken so far, s."""
        return self._resampler.taken / self.fs

    @property
    def decided(self) -> float:
        """Everything before this moment is decided, s; `push` adds no beat before it."""
        contract = self._contract
        frames = self._frames - contract.policy.after
        moment = (frames * contract.hop - contract.delay) / contract.fs - 0.1  # R peak search
        return self.seconds if self._finished else min(max(0.0, moment), self.seconds)

    @property
    def latency(self) -> float:
        """From an R peak to its label at the latest, s, not counting the wait for a chunk."""
        contract = self._contract
        frames = (contract.policy.after + 1) * contract.hop + contract.hop / 2
        return (contract.delay + frames) / contract.fs + self._resampler.half / self.fs

    def push(self, samples: ArrayLike, *, units: str = "mV") -> list[Beat]:
        """Take the next samples, give the beats they decide.

        Parameters
        ----------
        samples : [samples], any number, at the stream's rate
        units : mV, uV or V

        Raises
        ------
        InputError
            The samples cannot be used; the stream stands as before, as if not pushed.
        """
        return push_together([self], [samples], units=units)[0]

    def finish(self) -> list[Beat]:
        """The beats of the last seconds, which were waiting for signal that does not come.

        The last value is held for as long as the network looks ahead. After this the stream
        takes no more.
        """
        return [] if self._finished else push_together([self], [()], end=True)[0]

    def events(self) -> list[Event]:
        """Rhythm events that began or ended since the last call, each given once.

        One that lasts has no end yet; it comes again, with its end. What is not taken before
        `save` is not in the token.
        """
        events, self._events = self._events, []
        return events

    def save(self) -> bytes:
        """The stream's whole state, about 22 kB; `Detector.resume` goes on from it."""
        if self._finished:
            raise InputError("the stream is finished; there is nothing to resume.")
        arrays = (self._resampler.tail, self._waiting, self._carry, self._context.ravel(),
                  self._recent, self.rhythm.save() if self.rhythm else _NOTHING)
        head = _HEAD.pack(
            _MAGIC, _VERSION, self._model[:8], self._step.numerator, self._step.denominator,
            self._resampler.taken, self._resampler.given, self._frames,
            self._offset is not None, self._offset or 0.0, self._last,
            *(len(array) for array in arrays))
        body = head + b"".join(array.astype("<f4").tobytes() for array in arrays)
        return body + zlib.crc32(body).to_bytes(4, "little")

    @classmethod
    def restore(cls, token: bytes, contract: Contract, model: bytes, run: Run,
                policy: RhythmPolicy | None = None) -> Stream:
        """The stream that `save` wrote.

        Raises
        ------
        TokenError
            The token is damaged, or was saved by another model.
        """
        state = _parse(token, contract, model)
        stream = cls(contract, model, run, float(contract.fs / state.step))
        resampler = stream._resampler
        resampler.taken, resampler.given, stream._frames = state.taken, state.given, state.frames
        stream._offset, stream._last = state.offset, state.last
        (resampler.tail, stream._waiting, stream._carry, context, stream._recent,
         rhythm) = state.arrays
        stream._context = context.reshape(-1, len(contract.classes))
        if len(rhythm):
            try:
                stream.rhythm = Rhythm.restore(rhythm, stream._recent, policy)
            except ValueError:
                raise _damaged() from None
        return stream

    def _accept(self, samples: ArrayLike, units: str) -> NDArray[np.float32]:
        """Checked samples, less the recording's first, mV."""
        if self._finished:
            raise InputError("the stream is finished; start a new one for more signal.")
        ecg = check_signal(samples, units=units, dimensions=(1,))
        if len(ecg) and self._offset is None:
            self._offset = float(ecg[0])
        return (ecg - (self._offset or 0.0)).astype(np.float32)

    def _held(self, ecg: NDArray[np.float32]) -> NDArray[np.float32]:
        """The last samples, and the last value for as long as the network looks ahead."""
        if not len(ecg) and self._offset is None:
            return ecg
        contract = self._contract
        ahead = contract.delay + (contract.policy.after + 3) * contract.hop
        held = math.ceil(ahead / self._step) + self._resampler.half + 1
        last = ecg[-1] if len(ecg) else self._last
        return np.concatenate([ecg, np.full(held, last, dtype=np.float32)])

    def _take(self, ecg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples at the model's rate that make whole hops."""
        if len(ecg):
            self._last = float(ecg[-1])
        ready = np.concatenate([self._waiting, self._resampler.push(ecg)])
        whole = len(ready) // self._contract.hop * self._contract.hop
        self._waiting = ready[whole:].copy()
        return ready[:whole]


def push_together(streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV",
                  end: bool = False) -> list[list[Beat]]:
    """`Stream.push` for many streams of one model, in as few runs of the network as possible.

    Either every chunk is taken, or, where one of them cannot be used, none. With ``end`` these
    are the last chunks, and `Stream.finish` is done in the same run.
    """
    if len(streams) != len(chunks):
        raise InputError(f"got {len(streams)} streams and {len(chunks)} chunks; "
                         "expected one chunk for each stream.")
    offsets = [stream._offset for stream in streams]
    accepted = []
    try:
        for stream, chunk in zip(streams, chunks, strict=True):
            accepted.append(stream._accept(chunk, units))
    except InputError:
        for stream, offset in zip(streams, offsets, strict=True):
            stream._offset = offset
        raise
    if not end:
        return _advance(streams, accepted)
    taken = [stream._resampler.taken + len(ecg)
             for stream, ecg in zip(streams, accepted, strict=True)]
    for stream, samples in zip(streams, taken, strict=True):
        if stream.rhythm:
            stream.rhythm.limit = int(samples * stream._step)
    found = _advance(streams, [stream._held(ecg)
                               for stream, ecg in zip(streams, accepted, strict=True)])
    for stream, samples in zip(streams, taken, strict=True):
        stream._resampler.taken, stream._finished = samples, True
        if stream.rhythm:
            stream._events += stream.rhythm.finish()
    return [[beat for beat in beats if beat.time < stream.seconds]
            for stream, beats in zip(streams, found, strict=True)]


def check_signal(samples: ArrayLike, *, units: str, dimensions: tuple[int, ...]
                 ) -> NDArray[np.float64]:
    """Signal as float64 in mV.

    Raises
    ------
    InputError
        Says what is wrong: type, dimensions, units, or the first value that is no number.
    """
    if not isinstance(units, str) or units not in MILLIVOLTS:
        raise InputError(f"units {units!r} are unknown; expected one of "
                         f"{', '.join(MILLIVOLTS)} (for raw converter counts, divide by the "
                         "gain first).")
    try:
        array = np.asarray(samples)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError("the signal is not made of numbers only, or its rows differ in length; "
                         "expected real numbers, [samples] or [batch, samples].")
    if array.ndim not in dimensions:
        expected = " or ".join({1: "[samples]", 2: "[batch, samples]"}[n] for n in dimensions)
        raise InputError(f"the signal has {array.ndim} dimensions {array.shape}; "
                         f"expected {expected}.")
    ecg = array.astype(np.float64) * MILLIVOLTS[units]
    if ecg.size and not np.abs(ecg).max() <= LARGEST_MV:  # which NaN is not either
        place = int(np.flatnonzero(~(np.abs(ecg) <= LARGEST_MV))[0])
        value = ecg.ravel()[place]
        what = "is not a finite number" if not np.isfinite(value) else (
            f"is beyond ±{LARGEST_MV:g} mV (are the units right?)")
        raise InputError(f"sample {place} of the signal ({array.ravel()[place]}) {what}; "
                         f"expected ECG in {units}.")
    return ecg


def _advance(streams: Sequence[Stream], chunks: Sequence[NDArray[np.float32]]
             ) -> list[list[Beat]]:
    """Feed checked chunks, batching the streams that are equally far."""
    beats: list[list[Beat]] = [[] for _ in streams]
    longest = max((len(chunk) for chunk in chunks), default=0)
    piece = max(1, int(RUN_SECONDS * min((s.fs for s in streams), default=1.0)))
    for start in range(0, max(longest, 1), piece):
        # By the lengths that have to be equal for arrays of many streams to be stacked.
        ready: dict[tuple[int, ...], list[tuple[int, NDArray[np.float32]]]] = {}
        for i, (stream, chunk) in enumerate(zip(streams, chunks, strict=True)):
            hops = stream._take(chunk[start : start + piece])
            if len(hops):
                lengths = len(hops), len(stream._context), len(stream._recent)
                ready.setdefault(lengths, []).append((i, hops))
        for (samples, *_), group in ready.items():
            batch = max(1, RUN_SAMPLES // samples)
            for at in range(0, len(group), batch):
                members = group[at : at + batch]
                found = _step([streams[i] for i, _ in members],
                              _rows([hops for _, hops in members]))
                for (i, _), decided in zip(members, found, strict=True):
                    beats[i] += decided
    return beats


def _step(streams: Sequence[Stream], hops: NDArray[np.float32]) -> list[list[Beat]]:
    """One run of the network over streams that are equally far, and the beats it decides.

    Parameters
    ----------
    hops : float32 [streams, samples], at the model's rate
    """
    contract, policy = streams[0]._contract, streams[0]._contract.policy
    probabilities, carries = streams[0]._run(hops, _rows([s._carry for s in streams]))
    context = np.concatenate([_rows([s._context for s in streams]), probabilities], axis=1)
    signal = np.concatenate([_rows([s._recent for s in streams]), hops], axis=1)
    for stream in streams:
        stream._frames += probabilities.shape[1]
    beats = _decide(contract, context, signal, np.array([s._frames for s in streams]))
    context = context[:, -(policy.before + policy.after):].copy()
    signal = signal[:, -_reach(contract):].copy()
    for row, stream in enumerate(streams):
        stream._carry, stream._context, stream._recent = carries[row], context[row], signal[row]
        if stream.rhythm:
            stream._events += stream.rhythm.push(beats[row], hops[row], stream.decided)
    return beats


def _decide(contract: Contract, context: NDArray[np.float32], signal: NDArray[np.float32],
            frames: NDArray[np.int64]) -> list[list[Beat]]:
    """Each stream's beats among its last frames.

    Parameters
    ----------
    context : float32 [streams, frames, 6], the last of each
    signal : float32 [streams, samples], the last of each
    frames : int64 [streams], from each one's start to the end of both
    """
    rows, found, shares = find_beats_of_all(context, contract.policy)
    found += (frames - context.shape[1])[rows]
    moments = found * contract.hop + contract.hop // 2 - contract.delay
    real = moments > -contract.hop  # what lies before the recording's start is no beat
    if not real.all():
        rows, moments, shares = rows[real], moments[real], shares[real]
    first_sample = (frames * contract.hop - signal.shape[1])[rows]
    places = first_sample + place_at_r_peak(signal, moments - first_sample, contract.fs, rows)
    labels = classify(shares, contract.policy)
    beats: list[list[Beat]] = [[] for _ in frames]
    for row, place, label, share in zip(rows.tolist(), places.tolist(), labels.tolist(),
                                        shares.tolist(), strict=True):
        beats[row].append(Beat(place / contract.fs, CLASSES[label], share[label], tuple(share)))
    return beats


def _rows(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Arrays of many streams as one; without a copy where there is one stream."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _reach(contract: Contract) -> int:
    """Samples of the past in which the R peak of a beat still to be decided may lie."""
    return (contract.delay + (contract.policy.after + 2) * contract.hop
            + round(BASELINE_S * contract.fs) + SMOOTH_SAMPLES)


_MAGIC = b"EKGs"
# magic, format, model, rate ratio (up, down), samples taken and given, frames, started, offset,
# last value, and the lengths of the six arrays that follow as float32
_HEAD = struct.Struct("<4sH8sIIQQQ?dd6I")
_VERSION = FORMAT + 1  # tokens have the rhythm in them since
_NOTHING = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class _State:
    step: Fraction
    taken: int
    given: int
    frames: int
    offset: float | None
    last: float
    arrays: list[NDArray[np.float32]]


def _damaged() -> TokenError:
    return TokenError("the stream's token is damaged or cut off; expected the bytes of the last "
                      "answer, unchanged.")


def _parse(token: bytes, contract: Contract, model: bytes) -> _State:
    """A token's contents, every length and number checked before any is used."""
    damaged = _damaged()
    if len(token) < _HEAD.size + 4 or token[:4] != _MAGIC:
        raise damaged
    body, checksum = token[:-4], int.from_bytes(token[-4:], "little")
    if zlib.crc32(body) != checksum:
        raise damaged
    (_, version, hash_, up, down, taken, given, frames, started, offset, last,
     *lengths) = _HEAD.unpack_from(body)
    if version != _VERSION or hash_ != model[:8]:
        raise StaleTokenError("the stream's token was saved by another model or version; "
                              "start a new stream.")
    policy, hop = contract.policy, contract.hop
    step = Fraction(up, down) if up and down else Fraction(0)
    try:
        expected = Resampler(ratio(float(contract.fs / step), contract.fs))
    except (InputError, ZeroDivisionError):
        raise damaged from None
    context = min(policy.before + frames, policy.before + policy.after)
    fits = (
        len(body) == _HEAD.size + 4 * sum(lengths)
        and (expected.up, expected.down) == (up, down)
        and lengths[0] <= 2 * expected.half + expected.down // expected.up + 2
        and lengths[1] < hop and lengths[2] == contract.carry_size
        and lengths[3] == context * len(contract.classes)
        and lengths[4] == min(frames * hop, _reach(contract)) and lengths[5] <= LARGEST_SAVED
        and given == frames * hop + lengths[1]
        and taken < LONGEST and given == expected.complete(taken)
        and max(abs(offset), abs(last)) <= 2 * LARGEST_MV
    )
    arrays = np.split(np.frombuffer(body[_HEAD.size:], dtype="<f4").astype(np.float32),
                      np.cumsum(lengths)[:-1]) if fits else []
    if not fits or not all((np.abs(array) <= LARGEST_STATE).all() for array in arrays):
        raise damaged
    probabilities = arrays[3].reshape(-1, len(contract.classes))
    if (probabilities < 0).any() or (np.abs(probabilities.sum(axis=1) - 1) > 1e-3).any():
        raise damaged
    return _State(step, taken, given, frames, offset if started else None, last, arrays)
