"""Atrial fibrillation as the step of a loop over beats, the second network in it.

As `runtime.rhythm.events.atrial`, for a beat of every row at once; columns as in `labels_graph`.
"""

from __future__ import annotations

import numpy as np
import onnx

from export.values import FAR, Value, at_start, columns, concat, over_beats
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.events.atrial import (
    EVEN_BEATS,
    KNOWN_BEATS,
    LONGEST_COUNTED_S,
    LONGEST_S,
    P_WAVE,
    P_WAVE_BEATS,
    P_WAVE_LEFT,
    SHORTEST_COUNTED_S,
    SHORTEST_S,
    USUAL_S,
    AtrialLimits,
    AtrialState,
)
from runtime.rhythm.events.ventricular import RESTING, VentricularLimits

F32, F64 = np.float32, np.float64
WAVE, MEANS = len(P_WAVE), len(P_WAVE_BEATS)
AT_START = {"previous": FAR, "since": FAR, "log_odds": RESTING}  # the rest is 0
MOMENTS = ("previous", "since", "seen")
# Columns of a beat: its place, 1 if it is certainly N or S, 1 if also the signal before it is
# there, where the last gap before it ended, and its P wave.
BEAT = {"sample": 1, "certain": 1, "has_wave": 1, "clear": 1, "wave": WAVE + 1}


def state_sizes(network: onnx.GraphProto) -> dict[str, int]:
    """Columns of the state: name -> size."""
    memory = next(one for one in network.input if one.name == "memory")
    return {
        "network": memory.type.tensor_type.shape.dim[-1].dim_value,
        "p_waves": MEANS * (WAVE + 1),
        "p_wave_beats": 1,
        "previous": 1,
        "log_interval": 1,
        "known": 1,
        "even_beats": 1,
        "even_mean": 1,
        "even_square": 1,
        "beats": 1,
        "log_odds": 1,
        "lasts": 1,
        "since": 1,
        "seen": 1,
    }


def p_waves(before: Value) -> Value:
    """P waves, less mean and slope, and last their power, of [batch, beats, 15] samples before."""
    # Taking mean and slope off is linear: unit vectors show its matrix.
    matrix = np.zeros((WAVE, WAVE), dtype=F32)
    for i, unit in enumerate(np.eye(WAVE, dtype=F32)):
        state = AtrialState()
        state.take_p_wave(unit)
        matrix[i] = state.p_waves[0, :WAVE]
    wave = before @ matrix
    return concat(wave, (wave * wave).mean(keep=True), axis=2).to(F64)


def follow(
    state: Value,
    there: Value,
    beats: Value,
    policy: RhythmPolicy,
    network: onnx.GraphProto,
    lag: int,
) -> tuple[Value, Value, Value, Value]:
    """Go through beats in order; gives the state after them, and what is known after each.

    Parameters
    ----------
    state : float32 [batch, numbers], of `state_sizes`
    there, beats : bool and float64 [batch, beats, ...], of `BEAT`
    network, lag : the second one, and by how many beats it looks back

    Returns
    -------
    the state, log-odds of fibrillation float64, bool if it lasts, and beats read, [batch, beats]
    """
    limits = policy.of(AtrialLimits)
    hold = policy.of(VentricularLimits).hold_s * FS
    sizes = state_sizes(network)
    start = at_start(sizes, AT_START)

    def step(before: Value, given: Value, _: dict[str, Value]) -> tuple[Value, Value]:
        build, beat = before.build, columns(given, BEAT)
        sample, clear = beat["sample"], beat["clear"]
        forgets = clear - before.slice(-1) > hold  # of `seen`, the last column
        now = columns(forgets.where(before.like(start), before), sizes)
        takes = beat["has_wave"] > 0.5
        count = (now["p_wave_beats"] + beat["has_wave"]).at_most(float(max(P_WAVE_BEATS)))
        means = now["p_waves"].reshape(0, MEANS, WAVE + 1)
        learnt = count.at_least(1.0).at_most(np.array(P_WAVE_BEATS)).expand(2)
        taken = means + (beat["wave"].expand(1) - means) / learnt
        means = takes.expand(2).where(taken, means)
        interval = (sample - now["previous"]) / float(FS)
        known = (now["previous"] >= clear) & (interval > SHORTEST_S) & (interval < LONGEST_S)
        length = (interval.within(SHORTEST_COUNTED_S, LONGEST_COUNTED_S) / USUAL_S).log()
        length = known.where(length, 0.0)
        as_number = known.to(F64)
        read = concat(
            length,
            as_number,
            beat["certain"],
            (count > 0.5).where(_left(means), 0.0),
            count / float(max(P_WAVE_BEATS)),
            (length - now["log_interval"]) * as_number * now["known"],
        )
        answer = build.inline(
            network,
            {
                "beats": read.to(F32).expand(0).name,
                "memory": now["network"].to(F32).expand(0).name,
            },
        )
        odds = Value(build, answer["log_odds"], F32).op("Squeeze", build.axes(0)).to(F64)
        found = columns(odds, {"now": 1, "before": 1})
        beats = (now["beats"] + 1.0).at_most(float(max(lag + 1, KNOWN_BEATS)))
        even_beats = (now["even_beats"] + as_number).at_most(float(EVEN_BEATS))
        share = 1.0 / even_beats.at_least(1.0)
        late = length - now["even_mean"]
        even_mean = now["even_mean"] + late * share * as_number
        square = late * late * (1.0 - share) - now["even_square"]
        even_square = now["even_square"] + square * share * as_number
        even = (even_beats >= float(EVEN_BEATS)) & (even_square < limits.af_even**2)
        lately = even.where(found["before"].at_most(RESTING), found["before"])
        lasts = now["lasts"] > 0.5
        old = lasts & (sample - now["since"] >= float(limits.af_min_s * FS))
        stays = lately >= old.where(found["before"].like(limits.af_off), limits.af_on)
        lasting = (beats > float(lag)).where(stays.to(F64), now["lasts"])
        after = {
            "network": Value(build, answer["memory_out"], F32).op("Squeeze", build.axes(0)).to(F64),
            "p_waves": means.reshape(0, -1),
            "p_wave_beats": count,
            "previous": sample,
            "log_interval": length,
            "known": as_number,
            "even_beats": even_beats,
            "even_mean": even_mean,
            "even_square": even_square,
            "beats": beats,
            "log_odds": found["now"],
            "lasts": lasting,
            "since": (lasts | (lasting < 0.5)).where(now["since"], sample),
            "seen": sample,
        }
        return concat(*(after[name] for name in sizes)), concat(found["now"], lasting, beats)

    last, found = over_beats(step, state, there, beats, {}, 3)
    return last, found.one(0, axis=2), found.one(1, axis=2) > 0.5, found.one(2, axis=2)


def probability(log_odds: Value, beats: Value, policy: RhythmPolicy) -> Value:
    """Of fibrillation, of the network's log-odds and the beats that it has read."""
    unknown = 1.0 - (beats / float(KNOWN_BEATS)).at_most(1.0)
    return (log_odds + unknown * policy.of(AtrialLimits).af_unknown).expit()


def _left(means: Value) -> Value:
    """For each mean, the logarithm of the share of the power that is left in it, [batch, means]."""
    waves = means.slice(0, WAVE, axis=2)
    kept, power = (waves * waves).mean(keep=True), means.slice(WAVE, axis=2)
    share = (kept / (power + 1e-5) + 0.01).log() - P_WAVE_LEFT
    return share.reshape(0, MEANS)
