"""Labels in the light of the patient: two loops over beats, of the template and of the interval.

As `runtime.rhythm.template` and `runtime.rhythm.baseline`, for a beat of every row at once. What
needs no memory of the patient is computed outside of the loops, for all beats together. In a loop
every number is a column [batch, 1] of float64, and each node counts: a beat takes as long as they
are many. The template asks nothing of the rhythm, so it comes before atrial fibrillation, which
does not read the deflections that it finds too high.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export import artefact_graph, seconds_graph
from export.values import FAR, Value, columns, concat, over_beats
from runtime.beats import PROBABILITY_FLOOR, F, N, Q, S, V
from runtime.findings import CLASSES
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel, RhythmPolicy
from runtime.rhythm.baseline import LONGEST_S, RUN_BEATS, SAME_RATE, SHORTEST_S, BaselineLimits
from runtime.rhythm.events.atrial import AtrialLimits
from runtime.rhythm.template import (
    FIRST_FEW,
    HEIGHT_KNOWN,
    MAX_LOG_ODDS_SHIFT,
    MAX_ROUGHNESS,
    ORDINARY_Z,
    PEAK,
    SHIFT,
    SIZE,
    STEP,
    STILL_MV,
    TemplateLimits,
)

F32, F64 = np.float32, np.float64
FLAT = 1e-9  # so that a flat line is like nothing
# Columns of the state: name -> size. All are 0 where a recording starts, but for `AT_START`.
TEMPLATE = {"template": SIZE, "correlation_z": 1, "log_roughness": 1, "template_beats": 1}
LEARNED = ("baseline_beats", "compared", "run_beats", "run_log_interval", "run_change", "last")
SHORTEST = ("gradual", "shortest", "second_shortest")
BASELINE = dict.fromkeys(
    (
        *("log_interval", "interval_known", "previous", "previous_atrial", "previous_gaps", "run"),
        *LEARNED,
        *SHORTEST,
    ),
    1,
)
AT_START = {"correlation_z": ORDINARY_Z, "previous": FAR, "run": FAR, "baseline_beats": 1.0}
MOMENTS = ("previous", "run")
# Columns of a beat. For the template: the first network's probability of N, 1 if the signal around
# it is there, and of that signal roughness and height.
COMPARED = dict.fromkeys((CLASSES[N], "whole", "roughness", "height"), 1)
# For the interval: its place, probabilities and label in the light of the template, 1 if it is too
# high, 1 if it is in fibrillation or certainly in sinus rhythm, gaps before it, 1 if the signal
# around it is there.
BEAT = dict.fromkeys(
    ("sample", *CLASSES, "label", "too_high", "fibrillating", "sinus", "gaps", "whole"), 1
)
# What the template says of a beat: as `QrsTemplate.compare`, and 1 if it is too high.
VERDICT = dict.fromkeys(("less_alike", "rougher", "trust", "compared", "too_high"), 1)


def pieces(around: Value) -> tuple[Value, Value, dict[str, Value]]:
    """What is compared with a template: roughness, height, and the signal at each shift.

    Parameters
    ----------
    around : float32 [batch, beats, 117], the signal around beats

    Returns
    -------
    float64 [batch, beats, 1] twice, and the signal by its name as an input of the loop
    """
    coarse = around.to(F64).reshape(0, 0, -1, STEP).mean()
    slope = coarse.slice(1, axis=2) - coarse.slice(0, -1, axis=2)
    second = slope.slice(1, axis=2) - slope.slice(0, -1, axis=2)
    roughness = ((second * second).mean(keep=True).sqrt() + STILL_MV).log()
    peak = around.slice(PEAK.start, PEAK.stop, axis=2).to(F64).reshape(0, 0, -1, STEP).mean()
    height = peak.max(keep=True) - peak.min(keep=True)
    shifted = coarse.along(np.arange(2 * SHIFT + 1)[:, None] + np.arange(SIZE), axis=2)
    return roughness, height, {"shifted": shifted - shifted.mean(keep=True)}


def compare(
    state: Value, there: Value, beats: Value, shifted: dict[str, Value], limits: TemplateLimits
) -> tuple[Value, Value]:
    """Go through beats in order and compare them with the template.

    Parameters
    ----------
    state : float32 [batch, numbers], of `TEMPLATE`
    there, beats : bool and float64 [batch, beats, ...], of `COMPARED`
    shifted : of `pieces`

    Returns
    -------
    the state after them, and float64 [batch, beats, ...], of `VERDICT`, then of `TEMPLATE` before
    each beat
    """

    def step(state: Value, given: Value, more: dict[str, Value]) -> tuple[Value, Value]:
        after, verdict = _compare(state, columns(given, COMPARED), more["shifted"], limits)
        return after, concat(verdict, state)

    return over_beats(step, state, there, beats, shifted, len(VERDICT) + sum(TEMPLATE.values()))


def read(
    state: Value,
    there: Value,
    beats: Value,
    seen: dict[str, Value],
    model: RhythmModel,
    weights: Sequence[float],
) -> tuple[Value, Value]:
    """Go through beats in order, in the light of rhythm and interval; V and S may be artefact.

    Parameters
    ----------
    state : float32 [batch, numbers], of `BASELINE`
    there, beats : bool and float64 [batch, beats, ...], of `BEAT`
    seen : of `artefact_graph.pieces`, and ``usual``, of `TEMPLATE`; empty without a verdict on it
    weights : factor for each class before the largest wins

    Returns
    -------
    the state after them, and their probabilities and labels, float64 [batch, beats, 6]
    """

    def step(state: Value, given: Value, more: dict[str, Value]) -> tuple[Value, Value]:
        beat = columns(given, BEAT)
        block, found = _by_baseline(state, beat, model.policy, weights)
        if more:
            usual, before = columns(more["usual"], TEMPLATE), columns(state, BASELINE)
            found = artefact_graph.unknown(found, more, usual, before, model)
        # What is no beat parts the intervals, as a gap does.
        place = list(BASELINE).index("previous")
        parted = state.like(np.arange(sum(BASELINE.values())) == place) > 0.5
        block = (beat["too_high"] > 0.5).where(parted.where(FAR, state), block)
        return block, concat(*(found[one] for one in CLASSES), found["label"])

    return over_beats(step, state, there, beats, seen, len(CLASSES) + 1)


def _compare(
    block: Value, beat: dict[str, Value], shifted: Value, limits: TemplateLimits
) -> tuple[Value, Value]:
    """The template after a beat, and what it says of it, of `VERDICT`."""
    build, state = block.build, columns(block, TEMPLATE)
    template, beats = state["template"], state["template_beats"]
    known, whole = beats > 0.5, beat["whole"] > 0.5
    products = (shifted @ template.expand(2)).op("Squeeze", build.axes(2))
    best = products.op("ArgMax", dtype=np.int64, axis=1, keepdims=1)
    chosen = known.where(best, SHIFT).equals(np.arange(2 * SHIFT + 1)).to(F64)
    piece = (chosen.expand(1) @ shifted).op("Squeeze", build.axes(1))
    power = (piece * piece).sum(keep=True) * (template * template).sum(keep=True)
    correlation = products.max(keep=True) / (power + FLAT).sqrt()
    correlation = correlation.within(limits.min_correlation, limits.max_correlation)
    z = ((correlation + 1.0) / (1.0 - correlation)).log() * 0.5
    z_below = state["correlation_z"] - known.where(z, ORDINARY_Z)
    rougher = beat["roughness"] - state["log_roughness"]
    most = float(F32(limits.template_beats))
    usual_height = (template.max(keep=True) - template.min(keep=True)) * limits.pop_times
    too_high = (beat["height"] > usual_height.at_least(limits.pop_mv)) & whole
    too_high = too_high & (beats > HEIGHT_KNOWN - 0.5)
    compared = known & whole
    verdict = concat(
        compared.where(z_below, 0.0),
        compared.where(rougher.within(-MAX_ROUGHNESS, MAX_ROUGHNESS), 0.0),
        beats / most,
        compared.to(F64),
        too_high.to(F64),
    )
    # One that is certainly N is remembered.
    usual = (beat[CLASSES[N]] > limits.template_min_normal) & whole & ~too_high
    count = (beats + 1.0).at_most(most)
    after = concat(
        template + (piece - template) / count,
        state["correlation_z"] - z_below / count.at_least(float(FIRST_FEW)),
        state["log_roughness"] + rougher / count,
        count,
    )
    return usual.where(after, block), verdict


def by_template(
    rows: Value, label: Value, verdict: Value, model: RhythmModel, weights: Sequence[float]
) -> tuple[Value, Value]:
    """Beats in the light of the template: N or S may become V, V one of these.

    Parameters
    ----------
    rows, label : float64 [batch, beats, 5] and [batch, beats, 1], of the first network
    verdict : of `compare`

    Returns
    -------
    the same after it
    """
    limits = model.policy.of(TemplateLimits)
    n, s, v, f, q = (rows.slice(i, i + 1, axis=2) for i in range(len(CLASSES)))
    less_alike, above, trust, compared, _ = columns(verdict, VERDICT, axis=2).values()
    floor = PROBABILITY_FLOOR
    v_odds = (v.at_least(floor) / (n + s).at_least(floor)).log()
    s_odds = (s.at_least(floor) / n.at_least(floor)).log()
    inputs = concat(s_odds, v_odds, less_alike, above, trust, axis=2)
    correction = (1.0 - trust) * seconds_graph.log_odds(model.first_beats, inputs)
    margin = compared * (limits.template_gain * limits.template_margin)
    shift = correction + trust * (
        less_alike * limits.template_gain - above * limits.template_roughness - margin
    )
    moves = (shift > 0.0) | ((shift < 0.0) & (label > float(S)))
    moved_n, moved_s, moved_v = _towards_v(n, s, v, v_odds, shift)
    weighted_n, weighted_s = moved_n * weights[N], moved_s * weights[S]
    other = label > float(V)
    own = (label > float(F)).where(q * weights[Q], f * weights[F])
    is_v = moved_v * weights[V] > other.where(own, weighted_n.at_least(weighted_s))
    stays = other.where(label, (weighted_s > weighted_n).to(F64))
    moved = concat(moved_n, moved_s, moved_v, f, q, axis=2)
    return moves.where(moved, rows), moves.where(is_v.where(float(V), stays), label)


def _towards_v(
    n: Value, s: Value, v: Value, log_odds: Value, shift: Value
) -> tuple[Value, Value, Value]:
    """Shift the log-odds of V against N and S by so much; F and Q keep their probabilities."""
    together = n + s + v
    v = together * (log_odds + shift.within(-MAX_LOG_ODDS_SHIFT, MAX_LOG_ODDS_SHIFT)).expit()
    left, normal = together - v, n.at_least(PROBABILITY_FLOOR)
    n = left * (normal / (normal + s))
    return n, left - n, v


def _by_baseline(
    block: Value, beat: dict[str, Value], policy: RhythmPolicy, weights: Sequence[float]
) -> tuple[Value, dict[str, Value]]:
    """The state after a beat, and the beat: in fibrillation none is premature, else by interval."""
    n, s, label = beat[CLASSES[N]], beat[CLASSES[S]], beat["label"]
    atrial = label < float(V)
    changed = None
    if policy.of(AtrialLimits).af_suppresses_s:
        changed = (beat["fibrillating"] > 0.5) & atrial
        n, s = changed.where(n + s, n), changed.where(0.0, s)
    if policy.has(BaselineLimits):
        block, premature, read = _read(block, beat, atrial, n, s, policy.of(BaselineLimits))
        both = n + s
        early = both * premature
        n, s = read.where(both - early, n), read.where(early, s)
        changed = read if changed is None else changed | read
    if changed is None:
        return block, beat
    is_s = (s * weights[S] > n * weights[N]).to(F64)
    found = {CLASSES[N]: n, CLASSES[S]: s, "label": changed.where(is_s, label)}
    return block, beat | found


def _read(
    block: Value,
    beat: dict[str, Value],
    atrial: Value,
    n: Value,
    s: Value,
    limits: BaselineLimits,
) -> tuple[Value, Value, Value]:
    """As `RrBaseline.read`: the state after it, the probability of S given N or S, if it counts."""
    state, sample = columns(block, BASELINE), beat["sample"]
    previous, after_atrial = state["previous"], state["previous_atrial"] > 0.5
    has_previous = (previous > FAR) & state["previous_gaps"].equals(beat["gaps"])
    in_sinus = has_previous & (beat["sinus"] > 0.5)
    run = in_sinus.where(state["run"], FAR)
    read = in_sinus & atrial
    learns = read & after_atrial
    length = ((sample - previous) / float(FS)).within(SHORTEST_S, LONGEST_S).log()
    known = state["interval_known"] > 0.5
    usual = known.where(state["log_interval"], length)
    gradual, shortest, second = (known.where(state[name], length) for name in SHORTEST)
    floor, beats = PROBABILITY_FLOOR, state["baseline_beats"]
    network = (s.at_least(floor) / n.at_least(floor)).log()
    weight = (beats.at_least(state["compared"]) / limits.baseline_beats).at_most(1.0)
    of_normal = beats / limits.baseline_beats
    of_normal = of_normal * of_normal
    unknown = network + (1.0 - weight) * limits.baseline_unknown

    def log_odds(usual: Value, last: Value, second: Value) -> Value:
        most = limits.max_prematurity
        early = (usual - length).within(0.0, most) * limits.baseline_gain
        sudden = (usual.at_most(last) - length).within(0.0, most) * limits.baseline_sudden
        beyond = (usual + of_normal * (second - usual) - length).within(-most, most)
        evidence = early + sudden + beyond * limits.baseline_shortest
        counts = after_atrial.where(evidence, 0.0) + limits.baseline_bias
        return unknown + counts.at_most(limits.baseline_most) * weight

    # A run of S beats that lasts is a rate.
    mean, change, in_run = state["run_log_interval"], state["run_change"], run > FAR
    same_rate = (state["run_beats"] > 0.5) & ((length - mean).abs() < SAME_RATE) & in_run
    goes_on = (log_odds(usual, state["last"], second) >= 0.0) | same_rate
    run_beats = (state["run_beats"] + 1.0).at_most(float(RUN_BEATS))
    mean = mean + (length - mean) / run_beats
    change = change + ((length - state["last"]).abs() - change) / run_beats
    lasting = (change < limits.steady_change).where(
        sample.like(limits.steady_s * FS), limits.lasting_s * FS
    )
    lasts = learns & goes_on & in_run & (sample - run >= lasting)
    usual, gradual, shortest, second = (
        lasts.where(mean, one) for one in (usual, gradual, shortest, second)
    )
    premature = log_odds(usual, lasts.where(length, state["last"]), second).expit()
    normal = 1.0 - premature
    most = limits.baseline_beats
    after = {
        "log_interval": usual + normal / beats.at_most(most) * (length - usual),
        "run": goes_on.where(in_run.where(run, sample), FAR),
        "baseline_beats": (beats + normal).at_most(most),
        "compared": (state["compared"] + 1.0).at_most(most),
        "run_beats": in_run.where(run_beats, 0.0),
        "run_log_interval": in_run.where(mean, length),
        "run_change": in_run.where(change, 0.0),
        "last": length,
    }
    of_late = _of_late((gradual, shortest, second), length, after["log_interval"], limits)
    is_n = learns & (premature < 0.5)
    learned = concat(*(after[name] for name in LEARNED))
    kept = concat(
        learns.where(after["log_interval"], usual),
        (known | has_previous).to(F64),
        sample,
        atrial.to(F64),
        beat["gaps"],
        learns.where(lasts.where(FAR, after["run"]), run),
        learns.where(learned, concat(*(state[name] for name in LEARNED))),
        is_n.where(of_late, concat(gradual, shortest, second)),
    )
    return kept, premature, read


def _of_late(before: Sequence[Value], length: Value, usual: Value, limits: BaselineLimits) -> Value:
    """As `RrBaseline._remember`: gradual, shortest and second shortest after an N beat."""
    gradual, shortest, second = (one + (usual - one) * limits.shortest_forgets for one in before)
    counts = length > gradual - limits.shortest_change
    return concat(
        counts.where(length, gradual),
        counts.where(shortest.at_most(length), shortest),
        counts.where(second.at_most(shortest.at_least(length)), second),
    )
