"""Features of five seconds of signal, from which fibrillation and noise are recognised.

Small models share one set of cheap features. No beat is needed: in fibrillation and noise
there is none to be trusted. The coefficients are in ``artifacts/rhythm.json`` with the recordings
they come from; ``python -m training.fit_rhythm`` and ``training.fit_noise`` fit them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .loops import window_loops

RATE = 60  # Hz; fibrillation lies between 2 and 10 Hz, and means over 1/60 s null 60 Hz mains
WINDOW_S = 5  # s
LAGS = 60  # samples, 1 s: how far the signal is compared with itself
LONGEST_HALF = 120  # samples, 2 s: of half a period, by which the signal is shifted
BASELINE = 45  # samples, 0.75 s: a moving mean of this length is taken off as baseline
# Hz; the bands in which power is compared
BANDS = (0.7, 1.2, 1.8, 2.4, 3.0, 3.8, 4.6, 5.6, 7.0, 9.0, 12.0, 16.0, 22.0)
LARGEST = 4.0  # standard deviations; a feature further out counts as this
FEATURES = (
    *(f"power from {low:g} Hz" for low in BANDS[:-1]),
    "peak",
    "entropy",
    "centroid",
    "spread",
    "kurtosis",
    "skewness",
    "slope kurtosis",
    "mobility",
    "near zero",
    "slope near zero",
    "amplitude",
    "leakage",
    "period",
    "second to second",
    "autocorrelation maximum",
    "autocorrelation minimum",
    "zero crossings",
    "top tenth",
    *(
        f"{what}, {which} of five seconds"
        for what in ("tall", "mobility", "zero crossings", "slope kurtosis", "amplitude")
        for which in ("least", "median", "most")
    ),
)


@dataclass(frozen=True, eq=False)
class SmallNetwork:
    """A small network of named inputs: one hidden layer (tanh), then log-odds.

    Attributes
    ----------
    inputs : names of what it is given, in order; each kind of network has its own
    mean, scale : float64 [inputs], make them comparable
    weights : float64 [hidden]
    bias : log-odds if all else is zero
    hidden : float64 [inputs + 1, hidden], the last row its bias
    """

    inputs: ClassVar[tuple[str, ...]]
    about: ClassVar[str]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float
    hidden: NDArray[np.float64]

    @classmethod
    def from_dict(cls, fit: Mapping[str, Any]) -> Self:
        """The network that `to_dict` wrote.

        Raises
        ------
        ValueError
            The numbers are not those of a network of `inputs`.
        """
        mean, scale, weights, hidden = (
            np.array(fit[name], dtype=np.float64) for name in ("mean", "scale", "weights", "hidden")
        )
        bias, count = float(fit["bias"]), len(cls.inputs)
        numbers = np.concatenate([mean, scale, weights, hidden.ravel(), [bias]])
        if not (
            mean.shape == scale.shape == (count,)
            and (scale > 0).all()
            and hidden.shape == (count + 1, *weights.shape)
            and np.isfinite(numbers).all()
        ):
            raise ValueError(f"a model of {cls.about} does not fit its {count} features")
        return cls(mean, scale, weights, bias, hidden)

    def to_dict(self) -> dict[str, Any]:
        """The network as JSON has it, with six decimals."""
        return {
            field.name: np.round(getattr(self, field.name), 6).tolist() for field in fields(self)
        }

    def log_odds(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [rows]; above 0: more likely than not, at equal odds before."""
        found: NDArray[np.float64] = log_odds([self], inputs)[0]
        return found

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """All numbers one after another, as the loops take them."""
        return np.concatenate(
            [self.mean, self.scale, self.hidden.ravel(), self.weights, [self.bias]]
        )


class WindowModel(SmallNetwork):
    """Log-odds of fibrillation, or of noise, from the `FEATURES` of five seconds."""

    inputs = FEATURES
    about = "five seconds"


def log_odds(networks: Sequence[SmallNetwork], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """`SmallNetwork.log_odds` of several networks that read the same, float64 [networks, rows]."""
    found = np.empty((len(networks), len(inputs)))
    if window_loops is not None:
        numbers = [network.numbers for network in networks]
        inputs = np.ascontiguousarray(inputs, dtype=np.float64)
        window_loops.log_odds(inputs, len(inputs), LARGEST, found, *numbers)
        return found
    for row, network in zip(found, networks, strict=True):
        given = comparable(inputs, network.mean, network.scale)
        values = np.tanh(given @ network.hidden[:-1] + network.hidden[-1])
        row[:] = values @ network.weights + network.bias
    return found


def comparable(
    features: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Features at mean 0 and deviation 1, float64 [windows, features]."""
    return np.minimum(np.maximum((features - mean) / scale, -LARGEST), LARGEST)


def at_rate(ecg: NDArray[np.floating], fs: float) -> NDArray[np.float64]:
    """Signal at `RATE`: each sample the mean over 1/60 s; what is left over is dropped."""
    total = np.concatenate([[0.0], np.cumsum(ecg, dtype=np.float64)])
    count = int(len(ecg) * RATE / fs + 1e-9)
    edges = np.interp(np.arange(count + 1) * (fs / RATE), np.arange(len(total)), total)
    return np.diff(edges) * (RATE / fs)


def windows(ecg_60hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every window that starts at a whole second, [windows, 300], of signal at `RATE`."""
    starts = np.arange(count_windows(len(ecg_60hz))) * RATE
    return ecg_60hz.take(starts[:, None] + _WINDOW)


def centred(seconds: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Index of the window around each second, of ``count`` that start one each second."""
    return np.clip(seconds - WINDOW_S // 2, 0, count - 1)


def count_windows(samples: int) -> int:
    """Return the number of whole seconds with which a window starts, of so much signal."""
    return max(0, samples // RATE - WINDOW_S + 1)


def features(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """`FEATURES` of each window; see `measure`."""
    return measure(pieces)[0]


def measure(pieces: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """`FEATURES` of each window, float64 [windows, features], and its `autocorrelation`.

    Powers are shares of the whole in log; shapes are of the signal at unit variance. Leakage
    is Kuo and Dillman's (Computers in Cardiology, 1978): what remains of a signal that is
    added to itself half a period later, near 0 for flutter, near 1 for sharp beats. Features
    of each second by itself outlive artefact in one of them.

    Parameters
    ----------
    pieces : [windows, 300], mV at `RATE`
    """
    if window_loops is not None:
        found = np.empty((len(pieces), len(FEATURES)))
        again = np.empty((len(pieces), LAGS), dtype=np.float32)
        window_loops.measure(
            np.ascontiguousarray(pieces, dtype=np.float64), pieces.shape[1], found, again
        )
        return found, again
    # In float32, which is summed and sorted in less time; and by numpy's ufuncs themselves, for
    # of a live stream there is one window, of which its functions take three times as long.
    y = (pieces - _moving_mean(pieces)).astype(np.float32)
    size = y.shape[1]
    deviation = _deviation(y) + 1e-6
    z, slope = y / deviation, y[:, 1:] - y[:, :-1]
    spread = _deviation(slope) + 1e-6
    square, steep = z * z, (slope / spread) ** 2
    height, steps = np.abs(y), np.abs(slope)
    ranked, ranked_steps = height.copy(), steps.copy()
    ranked.sort(axis=1)
    ranked_steps.sort(axis=1)
    near = height < 0.15 * ranked[:, [round(0.98 * (size - 1))]]
    level = steps < 0.1 * ranked_steps[:, [round(0.98 * (size - 2))]]
    rows = y.reshape(len(y), WINDOW_S, RATE)
    swing = np.maximum.reduce(rows, axis=2) - np.minimum.reduce(rows, axis=2)
    leakage, period = _leakage(y, height, steps)
    again = autocorrelation(z)
    top = (ranked[:, -(size // 10) :] / deviation) ** 2
    shape = (
        np.log(_mean(square * square) + 1e-6),
        np.abs(_mean(square * z)),
        np.log(_mean(steep * steep) + 1e-6),
        np.log(spread / deviation)[:, 0],
        _share(near),
        _share(level),
        np.log(deviation)[:, 0],
        leakage,
        np.log(period),
        np.log(
            (np.maximum.reduce(swing, axis=1) + 1e-3) / (np.minimum.reduce(swing, axis=1) + 1e-3)
        ),
        np.maximum.reduce(again[:, 8:], axis=1),
        np.minimum.reduce(again[:, 3:40], axis=1),
        _crossings(y) / WINDOW_S,
        np.add.reduce(top, axis=1) / size,
    )
    found = np.empty((len(y), len(FEATURES)))
    _spectrum(y, found[:, : len(BANDS) + 3])
    for column, values in enumerate(shape, len(BANDS) + 3):
        found[:, column] = values
    _seconds(rows, height.reshape(rows.shape), found[:, len(BANDS) + 3 + len(shape) :])
    return found, again


def measure_windows(
    signals: Sequence[NDArray[np.floating]],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """`measure` of all `windows` of each of several signals at `RATE`, one after another."""
    if window_loops is None:
        pieces = [windows(signal.astype(np.float64)) for signal in signals]
        return measure(pieces[0] if len(pieces) == 1 else np.concatenate(pieces))
    counts = [count_windows(len(signal)) for signal in signals]
    found = np.empty((sum(counts), len(FEATURES)))
    again = np.empty((len(found), LAGS), dtype=np.float32)
    if len(signals) == 1:
        window_loops.measure(np.ascontiguousarray(signals[0]), RATE, found, again)
        return found, again
    at = 0
    for signal, count in zip(signals, counts, strict=True):
        some = slice(at, at + count)
        window_loops.measure(np.ascontiguousarray(signal), RATE, found[some], again[some])
        at += count
    return found, again


def repetition(pieces: NDArray[np.float64]) -> NDArray[np.float32]:
    """`autocorrelation` of pieces of any length, [windows, 60].

    Parameters
    ----------
    pieces : [windows, samples], mV at `RATE`
    """
    return autocorrelation((pieces - _moving_mean(pieces)).astype(np.float32))


def _seconds(
    rows: NDArray[np.float32], height: NDArray[np.float32], found: NDArray[np.float64]
) -> None:
    """Smallest, median and largest of the features of each second by itself, [windows, 15].

    Tall is the share of samples above a fifth of the second's largest, after the threshold
    crossing sample count of Arafat et al. (Signal, Image and Video Processing 5, 2011).

    Parameters
    ----------
    rows : [windows, 5, 60]
    height : its absolute values
    found : [windows, 15], filled with them
    """
    square = (rows[:, :, 1:] - rows[:, :, :-1]) ** 2
    power, amplitude = _mean(square), np.sqrt(_mean(rows * rows))
    ranked = np.empty((len(rows), 5, WINDOW_S))
    ranked[:, 0] = _share(height > 0.2 * np.maximum.reduce(height, axis=2, keepdims=True))
    ranked[:, 1] = np.log((np.sqrt(power) + 1e-3) / (amplitude + 1e-3))
    ranked[:, 2] = _crossings(rows)
    ranked[:, 3] = np.log(_mean(square * square) / (power * power + 1e-12) + 1e-6)
    ranked[:, 4] = np.log(amplitude + 1e-3)
    ranked.sort(axis=2)
    found[:] = ranked[:, :, :: WINDOW_S // 2].reshape(len(rows), -1)


def _mean(values: NDArray[np.floating]) -> NDArray[Any]:
    """Mean along the last axis, to the bit `numpy.mean`."""
    return np.asarray(np.add.reduce(values, axis=-1) / values.shape[-1])


def _share(true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of true values along the last axis."""
    return np.asarray(np.add.reduce(true, axis=-1, dtype=np.intp) / true.shape[-1])


def _deviation(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviation of each row, [rows, 1]; to the bit `numpy.std`."""
    size = values.shape[1]
    off = values - np.add.reduce(values, axis=1, keepdims=True) / size
    return np.asarray(np.sqrt(np.add.reduce(off * off, axis=1, keepdims=True) / size))


def _crossings(y: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number of sign changes along the last axis."""
    below = y < 0
    return np.asarray(np.add.reduce(below[..., 1:] != below[..., :-1], axis=-1, dtype=np.int64))


def _moving_mean(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over `BASELINE` samples around each; beyond the ends the first and last go on."""
    first, size = BASELINE // 2 + 1, pieces.shape[1]
    padded = np.empty((len(pieces), size + BASELINE))
    padded[:, :first] = pieces[:, :1]
    padded[:, first : first + size] = pieces
    padded[:, first + size :] = pieces[:, -1:]
    total = np.add.accumulate(padded, axis=1)
    return np.asarray((total[:, BASELINE:] - total[:, :-BASELINE]) / BASELINE)


def _spectrum(y: NDArray[np.float32], found: NDArray[np.float64]) -> None:
    """Log shares of power in `BANDS`, then peak, entropy, centroid and spread (Hz).

    They are written into ``found`` [windows, 16].
    """
    power = np.abs(np.fft.rfft(y * _TAPER, axis=1)[:, _INSIDE]) ** 2
    share = power / (np.add.reduce(power, axis=1, keepdims=True) + 1e-12)
    bands = len(BANDS) - 1
    found[:, :bands] = np.log(np.add.reduceat(share, _EDGES, axis=1) + 1e-4)
    found[:, bands] = _FREQUENCY[share.argmax(axis=1)]
    found[:, bands + 1] = -np.add.reduce(share * np.log(share + 1e-12), axis=1)
    found[:, bands + 2] = centroid = share @ _FREQUENCY
    found[:, bands + 3] = np.sqrt(
        np.add.reduce(share * (_FREQUENCY - centroid[:, None]) ** 2, axis=1)
    )


_WINDOW = np.arange(WINDOW_S * RATE)
_TAPER = np.hanning(len(_WINDOW))
_FREQUENCY = np.fft.rfftfreq(len(_WINDOW), 1 / RATE)
_INSIDE = slice(*np.searchsorted(_FREQUENCY, (BANDS[0], BANDS[-1])).tolist())
_FREQUENCY = _FREQUENCY[_INSIDE]
_EDGES = np.searchsorted(_FREQUENCY, BANDS[:-1])


def _leakage(
    y: NDArray[np.float32], height: NDArray[np.float32], steps: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leakage and the half period in samples, each [windows].

    Parameters
    ----------
    height, steps : absolute values of ``y`` and of its differences
    """
    half = np.pi * np.add.reduce(height, axis=1) / (np.add.reduce(steps, axis=1) + 1e-9)
    half = np.minimum(np.maximum(np.rint(half), 2), LONGEST_HALF).astype(np.int64)[:, None]
    # Each row shifted by its own half period; what is shifted in from outside is zero.
    padded = np.zeros((len(y), LONGEST_HALF + len(_WINDOW)))
    padded[:, LONGEST_HALF:] = y
    starts = np.arange(LONGEST_HALF, padded.size, padded.shape[1])[:, None] - half
    shifted = padded.ravel().take(starts + _WINDOW)
    kept = half <= _WINDOW
    left = np.add.reduce(np.abs(y + shifted) * kept, axis=1)
    whole = np.add.reduce((height + np.abs(shifted)) * kept, axis=1)
    return left / (whole + 1e-9), half[:, 0].astype(np.float64)


def autocorrelation(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """[windows, 60] of signal at `RATE` without its baseline, 1 at lag 0."""
    # With as many zeros behind the signal as there are lags nothing wraps around into them.
    bins = np.fft.rfft(z, z.shape[1] + LAGS, axis=1)
    again = np.fft.irfft(bins.real**2 + bins.imag**2, z.shape[1] + LAGS, axis=1)[:, :LAGS]
    return np.asarray(again / (again[:, :1] + 1e-9))
