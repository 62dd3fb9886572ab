"""Seconds of signal as nodes: their flaws, and the features of five seconds around them.

As `runtime.signal.quality`, `runtime.signal.features` and `runtime.signal.fast`, over seconds
[batch, seconds, ...] at once.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from export.values import Value, concat
from runtime.findings import Flaw
from runtime.model.contract import FS
from runtime.signal.fast import lags
from runtime.signal.features import (
    BANDS,
    BASELINE,
    LAGS,
    LARGEST,
    LONGEST_HALF,
    RATE,
    WINDOW_S,
    SmallNetwork,
)
from runtime.signal.policy import FastLimits, QualityPolicy
from runtime.signal.quality import EQUAL_MV, SPIKE_S

SIZE = WINDOW_S * RATE  # samples of a window
TENTH = FS // 10
F32, F64 = np.float32, np.float64


BY_ITSELF = (Flaw.FLAT, Flaw.CLIPPED, Flaw.RAILED, Flaw.BASELINE, Flaw.POWERLINE)


def flaws_by_itself(rows: Value, low: Value, high: Value, policy: QualityPolicy) -> Value:
    """1 for each of `BY_ITSELF` that a second shows by itself, float32 [batch, seconds, 5].

    Parameters
    ----------
    rows : float32 [batch, seconds, 360], mV
    low, high : float32 [batch, seconds], extremes of the signal so far, mV
    """
    ecg = rows.to(F64)
    swing = ecg.max(keep=True) - ecg.min(keep=True)
    moves = swing >= policy.flat_mv
    rails = [(ecg - rail.to(F64).expand(2)).abs() for rail in (low, high)]
    cut, held = (max(2, round(seconds * FS)) for seconds in (policy.clipped_s, policy.railed_s))
    clipped, railed = (
        _has_run(rails[0] <= within, size) | _has_run(rails[1] <= within, size)
        for within, size in ((EQUAL_MV, cut), (policy.rail_mv, held))
    )
    quarters = ecg.reshape(0, 0, 4, FS // 4).median(FS // 4)
    level_swing = quarters.max(keep=True) - quarters.min(keep=True)
    found = (
        ~moves,
        clipped & moves,
        (railed | _jumps(ecg, policy)) & moves,
        level_swing > policy.baseline_mv,
        _hum(ecg) > policy.powerline_mv,
    )
    return concat(*found, axis=2).to(F32)


def _has_run(true: Value, size: int) -> Value:
    """Seconds with so many true values one after another."""
    return (~true).to(F32).pooled(size).min(keep=True) < 0.5


def _jumps(ecg: Value, policy: QualityPolicy) -> Value:
    """Seconds with a step that no heart makes, and that stays."""
    around, at = round(SPIKE_S * FS), np.arange(FS - 1)
    steps = (ecg.slice(1, axis=2) - ecg.slice(0, -1, axis=2)).abs()
    stayed = ecg.along(np.minimum(at + 1 + around, FS - 1), axis=2) - ecg.along(
        np.maximum(at - around, 0), axis=2
    )
    jumps = (steps * FS > policy.jump_mv_s) & (stayed.abs() > steps * 0.5)
    return jumps.to(F32).max(keep=True) > 0.5


def _mains() -> NDArray[np.float64]:
    """[36, 4]: cosine and sine of 50 and of 60 Hz, scaled to give amplitudes."""
    angle = 2 * np.pi * np.arange(TENTH)[:, None] * np.array([50.0, 60.0]) / FS
    return np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(TENTH, 4) * 2 / TENTH


def _hum(ecg: Value) -> Value:
    """Amplitude of 50 or 60 Hz that lasts, mV."""
    waves = ecg.reshape(0, 0, 10, TENTH) @ _mains()
    power = (waves * waves).reshape(0, 0, 10, 2, 2).sum().max()
    return power.sqrt().median(10).expand(2)


def at_60hz(rows: Value) -> Value:
    """The seconds at 60 Hz, less the hum that lasts all through each, float32 [.., .., 60]."""
    parts = rows.to(F64).reshape(0, 0, 10, TENTH)
    waves = (parts @ _mains()).op("Transpose", perm=[0, 1, 3, 2]).median(10)
    hum = waves @ (_mains().T * (TENTH / 2))
    return (parts - hum.expand(2)).reshape(0, 0, RATE, FS // RATE).to(F32).mean()


def log_odds(model: SmallNetwork, inputs: Value) -> Value:
    """What a small network says of its inputs, float64 [..., 1] of [..., inputs]."""
    given = ((inputs - model.mean) / model.scale).within(-LARGEST, LARGEST)
    values = (given @ model.hidden[:-1] + model.hidden[-1]).tanh()
    return values @ model.weights[:, None] + model.bias


def measure(pieces: Value) -> tuple[Value, Value]:
    """Features of windows, float64 [batch, windows, features], and their autocorrelation.

    Parameters
    ----------
    pieces : float32 [batch, windows, 300], mV at 60 Hz
    """
    y = _less_baseline(pieces.to(F64)).to(F32)
    deviation = _deviation(y) + 1e-6
    z, slope = y / deviation, y.slice(1, axis=2) - y.slice(0, -1, axis=2)
    spread = _deviation(slope) + 1e-6
    square, steep = z * z, slope / spread
    steep = steep * steep
    height, steps = y.abs(), slope.abs()
    ranked = height.largest(SIZE // 10)[0]
    near = height < _high(ranked, SIZE) * 0.15
    level = steps < _high(steps.largest(SIZE // 10)[0], SIZE - 1) * 0.1
    rows, tall = (one.reshape(0, 0, WINDOW_S, RATE) for one in (y, height))
    swing = rows.max() - rows.min()
    leakage, period = _leakage(y, height, steps)
    again = _autocorrelation(z)
    top = ranked / deviation
    shape = (
        (_mean(square * square) + 1e-6).log(),
        _mean(square * z).abs(),
        (_mean(steep * steep) + 1e-6).log(),
        (spread / deviation).log(),
        _share(near),
        _share(level),
        deviation.log(),
        leakage,
        period.log(),
        ((swing.max(keep=True) + 1e-3) / (swing.min(keep=True) + 1e-3)).log(),
        again.slice(8, axis=2).max(keep=True),
        again.slice(3, 40, axis=2).min(keep=True),
        _crossings(y) / WINDOW_S,
        (top * top).sum(keep=True) / SIZE,
    )
    columns = [*_spectrum(y), *(one.to(F64) for one in shape), _of_seconds(rows, tall)]
    return concat(*columns, axis=2), again


def is_fast(again: Value, limits: FastLimits) -> Value:
    """Windows in which the heart is faster than beats are found, bool [batch, windows, 1]."""
    shortest, longest = lags(limits)
    again = again.to(F64)
    among = again.slice(shortest, longest, axis=2)
    most = among.max(keep=True)
    lag = (among.argmax() + shortest).expand(2)
    before = (lag.like(np.arange(LAGS)) < lag) & np.arange(LAGS).astype(bool)
    lowest = before.where(again, 2.0).min(keep=True)
    return (
        (most > limits.min_likeness)
        & (again.at(lag - 1, axis=2) <= most)
        & (again.at(lag + 1, axis=2) <= most)
        & (most - lowest > limits.min_likeness)
        & (most > again.slice(longest, axis=2).max(keep=True) * limits.like_several)
    )


def _less_baseline(pieces: Value) -> Value:
    """Windows less the mean over `BASELINE` samples around each; their ends go on beyond."""
    first = BASELINE // 2 + 1
    places = np.clip(np.arange(SIZE + BASELINE) - first, 0, SIZE - 1)
    total = pieces.along(places, axis=2).op("CumSum", pieces.build.number(2, np.int64))
    means = total.slice(BASELINE, axis=2) - total.slice(0, -BASELINE, axis=2)
    return pieces - means / float(BASELINE)


def _deviation(values: Value) -> Value:
    off = values - values.mean(keep=True)
    return (off * off).mean(keep=True).sqrt()


def _mean(values: Value) -> Value:
    return values.mean(keep=True)


def _share(true: Value) -> Value:
    return true.to(F64).mean(keep=True)


def _high(ordered: Value, size: int) -> Value:
    """The value that 2 % of so many exceed, of the largest, the largest first."""
    at = size - 1 - round(0.98 * (size - 1))
    return ordered.slice(at, at + 1, axis=2)


def _crossings(y: Value) -> Value:
    """Number of sign changes along the last axis, float64, the axis kept."""
    below = (y < 0.0).to(F64)
    return (below.slice(1, axis=-1) - below.slice(0, -1, axis=-1)).abs().sum(keep=True)


def _spectrum(y: Value) -> list[Value]:
    """Log shares of power in `BANDS`, then peak, entropy, centroid and spread (Hz)."""
    frequency = np.fft.rfftfreq(SIZE, 1 / RATE)
    inside = slice(*np.searchsorted(frequency, (BANDS[0], BANDS[-1])).tolist())
    frequency = frequency[inside]
    # Waves of each frequency from one turn's: computed when a session starts, not in the file.
    build, turn = y.build, 2 * np.pi * np.arange(SIZE) / SIZE
    places = Value(build, build.constant(np.arange(SIZE)[:, None]), np.int64)
    places = (places * np.arange(inside.start, inside.stop)).op("Mod", SIZE)
    tapered = y.to(F64) * np.hanning(SIZE)
    real, imaginary = (
        tapered @ tapered.like(wave).along(places, axis=0) for wave in (np.cos(turn), np.sin(turn))
    )
    power = real * real + imaginary * imaginary
    share = power / (power.sum(keep=True) + 1e-12)
    edges = [*np.searchsorted(frequency, BANDS[:-1]).tolist(), len(frequency)]
    bands = np.zeros((len(frequency), len(edges) - 1))
    for band, (first, last) in enumerate(pairwise(edges)):
        bands[first:last, band] = 1.0
    peak = share.like(frequency).along(share.argmax(), axis=0).expand(2)
    centroid = share @ frequency[:, None]
    off = share.like(frequency) - centroid
    return [
        (share @ bands + 1e-4).log(),
        peak,
        -(share * (share + 1e-12).log()).sum(keep=True),
        centroid,
        (share * (off * off)).sum(keep=True).sqrt(),
    ]


def _leakage(y: Value, height: Value, steps: Value) -> tuple[Value, Value]:
    """Leakage and the half period in samples, float64 [batch, windows, 1]."""
    half = (height.sum(keep=True) * np.pi) / (steps.sum(keep=True) + 1e-9)
    half = half.op("Round").within(2.0, LONGEST_HALF).to(np.int64)
    zeros = y.slice(0, LONGEST_HALF, axis=2) * 0.0
    places = half.like(LONGEST_HALF + np.arange(SIZE)) - half
    shifted = concat(zeros, y, axis=2).at(places, axis=2).to(F64)
    kept = (half <= np.arange(SIZE)).to(F64)
    left = ((y.to(F64) + shifted).abs() * kept).sum(keep=True)
    whole = ((height.to(F64) + shifted.abs()) * kept).sum(keep=True)
    return left / (whole + 1e-9), half.to(F64)


def _autocorrelation(z: Value) -> Value:
    """float32 [batch, windows, 60], 1 at lag 0."""
    zeros = z.slice(0, LAGS, axis=2) * 0.0
    first = Value(z.build, z.build.constant(np.arange(LAGS)[:, None]), np.int64)
    later = first + np.arange(SIZE)  # computed when a session starts
    lines = concat(z, zeros, axis=2).along(later, axis=2)  # [batch, windows, 60, 300]
    again = (lines @ z.expand(3)).reshape(0, 0, LAGS)
    return again / (again.slice(0, 1, axis=2) + 1e-9)


def _of_seconds(rows: Value, height: Value) -> Value:
    """Smallest, median and largest of the features of each second, float64 [.., .., 15]."""
    slope = rows.slice(1, axis=3) - rows.slice(0, -1, axis=3)
    square = slope * slope
    power, amplitude = square.mean(keep=True), (rows * rows).mean(keep=True).sqrt()
    found = (
        _share(height > height.max(keep=True) * 0.2),
        ((power.sqrt() + 1e-3) / (amplitude + 1e-3)).log(),
        _crossings(rows),
        (_mean(square * square) / (power * power + 1e-12) + 1e-6).log(),
        (amplitude + 1e-3).log(),
    )
    together = concat(*(one.to(F64) for one in found), axis=3)  # [.., .., seconds, features]
    ordered = together.op("Transpose", perm=[0, 1, 3, 2]).largest(WINDOW_S)[0]
    three = ordered.along(np.arange(WINDOW_S - 1, -1, -(WINDOW_S // 2)), axis=3)
    return three.reshape(0, 0, len(found) * 3)
