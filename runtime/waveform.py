"""What five seconds of signal look like: fibrillation, noise, or neither.

Two small models share one set of cheap features. No beat is needed, because where these
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
LAGS = 60  # samples, 1 s: how far the signal is compared with itself
BASELINE = 45  # samples, 0.75 s: a moving mean of this length is taken off as baseline
# Hz; the bands in which power is compared
BANDS = (0.7, 1.2, 1.8, 2.4, 3.0, 3.8, 4.6, 5.6, 7.0, 9.0, 12.0, 16.0, 22.0)
LARGEST = 4.0  # standard deviations; a feature further out says no more
FEATURES = (*(f"power from {low:g} Hz" for low in BANDS[:-1]), "peak", "entropy", "centroid",
            "spread", "kurtosis", "skewness", "slope kurtosis", "mobility", "near zero",
            "slope near zero", "amplitude", "leakage", "period", "second to second",
            "autocorrelation maximum", "autocorrelation minimum", "zero crossings", "top tenth",
            *(f"{what}, {which} of five seconds"
              for what in ("tall", "mobility", "zero crossings", "slope kurtosis", "amplitude")
              for which in ("least", "median", "most")))


@dataclass(frozen=True)
class Model:
    """A logistic model of features, or of what one hidden layer (tanh) makes of them.

    Attributes
    ----------
    mean, scale : float64 [features], what makes them comparable
    weights : float64 [features], or [hidden]
    bias : log-odds where all else is zero
    hidden : float64 [features + 1, hidden], the last row its bias; None: logistic
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float
    hidden: NDArray[np.float64] | None = None

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [windows]; above 0: more likely than not, at equal odds before."""
        values = self.comparable(features)
        if self.hidden is not None:
            values = np.tanh(values @ self.hidden[:-1] + self.hidden[-1])
        return np.asarray(values @ self.weights + self.bias)

    def comparable(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features at mean 0 and deviation 1, float64 [windows, features]."""
        return np.clip((features - self.mean) / self.scale, -LARGEST, LARGEST)


@cache
def models() -> dict[str, Model]:
    """The fitted models: ``fibrillation`` and ``noise`` of `FEATURES`, ``atrial`` and ``onset`` of
    `runtime.rhythm.ATRIAL_FEATURES`."""
    stored = json.loads(Path(__file__).with_name("rhythm.json").read_text())
    return {name: Model(np.array(fit["mean"]), np.array(fit["scale"]), np.array(fit["weights"]),
                        fit["bias"], np.array(fit["hidden"]) if fit["hidden"] else None)
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
    added to itself half a period later, near 0 for flutter, near 1 for sharp beats. What is said
    of each second by itself outlives artefact in one of them.

    Parameters
    ----------
    pieces : [windows, 300], mV at `RATE`
    """
    # In float32, which is summed and sorted in less time.
    y = (pieces - _moving_mean(pieces)).astype(np.float32)
    size = y.shape[1]
    deviation = y.std(axis=1, keepdims=True) + 1e-6
    z, slope = y / deviation, np.diff(y, axis=1)
    spread = slope.std(axis=1, keepdims=True) + 1e-6
    square, steep = z * z, (slope / spread)**2
    height, steps = np.abs(y), np.abs(slope)
    ranked, ranked_steps = np.sort(height, axis=1), np.sort(steps, axis=1)
    near = height < 0.15 * ranked[:, [round(0.98 * (size - 1))]]
    level = steps < 0.1 * ranked_steps[:, [round(0.98 * (size - 2))]]
    swing = np.ptp(y.reshape(len(y), WINDOW_S, RATE), axis=2)
    leakage, period = _leakage(y, height, steps)
    again = _autocorrelation(z)
    top = (ranked[:, -(size // 10):] / deviation)**2
    shape = (
        np.log((square * square).mean(axis=1) + 1e-6), np.abs((square * z).mean(axis=1)),
        np.log((steep * steep).mean(axis=1) + 1e-6), np.log(spread / deviation)[:, 0],
        near.mean(axis=1), level.mean(axis=1), np.log(deviation)[:, 0], leakage, np.log(period),
        np.log((swing.max(axis=1) + 1e-3) / (swing.min(axis=1) + 1e-3)),
        again[:, 8:].max(axis=1), again[:, 3:40].min(axis=1),
        _crossings(y) / WINDOW_S, top.sum(axis=1) / size)
    return np.concatenate([_spectrum(y), np.stack(shape, axis=1), _seconds(y)], axis=1,
                          dtype=np.float64)


def _seconds(y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Least, median and most of what each second shows by itself, [windows, 15].

    Tall is the share of samples above a fifth of the second's largest, after the threshold
    crossing sample count of Arafat et al. (Signal, Image and Video Processing 5, 2011).
    """
    rows = y.reshape(len(y), WINDOW_S, RATE)
    height, square = np.abs(rows), np.diff(rows, axis=2)**2
    power = square.mean(axis=2)
    amplitude = np.sqrt((rows * rows).mean(axis=2))
    ranked = np.sort(np.stack([
        (height > 0.2 * height.max(axis=2, keepdims=True)).mean(axis=2),
        np.log((np.sqrt(power) + 1e-3) / (amplitude + 1e-3)),
        _crossings(rows),
        np.log((square * square).mean(axis=2) / (power * power + 1e-12) + 1e-6),
        np.log(amplitude + 1e-3)], axis=1), axis=2)
    return np.asarray(ranked[:, :, [0, WINDOW_S // 2, -1]].reshape(len(y), -1))


def _crossings(y: NDArray[np.floating]) -> NDArray[np.int64]:
    """How often the sign changes along the last axis."""
    below = y < 0
    return np.asarray((below[..., 1:] != below[..., :-1]).sum(axis=-1))


def _moving_mean(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(pieces, ((0, 0), (BASELINE // 2 + 1, BASELINE // 2)), mode="edge")
    total = np.cumsum(padded, axis=1)
    return (total[:, BASELINE:] - total[:, :-BASELINE]) / BASELINE


def _spectrum(y: NDArray[np.float32]) -> NDArray[np.float64]:
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


def _leakage(y: NDArray[np.float32], height: NDArray[np.float32], steps: NDArray[np.float32]
             ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leakage and the half period in samples, each [windows].

    Parameters
    ----------
    height, steps : absolute values of ``y`` and of its differences
    """
    half = np.pi * height.sum(axis=1) / (steps.sum(axis=1) + 1e-9)
    half = np.clip(np.rint(half), 2, 120).astype(np.int64)
    size = y.shape[1]
    # Each row shifted by its own half period; what is shifted in from outside is zero.
    padded = np.concatenate([np.zeros((len(y), 120)), y], axis=1)
    shifted = np.take(padded.ravel(), (np.arange(len(y)) * (size + 120) + 120 - half)[:, None]
                      + np.arange(size))
    kept = np.arange(size) >= half[:, None]
    left = (np.abs(y + shifted) * kept).sum(axis=1)
    return (left / (((height + np.abs(shifted)) * kept).sum(axis=1) + 1e-9),
            half.astype(np.float64))


def _autocorrelation(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """[windows, 60], 1 at lag 0."""
    # With as many zeros behind the signal as there are lags nothing wraps around into them.
    bins = np.fft.rfft(z, z.shape[1] + LAGS, axis=1)
    again = np.fft.irfft(bins.real**2 + bins.imag**2, z.shape[1] + LAGS, axis=1)[:, :LAGS]
    return np.asarray(again / (again[:, :1] + 1e-9))
