"""Labels in the light of the patient as the step of a loop over beats.

As `runtime.rhythm.template` and `runtime.rhythm.baseline`, for a beat of every row at once. What
needs no memory of the patient is computed before the loop, for all beats together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from export.values import Value, concat, through
from runtime.beats import ATRIAL, PROBABILITY_FLOOR, N, S, V
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.baseline import LONGEST_S, RUN_BEATS, SHORTEST_S, BaselineLimits
from runtime.rhythm.events.atrial import AtrialLimits
from runtime.rhythm.template import (
    FIRST_FEW,
    MAX_LOG_ODDS_SHIFT,
    MAX_ROUGHNESS,
    ORDINARY_Z,
    SHIFT,
    SIZE,
    STEP,
    STILL_MV,
    TemplateLimits,
)

F32, F64 = np.float32, np.float64
FLAT = 1e-9  # so that a flat line is like nothing
FAR = -float(1 << 30)  # a moment that never was, in samples
# Parts of the memory: name -> size. Zeros where a recording starts.
TEMPLATE = {"template": SIZE, "correlation_z": 1, "log_roughness": 1, "template_beats": 1}
BASELINE = {
    "log_interval": 1,
    "interval_known": 1,
    "baseline_beats": 1,
    "compared": 1,
    "previous_age": 1,
    "previous_atrial": 1,
    "previous_gaps": 1,
    "run_age": 1,
    "run_beats": 1,
    "run_log_interval": 1,
    "run_change": 1,
    "last_log_interval": 1,
}


class Labelled(NamedTuple):
    """Beats in the light of the patient: float64 [.., 5] and int64."""

    probabilities: Value
    labels: Value


def pieces(around: Value) -> dict[str, Value]:
    """What is compared with a template, of the signal around beats, float32 [batch, beats, 117]."""
    steps = around.reshape(0, 0, -1, STEP)
    coarse = steps.sum() * np.float32(1 / STEP)
    slope = coarse.slice(1, axis=2) - coarse.slice(0, -1, axis=2)
    second = slope.slice(1, axis=2) - slope.slice(0, -1, axis=2)
    roughness = ((second * second).mean().to(F64).sqrt() + STILL_MV).log()
    shifts = np.arange(2 * SHIFT + 1)[:, None] + np.arange(SIZE)
    shifted = coarse.along(shifts, axis=2)
    return {
        "shifted": shifted,
        "centred": shifted - shifted.sum(keep=True) / SIZE,
        "roughness": roughness,
    }


def label(
    memory: dict[str, Value],
    beats: dict[str, Value],
    policy: RhythmPolicy,
    weights: Sequence[float],
) -> tuple[dict[str, Value], Labelled]:
    """Go through beats in order; gives the memory after them, and their labels.

    Parameters
    ----------
    memory : of `TEMPLATE` and `BASELINE`, [batch, size]; ages as places, samples, `FAR` if none
    beats : [batch, beats, ...]: ``there``, ``sample``, ``row``, ``label`` of the first network,
        ``whole`` (the signal around is there), ``fibrillating``, ``sinus_certain``, ``gaps`` before
        it, and `pieces`
    weights : factor for each class before the largest wins
    """

    def step(**given: Value) -> tuple[dict[str, Value], dict[str, Value]]:
        before = {name: given[name] for name in memory}
        beat = {name: given[name] for name in beats}
        after, row, label = _by_template(before, beat, policy, weights)
        more, row, label = _by_baseline(before, beat, row, label, policy, weights)
        after |= more
        kept = {
            name: _if(beat["there"], value, before[name]).to(memory[name].dtype)
            for name, value in after.items()
        }
        return before | kept, {"row": row, "label": label}

    last, found = through(step, memory, beats, {"row": F64, "label": np.int64})
    return last, Labelled(found["row"], found["label"])


def _if(condition: Value, yes: Value, no: Value) -> Value:
    """[batch, size] of a condition [batch]."""
    return condition.expand(1).where(yes, no)


def _by_template(
    before: dict[str, Value], beat: dict[str, Value], policy: RhythmPolicy, weights: Sequence[float]
) -> tuple[dict[str, Value], Value, Value]:
    """The memory after a beat, [batch, size], and its probabilities and label."""
    row, label = beat["row"], beat["label"]
    if not policy.has(TemplateLimits):
        return {}, row, label
    limits = policy.of(TemplateLimits)
    template, beats = before["template"], before["template_beats"].to(F64)
    known = beats >= 1.0
    products = (beat["shifted"] @ template.expand(2)).op("Squeeze", row.build.axes(2))
    best = known.where(products.argmax().expand(1), SHIFT)
    chosen = best.equals(np.arange(2 * SHIFT + 1)).to(F32)  # [batch, 9]
    piece = (chosen.expand(1) @ beat["centred"]).op("Squeeze", row.build.axes(1))
    power = (piece * piece).sum(keep=True).to(F64) * (template * template).sum(keep=True).to(F64)
    correlation = products.max(keep=True).to(F64) / (power + FLAT).sqrt()
    correlation = correlation.within(limits.min_correlation, limits.max_correlation)
    z = known.where(((1.0 + correlation) / (1.0 - correlation)).log() * 0.5, ORDINARY_Z)
    usual_z = known.where(before["correlation_z"].to(F64), ORDINARY_Z)
    roughness, usual_roughness = beat["roughness"].expand(1), before["log_roughness"].to(F64)
    z_below = usual_z - z
    roughness_above = (roughness - usual_roughness).within(-MAX_ROUGHNESS, MAX_ROUGHNESS)
    trust = beats / float(F32(limits.template_beats))
    shift = trust * (
        limits.template_gain * (z_below - limits.template_margin)
        - limits.template_roughness * roughness_above
    )
    atrial = _is_atrial(label).expand(1)
    compared = known & beat["whole"].expand(1)
    moves = compared & ~((shift <= 0.0) & atrial)
    moved = _towards_v(row, shift)
    weighted = moved * np.array(weights)
    three = weighted.slice(0, V + 1).argmax()
    own = weighted.at(label.expand(1))
    other = (weighted.slice(V, V + 1) > own).where(label.like(V), label.expand(1))
    chosen_label = (label <= V).where(three, other.reshape(-1))
    # One that is certainly N is remembered.
    usual = (row.slice(N, N + 1) > limits.template_min_normal) & beat["whole"].expand(1)
    count = (beats + 1.0).at_most(float(F32(limits.template_beats)))
    after = {
        "template": template + (piece - template) * (1.0 / count).to(F32),
        "log_roughness": usual_roughness + (roughness - usual_roughness) / count,
        "correlation_z": usual_z + (z - usual_z) / count.at_least(float(FIRST_FEW)),
        "template_beats": count,
    }
    return (
        {name: usual.where(value.to(F32), before[name]) for name, value in after.items()},
        moves.where(moved, row),
        moves.reshape(-1).where(chosen_label, label),
    )


def _towards_v(row: Value, shift: Value) -> Value:
    """Shift the log-odds of V against N and S by so much; F and Q keep their probabilities."""
    n, s, v = (row.slice(i, i + 1) for i in (N, S, V))
    atrial = n + s
    together = atrial + v
    floor = PROBABILITY_FLOOR
    log_odds = (v.at_least(floor) / atrial.at_least(floor)).log() + shift.within(
        -MAX_LOG_ODDS_SHIFT, MAX_LOG_ODDS_SHIFT
    )
    v = together / (1.0 + (-log_odds).exp())
    left, normal = together - v, n.at_least(floor)
    normal = normal / (normal + s)
    return concat(left * normal, left * (1.0 - normal), v, row.slice(V + 1))


def _by_baseline(
    before: dict[str, Value],
    beat: dict[str, Value],
    row: Value,
    label: Value,
    policy: RhythmPolicy,
    weights: Sequence[float],
) -> tuple[dict[str, Value], Value, Value]:
    """As `_by_template`: in fibrillation no beat is premature, elsewhere the interval joins in."""
    atrial, sample = _is_atrial(label).expand(1), beat["sample"].expand(1)
    n, s, others = row.slice(N, N + 1), row.slice(S, S + 1), row.slice(V)
    changed = None
    if policy.of(AtrialLimits).af_suppresses_s:
        changed = beat["fibrillating"].expand(1) & atrial
        n, s = changed.where(n + s, n), changed.where(0.0, s)
    after: dict[str, Value] = {}
    if policy.has(BaselineLimits):
        sinus = beat["sinus_certain"].expand(1)
        after, premature, read = _read(
            before, sample, beat["gaps"].expand(1), atrial, sinus, n, s, policy.of(BaselineLimits)
        )
        both = n + s
        n, s = read.where(both * (1.0 - premature), n), read.where(both * premature, s)
        changed = read if changed is None else changed | read
    if changed is None:
        return after, row, label
    is_s = (s * weights[S] > n * weights[N]).to(np.int64)
    return after, concat(n, s, others), changed.where(is_s, label.expand(1)).reshape(-1)


def _read(
    before: dict[str, Value],
    sample: Value,
    gaps: Value,
    atrial: Value,
    sinus: Value,
    n: Value,
    s: Value,
    limits: BaselineLimits,
) -> tuple[dict[str, Value], Value, Value]:
    """`RrBaseline.read`: the memory after it, the probability of S given N or S, and if it counts.

    All are [batch, 1].
    """
    previous, after_atrial = before["previous_age"], before["previous_atrial"] > 0.5
    has_previous = (previous > FAR) & before["previous_gaps"].equals(gaps)
    run = (has_previous & sinus).where(before["run_age"], FAR)
    length = ((sample - previous) / float(FS)).within(SHORTEST_S, LONGEST_S).log()
    known = before["interval_known"] > 0.5
    usual = (known | ~has_previous).where(before["log_interval"], length.to(F32))
    is_known = known | has_previous
    read = has_previous & atrial & sinus
    beats, compared = before["baseline_beats"].at_least(1.0), before["compared"]
    network = (s.at_least(PROBABILITY_FLOOR) / n.at_least(PROBABILITY_FLOOR)).log()
    weight = (beats.at_least(compared).to(F64) / limits.baseline_beats).at_most(1.0)

    def premature_by(usual: Value) -> Value:
        early = (usual.to(F64) - length).at_least(0.0).at_most(limits.max_prematurity)
        counts = after_atrial.where(early, 0.0) * limits.baseline_gain
        return 1.0 / (1.0 + (-(network + (counts + limits.baseline_bias) * weight)).exp())

    premature = premature_by(usual)
    learns = read & after_atrial
    # A run of S beats that lasts is a rate.
    early = premature >= 0.5
    in_run = run > FAR
    follows = early & in_run
    run_beats = (before["run_beats"] + 1.0).at_most(float(RUN_BEATS))
    learnt = 1.0 / run_beats.to(F64)
    run_length, change = before["run_log_interval"].to(F64), before["run_change"].to(F64)
    last_length = before["last_log_interval"].to(F64)
    mean = (run_length + (length - run_length) * learnt).to(F32)
    mean_change = (change + ((length - last_length).abs() - change) * learnt).to(F32)
    steady = mean_change.to(F64) < limits.steady_change
    lasting = steady.where(sample.like(limits.steady_s * FS), limits.lasting_s * FS)
    lasts = learns & follows & (sample - run >= lasting)
    run_after = early.where(in_run.where(run, sample), FAR)
    usual = lasts.where(mean, usual)
    premature = premature_by(usual)
    rate = (1.0 - premature) / beats.at_most(limits.baseline_beats).to(F64)
    learned = (usual.to(F64) + rate * (length - usual.to(F64))).to(F32)
    counted = (beats.to(F64) + 1.0 - premature).at_most(limits.baseline_beats).to(F32)
    single = length.to(F32)
    after = {
        "log_interval": learns.where(learned, usual),
        "interval_known": is_known.to(F32),
        "baseline_beats": learns.where(counted, beats),
        "compared": learns.where((compared + 1.0).at_most(limits.baseline_beats), compared),
        "previous_age": sample,
        "previous_atrial": atrial.to(F32),
        "previous_gaps": gaps,
        "run_age": learns.where(lasts.where(FAR, run_after), run),
        "run_beats": (learns & early).where(
            in_run.where(run_beats, 0.0), before["run_beats"]
        ),
        "run_log_interval": (learns & early).where(
            in_run.where(mean, single), before["run_log_interval"]
        ),
        "run_change": (learns & early).where(
            in_run.where(mean_change, 0.0), before["run_change"]
        ),
        "last_log_interval": learns.where(single, before["last_log_interval"]),
    }
    return after, premature, read


def _is_atrial(label: Value) -> Value:
    return label <= max(ATRIAL)
