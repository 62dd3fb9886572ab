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
    find_beats,
    place_at_r_peak,
)
from runtime.errors import InputError, StaleTokenError, TokenError
from runtime.resample import Resampler, ratio

MILLIVOLTS = {"mV": 1.0, "V": 1000.0, "uV": 0.001, "µV": 0.001}
LONGEST = 1 << 40  # samples in a stream: 34 years at 1000 Hz; times any ratio below 2**63
LARGEST_MV = 1000.0  # beyond any amplifier; keeps float32 exact enough
RUN_SAMPLES = 1 << 20  # samples in one run of the network, over the batch: bounds the memory
RUN_SECONDS = 60  # and the longest piece
# What a token may hold at most; a forged one could otherwise overflow what it is used for.
LARGEST_STATE = 1e9  # float32 stays finite through the network; real state is below 1e5

Run = Callable[[NDArray[np.float32], NDArray[np.float32]],
               tuple[NDArray[np.float32], NDArray[np.float32]]]


class Stream:
    """One patient's signal. Made by `Detector.stream` or `Detector.resume`.

    Not safe to push from two threads at once; two streams are.
    """

    def __init__(self, contract: Contract, model: bytes, run: Run, fs: float):
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
        if self._finished or self._offset is None:
            self._finished = True
            return []
        contract, taken = self._contract, self._resampler.taken
        ahead = contract.delay + (contract.policy.after + 3) * contract.hop
        held = math.ceil(ahead / self._step) + self._resampler.half + 1
        end = taken / self.fs
        ecg = np.full(held, self._last, dtype=np.float32)
        beats = _advance([self], [ecg])[0]
        self._resampler.taken = taken
        self._finished = True
        return [beat for beat in beats if beat.time < end]

    def save(self) -> bytes:
        """The stream's whole state, about 21 kB; `Detector.resume` goes on from it."""
        if self._finished:
            raise InputError("the stream is finished; there is nothing to resume.")
        arrays = (self._resampler.tail, self._waiting, self._carry, self._context.ravel(),
                  self._recent)
        head = _HEAD.pack(
            _MAGIC, FORMAT, self._model[:8], self._step.numerator, self._step.denominator,
            self._resampler.taken, self._resampler.given, self._frames,
            self._offset is not None, self._offset or 0.0, self._last,
            *(len(array) for array in arrays))
        body = head + b"".join(array.astype("<f4").tobytes() for array in arrays)
        return body + zlib.crc32(body).to_bytes(4, "little")

    @classmethod
    def restore(cls, token: bytes, contract: Contract, model: bytes, run: Run) -> Stream:
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
        resampler.tail, stream._waiting, stream._carry, context, stream._recent = state.arrays
        stream._context = context.reshape(-1, len(contract.classes))
        return stream

    def _accept(self, samples: ArrayLike, units: str) -> NDArray[np.float32]:
        """Checked samples, less the recording's first, mV."""
        if self._finished:
            raise InputError("the stream is finished; start a new one for more signal.")
        ecg = check_signal(samples, units=units, dimensions=(1,))
        if len(ecg) and self._offset is None:
            self._offset = float(ecg[0])
        return (ecg - (self._offset or 0.0)).astype(np.float32)

    def _take(self, ecg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples at the model's rate that make whole hops."""
        if len(ecg):
            self._last = float(ecg[-1])
        ready = np.concatenate([self._waiting, self._resampler.push(ecg)])
        whole = len(ready) // self._contract.hop * self._contract.hop
        self._waiting = ready[whole:].copy()
        return ready[:whole]

    def _decide(self, hops: NDArray[np.float32], probabilities: NDArray[np.float32]
                ) -> list[Beat]:
        """Beats that these frames decide."""
        contract, policy = self._contract, self._contract.policy
        context = np.concatenate([self._context, probabilities])
        signal = np.concatenate([self._recent, hops])
        first_frame = self._frames + len(probabilities) - len(context)
        first_sample = (self._frames + len(probabilities)) * contract.hop - len(signal)
        found, shares = find_beats(context, policy)
        moments = (found + first_frame) * contract.hop + contract.hop // 2 - contract.delay
        real = moments > -contract.hop  # what lies before the recording's start is no beat
        places = place_at_r_peak(signal, moments[real] - first_sample, contract.fs) + first_sample
        labels = classify(shares[real], policy)
        self._frames += len(probabilities)
        self._context = context[-(policy.before + policy.after):].copy()
        self._recent = signal[-self._reach:].copy()
        return [Beat(int(place) / contract.fs, CLASSES[label], float(share[label]),
                     tuple(share.tolist()))
                for place, label, share in zip(places, labels, shares[real], strict=True)]

    @property
    def _reach(self) -> int:
        """Samples of the past in which the R peak of a beat still to be decided may lie."""
        contract = self._contract
        return (contract.delay + (contract.policy.after + 2) * contract.hop
                + round(BASELINE_S * contract.fs) + SMOOTH_SAMPLES)


def push_together(streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV"
                  ) -> list[list[Beat]]:
    """`Stream.push` for many streams of one model, in as few runs of the network as possible.

    Either every chunk is taken, or, where one of them cannot be used, none.
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
    return _advance(streams, accepted)


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
    bad = ~(np.abs(ecg) <= LARGEST_MV)  # also true for NaN
    if bad.any():
        place = int(np.flatnonzero(bad.ravel())[0])
        value = ecg.ravel()[place]
        what = "is not a finite number" if not np.isfinite(value) else (
            f"is beyond ±{LARGEST_MV:g} mV (are the units right?)")
        raise InputError(f"sample {place} of the signal ({array.ravel()[place]}) {what}; "
                         f"expected ECG in {units}.")
    return ecg


def _advance(streams: Sequence[Stream], chunks: Sequence[NDArray[np.float32]]
             ) -> list[list[Beat]]:
    """Feed checked chunks, batching the streams that have the same number of frames ready."""
    beats: list[list[Beat]] = [[] for _ in streams]
    longest = max((len(chunk) for chunk in chunks), default=0)
    piece = max(1, int(RUN_SECONDS * min((s.fs for s in streams), default=1.0)))
    for start in range(0, max(longest, 1), piece):
        ready: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}
        for i, (stream, chunk) in enumerate(zip(streams, chunks, strict=True)):
            hops = stream._take(chunk[start : start + piece])
            if len(hops):
                ready.setdefault(len(hops), []).append((i, hops))
        for samples, group in ready.items():
            batch = max(1, RUN_SAMPLES // samples)
            for at in range(0, len(group), batch):
                members = group[at : at + batch]
                probabilities, carries = streams[0]._run(
                    np.stack([hops for _, hops in members]),
                    np.stack([streams[i]._carry for i, _ in members]))
                for row, (i, hops) in enumerate(members):
                    streams[i]._carry = carries[row]
                    beats[i] += streams[i]._decide(hops, probabilities[row])
    return beats


_MAGIC = b"EKGs"
# magic, format, model, rate ratio (up, down), samples taken and given, frames, started, offset,
# last value, and the lengths of the five arrays that follow as float32
_HEAD = struct.Struct("<4sH8sIIQQQ?dd5I")


@dataclass(frozen=True)
class _State:
    step: Fraction
    taken: int
    given: int
    frames: int
    offset: float | None
    last: float
    arrays: list[NDArray[np.float32]]


def _parse(token: bytes, contract: Contract, model: bytes) -> _State:
    """A token's contents, every length and number checked before any is used."""
    damaged = TokenError("the stream's token is damaged or cut off; expected the bytes of the "
                         "last answer, unchanged.")
    if len(token) < _HEAD.size + 4 or token[:4] != _MAGIC:
        raise damaged
    body, checksum = token[:-4], int.from_bytes(token[-4:], "little")
    if zlib.crc32(body) != checksum:
        raise damaged
    (_, version, hash_, up, down, taken, given, frames, started, offset, last,
     *lengths) = _HEAD.unpack_from(body)
    if version != FORMAT or hash_ != model[:8]:
        raise StaleTokenError("the stream's token was saved by another model or version; "
                              "start a new stream.")
    policy, hop = contract.policy, contract.hop
    step = Fraction(up, down) if up and down else Fraction(0)
    try:
        expected = Resampler(ratio(float(contract.fs / step), contract.fs))
    except (InputError, ZeroDivisionError):
        raise damaged from None
    probe_reach = (contract.delay + (policy.after + 2) * hop
                   + round(BASELINE_S * contract.fs) + SMOOTH_SAMPLES)
    context = min(policy.before + frames, policy.before + policy.after)
    fits = (
        len(body) == _HEAD.size + 4 * sum(lengths)
        and (expected.up, expected.down) == (up, down)
        and lengths[0] <= 2 * expected.half + expected.down // expected.up + 2
        and lengths[1] < hop and lengths[2] == contract.carry_size
        and lengths[3] == context * len(contract.classes)
        and lengths[4] == min(frames * hop, probe_reach)
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
