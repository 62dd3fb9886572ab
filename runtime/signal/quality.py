"""Flaws of a signal, second by second: reported as a quality, never as a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..findings import Flaw, Quality
from .fast import FAST_S, beats_fast
from .features import WINDOW_S, at_rate, centred, measure, repetition, windows
from .gaps import GAP_S
from .hum import mains, median
from .missing import LARGEST_STEP_MV, NO_SIGNAL, Edge, bridge, plain_after
from .noise import NoiseMemory, NoiseModel, kept_log_odds
from .policy import QualityPolicy

EQUAL_MV = 1e-6  # values that differ by less are the same
AT_ONCE = 600  # seconds, or windows, that are judged together
SPIKE_S = 0.01  # a pacemaker's, with what resampling makes of it


def assess(
    ecg: NDArray[np.floating],
    fs: float,
    policy: QualityPolicy,
    noise: NoiseModel,
    *,
    whole: bool = True,
) -> Quality:
    """Judge a signal second by second; what follows the last counts as one from a quarter on.

    A strip is judged as a whole, too (`noise.STRIP_S`).

    Parameters
    ----------
    ecg : [samples], mV, at least one sample; NaN if one is missing
    fs : Hz
    noise : recognises muscle and motion noise from five seconds of signal on
    whole : it is a whole recording, and no part of one
    """
    return assess_rows(ecg[None], fs, policy, noise, whole=whole)[0]


def assess_rows(
    ecg: NDArray[np.floating],
    fs: float,
    policy: QualityPolicy,
    noise: NoiseModel,
    edges: Sequence[Edge] | None = None,
    *,
    whole: bool = True,
) -> list[Quality]:
    """`assess` for the signals of many patients at once.

    Parameters
    ----------
    ecg : [batch, samples], mV, at least one sample; NaN if one is missing
    fs : Hz
    edges : where each signal stands before; none has begun by default
    """
    batch, samples = ecg.shape
    second = min(max(round(fs), 1), samples)
    missing: dict[int, NDArray[np.bool_]] = {}
    constant: dict[int, NDArray[np.bool_]] = {}
    for row, edge in enumerate(edges or [NO_SIGNAL] * batch):
        signal = np.asarray(ecg[row], dtype=np.float64)
        if plain_after(signal[None], [edge], fs, policy.missing) == [None]:  # seldom
            bridged = bridge(signal[None], [edge], fs, policy.missing)
            if bridged.missing:
                ecg = ecg if missing else np.array(ecg, dtype=np.float64)
                ecg[row], missing[row] = bridged.ecg[0], bridged.missing[0]
                constant[row] = _constant(signal - bridged.edges[0].offset, second)
    if batch == 1 and not missing and samples == second:
        only = np.asarray(ecg[0], dtype=np.float64)
        low, high = only.item(only.argmin()), only.item(only.argmax())
        if _plainly_good(only, fs, policy, low, high):
            return [_quality([0], high - low)]
    count = samples // second
    rows = ecg[:, : count * second].reshape(-1, second)
    lowest, highest = rows.min(axis=1), rows.max(axis=1)
    if count * second == samples:
        lows = lowest.reshape(batch, count).min(axis=1)
        highs = highest.reshape(batch, count).max(axis=1)
    else:
        lows, highs = ecg.min(axis=1), ecg.max(axis=1)
    lows, highs = lows.astype(np.float64), highs.astype(np.float64)
    rails = np.stack((lows, highs)).repeat(count, axis=1)
    swing = highest.astype(np.float64) - lowest
    # A day's at once would take gigabytes.
    flaws = np.concatenate(
        [
            _flaws(
                rows[at : at + AT_ONCE],
                fs,
                policy,
                rails[:, at : at + AT_ONCE],
                swing[at : at + AT_ONCE],
            )
            for at in range(0, max(len(rows), 1), AT_ONCE)
        ]
    ).reshape(batch, count)
    if (rest := ecg[:, count * second :]).shape[1] >= second / 4:
        begun = _flaws(
            rest,
            fs,
            policy,
            np.stack((lows, highs)),
            (rest.max(axis=1) - rest.min(axis=1)).astype(np.float64),
        )
        flaws, count = np.column_stack((flaws, begun)), count + 1
    verdicts: dict[int, bool | None] = {}
    if samples >= WINDOW_S * fs:
        strip_s = samples / fs if whole else 0.0
        for row, signal in enumerate(ecg):
            pieces = windows(at_rate(signal, fs))
            noisy, fast, verdicts[row] = _of_windows(pieces, policy, noise, strip_s)
            around = centred(np.arange(count), len(pieces))
            flaws[row] |= noisy[around] * int(Flaw.NOISE) | fast[around] * _FAST
    elif samples >= FAST_S * fs:
        for row, signal in enumerate(ecg):
            (too_fast,) = beats_fast(repetition(at_rate(signal, fs)[None]), policy.fast)
            flaws[row] |= _FAST if too_fast else 0
    flaws &= np.where(flaws & _NO_HEART, ~_FAST, -1)
    for row, mask in missing.items():
        held = np.add.reduceat(mask.astype(np.int64), np.arange(count) * second) >= GAP_S * fs
        flaws[row, :] = np.where(held, flaws[row] & ~_HELD | int(Flaw.MISSING), flaws[row])
        flaws[row, constant[row][:count]] |= int(Flaw.FLAT)  # missing, or an electrode is off
    absent = {row: float(mask.mean()) for row, mask in missing.items()}
    return [
        _quality(of_row, range_, absent.get(row, 0.0), verdicts.get(row))
        for row, (of_row, range_) in enumerate(
            zip(flaws.tolist(), (highs - lows).tolist(), strict=True)
        )
    ]


_FAST = int(Flaw.FAST)
_NO_HEART = int(Flaw.FLAT | Flaw.POWERLINE)  # 50 Hz at a rate of 60 repeats itself 600 times
_HELD = int(Flaw.FLAT | Flaw.CLIPPED | Flaw.RAILED)  # as signal looks that is only held


def _constant(ecg: NDArray[np.float64], second: int) -> NDArray[np.bool_]:
    """True for seconds of one value that an electrode may give, no sentinel, bool [seconds]."""
    starts = np.arange(0, len(ecg), second)
    alike = np.maximum.reduceat(ecg, starts) == np.minimum.reduceat(ecg, starts)
    return np.asarray(alike & (np.abs(ecg[starts]) <= LARGEST_STEP_MV))


def _of_windows(
    pieces: NDArray[np.float64], policy: QualityPolicy, noise: NoiseModel, strip_s: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool | None]:
    """True for windows that are noise, and for those of a heart too fast, [windows] each.

    With them comes whether all of it is noise, if it is a strip of ``strip_s``.
    """
    lasting, loud, fast = list[float](), [], []
    memory: NoiseMemory | None = None
    for at in range(0, len(pieces), AT_ONCE):
        features, again = measure(pieces[at : at + AT_ONCE])
        (vf,) = kept_log_odds((noise.fibrillation,), features)
        followed, memory = noise.follow(features, vf, memory)
        lasting += followed
        loud.append(noise.window.log_odds(features) >= policy.noise_log_odds)
        fast += beats_fast(again, policy.fast)
    verdict = noise.noisy(memory, strip_s, policy.strip_noise_log_odds)
    limit = policy.lasting_noise_log_odds
    if verdict is False:  # all of it speaks for its seconds
        limit = policy.strip_lasting_noise_log_odds
    return np.concatenate(loud) | (np.array(lasting) >= limit), np.array(fast), verdict


def _quality(
    flaws: list[int], range_mv: float, missing: float = 0.0, noisy: bool | None = None
) -> Quality:
    def share(flaw: int) -> float:
        return sum(one & flaw != 0 for one in flaws) / len(flaws)

    flat, clipped, baseline, noise, powerline, fast = map(share, _SHARED) if any(flaws) else _CLEAN
    return Quality(
        flat,
        clipped,
        range_mv,
        baseline,
        noise,
        powerline,
        missing,
        fast,
        tuple(map(Flaw, flaws)),
        noisy=noisy,
    )


_CUT_OFF = Flaw.CLIPPED | Flaw.RAILED
_SHARED = tuple(
    map(int, (Flaw.FLAT, _CUT_OFF, Flaw.BASELINE, Flaw.NOISE, Flaw.POWERLINE, Flaw.FAST))
)
_CLEAN = (0.0,) * len(_SHARED)


def flat_share(ecg: NDArray[np.float64], fs: float, policy: QualityPolicy) -> float:
    """Share of a recording's whole seconds that are flat, as those beside them are.

    Parameters
    ----------
    ecg : [samples], mV, NaN if one is missing: such a second is not flat
    fs : Hz
    """
    second = min(max(round(fs), 1), len(ecg))
    pieces = []
    for at in range(0, len(ecg) // second * second, AT_ONCE * second):
        piece = ecg[at : at + AT_ONCE * second]
        rows = piece[: len(piece) // second * second].reshape(-1, second)
        pieces.append(rows.max(axis=1) - rows.min(axis=1) < policy.flat_mv)
    flat = np.concatenate(pieces)
    if len(flat) == 1:
        return float(flat[0])
    around = np.concatenate([[False], flat, [False]])
    return float((flat & (around[:-2] | around[2:])).mean())


def flaws_of(
    rows: NDArray[np.floating],
    fs: float,
    policy: QualityPolicy,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Flaws that a second shows by itself, as the bits of `Flaw`.

    A flaw that the seconds' ranges rule out, which are cheap to know, is not looked for any
    further; of good signal that leaves little to compute.

    Parameters
    ----------
    rows : [seconds, samples], mV
    low, high : [seconds], extremes of the signal as far as they are known, mV
    """
    ecg = np.asarray(rows, dtype=np.float64)
    if len(ecg) == 1 and _plainly_good(ecg[0], fs, policy, low.item(), high.item()):
        return np.zeros(1, dtype=np.int64)
    return _flaws(ecg, fs, policy, np.stack((low, high)), ecg.max(axis=1) - ecg.min(axis=1))


def _plainly_good(
    ecg: NDArray[np.float64], fs: float, policy: QualityPolicy, low: float, high: float
) -> bool:
    """True if `_flaws` would find nothing here, known in a third of its time.

    False leaves it open.
    """
    ordered, few = np.sort(ecg), min(_rail_samples(fs, policy))
    if len(ordered) < few:
        return False
    swing = ordered.item(-1) - ordered.item(0)
    if not (
        policy.flat_mv <= swing <= policy.baseline_mv
        and ordered.item(few - 1) - low > max(policy.rail_mv, EQUAL_MV)
        and high - ordered.item(-few) > max(policy.rail_mv, EQUAL_MV)
    ):
        return False
    if swing * fs > policy.jump_mv_s:
        slopes = np.correlate(ecg, _DIFFERENCE)
        if max(slopes.item(slopes.argmax()), -slopes.item(slopes.argmin())) * fs > policy.jump_mv_s:
            return False
    tenth = round(fs / 10)
    count = len(ecg) // tenth
    waves = ecg[: count * tenth].reshape(count, tenth).dot(mains(fs, tenth)).tolist()
    # The median exceeds a limit only if half of the tenths do, and one's amplitude only if
    # one of its parts exceeds 0.7 of it.
    part = 0.7 * policy.powerline_mv
    return 2 * sum(max(wave) > part or min(wave) < -part for wave in waves) < max(count, 1)


_DIFFERENCE = np.array([-1.0, 1.0])


def plain_limits(fs: float, policy: QualityPolicy) -> NDArray[np.float64]:
    """The limits of `_plainly_good`, as the compiled loops take them."""
    return np.array(
        [
            min(_rail_samples(fs, policy)),
            policy.flat_mv,
            policy.baseline_mv,
            max(policy.rail_mv, EQUAL_MV),
            policy.jump_mv_s / fs,
            0.7 * policy.powerline_mv,
        ]
    )


def _flaws(
    rows: NDArray[np.floating],
    fs: float,
    policy: QualityPolicy,
    rails: NDArray[np.float64],
    swing: NDArray[np.float64],
) -> NDArray[np.int64]:
    """`flaws_of`, with ``rails`` [2, seconds] low and high, and ``swing`` [seconds] the range."""
    ecg = np.asarray(rows, dtype=np.float64)
    largest = swing.max(initial=0.0)
    flat = swing < policy.flat_mv
    flaws = flat * int(Flaw.FLAT)
    clipped, railed = _at_rails(ecg, fs, policy, rails)
    if largest * fs > policy.jump_mv_s:
        railed |= _jumps(ecg, fs, policy)
    flaws |= (clipped & ~flat) * int(Flaw.CLIPPED) | (railed & ~flat) * int(Flaw.RAILED)
    if largest > policy.baseline_mv:
        flaws |= (_level_swing(ecg) > policy.baseline_mv) * int(Flaw.BASELINE)
    flaws |= (_hum(ecg, fs) > policy.powerline_mv) * int(Flaw.POWERLINE)
    return flaws.astype(np.int64, copy=False)


def _jumps(ecg: NDArray[np.float64], fs: float, policy: QualityPolicy) -> NDArray[np.bool_]:
    """True for seconds with a step that is too steep for a heart, and that stays.

    A pacemaker's spike is as steep, but over after a few ms.
    """
    steps, around = np.diff(ecg, axis=1), round(SPIKE_S * fs)
    rows, at = np.nonzero(np.abs(steps) * fs > policy.jump_mv_s)
    stayed = (
        ecg[rows, np.minimum(at + 1 + around, ecg.shape[1] - 1)]
        - ecg[rows, np.maximum(at - around, 0)]
    )
    jumped = np.zeros(len(ecg), dtype=bool)
    jumped[rows[np.abs(stayed) > 0.5 * np.abs(steps[rows, at])]] = True
    return jumped


def _at_rails(
    ecg: NDArray[np.float64], fs: float, policy: QualityPolicy, rails: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Seconds that have their peaks cut off, and those at the amplifier's end, bool [seconds]."""
    cut, held = _rail_samples(fs, policy)
    distance = np.abs(ecg - rails[:, :, None])  # [rails, seconds, samples]
    near = distance <= max(policy.rail_mv, EQUAL_MV)
    if near.sum(axis=2).max(initial=0) < min(cut, held):  # nearly always
        return np.zeros(len(ecg), dtype=bool), np.zeros(len(ecg), dtype=bool)
    clipped, railed = (
        np.logical_or(*(_has_run(rail, size) for rail in distance <= within))
        for within, size in ((EQUAL_MV, cut), (policy.rail_mv, held))
    )
    return clipped, railed


def _rail_samples(fs: float, policy: QualityPolicy) -> tuple[int, int]:
    """Samples in a row at a rail that are cut-off peaks, and that are the amplifier's end."""
    return max(2, round(policy.clipped_s * fs)), max(2, round(policy.railed_s * fs))


def _has_run(true: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Rows that hold at least ``size`` true values one after another, bool [rows]."""
    if true.shape[1] < size:
        return np.zeros(len(true), dtype=bool)
    total = np.cumsum(np.pad(true, ((0, 0), (1, 0))), axis=1)
    return np.asarray((total[:, size:] - total[:, :-size] == size).any(axis=1))


def _level_swing(ecg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Range of the medians of a second's quarters, mV; a QRS moves no median."""
    quarter = ecg.shape[1] // 4
    if not quarter:
        return np.zeros(len(ecg))
    medians = median(ecg[:, : 4 * quarter].reshape(len(ecg), 4, quarter))
    return np.asarray(np.ptp(medians, axis=1))


def _hum(ecg: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Amplitude of 50 or 60 Hz that lasts, mV.

    It is the median over tenths of a second, in which both make whole periods and most of which
    hold no QRS.
    """
    tenth = round(fs / 10)
    count = ecg.shape[1] // tenth
    if not count:
        return np.zeros(len(ecg))
    # A slope across a tenth leaks little into whole periods, a curve less.
    waves = ecg[:, : count * tenth].reshape(-1, tenth) @ mains(fs, tenth)
    power = (waves * waves).reshape(len(ecg), count, 2, 2).sum(axis=3).max(axis=2)
    return median(np.sqrt(power))
