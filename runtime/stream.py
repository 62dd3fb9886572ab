"""Live signal: chunks of any size and rate in, beats out, state that can be saved and moved.

A stream's state is a value: a few thousand numbers that `Stream.save` turns into bytes. Nothing
about a patient is kept in the model's session, so one session serves any number of them. Streams
that are equally far share arrays, a row for each, and everything here works on all rows at once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .beats import (
    BASELINE_S,
    SEARCH_S,
    SMOOTH_SAMPLES,
    find_beats,
    find_beats_of_all,
    place_at_r_peak,
    r_peak,
)
from .errors import InputError, StaleTokenError, TokenError
from .findings import CLASSES, Beat, Event
from .model.artifacts import FORMAT, Contract
from .rhythm.follow import LARGEST_SAVED, Rhythm, RhythmPolicy, take_together
from .signal.resample import Resampler, resampler
from .signal.units import LARGEST_MV, as_numbers, check_signal, is_plausible, to_millivolts

LONGEST = 1 << 40  # samples in a stream: 34 years at 1000 Hz; times any ratio below 2**63
# Samples in one run of the network, over the batch: about 90 patients' second, whose values
# between the layers still fit the caches; more in a run take longer each.
RUN_SAMPLES = 1 << 15
RUN_SECONDS = 60  # and the longest piece
FEW_FRAMES = 100  # over the batch: up to here plain numbers are quicker than arrays
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
        self._resampler = resampler(fs, contract.fs)
        self.fs = self._resampler.fs
        self._state, self._row = _start(contract, self._resampler), 0
        self._end: int | None = None  # samples in all, once it is finished
        self.rhythm = rhythm
        self._events: list[Event] = []

    @property
    def seconds(self) -> float:
        """Signal taken so far, s."""
        return (self._taken if self._end is None else self._end) / self.fs

    @property
    def decided(self) -> float:
        """Everything before this moment is decided, s; `push` adds no beat before it."""
        contract = self._contract
        seen = self._resampler.complete(self._taken)
        frames = seen // contract.hop - contract.policy.after
        moment = (frames * contract.hop - contract.delay) / contract.fs - 0.1  # R peak search
        return self.seconds if self._end is not None else min(max(0.0, moment), self.seconds)

    @property
    def latency(self) -> float:
        """From an R peak to its label at the latest, s, not counting the wait for a chunk.

        Of this `SEARCH_S` is for an R peak before the frame that found it: few are.
        """
        contract = self._contract
        frames = (contract.policy.after + 1) * contract.hop + contract.hop / 2
        return (contract.delay + frames) / contract.fs + self._resampler.half / self.fs + SEARCH_S

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
        return self._push(samples, units=units)

    def finish(self) -> list[Beat]:
        """The beats of the last seconds, which were waiting for signal that does not come.

        The last value is held for as long as the network looks ahead. After this the stream
        takes no more.
        """
        return [] if self._end is not None else self._push((), end=True)

    def events(self) -> list[Event]:
        """Rhythm events that began or ended since the last call, each given once.

        One that lasts has no end yet; it comes again, with its end. What is not taken before
        `save` is not in the token.
        """
        events, self._events = self._events, []
        return events

    def save(self) -> bytes:
        """The stream's whole state, about 23 kB; `Detector.resume` goes on from it."""
        if self._end is not None:
            raise InputError("the stream is finished; there is nothing to resume.")
        state, row = self._state, self._row
        recent, waiting = np.split(state.past[row], [state.past.shape[1] - state.waiting])
        arrays = (state.tail[row], waiting, state.carry[row], state.context[row].ravel(), recent,
                  self.rhythm.save() if self.rhythm else _NOTHING)
        head = _HEAD.pack(
            _MAGIC, _VERSION, self._model[:8], self._resampler.up, self._resampler.down,
            self._taken, state.offset[row, 0], *(len(array) for array in arrays))
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
        way, taken, offset, arrays = _parse(token, contract, model)
        tail, waiting, carry, context, recent, rhythm = arrays
        stream = cls(contract, model, run, way.fs)
        stream._state = _State(
            tail[None], np.concatenate([recent, waiting])[None], carry[None],
            context.reshape(1, -1, len(contract.classes)), np.array([[offset]]),
            (taken,), len(waiting))
        if len(rhythm):
            try:
                stream.rhythm = Rhythm.restore(rhythm, recent, policy)
            except ValueError:
                raise _damaged() from None
        return stream

    def _push(self, samples: ArrayLike, *, units: str = "mV", end: bool = False) -> list[Beat]:
        """`push_together` for one stream, which has nobody to be grouped with."""
        _refuse_finished(self)
        ecg = check_signal(samples, units=units, dimensions=(1,))
        return _advance([self], _stacked([self]), ecg[None], end=end)[0]

    @property
    def _taken(self) -> int:
        return self._state.taken[self._row]


def push_together(streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV"
                  ) -> list[list[Beat]]:
    """`Stream.push` for many streams of one model, in as few runs of the network as possible.

    Either every chunk is taken, or, where one of them cannot be used, none.
    """
    if len(streams) != len(chunks) or len(set(streams)) != len(streams):
        raise InputError(f"got {len(set(streams))} streams and {len(chunks)} chunks; "
                         "expected one chunk for each stream.")
    beats: list[list[Beat]] = [[] for _ in streams]
    for members, state, ecg in _accept(streams, chunks, units):
        found = _advance([streams[i] for i in members], state, ecg)
        for i, decided in zip(members, found, strict=True):
            beats[i] = decided
    return beats


def push_whole(streams: Sequence[Stream], ecg: NDArray[np.float64]) -> list[list[Beat]]:
    """`Stream.push` and `Stream.finish` in one, of new streams of one rate.

    Parameters
    ----------
    ecg : [streams, samples], each recording's whole signal, as `check_signal` gives it
    """
    size = _runnable(streams[0], ecg.shape[1])
    return [beats for at in range(0, len(streams), size)
            for beats in _advance(streams[at : at + size], _stacked(streams[at : at + size]),
                                  ecg[at : at + size], end=True)]


class _State(NamedTuple):
    """What streams of one rate, equally far, keep between chunks: a row of each array for each.

    It is never changed, only followed by another: a push that fails leaves it as it was, and
    streams that are pushed together again are together already.

    Attributes
    ----------
    tail : float32 [streams, kept], of the resampler
    past : float32 [streams, samples], at the model's rate: the last that the network has seen,
        where R peaks are sought, then those that wait for a hop to be whole
    carry : float32 [streams, carry_size], of the network
    context : float32 [streams, frames, 6], the last frames, which decide on the next beat
    offset : float64 [streams, 1], each recording's first sample, mV
    taken : samples taken since each one's start
    waiting : samples at the end of `past` that the network has not seen
    """

    tail: NDArray[np.float32]
    past: NDArray[np.float32]
    carry: NDArray[np.float32]
    context: NDArray[np.float32]
    offset: NDArray[np.float64]
    taken: tuple[int, ...]
    waiting: int


@lru_cache(maxsize=64)
def _start(contract: Contract, _: Resampler) -> _State:
    """Before a recording at this rate: nothing seen, no beat. Other rates share none with it."""
    frames = contract.policy.before + contract.policy.after
    context = np.zeros((1, frames, len(contract.classes)), dtype=np.float32)
    context[:, :, 0] = 1.0
    tail, past, carry = (np.zeros((1, size), dtype=np.float32)
                         for size in (0, _reach(contract), contract.carry_size))
    return _State(tail, past, carry, context, np.zeros((1, 1)), (0,), 0)


def _stacked(streams: Sequence[Stream]) -> _State:
    """The state of streams that are equally far, in this order."""
    first = streams[0]._state
    if len(first.taken) == len(streams) and (len(streams) == 1 or all(
            stream._state is first and stream._row == row for row, stream in enumerate(streams))):
        return first

    def rows(name: str) -> Any:
        return np.concatenate([getattr(stream._state, name)[stream._row : stream._row + 1]
                               for stream in streams])

    return _State(rows("tail"), rows("past"), rows("carry"), rows("context"), rows("offset"),
                  tuple(stream._taken for stream in streams), first.waiting)


def _place(stream: Stream) -> tuple[object, ...]:
    """Equal for streams whose arrays can be stacked: those as far from the next output and hop."""
    state, way, taken = stream._state, stream._resampler, stream._taken
    return way, taken > 0, taken % way.down, state.tail.shape[1], state.waiting


def _accept(streams: Sequence[Stream], chunks: Sequence[ArrayLike], units: str
            ) -> list[tuple[list[int], _State, NDArray[np.float64]]]:
    """What can run together, all of it checked: whose it is, their state, and their samples,
    float64 [streams, samples], mV."""
    for stream in streams:
        _refuse_finished(stream)
    arrays = [as_numbers(chunk, (1,)) for chunk in chunks]
    places: dict[int, tuple[object, ...]] = {}  # of states, which many streams may share
    groups: dict[tuple[int, bytes, tuple[object, ...]], list[int]] = {}
    for i, (stream, array) in enumerate(zip(streams, arrays, strict=True)):
        place = places.get(id(stream._state))
        if place is None:
            place = places[id(stream._state)] = _place(stream)
        groups.setdefault((len(array), stream._model, place), []).append(i)
    accepted = []
    for (samples, _, _), members in groups.items():
        size = _runnable(streams[members[0]], samples)
        for at in range(0, len(members), size):
            some = members[at : at + size]
            ecg = to_millivolts(_rows([arrays[i] for i in some]), units)
            if not is_plausible(ecg):
                for chunk in chunks:
                    check_signal(chunk, units=units, dimensions=(1,))  # says which sample
            accepted.append((some, _stacked([streams[i] for i in some]), ecg))
    return accepted


def _runnable(stream: Stream, samples: int) -> int:
    """How many chunks like this one are run together."""
    return max(1, int(RUN_SAMPLES * stream.fs / (stream._contract.fs * max(1, samples))))


def _refuse_finished(stream: Stream) -> None:
    if stream._end is not None:
        raise InputError("the stream is finished; start a new one for more signal.")


def _rows(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Equally long arrays as the rows of one, without a copy where there is one: a quick stack."""
    together = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return together.reshape(len(arrays), -1)


def _advance(streams: Sequence[Stream], state: _State, ecg: NDArray[np.float64], *,
             end: bool = False) -> list[list[Beat]]:
    """Feed streams that are equally far their next samples, checked, [streams, samples], mV."""
    contract, way = streams[0]._contract, streams[0]._resampler
    before, samples = state.taken, ecg.shape[1]
    if samples and not before[0]:
        state = state._replace(offset=ecg[:, :1].copy())
    # From one row a number is subtracted faster than an array.
    offset = state.offset if len(streams) > 1 else state.offset.item()
    chunk = (ecg - offset).astype(np.float32)
    if end:
        chunk = _held(chunk, state, contract, way)
        for stream, taken in zip(streams, before, strict=True):
            if stream.rhythm:
                stream.rhythm.limit = int((taken + samples) * way.step)
    beats: list[list[Beat]] = [[] for _ in streams]
    piece = max(1, int(RUN_SECONDS * way.fs))
    for start in range(0, chunk.shape[1], piece):
        state, hops, found = _step(contract, streams[0]._run, way, state,
                                   chunk[:, start : start + piece])
        for row, stream in enumerate(streams):
            stream._state, stream._row = state, row
        followed = [(row, stream.rhythm) for row, stream in enumerate(streams) if stream.rhythm]
        if followed and hops.shape[1]:
            take_together([rhythm for _, rhythm in followed], [hops[row] for row, _ in followed])
            for row, rhythm in followed:
                found[row], events = rhythm.follow(found[row], streams[row].decided)
                streams[row]._events += events
        for row, decided in enumerate(found):
            beats[row] += decided
    if end:
        for stream, taken in zip(streams, before, strict=True):
            stream._end = taken + samples
            if stream.rhythm:
                stream._events += stream.rhythm.finish()
        beats = [[beat for beat in found if beat.time < stream.seconds]
                 for stream, found in zip(streams, beats, strict=True)]
    return beats


def _held(chunk: NDArray[np.float32], state: _State, contract: Contract, way: Resampler
          ) -> NDArray[np.float32]:
    """The last samples, and the last value for as long as the network looks ahead."""
    if not (chunk.shape[1] or state.taken[0]):  # a recording without a sample
        return chunk
    last = next(array[:, -1:] for array in (chunk, state.tail, state.past) if array.shape[1])
    ahead = contract.delay + (contract.policy.after + 3) * contract.hop
    held = -(-ahead * way.down // way.up) + way.half + 1
    return np.concatenate([chunk, last.repeat(held, axis=1)], axis=1)


def _step(contract: Contract, run: Run, way: Resampler, state: _State, chunk: NDArray[np.float32]
          ) -> tuple[_State, NDArray[np.float32], list[list[Beat]]]:
    """One run of the network, at most: the state after it, the signal it saw, each one's beats."""
    hop = contract.hop
    fresh, tail = way.push(state.tail, chunk, state.taken[0])
    new = chunk.shape[1]
    taken = tuple([before + new for before in state.taken])
    line = np.concatenate([state.past, fresh], axis=1)
    ready, samples = state.waiting + fresh.shape[1], line.shape[1]
    waiting = ready % hop
    hops = np.ascontiguousarray(line[:, samples - ready : samples - waiting])
    if ready < hop:
        return (state._replace(tail=tail, past=line, taken=taken, waiting=waiting), hops,
                [[] for _ in line])
    probabilities, carry = run(hops, state.carry)
    context = np.concatenate([state.context, probabilities], axis=1)
    found = _decide(contract, way, context, line, waiting, taken)
    after = _State(tail, line[:, ready - waiting :], carry, context[:, ready // hop :],
                   state.offset, taken, waiting)
    return after, hops, found


def _decide(contract: Contract, way: Resampler, context: NDArray[np.float32],
            line: NDArray[np.float32], waiting: int, taken: Sequence[int]) -> list[list[Beat]]:
    """Each stream's beats among its last frames.

    Parameters
    ----------
    context : float32 [streams, frames, 6], the last of each
    line : float32 [streams, samples], the last of each
    waiting : samples at the end of `line` that are in no frame
    taken : samples taken since each one's start
    """
    policy, fs, hop, samples = contract.policy, contract.fs, contract.hop, line.shape[1]
    # A frame speaks of the same place in every row, and what is around it lies in the row.
    first = samples - waiting - context.shape[1] * hop + hop // 2 - contract.delay
    if len(context) * context.shape[1] <= FEW_FRAMES:
        found = [(row, frame, r_peak(line[row], first + frame * hop, fs), label, shares)
                 for row in range(len(line))
                 for frame, label, shares in find_beats(context[row], policy)]
    else:
        rows, frames, labels, parts = find_beats_of_all(context, policy)
        starts = rows * samples
        places = place_at_r_peak(line.ravel(), starts + first + frames * hop, fs) - starts
        found = list(zip(*(array.tolist() for array in (rows, frames, places, labels, parts)),
                         strict=True))
    beats: list[list[Beat]] = [[] for _ in line]
    for row, frame, place, label, shares in found:
        origin = way.complete(taken[row]) - samples
        if origin + first + frame * hop > -hop:  # what lies before the start is no beat
            beats[row].append(Beat(max(0, origin + place) / fs, CLASSES[label], shares[label],
                                   tuple(shares)))
    return beats


def _reach(contract: Contract) -> int:
    """Samples of the past in which the R peak of a beat still to be decided may lie."""
    return (contract.delay + (contract.policy.after + 2) * contract.hop
            + round(BASELINE_S * contract.fs) + SMOOTH_SAMPLES)


_MAGIC = b"EKGs"
# magic, format, model, rate ratio (up, down), samples taken, the recording's first one, and the
# lengths of the six arrays that follow as float32
_HEAD = struct.Struct("<4sH8sIIQd6I")
_VERSION = FORMAT + 7  # raised with the layout
_NOTHING = np.zeros(0, dtype=np.float32)


def _damaged() -> TokenError:
    return TokenError("the stream's token is damaged or cut off; expected the bytes of the last "
                      "answer, unchanged.")


def _parse(token: bytes, contract: Contract, model: bytes
           ) -> tuple[Resampler, int, float, list[NDArray[np.float32]]]:
    """What a token says after magic and model, every length and number checked before any is used.
    """
    damaged = _damaged()
    if not isinstance(token, bytes | bytearray | memoryview):
        raise TokenError(f"the stream's token is of type {type(token).__name__}; expected the "
                         "bytes that `Stream.save` gave.")
    if len(token) < _HEAD.size + 4 or token[:4] != _MAGIC:
        raise damaged
    body, checksum = token[:-4], int.from_bytes(token[-4:], "little")
    if zlib.crc32(body) != checksum:
        raise damaged
    _, version, hash_, up, down, taken, offset, *lengths = _HEAD.unpack_from(body)
    if version != _VERSION or hash_ != model[:8]:
        raise StaleTokenError("the stream's token was saved by another model or version; "
                              "start a new stream.")
    policy = contract.policy
    try:
        way = resampler(contract.fs * down / up, contract.fs)
    except (InputError, ZeroDivisionError):
        raise damaged from None
    waiting = way.complete(taken) % contract.hop
    fits = (
        taken < LONGEST and (way.up, way.down) == (up, down)
        and len(body) == _HEAD.size + 4 * sum(lengths)
        and lengths[0] == way.kept(taken) and lengths[1] == waiting
        and lengths[2] == contract.carry_size
        and lengths[3] == len(contract.classes) * (policy.before + policy.after)
        and lengths[4] == _reach(contract) and lengths[5] <= LARGEST_SAVED
        and abs(offset) <= LARGEST_MV
    )
    if not fits:
        raise damaged
    state = np.frombuffer(body[_HEAD.size:], dtype="<f4").astype(np.float32)
    if not (np.abs(state) <= LARGEST_STATE).all():
        raise damaged
    arrays = [state[at:end] for at, end in pairwise(accumulate(lengths, initial=0))]
    probabilities = arrays[3].reshape(-1, len(contract.classes))
    if (probabilities < 0).any() or (np.abs(probabilities.sum(axis=1) - 1) > 1e-3).any():
        raise damaged
    return way, taken, offset, arrays
