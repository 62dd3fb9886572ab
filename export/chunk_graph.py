"""A chunk as nodes: its line of signal, its gaps, its whole seconds, and state across chunks.

Places in time are samples from the chunk's first on, in float64; the memory holds them as ages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from export.seconds_graph import F32, F64
from export.values import FAR, Value, at_start, branch, columns, concat
from runtime.model.contract import FS
from runtime.signal.features import WINDOW_S
from runtime.signal.gaps import GAP_S, SNIPPET_S

COUNT = 1 << 20  # gaps are counted up to here, and from 0 again
OLDEST = float(1 << 23)  # samples: ages beyond count as this, 6.5 hours, so that floats hold them
GAP, SNIPPET = math.ceil(GAP_S * FS), math.ceil(SNIPPET_S * FS)  # samples
CONTEXT = GAP + SNIPPET  # samples to either side that decide if one lies in a gap
HALF = WINDOW_S // 2
HIGH = 1e9  # above any count of slots


@dataclass(frozen=True)
class Chunk:
    """A chunk, and what came before.

    Attributes
    ----------
    line : float32 [batch, past + samples], mV
    missing, ended : float32, of the same samples: 1 if it is missing, or after the recording's end
    past : samples of them before the chunk
    position : float64 [batch, 1], samples before it since the recording's start
    """

    line: Value
    missing: Value
    ended: Value
    past: int
    position: Value

    @cached_property
    def samples(self) -> Value:
        """float64, a number."""
        return self.length.to(F64) - float(self.past)

    @cached_property
    def length(self) -> Value:
        """int64, a number: of `line`."""
        return self.line.op("Shape", dtype=np.int64).one(1, axis=0)

    def cut(self, line: Value, starts: Value, size: int) -> Value:
        """Pieces of a line, from these places in the chunk on: [batch, n, size]."""
        return cut_rows(line, starts.to(np.int64) + self.past, size, self.length - 1)


@dataclass(frozen=True)
class Clock:
    """Whole seconds before and after the chunk, and those that it closes; float64 [batch, 1].

    Attributes
    ----------
    before, after : seconds that are complete
    next_before, next_after : the next to be closed
    new : int64, a number: most seconds of a row that become complete, at least 1
    closing : as `new`, of those that are closed
    """

    before: Value
    after: Value
    next_before: Value
    next_after: Value
    new: Value
    closing: Value

    @classmethod
    def of(cls, before: Value, after: Value) -> Clock:
        next_before, next_after = (
            (whole < float(WINDOW_S)).where(0.0, whole - float(HALF)) for whole in (before, after)
        )

        def most(count: Value) -> Value:
            return count.to(np.int64).max(0).at_least(1).reshape(-1).one(0, axis=0)

        return cls(
            before,
            after,
            next_before,
            next_after,
            most(after - before),
            most(next_after - next_before),
        )


@dataclass(frozen=True)
class State:
    """State of a loop over beats: columns in the memory, in which moments are ages.

    Attributes
    ----------
    sizes : name -> size of each column
    at_start : name -> value where a recording starts, if it is not 0
    moments : columns that are places in time
    begun : the column that is 0 in the memory as long as there was no beat
    """

    sizes: Mapping[str, int]
    at_start: Mapping[str, float]
    moments: Sequence[str]
    begun: str

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def enter(self, memory: Value) -> Value:
        """The state from the memory, float32 [batch, numbers]."""
        begun = columns(memory, self.sizes)[self.begun] > 0.5
        if self.moments:
            memory = self._moments(memory).where((memory > 0.5).where(-memory, FAR), memory)
        return begun.where(memory, memory.like(at_start(self.sizes, self.at_start)))

    def leave(self, state: Value, chunk: Chunk) -> Value:
        """The memory from the state after a chunk."""
        if not self.moments:
            return state
        return self._moments(state).where(age_of(state.to(F64), chunk), state)

    def _moments(self, like: Value) -> Value:
        which = at_start(self.sizes, dict.fromkeys(self.moments, 1.0))
        return like.like(which) > 0.5


def beside(values: Sequence[Value]) -> Value:
    """Columns beside one another, float64 [batch, beats, numbers]."""
    return concat(*(one.to(F64).reshape(0, 0, -1) for one in values), axis=2)


def cut_rows(line: Value, starts: Value, size: int, last: Value) -> Value:
    """Pieces of each row from these places on, int64 [batch, n]; beyond its ends the ends go on."""
    places = starts.expand(2) + np.arange(size)
    places = places.reshape(0, -1).at_least(0).at_most(last)
    return line.at(places).reshape(0, -1, size)


def first(true: Value) -> tuple[Value, Value]:
    """Places of the true ones of each row in order, as many as any row has, and which are there."""
    return ordered(true, true.to(np.int64).sum().max(0).at_least(1))


def ordered(true: Value, count: Value | int) -> tuple[Value, Value]:
    key = true.where(HIGH - true.to(F64).total(), 0.0)
    values, places = key.largest(count)
    return places, values > 0.0


def rows_at(values: Value, order: Value) -> Value:
    """[batch, n, size] of [batch, m, size]."""
    return values.op("GatherND", order.expand(2), batch_dims=1)


def place_of(age: Value) -> Value:
    """An age of the memory as a place, `FAR` if it is 0."""
    return (age > 0.5).where(-age.to(F64), FAR)


def age_of(place: Value, chunk: Chunk) -> Value:
    """A place as an age at the chunk's end, 0 if there is none."""
    age = (chunk.samples - place).at_most(OLDEST).to(F32)
    return (place > FAR).where(age, 0.0)


def in_gaps(chunk: Chunk) -> Value:
    """1 for samples that lie in a gap, or after the end, float32 like the line.

    Missing samples with less than `SNIPPET` between them are one run, and one of `GAP` is a gap.
    Known but for `CONTEXT` samples at the ends.
    """

    def search() -> dict[str, Value]:
        run = chunk.missing.expand(1).pooled(SNIPPET, before=SNIPPET - 1)
        run = -(-run).pooled(SNIPPET, after=SNIPPET - 1)
        run = -(-run).pooled(GAP, after=GAP - 1)
        run = run.pooled(GAP, before=GAP - 1).op("Squeeze", run.build.axes(1))
        return {"in_gap": run.at_least(chunk.ended)}

    some = chunk.missing.max().max(0) > 0.5
    return branch(some, search, lambda: {"in_gap": chunk.ended})["in_gap"]


def gaps_begun(in_gap: Value, chunk: Chunk, before: Value) -> tuple[Value, Value]:
    """Gaps begun so far at each place from `CONTEXT` on, and before the next chunk's."""
    begins = in_gap.slice(CONTEXT) - in_gap.slice(CONTEXT - 1, -1)
    begun = begins.at_least(0.0).total() + before
    back = chunk.past - CONTEXT
    last = begun.slice(-back - 1, -back)
    return begun, last - (last / float(COUNT)).floor() * float(COUNT)
