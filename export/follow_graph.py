"""The rhythm as nodes: slots of the first network become beats in the light of the patient.

As `runtime.rhythm.tracker` and `runtime.rhythm.seconds`. A second is closed when the two after it
are complete; atrial fibrillation is judged on the beats of closed seconds, and a beat's label on
what was known when the second but one before its own was closed. So nothing that is decided later
changes a label, and four loops follow one another: over new beats (the template, and what it finds
too high for this heart), over seconds (flaws, ventricular fibrillation), over the beats of closed
seconds (atrial fibrillation), over new beats again (labels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from export import artefact_graph, atrial_graph, labels_graph
from export.chunk_graph import (
    CONTEXT,
    HALF,
    HIGH,
    OLDEST,
    Chunk,
    Clock,
    State,
    age_of,
    beside,
    cut_rows,
    first,
    gaps_begun,
    in_gaps,
    ordered,
    place_of,
    rows_at,
)
from export.closing_graph import KEPT, SECOND, close, judge
from export.seconds_graph import F32, F64
from export.values import FAR, Value, branch, columns, concat, count_to, flags
from runtime.beats import N, V
from runtime.findings import CLASSES
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel, artefact
from runtime.rhythm.events.atrial import P_WAVE, AtrialLimits
from runtime.rhythm.events.ventricular import RESTING, VentricularLimits
from runtime.rhythm.template import FIRST, LAST, TemplateLimits
from runtime.signal.features import FEATURES, RATE, WINDOW_S

WAITING = 32  # beats whose second is not closed: three seconds and more at the highest rate
AF, VF = 1, 2  # of `rhythms`


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
            "noise_means": len(FEATURES),
            "noise_windows": 1,
            "ecg_60hz": KEPT * RATE,
            "seconds": KEPT * SECOND,
            "interrupted_age": 1,
            "vf_log_odds": 1,
            "vf_lasts": 1,
            "vf_since": 1,
            "waiting": WAITING * 3,
            "af_then": KEPT * 3,
            "atrial": sum(atrial_graph.state_sizes(self.network).values()),
            "template": sum(labels_graph.TEMPLATE.values()),
            "baseline": sum(labels_graph.BASELINE.values()),
        }


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
    in_gap = in_gaps(chunk)
    gaps, begun = gaps_begun(in_gap, chunk, memory["gaps"])
    kept["gaps"] = begun
    judged = judge(memory, kept, chunk, clock, in_gap, rhythm.model)

    # New beats: those in a gap, where the signal is only held, are none.
    limits = policy.of(AtrialLimits)
    places = slots.samples.to(np.int64) + chunk.past
    valid = slots.valid & (in_gap.at(places) < 0.5)
    order, there = first(valid)
    found = rows_at(beside([slots.samples, slots.rows, slots.labels]), order)
    sample, label = found.one(0, axis=2), found.slice(-1, axis=2)
    rows = found.slice(1, -1, axis=2)
    certain = rows.slice(0, V, axis=2).sum() >= limits.af_min_atrial
    certain = certain & (found.one(-1, axis=2) < float(V))
    rows, label, too_high, whole, seen = _by_template(
        memory, kept, chunk, in_gap, rhythm, (sample, there, rows, label)
    )

    # They wait for their seconds to be closed; what is too high parts the beats, as a gap does.
    before = sample - float(FS - 1)
    lies = (chunk.cut(in_gap, before, FS) * np.arange(1, FS + 1)).max()
    gap_end = (lies > 0.5).where(before + lies.to(F64), FAR)
    pending = _pending(memory, kept, chunk, clock, (sample, there, certain, gap_end, too_high))
    closed = close(
        memory, kept, chunk, clock, judged, policy.of(VentricularLimits), pending["parted"]
    )
    states = _atria(memory, kept, chunk, clock, closed, judged["ring"], rhythm, pending)
    second = ((chunk.position + sample) / float(FS)).floor()
    lasts, log_odds, beats_read = _at_labelling(states, second, clock)
    likely = atrial_graph.probability(log_odds, beats_read, policy)
    unseen = chunk.position + sample < float((WINDOW_S - 1) * FS)
    fibrillating = (lasts | (log_odds >= limits.af_onset)) & ~unseen
    sinus = unseen | (~fibrillating & (log_odds < limits.af_doubt))

    gaps = gaps.at(sample.to(np.int64) + (chunk.past - CONTEXT))
    block = State(
        labels_graph.BASELINE, labels_graph.AT_START, labels_graph.MOMENTS, "baseline_beats"
    )
    last, labelled = labels_graph.read(
        block.enter(memory["baseline"]),
        there,
        beside([sample, rows, label, too_high, fibrillating, sinus, gaps, whole]),
        seen,
        rhythm.model,
        rhythm.weights,
    )
    kept["baseline"] = block.leave(last, chunk)

    # Back to the slots.
    answer = beside([labelled, likely, fibrillating, too_high]).to(F32)
    size = len(CLASSES) + 4
    none = valid.to(F32).expand(2) * np.zeros(size)
    everywhere = (order.expand(2) + np.zeros(size)).name
    spread = none.op("ScatterElements", everywhere, answer.name, axis=1)
    valid = valid & (spread.one(-1, axis=2) < 0.5)
    spread = valid.expand(2).where(spread, 0.0)
    label = spread.one(len(CLASSES), axis=2).to(np.int64)
    probabilities = spread.slice(0, len(CLASSES), axis=2)
    af = states.slice(KEPT).one(0, axis=2) > 0.5
    return kept, {
        "valid": valid,
        "labels": valid.where(label, -1),
        "scores": probabilities.at(label.expand(2), axis=2).reshape(0, -1),
        "class_probabilities": probabilities,
        "af_probabilities": spread.one(-3, axis=2),
        "fibrillating": spread.one(-2, axis=2) > 0.5,
        "seconds": closed["valid"].where(closed["number"].to(np.int64), -1),
        "flaws": closed["valid"].where(closed["flaws"], -1),
        "rhythms": closed["valid"].where(flags([(af, AF), (closed["vf"], VF)]), -1),
    }


def _by_template(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    in_gap: Value,
    rhythm: Rhythm,
    new: tuple[Value, Value, Value, Value],
) -> tuple[Value, Value, Value, Value, dict[str, Value]]:
    """Probabilities and labels in the light of the template, and which beats are too high.

    Parameters
    ----------
    new : place, if it is there, probabilities and label of each beat

    Returns
    -------
    also if the signal around each is there, and what `labels_graph.read` sees of it
    """
    sample, there, rows, label = new
    model = rhythm.model
    if not model.policy.has(TemplateLimits):
        kept["template"] = memory["template"]
        return rows, label, sample < FAR, sample < FAR, {}
    starts = sample + float(FIRST)
    around = chunk.cut(chunk.line, starts, LAST - FIRST)
    missing = chunk.cut(in_gap, starts, LAST - FIRST).any()
    whole = (chunk.position + starts >= 0.0) & ~missing
    roughness, height, shifted = labels_graph.pieces(around)
    block = State(labels_graph.TEMPLATE, labels_graph.AT_START, (), "template_beats")
    last, found = labels_graph.compare(
        block.enter(memory["template"]),
        there,
        beside([rows.slice(N, N + 1, axis=2), whole, roughness, height]),
        shifted,
        model.policy.of(TemplateLimits),
    )
    kept["template"] = block.leave(last, chunk)
    verdict = found.slice(0, len(labels_graph.VERDICT), axis=2)
    rows, label = labels_graph.by_template(rows, label, verdict, model, rhythm.weights)
    seen: dict[str, Value] = {}
    if model.policy.has(artefact.ArtefactLimits):
        start = sample + float(artefact.FIRST)
        seen = artefact_graph.pieces(chunk.cut(chunk.line, start, artefact.LAST - artefact.FIRST))
        seen["usual"] = found.slice(len(labels_graph.VERDICT), axis=2)
    return rows, label, (verdict.one(-1, axis=2) > 0.5) & there, whole, seen


def _pending(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    clock: Clock,
    new: tuple[Value, Value, Value, Value, Value],
) -> dict[str, Value]:
    """Beats of the seconds that the chunk closes, before they are closed.

    Parameters
    ----------
    new : of each beat its place, if it is there, if it is certainly N or S, where the last gap
        before it ended, and if it is too high

    Returns
    -------
    of each beat ``sample``, ``certain``, ``gap_end`` and the ``place`` of its second among those
    that are closed; ``reads``, if it is to be read; and ``parted``, the place after the last
    deflection too high of each second, `FAR` without one
    """
    sample, there, certain, gap_end, too_high = new
    beats = beside([sample, too_high.where(HIGH, certain.to(F64)), gap_end])
    waiting = memory["waiting"].reshape(0, WAITING, 3)
    ages = np.array([True, False, True])
    places = waiting.like(ages) > 0.5
    waiting = places.where(place_of(waiting), waiting.to(F64))
    beats = concat(waiting, beats)
    sample = beats.one(0, axis=2)
    there = concat(waiting.one(0, axis=2) > FAR, there)
    second = ((chunk.position + sample) / float(FS)).floor()
    closes = second < clock.next_after
    order, waits = ordered(there & ~closes, WAITING)
    left = rows_at(beats, order)
    left = waits.expand(2).where(places.where(age_of(left, chunk), left.to(F32)), 0.0)
    kept["waiting"] = left.reshape(0, -1)
    place = (second - clock.next_before).to(np.int64)
    place = place.at_least(0).at_most(clock.closing - 1)
    kind, gap_end = beats.one(1, axis=2), beats.one(2, axis=2)
    high = there & (kind > HIGH - 0.5)

    def part() -> dict[str, Value]:
        # The latest of them up to each beat, and up to each second's end: they come in order.
        places = first(high)[0]
        ends = concat(gap_end.slice(0, 1) * 0.0 + FAR, sample.at(places) + 1.0)
        latest = ends.at(high.to(F64).total().to(np.int64))
        counts = per_second(place, high & closes, clock)
        until = ends.at(counts)
        begins = (clock.next_before + count_to(place.build, clock.closing).to(F64)) * float(FS)
        return {
            "gap_end": gap_end.at_least(latest),
            "parted": (until > begins - chunk.position).where(until, FAR),
        }

    def none() -> dict[str, Value]:
        seconds = clock.next_before + count_to(place.build, clock.closing).to(F64)
        return {"gap_end": gap_end.op("Identity"), "parted": seconds * 0.0 + FAR}

    found = branch(high.any().to(F32).max(0) > 0.5, part, none)
    return {
        "sample": sample,
        "certain": kind,
        "place": place,
        "reads": there & closes & ~high,
        **found,
    }


def per_second(place: Value, counted: Value, clock: Clock) -> Value:
    """Beats that count up to the end of each second, int64 [batch, seconds]."""
    none = (clock.next_before + count_to(place.build, clock.closing).to(F64)) * 0.0
    found = none.op("ScatterElements", place.name, counted.to(F64).name, axis=1, reduction="add")
    return found.total().to(np.int64)


def _atria(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    clock: Clock,
    closed: Mapping[str, Value],
    ring: Value,
    rhythm: Rhythm,
    pending: Mapping[str, Value],
) -> Value:
    """Atrial fibrillation after each second: 1 if it lasts, its log-odds, and beats read.

    Parameters
    ----------
    pending : of `_pending`

    Returns
    -------
    float32 [batch, seconds, 3], of `KEPT` seconds before those that are closed, and these
    """
    policy = rhythm.model.policy
    order, counts = first(pending["reads"] & ~closed["hidden"].at(pending["place"]))
    sample, certain, gap_end, place = (
        pending[name].at(order) for name in ("sample", "certain", "gap_end", "place")
    )
    at_60hz = ((chunk.position + sample) * (RATE / FS)).floor() + float(P_WAVE.start)
    start_60hz = at_60hz - (clock.before - float(KEPT)) * float(RATE)
    waves = cut_rows(
        ring, start_60hz.to(np.int64), len(P_WAVE), clock.new * RATE + (KEPT * RATE - 1)
    )
    sizes = atrial_graph.state_sizes(rhythm.network)
    state = State(sizes, atrial_graph.AT_START, atrial_graph.MOMENTS, "seen")
    entered = state.enter(memory["atrial"])
    start = columns(entered, sizes)
    last, found_odds, found_lasts, found_beats = atrial_graph.follow(
        entered,
        counts,
        beside(
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
    so_far = per_second(place, counts, clock)
    lasts = concat(start["lasts"] > 0.5, found_lasts).at(so_far)
    log_odds = concat(start["log_odds"], found_odds.to(F32)).at(so_far)
    read = concat(start["beats"], found_beats.to(F32)).at(so_far)
    seen = concat(start["seen"].to(F64), sample).at(so_far)
    over = closed["after"] - seen > policy.of(VentricularLimits).hold_s * FS
    states = beside([lasts & ~over, over.where(RESTING, log_odds), read]).to(F32)
    states = concat(memory["af_then"].reshape(0, KEPT, 3), states)
    count = (clock.next_after - clock.next_before).to(np.int64) + np.arange(KEPT)
    kept["af_then"] = rows_at(states, count).reshape(0, -1)
    return states


def _at_labelling(states: Value, second: Value, clock: Clock) -> tuple[Value, Value, Value]:
    """Atrial fibrillation as labels of beats in these seconds see it: as `_atria` has it."""
    of = (second - float(HALF)).at_most(clock.next_after - 1.0)
    place = (of - clock.next_before).to(np.int64) + KEPT
    place = place.at_least(0).at_most(clock.closing + (KEPT - 1))
    found, begun = rows_at(states, place), of >= 0.0
    log_odds = begun.where(found.one(1, axis=2).to(F64), RESTING)
    return (found.one(0, axis=2) > 0.5) & begun, log_odds, found.one(2, axis=2).to(F64)
