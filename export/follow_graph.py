"""The rhythm as nodes: slots of the first network become beats in the light of the patient.

As `runtime.rhythm.tracker` and `runtime.rhythm.seconds`. A second is closed when the two after it
are complete; atrial fibrillation is judged on the beats of closed seconds, and a beat's label on
what was known when the second but one before its own was closed. So nothing that is decided later
changes a label, and three loops follow one another: over seconds (flaws, ventricular fibrillation),
over the beats of closed seconds (atrial fibrillation), over new beats (labels).

Places in time are samples from the chunk's first on, in float64; the memory holds them as ages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from export import atrial_graph, labels_graph, seconds_graph
from export.seconds_graph import F32, F64
from export.values import FAR, Value, at_start, branch, columns, concat, count_to, flags, through
from runtime.beats import V
from runtime.findings import CLASSES, DOUBTFUL, UNREADABLE, Flaw
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel
from runtime.rhythm.events.atrial import P_WAVE, AtrialLimits
from runtime.rhythm.events.ventricular import (
    MAX_LOG_ODDS,
    RESTING,
    VentricularLimits,
)
from runtime.rhythm.template import FIRST, LAST
from runtime.signal.features import RATE, WINDOW_S
from runtime.signal.missing import GAP_S, SNIPPET_S

COUNT = 1 << 20  # gaps are counted up to here, and from 0 again
OLDEST = float(1 << 23)  # samples: ages beyond count as this, 6.5 hours, so that floats hold them
WAITING = 32  # beats whose second is not closed: three seconds and more at the highest rate
GAP, SNIPPET = math.ceil(GAP_S * FS), math.ceil(SNIPPET_S * FS)  # samples
CONTEXT = GAP + SNIPPET  # samples to either side that decide if one lies in a gap
KEPT = WINDOW_S - 1  # seconds
HALF = WINDOW_S // 2
SECOND = len(seconds_graph.BY_ITSELF) + 1  # numbers of a second: its flaws, and where a gap ends
HIGH = 1e9  # above any count of slots
AF, VF = 1, 2  # of `rhythms`
# Of the flaws of a second: flat, not to be read, doubtful but neither flat nor noise, all as bits.
SUMS = np.array(
    [
        [
            flaw == Flaw.FLAT,
            flaw in UNREADABLE,
            flaw in DOUBTFUL & ~Flaw.FLAT,
            int(flaw),
        ]
        for flaw in seconds_graph.BY_ITSELF
    ],
    dtype=F32,
)


@dataclass(frozen=True)
class Rhythm:
    """Everything that follows the rhythm.

    Attributes
    ----------
    model : policies and models
    network, lag : the graph over beats, and by how many it looks back
    weights : factor for each class before the largest wins
    """

    model: RhythmModel
    network: onnx.GraphProto
    lag: int
    weights: Sequence[float]

    def parts(self) -> dict[str, int]:
        """Parts of the memory, in order: name -> size. Zeros where a recording starts."""
        return {
            "ended": 1,
            "gaps": 1,
            "low": 1,
            "high": 1,
            "ecg_60hz": KEPT * RATE,
            "seconds": KEPT * SECOND,
            "interrupted_age": 1,
            "vf_log_odds": 1,
            "vf_lasts": 1,
            "vf_since": 1,
            "waiting": WAITING * 3,
            "af_then": KEPT * 2,
            "atrial": sum(atrial_graph.state_sizes(self.network).values()),
            "template": sum(labels_graph.TEMPLATE.values()),
            "baseline": sum(labels_graph.BASELINE.values()),
        }


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
        return _cut(line, starts.to(np.int64) + self.past, size, self.length - 1)


@dataclass(frozen=True)
class Slots:
    """Beats as the first network has them.

    Attributes
    ----------
    valid : bool [batch, slots]
    samples : float64, place of the R peak
    rows, labels : float64 [batch, slots, 5] and int64 [batch, slots]
    """

    valid: Value
    samples: Value
    rows: Value
    labels: Value


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


def follow(
    memory: Mapping[str, Value], chunk: Chunk, slots: Slots, rhythm: Rhythm
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Follow the rhythm through a chunk; gives the memory after it, and the outputs by name."""
    policy = rhythm.model.policy
    kept: dict[str, Value] = {}
    before = (chunk.position - memory["ended"].to(F64)).at_least(0.0)
    came = chunk.ended.slice(chunk.past).sum(keep=True).to(F64)
    kept["ended"] = (memory["ended"].to(F64) + came).at_most(OLDEST).to(F32)
    taken = (memory["ended"] > 0.5).where(before * 0.0, chunk.samples - came)
    clock = Clock.of(*((one / float(FS)).floor() for one in (before, before + taken)))
    in_gap = _in_gap(chunk)
    gaps, begun = _gaps(in_gap, chunk, memory["gaps"])
    kept["gaps"] = begun
    judged = _judge(memory, kept, chunk, clock, in_gap, rhythm.model)
    closed = _close(memory, kept, chunk, clock, judged, policy.of(VentricularLimits))

    # New beats: those in a gap, where the signal is only held, are none.
    limits = policy.of(AtrialLimits)
    places = slots.samples.to(np.int64) + chunk.past
    valid = slots.valid & (in_gap.at(places) < 0.5)
    order, there = _first(valid)
    found = _rows(_beside([slots.samples, slots.rows, slots.labels]), order)
    sample, label = found.one(0, axis=2), found.one(-1, axis=2)
    rows = found.slice(1, -1, axis=2)
    second = ((chunk.position + sample) / float(FS)).floor()
    certain = (label < float(V)) & (rows.slice(0, V, axis=2).sum() >= limits.af_min_atrial)
    before = sample - float(FS - 1)
    lies = (chunk.cut(in_gap, before, FS) * np.arange(1, FS + 1)).max()
    gap_end = (lies > 0.5).where(before + lies.to(F64), FAR)
    new = _beside([sample, certain, gap_end])
    states = _atria(memory, kept, chunk, clock, closed, judged["ring"], rhythm, (new, there))
    lasts, log_odds = _at_labelling(states, second, clock)
    unseen = chunk.position + sample < float((WINDOW_S - 1) * FS)
    fibrillating = (lasts | (log_odds >= limits.af_onset)) & ~unseen
    sinus = unseen | (~fibrillating & (log_odds < limits.af_doubt))

    starts = sample + float(FIRST)
    around = chunk.cut(chunk.line, starts, LAST - FIRST)
    missing = chunk.cut(in_gap, starts, LAST - FIRST).any()
    roughness, shifted = labels_graph.pieces(around)
    given = [
        *(sample, rows, label, (chunk.position + starts >= 0.0) & ~missing, fibrillating, sinus),
        gaps.at(sample.to(np.int64) + (chunk.past - CONTEXT)),
        roughness,
    ]
    blocks = {
        "template": State(labels_graph.TEMPLATE, labels_graph.AT_START, (), "template_beats"),
        "baseline": State(
            labels_graph.BASELINE, labels_graph.AT_START, labels_graph.MOMENTS, "previous"
        ),
    }
    sizes = {name: block.size for name, block in blocks.items()}
    last, labelled = labels_graph.label(
        concat(*(block.enter(memory[name]) for name, block in blocks.items())),
        there,
        _beside(given),
        shifted,
        rhythm.model,
        rhythm.weights,
    )
    for name, value in columns(last, sizes).items():
        kept[name] = blocks[name].leave(value, chunk)

    # Back to the slots.
    answer = _beside([labelled, log_odds.expit(), fibrillating]).to(F32)
    size = len(CLASSES) + 3
    none = valid.to(F32).expand(2) * np.zeros(size)
    everywhere = (order.expand(2) + np.zeros(size)).name
    spread = none.op("ScatterElements", everywhere, answer.name, axis=1)
    spread = valid.expand(2).where(spread, 0.0)
    label = spread.one(len(CLASSES), axis=2).to(np.int64)
    probabilities = spread.slice(0, len(CLASSES), axis=2)
    af = states.slice(KEPT).one(0, axis=2) > 0.5
    return kept, {
        "valid": valid,
        "labels": valid.where(label, -1),
        "scores": probabilities.at(label.expand(2), axis=2).reshape(0, -1),
        "class_probabilities": probabilities,
        "af_probabilities": spread.one(-2, axis=2),
        "fibrillating": spread.one(-1, axis=2) > 0.5,
        "seconds": closed["valid"].where(closed["number"].to(np.int64), -1),
        "flaws": closed["valid"].where(closed["flaws"], -1),
        "rhythms": closed["valid"].where(flags([(af, AF), (closed["vf"], VF)]), -1),
    }


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
        return self._moments(state).where(_age(state.to(F64), chunk), state)

    def _moments(self, like: Value) -> Value:
        which = at_start(self.sizes, dict.fromkeys(self.moments, 1.0))
        return like.like(which) > 0.5


def _beside(values: Sequence[Value]) -> Value:
    """Columns beside one another, float64 [batch, beats, numbers]."""
    return concat(*(one.to(F64).reshape(0, 0, -1) for one in values), axis=2)


def _cut(line: Value, starts: Value, size: int, last: Value) -> Value:
    """Pieces of each row from these places on, int64 [batch, n]; beyond its ends the ends go on."""
    places = starts.expand(2) + np.arange(size)
    places = places.reshape(0, -1).at_least(0).at_most(last)
    return line.at(places).reshape(0, -1, size)


def _first(true: Value) -> tuple[Value, Value]:
    """Places of the true ones of each row in order, as many as any row has, and which are there."""
    return _ordered(true, true.to(np.int64).sum().max(0).at_least(1))


def _ordered(true: Value, count: Value | int) -> tuple[Value, Value]:
    key = true.where(HIGH - true.to(F64).total(), 0.0)
    values, places = key.largest(count)
    return places, values > 0.0


def _rows(values: Value, order: Value) -> Value:
    """[batch, n, size] of [batch, m, size]."""
    return values.op("GatherND", order.expand(2), batch_dims=1)


def _place(age: Value) -> Value:
    """An age of the memory as a place, `FAR` if it is 0."""
    return (age > 0.5).where(-age.to(F64), FAR)


def _age(place: Value, chunk: Chunk) -> Value:
    """A place as an age at the chunk's end, 0 if there is none."""
    age = (chunk.samples - place).at_most(OLDEST).to(F32)
    return (place > FAR).where(age, 0.0)


def _in_gap(chunk: Chunk) -> Value:
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


def _gaps(in_gap: Value, chunk: Chunk, before: Value) -> tuple[Value, Value]:
    """Gaps begun so far at each place from `CONTEXT` on, and before the next chunk's."""
    begins = in_gap.slice(CONTEXT) - in_gap.slice(CONTEXT - 1, -1)
    begun = begins.at_least(0.0).total() + before
    back = chunk.past - CONTEXT
    last = begun.slice(-back - 1, -back)
    return begun, last - (last / float(COUNT)).floor() * float(COUNT)


def _judge(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    clock: Clock,
    in_gap: Value,
    model: RhythmModel,
) -> dict[str, Value]:
    """Signal at 60 Hz, flaws and gaps of the seconds that become complete, and their windows.

    Returns
    -------
    ``ring``, the last signal at 60 Hz; ``seconds`` and ``windows``, [batch, seconds, numbers]
    """
    i = count_to(chunk.line.build, clock.new)
    number = clock.before + i.to(F64)
    new = number < clock.after
    starts = number * float(FS) - chunk.position
    begun = clock.before > 0.5
    low, high = begun.where(memory["low"], HIGH), begun.where(memory["high"], -HIGH)

    def look() -> dict[str, Value]:
        rows = chunk.cut(chunk.line, starts, FS)
        last, rails = through(
            _rails,
            {"low": low.reshape(-1), "high": high.reshape(-1)},
            {"new": new, "lowest": rows.min(), "highest": rows.max()},
            {"low": F32, "high": F32},
            axes=1,
        )
        own = seconds_graph.flaws_by_itself(rows, rails["low"], rails["high"], model.quality)
        ring = concat(memory["ecg_60hz"], seconds_graph.at_60hz(rows).reshape(0, -1))
        windows = ring.along((i * RATE).expand(1) + np.arange(WINDOW_S * RATE))
        features, again = seconds_graph.measure(windows)
        noise = seconds_graph.log_odds(model.noise, features).to(F32).to(F64)
        # A second is searched for gaps when the next one is complete.
        lying = chunk.cut(in_gap, starts - float(FS), FS) * np.arange(1, FS + 1)
        return {
            "low": last["low"].reshape(-1, 1),
            "high": last["high"].reshape(-1, 1),
            "own": own,
            "ring": ring,
            "lying": lying.max(),
            "windows": concat(
                seconds_graph.log_odds(model.fibrillation, features).to(F32),
                (noise >= model.quality.noise_log_odds).to(F32),
                seconds_graph.is_fast(again).to(F32),
                axis=2,
            ),
        }

    def rest() -> dict[str, Value]:
        none = number.to(F32) * 0.0
        rows = none.expand(2)
        return {
            "low": low,
            "high": high,
            "own": rows * np.zeros(SECOND - 1),
            "ring": concat(memory["ecg_60hz"], none * np.zeros(RATE)),
            "lying": none,
            "windows": rows * np.zeros(3),
        }

    found = branch(new.to(F32).max(1).max(0) > 0.5, look, rest)
    kept |= {name: found[name] for name in ("low", "high")}
    flaws, gap_ends = columns(
        memory["seconds"].reshape(0, KEPT, SECOND), {"flaws": SECOND - 1, "gap": 1}, axis=2
    ).values()
    flaws = concat(flaws, found["own"])
    lying = found["lying"].expand(2)
    gap_ends = concat(gap_ends.slice(0, KEPT - 1), lying, lying.slice(0, 1) * 0.0)
    count = (clock.after - clock.before).to(np.int64)
    last = count + np.arange(KEPT)
    kept["ecg_60hz"] = found["ring"].at(count * RATE + np.arange(KEPT * RATE))
    kept["seconds"] = _rows(concat(flaws, gap_ends, axis=2), last).reshape(0, -1)
    # Flat, not to be read, doubtful otherwise, all flaws as bits.
    sums = flaws @ SUMS
    unreadable = sums.slice(1, 2, axis=2).op("Transpose", perm=[0, 2, 1]).pooled(WINDOW_S)
    flat = sums.slice(0, 1, axis=2)
    none = flat.slice(0, 1) * 0.0
    beside = concat(none, flat.slice(0, -1)) + concat(flat.slice(1), none)
    return {
        "ring": found["ring"],
        "seconds": concat(sums, beside, gap_ends, axis=2),
        "windows": concat(found["windows"], unreadable.op("Transpose", perm=[0, 2, 1]), axis=2),
    }


def _rails(low: Value, high: Value, **now: Value) -> tuple[dict[str, Value], dict[str, Value]]:
    """The signal's lowest and highest value after one more second."""
    low = now["new"].where(low.at_most(now["lowest"]), low)
    high = now["new"].where(high.at_least(now["highest"]), high)
    return {"low": low, "high": high}, {"low": low, "high": high}


def _close(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    clock: Clock,
    judged: Mapping[str, Value],
    limits: VentricularLimits,
) -> dict[str, Value]:
    """Flaws of the seconds that are closed, whether their beats count, and gaps up to them."""
    number = clock.next_before + count_to(chunk.line.build, clock.closing).to(F64)
    valid = number < clock.next_after
    place = (number - clock.before).to(np.int64) + KEPT
    second = _rows(judged["seconds"], place.at_most(clock.new + (KEPT - 1)))
    flat, _, others, bits, beside, gap_end = (second.one(i, axis=2) for i in range(6))
    # A window is complete two seconds after the one that it is closed with.
    place = (number.at_least(float(HALF)) - clock.before).to(np.int64) + HALF
    window = _rows(judged["windows"], place.at_least(0).at_most(clock.new - 1))
    fibrillation, noise, fast, unreadable = (window.one(i, axis=2) for i in range(4))
    noisy, is_flat, in_gap = noise > 0.5, flat > 0.5, gap_end > 0.5
    still = is_flat & (beside > 0.5)
    all_flaws = bits.to(np.int64) + flags(
        [
            (is_flat & ~still, -int(Flaw.FLAT)),
            (noisy, int(Flaw.NOISE)),
            ((fast > 0.5) & ~still, int(Flaw.FAST)),
            (in_gap, int(Flaw.MISSING)),
        ]
    )
    doubtful, readable = still | noisy | (others > 0.5), unreadable < 0.5
    start = number * float(FS) - chunk.position
    known = clock.next_before.reshape(-1) > 0.5

    def step(**now: Value) -> tuple[dict[str, Value], dict[str, Value]]:
        log_odds, lasts = _ventricular(now, limits)
        confirmed = now["readable"] & (lasts | now["vf_lasts"])
        hidden = now["doubtful"] | lasts
        end = hidden.where(now["start"] + float(FS), now["gap_end"])
        after = {
            "vf_log_odds": log_odds,
            "vf_lasts": lasts,
            "vf_since": confirmed.where(0.0, (now["vf_since"] + 1.0).at_most(OLDEST)),
            "interrupted": now["interrupted"].at_least(end),
        }
        after = {name: now["valid"].where(value, now[name]) for name, value in after.items()}
        return after, {
            "hidden": hidden,
            "vf": after["vf_lasts"],
            "before": now["interrupted"],
            "after": after["interrupted"],
        }

    states, found = through(
        step,
        {
            "vf_log_odds": known.where(memory["vf_log_odds"].reshape(-1), RESTING),
            "vf_lasts": memory["vf_lasts"].reshape(-1) > 0.5,
            "vf_since": memory["vf_since"].reshape(-1),
            "interrupted": _place(memory["interrupted_age"]).reshape(-1),
        },
        {
            "valid": valid,
            "readable": readable,
            "fibrillation": fibrillation,
            "doubtful": doubtful,
            "start": start,
            "gap_end": in_gap.where(start + gap_end.to(F64), FAR),
        },
        {"hidden": bool, "vf": bool, "before": F64, "after": F64},
        axes=1,
    )
    for name in ("vf_log_odds", "vf_lasts", "vf_since"):
        kept[name] = states[name].to(F32).reshape(-1, 1)
    kept["interrupted_age"] = _age(states["interrupted"].reshape(-1, 1), chunk)
    return {"valid": valid, "number": number, "flaws": all_flaws, **found}


def _ventricular(now: dict[str, Value], limits: VentricularLimits) -> tuple[Value, Value]:
    """Log-odds of ventricular fibrillation after a second, and True if it lasts."""
    chance = limits.vf_transition
    was = now["vf_log_odds"].to(F64).within(-50.0, 50.0).expit()
    share = was * (1.0 - 2.0 * chance) + chance
    log_odds = (share / (1.0 - share)).log()
    seen = now["fibrillation"].to(F64).within(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    readable, lasts = now["readable"], now["vf_lasts"]
    log_odds = log_odds + readable.where((seen - limits.vf_prior) * limits.vf_weight, 0.0)
    single = log_odds.to(F32)
    wide = single.to(F64)
    over = ~readable & lasts & (now["vf_since"] > limits.hold_s)
    goes_on = lasts.where(~(wide < limits.vf_off), wide >= limits.vf_on)
    return over.where(RESTING, single), readable.where(goes_on, lasts & ~over)


def _atria(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    clock: Clock,
    closed: Mapping[str, Value],
    ring: Value,
    rhythm: Rhythm,
    new: tuple[Value, Value],
) -> Value:
    """Atrial fibrillation after each second: 1 if it lasts, and its log-odds.

    Parameters
    ----------
    new : beats, float64 [batch, beats, 3]: place, 1 if it is certainly N or S, where the last gap
        before it ended; and bool [batch, beats], which are there

    Returns
    -------
    float32 [batch, seconds, 2], of `KEPT` seconds before those that are closed, and these
    """
    policy, (beats, there) = rhythm.model.policy, new
    waiting = memory["waiting"].reshape(0, WAITING, 3)
    ages = np.array([True, False, True])
    places = waiting.like(ages) > 0.5
    waiting = places.where(_place(waiting), waiting.to(F64))
    beats = concat(waiting, beats)
    sample = beats.one(0, axis=2)
    there = concat(waiting.one(0, axis=2) > FAR, there)
    second = ((chunk.position + sample) / float(FS)).floor()
    closes = second < clock.next_after
    order, waits = _ordered(there & ~closes, WAITING)
    left = _rows(beats, order)
    left = waits.expand(2).where(places.where(_age(left, chunk), left.to(F32)), 0.0)
    kept["waiting"] = left.reshape(0, -1)
    place = (second - clock.next_before).to(np.int64)
    place = place.at_least(0).at_most(clock.closing - 1)
    order, counts = _first(there & closes & ~closed["hidden"].at(place))
    place, chosen = place.at(order), _rows(beats, order)
    sample, certain, gap_end = (chosen.one(i, axis=2) for i in range(3))
    at_60hz = ((chunk.position + sample) * (RATE / FS)).floor() + float(P_WAVE.start)
    first = at_60hz - (clock.before - float(KEPT)) * float(RATE)
    waves = _cut(ring, first.to(np.int64), len(P_WAVE), clock.new * RATE + (KEPT * RATE - 1))
    sizes = atrial_graph.state_sizes(rhythm.network)
    state = State(sizes, atrial_graph.AT_START, atrial_graph.MOMENTS, "seen")
    entered = state.enter(memory["atrial"])
    start = columns(entered, sizes)
    last, found_odds, found_lasts = atrial_graph.follow(
        entered,
        counts,
        _beside(
            [
                sample,
                certain,
                certain * (at_60hz >= 0.0).to(F64),
                closed["before"].at(place).at_least(gap_end),
                atrial_graph.p_waves(waves),
            ]
        ),
        policy,
        rhythm.network,
        rhythm.lag,
    )
    kept["atrial"] = state.leave(last, chunk)
    # After a second the state is that of its last beat, unless too long nothing was known since.
    none = closed["valid"].to(F64) * 0.0
    per_second = concat(none, none.slice(0, 1)).op(
        "ScatterElements",
        counts.where(place, clock.closing).name,
        counts.to(F64).name,
        axis=1,
        reduction="add",
    )
    so_far = per_second.slice(0, -1).total().to(np.int64)
    lasts = concat(start["lasts"] > 0.5, found_lasts).at(so_far)
    log_odds = concat(start["log_odds"], found_odds.to(F32)).at(so_far)
    seen = concat(start["seen"].to(F64), sample).at(so_far)
    over = closed["after"] - seen > policy.of(VentricularLimits).hold_s * FS
    states = _beside([lasts & ~over, over.where(RESTING, log_odds)]).to(F32)
    states = concat(memory["af_then"].reshape(0, KEPT, 2), states)
    count = (clock.next_after - clock.next_before).to(np.int64) + np.arange(KEPT)
    kept["af_then"] = _rows(states, count).reshape(0, -1)
    return states


def _at_labelling(states: Value, second: Value, clock: Clock) -> tuple[Value, Value]:
    """Atrial fibrillation as labels of beats in these seconds see it: it lasts, and log-odds."""
    of = (second - float(HALF)).at_most(clock.next_after - 1.0)
    place = (of - clock.next_before).to(np.int64) + KEPT
    place = place.at_least(0).at_most(clock.closing + (KEPT - 1))
    found, begun = _rows(states, place), of >= 0.0
    log_odds = begun.where(found.one(1, axis=2).to(F64), RESTING)
    return (found.one(0, axis=2) > 0.5) & begun, log_odds
