"""Missing samples as nodes: found, and the signal held over them, as `runtime.signal.missing` does.

Nearly always nothing is missing, and then this costs a few nodes. Else a loop goes from one run of
missing samples to the next, in every row at once: how many there are depends on the signal. A step
looks at `LOOKED_AT` samples at most, so that a longer run takes several. The loop finds the level
of each run, and offset and ease of the plain signal after it; all samples are filled in afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.chunk_graph import first
from export.repeated import repeat
from export.values import Value, branch, columns, concat, count_to
from runtime.model.contract import FS
from runtime.model.embedded import MISSING, PAST_END, THERE
from runtime.signal.gaps import GAP_S
from runtime.signal.missing import (
    BACK_MV,
    BACK_S,
    EASED_MV,
    LARGEST_MV,
    LARGEST_STEP_MV,
    NEW_LEVEL_S,
    NO_SIGNAL,
    STEEPEST_MV_S,
)
from runtime.signal.policy import MissingLimits

F32, F64 = np.float32, np.float64
NOWHERE = NO_SIGNAL.came  # stands for a sample that is no number
STEP_MV = min(LARGEST_STEP_MV, STEEPEST_MV_S / FS)
LOOKED_AT = 256  # samples, in a step of the loop
MOST = float(1 << 20)  # counts end here, above all limits
PARTS = 3  # floats whose sum is a float64 exactly
NONE_YET, STILL, MOVING = 0.0, 1.0, 2.0  # 0 where a recording starts
# The state, as `runtime.signal.missing.Edge`: name -> size.
WIDE = ("offset", "last", "second", "third", "came", "ease")
EDGE = dict.fromkeys(WIDE, PARTS) | dict.fromkeys(("away", "jumped", "begun", "repeats"), 1)
Row = dict[str, Value]  # of numbers, float64 [batch, 1]


@dataclass(frozen=True)
class Samples:
    """A chunk's samples, each [batch, samples].

    Attributes
    ----------
    values : float64, mV, `NOWHERE` for what is no number or beyond any ECG
    given : bool, true for those that are taken as they are
    moved : float64, how many so far differ from the one before
    doubtful, constant : bool, true where the signal may be missing from here on; where one value
        repeats itself once too often
    count : float64, the number of samples
    """

    values: Value
    given: Value
    moved: Value
    doubtful: Value
    constant: Value
    count: Value

    def at(self, line: Value, places: Value) -> Value:
        """Of a line the elements at these places; beyond its ends the ends go on."""
        return line.at(places.at_least(0.0).at_most(self.count - 1.0).to(np.int64))


def held(
    ecg: Value, missing: Value, past: tuple[Value, Value], edge: Value, limits: MissingLimits
) -> tuple[Value, Value, Value, Value]:
    """The signal less its offset, held where samples are missing and eased back after gaps.

    Parameters
    ----------
    ecg : float64 [batch, samples], mV
    missing : uint8 [batch, samples], the graph's input: a number that is not `THERE` is taken as it
        is
    past : float32 [batch, past] twice, signal and missing samples before the chunk
    edge : float32 [batch, numbers], of `EDGE`, zeros where a recording starts

    Returns
    -------
    the signal, float32; missing samples, float32, of the chunk and of the past with what was found
    since; the state after it
    """
    line, gone = past
    before = {
        name: value.to(F64).sum(keep=True) if name in WIDE else value.to(F64)
        for name, value in columns(edge, EDGE).items()
    }
    none_yet = before["begun"] < 0.5
    before["came"] = none_yet.where(NOWHERE, before["came"])
    code = missing.to(F32)
    ended = code.equals(PAST_END)
    usable = ecg.abs().op("LessOrEqual", LARGEST_MV, dtype=bool)
    values = usable.where(ecg, ended.where(before["came"] * 0.0, NOWHERE))
    given = (code > THERE + 0.5) & (usable | ended)
    after_given = concat(gone.slice(-1) > 0.5, given.slice(0, -1))
    slopes = values - concat(before["came"], values.slice(0, -1))
    moves = ~slopes.equals(0.0) | given | after_given
    moved = moves.to(F64).total()
    constant = _constant(moved, before["repeats"], limits)
    steep = (slopes.abs() > STEP_MV) & ~after_given
    doubtful = ((steep | (values <= NOWHERE)) & ~given) | constant
    count = values.op("Shape", dtype=np.int64).one(1, axis=0).to(F64)
    samples = Samples(values, given, moved, doubtful, constant, count)

    def plain() -> Row:
        still = before["begun"].equals(STILL) & (moved.slice(-1) < 0.5)
        none = before["offset"] * 0.0
        return {
            "signal": (values - before["offset"]).to(F32),
            "gone": values <= NOWHERE,
            "past": gone.op("Identity"),
            "offset": before["offset"].op("Identity"),
            "last": values.slice(-1),
            "second": values.slice(-2, -1),
            "third": values.slice(-3, -2),
            "came": values.slice(-1),
            "begun": still.where(before["begun"], MOVING),
            "away": none,
            "jumped": none,
            "ease": none,
        }

    waits = none_yet | (before["away"] > 0.5) | ~before["ease"].equals(0.0)
    some = concat(doubtful, waits).to(F32).max().max(0) > 0.5
    found = branch(some, lambda: _bridge(samples, before, gone, limits), plain)
    place = count_to(values.build, samples.count.to(np.int64)).to(F64)
    since = samples.count - 1.0 - moves.where(place, -1.0).max(keep=True)
    since = (moved.slice(-1) > 0.5).where(since, before["repeats"] + samples.count)
    found["repeats"] = (found["away"] > 0.5).where(0.0, since.at_most(MOST))
    # After the end of a recording its last value goes on.
    there = (~ended).to(F64).sum(keep=True).to(np.int64)
    on = concat(line.slice(-1), found["signal"]).at(there)
    is_missing = (found["gone"] & ~given) | code.equals(MISSING)
    return (
        ended.where(on, found["signal"]),
        ended.where(code, is_missing.to(F32) * float(MISSING)),
        found["past"],
        concat(*(part for name, size in EDGE.items() for part in _as_floats(found[name], size))),
    )


def _as_floats(value: Value, size: int) -> list[Value]:
    """So many floats, whose sum is the value."""
    parts = []
    for _ in range(size):
        parts.append(value.to(F32))
        value = value - parts[-1].to(F64)
    return parts


def _constant(moved: Value, repeats: Value, limits: MissingLimits) -> Value:
    """True where one value has followed itself so often that it stands for missing samples."""
    size = int(limits.constant_s * FS) + 1
    so_many = repeats + np.arange(1.0, size + 1.0) >= float(size)
    enough = moved - concat(so_many.where(repeats * 0.0, -1.0), moved).slice(0, -size)
    reached = enough.equals(0.0)
    return reached & ~concat(repeats < 0.0, reached.slice(0, -1))


def _bridge(
    samples: Samples, before: Mapping[str, Value], gone: Value, limits: MissingLimits
) -> Row:
    """Find the missing samples and hold the signal over them."""
    count, values = samples.count, samples.values
    places, there = first(samples.doubtful)
    end = before["offset"] * 0.0 + count
    nexts = concat(there.where(places.to(F64), count), end)
    none = before["offset"] * 0.0
    doubts = concat(none, samples.doubtful.to(F64).total())
    moved = concat(none, samples.moved)
    states = {name: before[name] for name in (*WIDE, "away", "jumped", "begun")}

    def step(place: Value, **now: Value) -> tuple[Value, Row, Row]:
        # On to the next sample that is not plain.
        fresh = (now["away"] < 0.5) & (now["begun"] > 0.5)
        start = fresh.where(nexts.at(doubts.at(place.to(np.int64)).to(np.int64)), place)
        size = start - place
        latest = samples.at(values, start - np.arange(1.0, 4.0))
        one, two, three = (latest.slice(i, i + 1) for i in range(3))
        some = [size > at + 0.5 for at in range(3)]
        third = some[0].where(now["second"], now["third"])
        third = some[2].where(three, some[1].where(now["last"], third))
        second = some[1].where(two, some[0].where(now["last"], now["second"]))
        last, came = (some[0].where(one, now[name]) for name in ("last", "came"))
        moves = moved.at(start.to(np.int64)) > moved.at(place.to(np.int64))
        begun = (now["begun"].equals(STILL) & moves).where(MOVING, now["begun"])
        ease = _left(now["ease"], size, limits)
        none_yet, still, moving = (begun.equals(one) for one in (NONE_YET, STILL, MOVING))
        constant = samples.at(samples.constant, start) & (start < count) & fresh & moving
        # On to the next one that this heart can have made.
        around = start + np.arange(float(LOOKED_AT))
        window = samples.at(values, around)
        inside = around < count
        number = (window > NOWHERE) & inside
        previous = concat(came, window.slice(0, -1))
        away = now["away"] + np.arange(float(LOOKED_AT))
        jumps = concat(now["jumped"], number.slice(0, -1).to(F64)).total() > 0.5
        allowed = (jumps & (away < BACK_S * FS)).where(window.like(BACK_MV), LARGEST_STEP_MV)
        allowed = allowed.at_most((away + 1.0) * (STEEPEST_MV_S / FS))
        near = (window - last).abs().op("LessOrEqual", allowed, dtype=bool)
        settled = (window - previous).abs() <= STEP_MV
        elsewhere = (away >= NEW_LEVEL_S * FS) & settled & ~near
        other = ~window.equals(previous) & (near | elsewhere)
        as_given = samples.at(samples.given, around) & inside
        found = (number & (~moving | other)) | as_given
        hit = found.any().expand(1)
        at = found.to(F32).argmax().expand(1)
        length = hit.where(at.to(F64), (count - start).at_most(float(LOOKED_AT)))
        end = start + length
        value = samples.at(values, end)
        middle = last.at_most(second).at_least(last.at_least(second).at_most(third))
        level = none_yet.where(0.0, middle - now["offset"] + ease)
        jumped = still & ((value - last).abs() > STEP_MV)
        moved_on = moving & (elsewhere & ~as_given).at(at)
        by = jumped.where(value - last, moved_on.where(value - middle, none))
        offset = none_yet.where(value, now["offset"] + by)
        anew = none_yet | jumped | moved_on
        starts = none_yet.where(STILL, (still & ~jumped & ~value.equals(last)).where(MOVING, begun))
        gap = (now["away"] + length >= GAP_S * FS) & starts.equals(MOVING)
        eases = gap.where(level - (value - offset), ease)
        past = (length > 0.5).where(samples.at(values, end - 1.0), came)
        some_number = number.any().expand(1).to(F64)
        after = {
            "offset": hit.where(offset, now["offset"]),
            "last": hit.where(value, last),
            "second": hit.where(anew.where(value, last), second),
            "third": hit.where(anew.where(value, second), third),
            "came": hit.where(value, past),
            "ease": hit.where(_left(eases, eases * 0.0 + 1.0, limits), ease),
            "away": hit.where(0.0, (now["away"] + length).at_most(MOST)),
            "jumped": hit.where(0.0, now["jumped"].at_least(some_number)),
            "begun": hit.where(starts, begun),
            "place": end + hit.to(F64),
        }
        goes_on = (after["place"] < count).any(0).op("Squeeze")
        run = {"start": start, "end": end, "level": level, "offset": offset, "ease": eases}
        since = float(int(limits.constant_s * FS) + 1)
        return goes_on, after, run | {"back": constant.where(start - since, start)}

    outputs = dict.fromkeys(("start", "end", "level", "offset", "ease", "back"), F64)
    states, found = repeat(step, states | {"place": none}, outputs, axes=2)
    runs = {name: one.op("Transpose", perm=[1, 0, 2]).reshape(0, -1) for name, one in found.items()}
    del states["place"]
    return states | _filled(samples, before, runs, gone, limits)


def _filled(
    samples: Samples, before: Mapping[str, Value], runs: Row, gone: Value, limits: MissingLimits
) -> Row:
    """The signal, and the missing samples of the chunk and of the past, by the runs of the loop."""
    none, values = before["offset"] * 0.0, samples.values
    line = concat(values * 0.0, none)
    ones = runs["start"] * 0.0 + 1.0

    def sums(line: Value, places: Value, added: Value) -> Value:
        spread = line.op(
            "ScatterElements", places.to(np.int64).name, added.name, axis=1, reduction="add"
        )
        return spread.total().slice(0, -1)

    run = sums(line, runs["start"], ones).to(np.int64)
    level, end = (concat(none, runs[name]).at(run) for name in ("level", "end"))
    offset, ease = (concat(before[name], runs[name]).at(run) for name in ("offset", "ease"))
    place = count_to(values.build, samples.count.to(np.int64)).to(F64)
    is_gone = place < end
    signal = is_gone.where(level, values - offset + _left(ease, place - end, limits))
    # A value that repeats itself too often is missing from its first sample on.
    past = gone.to(F64)
    length = past.op("Shape", dtype=np.int64).one(1, axis=0).to(F64)
    places = concat(runs["back"], runs["start"]) + length
    back = sums(concat(past * 0.0, line), places.at_least(0.0), concat(ones, -ones)) > 0.5
    sizes = concat(*(one.to(np.int64).reshape(1) for one in (length, samples.count)), axis=0)
    names = values.build.node("Split", (back.name, sizes.name), 2, axis=1)
    before_chunk, now = (Value(values.build, name, bool) for name in names)
    return {
        "signal": signal.to(F32),
        "gone": is_gone | now,
        "past": (before_chunk & (gone < 0.5)).where(float(MISSING), gone),
    }


def _left(ease: Value, samples: Value, limits: MissingLimits) -> Value:
    """What is left of easing the signal back after so many samples, mV."""
    left = ease * (samples * (-1.0 / (limits.ease_s * FS))).exp()
    return (left.abs() < EASED_MV).where(0.0, left)
