"""V and S beats that are artefact, in the loop over beats: as `runtime.rhythm.artefact`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export import seconds_graph
from export.values import FAR, Value, branch, concat
from runtime.beats import PROBABILITY_FLOOR, N, Q, S, V
from runtime.findings import CLASSES
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel
from runtime.rhythm.artefact import (
    AFTER,
    BEFORE,
    CORE,
    CURVES,
    DEFLECTION,
    EARLIER,
    FIRST,
    FLAT_ENERGY,
    FLAT_POWER,
    FLAT_TOP,
    FLOOR_MV,
    HEIGHT,
    HERE,
    INNER,
    KNOWN_BEATS,
    LAST,
    LATER,
    MAX_ALIKE,
    MAX_HEIGHT,
    MAX_LATE,
    MAX_LEVEL,
    MAX_LOG_ODDS,
    MAX_SLOPES,
    MIN_ALIKE,
    NEXT,
    NO_MV,
    OFF,
    QUARTER,
    QUIET_AFTER,
    QUIET_BEFORE,
    SLOPES,
    STILL_MV,
    TOP,
    VISIBLE,
    WAVE,
    WIDTHS,
    ArtefactLimits,
    R,
)
from runtime.rhythm.template import BEFORE as TEMPLATE_BEFORE
from runtime.rhythm.template import SIZE, STEP

F64 = np.float64


def pieces(around: Value) -> dict[str, Value]:
    """What needs no memory of the patient: as `runtime.rhythm.artefact.look`.

    Parameters
    ----------
    around : float32 [batch, beats, `LAST` - `FIRST`]
    """
    c = around.to(F64).reshape(0, 0, -1, STEP).mean()
    height = _range(_part(c, HEIGHT)) + FLOOR_MV
    log_height = height.log()
    before, after, later = (_median(c, where) for where in (BEFORE, AFTER, LATER))
    slope = c.slice(1, axis=2) - c.slice(0, -1, axis=2)
    curve = slope.slice(1, axis=2) - slope.slice(0, -1, axis=2)
    square = curve * curve
    rough = (_part(square, CURVES).mean(keep=True).sqrt() + STILL_MV).log()
    quiet = _part(square, QUIET_BEFORE).mean(keep=True)
    quiet = quiet + _part(square, QUIET_AFTER).mean(keep=True)
    steep, top, wave = (_part(*pair) for pair in ((slope, SLOPES), (c, TOP), (c, WAVE)))
    rise, fall = steep.max(keep=True).at_least(0.0), (-steep.min(keep=True)).at_least(0.0)
    within = height * FLAT_TOP
    high = (top > top.max(keep=True) - within).to(F64).sum(keep=True)
    low = (top < top.min(keep=True) + within).to(F64).sum(keep=True)
    size = WAVE.stop - WAVE.start
    first, last = wave.slice(0, 1, axis=2), wave.slice(size - 1, axis=2)
    wave = wave - (first + (last - first) / float(size - 1) * np.arange(size))
    places = np.arange((LAST - FIRST) // STEP - QUARTER + 1)[:, None] + np.arange(QUARTER)
    slow = c.along(places, axis=2).mean()
    rest = concat(_part(c, QUIET_BEFORE), _part(c, QUIET_AFTER), axis=2)
    return {
        "artefact_signal": c,
        "artefact_height": height,
        "artefact_rough": rough,
        "artefact_seen": concat(
            log_height,
            (_range(rest) + FLOOR_MV).log() - log_height,
            ((before - after) / height).within(-MAX_LEVEL, MAX_LEVEL),
            ((before - after).abs() / height).at_most(MAX_LEVEL),
            ((before - later).abs() / height).at_most(MAX_LEVEL),
            *_deflection(c, before, after),
            (rise.at_least(fall) + STILL_MV).log() - log_height,
            ((rise + STILL_MV) / (fall + STILL_MV)).log().within(-MAX_SLOPES, MAX_SLOPES),
            high.at_least(low).log(),
            (_range(wave) + STILL_MV).log() - log_height,
            rough - log_height,
            ((quiet * 0.5).sqrt() + STILL_MV).log() - rough,
            (_range(slow) + STILL_MV).log() - log_height,
            axis=2,
        ),
    }


def _part(values: Value, which: slice) -> Value:
    return values.slice(which.start, which.stop, axis=2)


def _range(values: Value) -> Value:
    return values.max(keep=True) - values.min(keep=True)


def _median(values: Value, which: slice) -> Value:
    return _part(values, which).median(which.stop - which.start).expand(2)


def _deflection(c: Value, before: Value, after: Value) -> list[Value]:
    """As `runtime.rhythm.artefact`'s: polarity, widths, and how one-sided it is."""
    size = DEFLECTION.stop - DEFLECTION.start
    places = np.arange(size, dtype=np.float64)
    d = _part(c, DEFLECTION) - (before + (after - before) / float(size) * places)
    inner = np.arange(INNER.start, INNER.stop, dtype=np.float64)
    here = _part(d, INNER)
    found = here.abs().argmax().expand(2)
    value = here.at(found, axis=2)
    peak = found.to(F64) + inner[0]
    up = (value > 0.0).where(value.like(1.0), -1.0)
    d = d * up
    top, line = value * up + NO_MV, d * 0.0 + places
    widths = []
    for share in WIDTHS:
        low = d < top * share
        first = (low & (line < peak)).where(line, -1.0).max(keep=True)
        last = (low & (line > peak)).where(line, float(size)).min(keep=True)
        widths.append((last - first).log())
    core = _part(d, CORE)
    over, under = (one.at_least(0.0).sum(keep=True) for one in (core, -core))
    return [up, *widths, (over - under) / (over + under + NO_MV)]


def unknown(
    beat: dict[str, Value],
    seen: Mapping[str, Value],
    usual: Mapping[str, Value],
    baseline: Mapping[str, Value],
    model: RhythmModel,
) -> dict[str, Value]:
    """A beat that would be V or S, which is Q if it is artefact.

    Parameters
    ----------
    seen : of `pieces`, of this beat
    usual, baseline : the usual complex and interval as they were before it
    """
    label = beat["label"]
    names = (*CLASSES, "label")
    looked_at = label.equals(float(S)) | label.equals(float(V))
    found = branch(
        looked_at.to(np.float32).max(0).reshape(-1).one(0, axis=0) > 0.5,
        lambda: _judged(beat, looked_at, seen, usual, baseline, model),
        lambda: {name: beat[name].op("Identity") for name in names},
    )
    return beat | found


def _judged(
    beat: Mapping[str, Value],
    looked_at: Value,
    seen: Mapping[str, Value],
    usual: Mapping[str, Value],
    baseline: Mapping[str, Value],
    model: RhythmModel,
) -> dict[str, Value]:
    """Probabilities and label of `unknown`."""
    limits, label = model.policy.of(ArtefactLimits), beat["label"]
    n, s, v = (beat[CLASSES[one]].at_least(PROBABILITY_FLOOR) for one in (N, S, V))
    is_s = label.equals(float(S))
    inputs = concat(
        is_s.to(F64),
        (v / (n + s)).log(),
        (s / n).log(),
        baseline["previous_atrial"],
        *_beside_usual(beat, seen, usual, baseline),
        seen["artefact_seen"],
    )
    log_odds = seconds_graph.log_odds(model.artefact, inputs)
    least = is_s.where(label.like(limits.artefact_s), limits.artefact_v)
    found = looked_at & (beat["whole"] > 0.5) & (log_odds >= least)
    others = found.where((-log_odds.at_most(MAX_LOG_ODDS)).expit(), 1.0)
    rows = {one: beat[one] * others for one in CLASSES}
    rows[CLASSES[Q]] = rows[CLASSES[Q]] + (1.0 - others)
    return rows | {"label": found.where(float(Q), label)}


def _beside_usual(
    beat: Mapping[str, Value],
    seen: Mapping[str, Value],
    usual: Mapping[str, Value],
    baseline: Mapping[str, Value],
) -> list[Value]:
    c, template, beats = seen["artefact_signal"], usual["template"], usual["template_beats"]
    there = (beats > 0.5).to(F64)
    known = (beats / KNOWN_BEATS).at_most(1.0)
    power = (template * template).sum(keep=True) + FLAT_POWER
    around = c.along(np.arange(NEXT.stop)[:, None] + np.arange(SIZE))  # [batch, shifts, `SIZE`]
    products = (around @ template.expand(2)).op("Squeeze", c.build.axes(2))
    off = around - around.mean(keep=True)
    alike = products / ((off * off).sum() * power + FLAT_ENERGY).sqrt()
    shown = alike * (products / power).within(0.0, 1.0)

    def part(values: Value, which: slice) -> Value:
        return values.slice(which.start, which.stop)

    z = part(alike, HERE).max(keep=True).within(MIN_ALIKE, MAX_ALIKE)
    z = ((z + 1.0) / (1.0 - z)).log() * 0.5
    place = part(shown, NEXT).op("ArgMax", dtype=np.int64, axis=1, keepdims=1)
    next_alike = part(alike, NEXT).op("GatherElements", place, axis=1)
    next_height = (part(products, NEXT) / power).op("GatherElements", place, axis=1)
    usual_height = template.max(keep=True) - template.min(keep=True) + FLOOR_MV
    has_next = (beats > 0.5) & (next_alike > VISIBLE)
    to_next = (place.to(F64) + float(NEXT.start + TEMPLATE_BEFORE - R)) * (STEP / FS)
    previous = baseline["previous"]
    has_previous = (previous > FAR) & baseline["previous_gaps"].equals(beat["gaps"])
    has_usual = baseline["interval_known"] > 0.5
    both = has_previous & has_usual
    rr = baseline["log_interval"].exp()
    since = (beat["sample"] - previous).at_least(1.0) / float(FS)

    def late(seconds: Value, there: Value) -> Value:
        return there.where((seconds / rr).log().within(-MAX_LATE, MAX_LATE), 0.0)

    spans = (since + to_next) / rr
    counts = both & has_next
    return [
        there * known,
        there * known * (seen["artefact_height"] / usual_height).log(),
        there * known * z,
        there * known * (usual["correlation_z"] - z),
        there * known * (seen["artefact_rough"] - usual["log_roughness"]),
        there * known * part(shown, EARLIER).max(keep=True),
        there * known * next_alike,
        there * known * next_height.within(-1.0, MAX_HEIGHT),
        both.to(F64),
        late(since, both),
        late(to_next, has_next & has_usual),
        *(counts.where((spans - float(one)).abs().at_most(OFF), OFF) for one in (1, 2)),
    ]
