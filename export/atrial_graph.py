"""Atrial fibrillation as the step of a loop over beats, the second network in it.

As `runtime.rhythm.events.atrial`, for a beat of every row at once.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from export.labels_graph import FAR
from export.values import Value, concat, through
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.events.atrial import (
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


def parts(memory_size: int) -> dict[str, int]:
    """Parts of the memory: name -> size. Zeros where a recording starts."""
    return {
        "network": memory_size,
        "last_age": 1,
        "atrial_log_interval": 1,
        "atrial_interval_known": 1,
        "atrial_beats": 1,
        "p_waves": MEANS * (WAVE + 1),
        "p_wave_beats": 1,
        "af_log_odds": 1,
        "af_lasts": 1,
        "seen_age": 1,
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
    return concat(wave, (wave * wave).sum(keep=True) / float(WAVE), axis=2)


def follow(
    memory: dict[str, Value],
    beats: dict[str, Value],
    policy: RhythmPolicy,
    network: onnx.GraphProto,
    lag: int,
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Go through beats in order; gives the memory after them, and what is known after each.

    Parameters
    ----------
    memory : of `parts`, [batch, size]; ages as places, samples, `FAR` if none
    beats : [batch, beats, ...]: ``there``, ``sample``, ``certain`` (it is N or S), ``wave`` and
        ``has_wave``, ``clear`` (up to there nothing was known about beats)
    network, lag : the second one, and by how many beats it looks back

    Returns
    -------
    ``log_odds`` float32 and ``lasts`` bool, [batch, beats]
    """
    limits = policy.of(AtrialLimits)
    hold = policy.of(VentricularLimits).hold_s * FS

    def step(**given: Value) -> tuple[dict[str, Value], dict[str, Value]]:
        now = {name: given[name] for name in memory}
        there, sample, certain, clear = (
            given[name].expand(1) for name in ("there", "sample", "certain", "clear")
        )
        forgets = clear - now["seen_age"] > hold
        for name in now:
            if name != "seen_age":
                at_start = {"last_age": FAR, "af_log_odds": RESTING}.get(name, 0.0)
                now[name] = forgets.where(now[name].like(at_start), now[name])
        build = sample.build
        # P waves.
        takes = certain & given["has_wave"].expand(1)
        count = now["p_wave_beats"] + takes.to(F32)
        count = count.at_most(float(max(P_WAVE_BEATS)))
        means = now["p_waves"].reshape(0, MEANS, WAVE + 1)
        sizes = np.array(P_WAVE_BEATS, dtype=F32)
        learnt = (1.0 / count.at_least(1.0).at_most(sizes)).expand(2)
        taken = means + (given["wave"].expand(1) - means) * learnt
        means = takes.expand(2).where(taken, means)
        left = _left(means)
        # The interval.
        interval = (clear > now["last_age"]).where(FAR, (sample - now["last_age"]) / float(FS))
        known = (interval > SHORTEST_S) & (interval < LONGEST_S)
        length = (interval.within(SHORTEST_COUNTED_S, LONGEST_COUNTED_S) / USUAL_S).log().to(F32)
        length = known.where(length, 0.0)
        both = known & (now["atrial_interval_known"] > 0.5)
        change = both.where(length - now["atrial_log_interval"], 0.0)
        counted = count > 0.5
        read = concat(
            length,
            known.to(F32),
            certain.to(F32),
            counted.where(left, 0.0),
            count / float(max(P_WAVE_BEATS)),
            change,
        )
        answer = build.inline(
            network, {"beats": read.expand(0).name, "memory": now["network"].expand(0).name}
        )
        odds = Value(build, answer["log_odds"], F32).op("Squeeze", build.axes(0))
        log_odds, earlier = odds.slice(0, 1), odds.slice(1, 2).to(F64)
        beats_so_far = (now["atrial_beats"] + 1.0).at_most(float(lag + 1))
        judged = beats_so_far > float(lag)
        lasts = now["af_lasts"] > 0.5
        stays = lasts.where(~(earlier < limits.af_off), earlier >= limits.af_on)
        lasts = judged.where(stays, lasts)
        after = {
            "network": Value(build, answer["memory_out"], F32).op("Squeeze", build.axes(0)),
            "last_age": sample,
            "atrial_log_interval": length,
            "atrial_interval_known": known.to(F32),
            "atrial_beats": beats_so_far,
            "p_waves": means.reshape(0, -1),
            "p_wave_beats": count,
            "af_log_odds": log_odds,
            "af_lasts": lasts.to(F32),
            "seen_age": sample,
        }
        after = {name: there.where(value, given[name]) for name, value in after.items()}
        return after, {
            "log_odds": after["af_log_odds"].reshape(-1),
            "lasts": after["af_lasts"].reshape(-1) > 0.5,
        }

    return through(step, memory, beats, {"log_odds": F32, "lasts": bool})


def _left(means: Value) -> Value:
    """For each mean, the logarithm of the share of the power that is left in it, [batch, means]."""
    weights: NDArray[np.float32] = np.full((WAVE, 1), 1 / WAVE, dtype=F32)
    waves = means.slice(0, WAVE, axis=2)
    kept, power = ((waves * waves) @ weights).to(F64), means.slice(WAVE, axis=2).to(F64)
    share = (kept / (power + 1e-5) + 0.01).log() - P_WAVE_LEFT
    return share.reshape(0, MEANS).to(F32)
