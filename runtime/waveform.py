"""What five seconds of signal look like: fibrillation, noise, or neither.

Two logistic models share one set of cheap features. No beat is needed, because where these
speak there is none to be trusted. Coefficients stand in ``rhythm.json`` with the recordings they
come from; ``python -m training.fit_rhythm`` fits them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 60  # Hz; fibrillation lies between 2 and 10 Hz, and means over 1/60 s null 60 Hz mains
WINDOW_S = 5  # s
BASELINE = 45  # samples, 0.75 s: a moving mean of this length is taken off as baseline
# Hz; the bands in which power is compared
BANDS = (0.7, 1.2, 1.8, 2.4, 3.0, 3.8, 4.6, 5.6, 7.0, 9.0, 12.0, 16.0, 22.0)
LARGEST = 4.0  # standard deviations; a feature further out says no more
FEATURES = (*(f"power from {low:g} Hz" for low in BANDS[:-1]), "peak", "entropy", "centroid",
            "spread", "kurtosis", "skewness", "slope kurtosis", "mobility", "near zero",
            "slope near zero", "amplitude", "leakage", "period", "second to second",
            "autocorrelation maximum", "autocorrelation minimum", "zero crossings", "top tenth")


@dataclass(frozen=True)
class Model:
    """A logistic model of features, and of their squares where it has weights for them.

    Attributes
    ----------
    mean, scale : float64 [features], what makes them comparable
    weights : float64 [features] or [2 * features], then of the squares too
    bias : log-odds where all else is zero
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [windows]; above 0: more likely than not, at equal odds before."""
        return np.asarray(self.expand(features) @ self.weights + self.bias)

    def expand(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Comparable features (and their squares), float64 [windows, weights]."""
        scaled = np.clip((features - self.mean) / self.scale, -LARGEST, LARGEST)
        squares = len(self.weights) > len(self.mean)
        return np.concatenate([scaled, scaled**2], axis=1) if squares else scaled


@cache
def models() -> dict[str, Model]:
    """The fitted models: ``fibrillation`` and ``noise`` of `FEATURES`, ``atrial`` of intervals."""
    stored = json.loads(Path(__file__).with_name("rhythm.json").read_text())
    return {name: Model(np.array(fit["mean"]), np.array(fit["scale"]), np.array(fit["weights"]),
                        fit["bias"])
            for name, fit in stored["models"].items()}


def at_rate(ecg: NDArray[np.floating], fs: float) -> NDArray[np.float64]:
    """Signal at `RATE`: each sample the mean over 1/60 s; what is left over is dropped."""
    total = np.concatenate([[0.0], np.cumsum(ecg, dtype=np.float64)])
    count = int(len(ecg) * RATE / fs + 1e-9)
    edges = np.interp(np.arange(count + 1) * (fs / RATE), np.arange(len(total)), total)
    return np.diff(edges) * (RATE / fs)


def windows(slow: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every window that starts at a whole second, [windows, 300], of signal at `RATE`."""
    size = WINDOW_S * RATE
    if len(slow) < size:
        return np.zeros((0, size))
    return np.lib.stride_tricks.sliding_window_view(slow, size)[::RATE]


def features(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """`FEATURES` of each window, float64 [windows, features].

    Powers are shares of the whole in log; shapes are of the signal at unit variance. Leakage
    is Kuo and Dillman's (Computers in Cardiology, 1978): what remains of a signal that is
    added to itself half a period later, near 0 for flutter, near 1 for sharp beats.

    Parameters
    ----------
    pieces : [windows, 300], mV at `RATE`
    """
    y = pieces - _moving_mean(pieces)
    deviation = y.std(axis=1, keepdims=True) + 1e-6
    z, slope = y / deviation, np.diff(y, axis=1)
    spread = slope.std(axis=1, keepdims=True) + 1e-6
    near = np.abs(y) < 0.15 * np.percentile(np.abs(y), 98, axis=1, keepdims=True)
    level = np.abs(slope) < 0.1 * np.percentile(np.abs(slope), 98, axis=1, keepdims=True)
    swing = np.ptp(y.reshape(len(y), WINDOW_S, RATE), axis=2)
    leakage, period = _leakage(y, slope)
    again = _autocorrelation(z)
    top = np.sort(z**2, axis=1)[:, -y.shape[1] // 10:]
    shape = (
        np.log((z**4).mean(axis=1) + 1e-6), np.abs((z**3).mean(axis=1)),
        np.log(((slope / spread)**4).mean(axis=1) + 1e-6), np.log(spread / deviation)[:, 0],
        near.mean(axis=1), level.mean(axis=1), np.log(deviation)[:, 0], leakage, np.log(period),
        np.log((swing.max(axis=1) + 1e-3) / (swing.min(axis=1) + 1e-3)),
        again[:, 8:60].max(axis=1), again[:, 3:40].min(axis=1),
        (np.diff(np.signbit(y), axis=1) != 0).sum(axis=1) / WINDOW_S,
        top.sum(axis=1) / y.shape[1])
    return np.concatenate([_spectrum(y), np.stack(shape, axis=1)], axis=1)


def _moving_mean(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(pieces, ((0, 0), (BASELINE // 2 + 1, BASELINE // 2)), mode="edge")
    total = np.cumsum(padded, axis=1)
    return (total[:, BASELINE:] - total[:, :-BASELINE]) / BASELINE


def _spectrum(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log shares of power in `BANDS`, then peak, entropy, centroid and spread (Hz)."""
    size = y.shape[1]
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    inside = (frequency >= BANDS[0]) & (frequency < BANDS[-1])
    frequency = frequency[inside]
    power = np.abs(np.fft.rfft(y * np.hanning(size), axis=1)[:, inside])**2
    share = power / (power.sum(axis=1, keepdims=True) + 1e-12)
    edges = np.searchsorted(frequency, BANDS[:-1])
    bands = np.log(np.add.reduceat(share, edges, axis=1) + 1e-4)
    centroid = share @ frequency
    spread = np.sqrt((share * (frequency - centroid[:, None])**2).sum(axis=1))
    entropy = -(share * np.log(share + 1e-12)).sum(axis=1)
    return np.column_stack([bands, frequency[share.argmax(axis=1)], entropy, centroid, spread])


def _leakage(y: NDArray[np.float64], slope: NDArray[np.float64]
             ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leakage and the half period in samples, each [windows]."""
    half = np.pi * np.abs(y).sum(axis=1) / (np.abs(slope).sum(axis=1) + 1e-9)
    half = np.clip(np.rint(half), 2, 120).astype(np.int64)
    earlier = np.arange(y.shape[1]) - half[:, None]
    shifted = np.take_along_axis(y, np.maximum(earlier, 0), axis=1)
    kept = earlier >= 0
    left = (np.abs(y + shifted) * kept).sum(axis=1)
    return left / (((np.abs(y) + np.abs(shifted)) * kept).sum(axis=1) + 1e-9), half.astype(float)


def _autocorrelation(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """[windows, 120], 1 at lag 0."""
    size = z.shape[1]
    again = np.fft.irfft(np.abs(np.fft.rfft(z, 2 * size, axis=1))**2, axis=1)[:, :120]
    return np.asarray(again / (again[:, :1] + 1e-9))
