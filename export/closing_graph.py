"""Seconds as nodes: judged when they are complete, closed two seconds later.

As `runtime.rhythm.seconds` and `runtime.rhythm.events.ventricular`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export import seconds_graph
from export.chunk_graph import HALF, HIGH, OLDEST, Chunk, Clock, age_of, place_of, rows_at
from export.seconds_graph import F32, F64
from export.values import FAR, Value, branch, columns, concat, count_to, flags, through
from runtime.findings import DOUBTFUL, UNREADABLE, Flaw
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel
from runtime.rhythm.events.ventricular import MAX_LOG_ODDS, RESTING, VentricularLimits
from runtime.signal.features import FEATURES, LARGEST, RATE, WINDOW_S
from runtime.signal.noise import NOT_NOISE, NoiseModel

KEPT = WINDOW_S - 1  # seconds
SECOND = len(seconds_graph.BY_ITSELF) + 1  # numbers of a second: its flaws, and where a gap ends
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


def judge(
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
        noise, vf = (
            seconds_graph.log_odds(one, features).to(F32)
            for one in (model.noise.window, model.fibrillation)
        )
        followed, verdict = _lasting_noise(
            memory, new & (number >= float(KEPT)), features, vf, model.noise
        )
        limits = model.quality
        noisy = (noise.to(F64) >= limits.noise_log_odds) | (
            verdict.to(F64) >= limits.lasting_noise_log_odds
        )
        # A second is searched for gaps when the next one is complete. Then a run of one value may
        # still turn out to stand for missing samples, if it begins with a second's last sample.
        lying = chunk.cut(in_gap, starts - float(FS), FS) * np.arange(1, FS + 1)
        late = chunk.cut(in_gap, starts - float(FS + 1), 1).reshape(0, -1) * float(FS)
        return {
            "low": last["low"].reshape(-1, 1),
            "high": last["high"].reshape(-1, 1),
            **followed,
            "own": own,
            "ring": ring,
            "lying": lying.max(),
            "late": late,
            "windows": concat(
                vf,
                noisy.to(F32),
                seconds_graph.is_fast(again, limits.fast).to(F32),
                axis=2,
            ),
        }

    def rest() -> dict[str, Value]:
        none = number.to(F32) * 0.0
        rows = none.expand(2)
        return {
            "low": low,
            "high": high,
            "noise_means": memory["noise_means"],
            "noise_windows": memory["noise_windows"],
            "own": rows * np.zeros(SECOND - 1),
            "ring": concat(memory["ecg_60hz"], none * np.zeros(RATE)),
            "lying": none,
            "late": none.op("Identity"),
            "windows": rows * np.zeros(3),
        }

    found = branch(new.to(F32).max(1).max(0) > 0.5, look, rest)
    kept |= {name: found[name] for name in ("low", "high", "noise_means", "noise_windows")}
    flaws, gap_ends = columns(
        memory["seconds"].reshape(0, KEPT, SECOND), {"flaws": SECOND - 1, "gap": 1}, axis=2
    ).values()
    flaws = concat(flaws, found["own"])
    lying = found["lying"].expand(2)
    none = lying.slice(0, 1) * 0.0
    gap_ends = concat(gap_ends.slice(0, KEPT - 1), lying, none)
    late = concat(*[none] * (KEPT - 2), found["late"].expand(2), none, none)
    gap_ends = gap_ends.at_least(late)
    count = (clock.after - clock.before).to(np.int64)
    last = count + np.arange(KEPT)
    kept["ecg_60hz"] = found["ring"].at(count * RATE + np.arange(KEPT * RATE))
    kept["seconds"] = rows_at(concat(flaws, gap_ends, axis=2), last).reshape(0, -1)
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


def _lasting_noise(
    memory: Mapping[str, Value], valid: Value, features: Value, vf: Value, noise: NoiseModel
) -> tuple[dict[str, Value], Value]:
    """Means of the features over the windows so far, and the verdict on each in their light.

    As `runtime.signal.noise.NoiseModel.follow`. Where a recording starts the memory is 0.
    """
    limits, size = noise.memory, len(FEATURES)
    mean, scale = noise.lasting.mean[:size], noise.lasting.scale[:size]

    def step(
        means: Value, windows: Value, **now: Value
    ) -> tuple[dict[str, Value], dict[str, Value]]:
        more = (windows + 1.0).at_most(limits.windows)
        before = means.to(F64)
        after = (before + (now["own"] - before) / more.to(F64)).to(F32)
        return {
            "means": now["valid"].where(after, means),
            "windows": now["valid"].where(more, windows),
        }, {"so_far": after, "count": more}

    last, found = through(
        step,
        {"means": memory["noise_means"], "windows": memory["noise_windows"]},
        {
            "valid": valid.expand(2),
            "own": ((features - mean) / scale).within(-LARGEST, LARGEST),
        },
        {"so_far": F32, "count": F32},
        axes=2,
    )
    inputs = concat(features, found["so_far"].to(F64), found["count"].to(F64).log(), axis=2)
    verdict = seconds_graph.log_odds(noise.lasting, inputs).to(F32)
    fibrillates = vf.to(F64) > limits.max_fibrillation
    return {
        "noise_means": last["means"],
        "noise_windows": last["windows"],
    }, fibrillates.where(NOT_NOISE, verdict)


def close(
    memory: Mapping[str, Value],
    kept: dict[str, Value],
    chunk: Chunk,
    clock: Clock,
    judged: Mapping[str, Value],
    limits: VentricularLimits,
    parted: Value,
) -> dict[str, Value]:
    """Flaws of the seconds that are closed, whether their beats count, and gaps up to them.

    Parameters
    ----------
    parted : float64 [batch, seconds], the place after the last deflection in each that is no beat,
        `FAR` without one
    """
    number = clock.next_before + count_to(chunk.line.build, clock.closing).to(F64)
    valid = number < clock.next_after
    place = (number - clock.before).to(np.int64) + KEPT
    second = rows_at(judged["seconds"], place.at_most(clock.new + (KEPT - 1)))
    flat, _, others, bits, beside, gap_end = (second.one(i, axis=2) for i in range(6))
    # A window is complete two seconds after the one that it is closed with.
    place = (number.at_least(float(HALF)) - clock.before).to(np.int64) + HALF
    window = rows_at(judged["windows"], place.at_least(0).at_most(clock.new - 1))
    fibrillation, noise, fast, unreadable = (window.one(i, axis=2) for i in range(4))
    noisy, is_flat, in_gap = noise > 0.5, flat > 0.5, gap_end > 0.5
    still = is_flat & (beside > 0.5)
    all_flaws = bits.to(np.int64) + flags(
        [
            (is_flat & ~still, -int(Flaw.FLAT)),
            (noisy, int(Flaw.NOISE)),
            ((fast > 0.5) & ~still, int(Flaw.FAST)),
            (in_gap | (parted > FAR), int(Flaw.MISSING)),
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
            "interrupted": place_of(memory["interrupted_age"]).reshape(-1),
        },
        {
            "valid": valid,
            "readable": readable,
            "fibrillation": fibrillation,
            "doubtful": doubtful,
            "start": start,
            "gap_end": in_gap.where(start + gap_end.to(F64), FAR).at_least(parted),
        },
        {"hidden": bool, "vf": bool, "before": F64, "after": F64},
        axes=1,
    )
    for name in ("vf_log_odds", "vf_lasts", "vf_since"):
        kept[name] = states[name].to(F32).reshape(-1, 1)
    kept["interrupted_age"] = age_of(states["interrupted"].reshape(-1, 1), chunk)
    return {"valid": valid, "number": number, "flaws": all_flaws, **found}


def _ventricular(now: dict[str, Value], limits: VentricularLimits) -> tuple[Value, Value]:
    """Log-odds of ventricular fibrillation after a second, and True if it lasts."""
    low, high = limits.edges
    before = now["vf_log_odds"].to(F64).within(low, high)
    faded = (before > low).where(before * (1.0 - limits.vf_fade), low)
    seen = now["fibrillation"].to(F64).within(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    readable, lasts = now["readable"], now["vf_lasts"]
    log_odds = readable.where(before + (seen - limits.vf_prior) * limits.vf_weight, faded)
    single = log_odds.to(F32)
    wide = single.to(F64)
    over = ~readable & lasts & (now["vf_since"] > limits.hold_s)
    goes_on = lasts.where(~(wide < limits.vf_off), wide >= limits.vf_on)
    return over.where(RESTING, single), readable.where(goes_on, lasts & ~over)
