"""A simulated patient, for demonstrations, tests, and work without recordings.

Each wave is a Gaussian, after McSharry et al., IEEE Trans Biomed Eng 50(3), 2003, laid out beat
by beat, so that ectopic beats differ from sinus beats as real ones do: a
ventricular beat is early, wide, has no P wave and is followed by a pause; a supraventricular
one is early and narrow, with a P wave of another shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Class -> (centre after the R peak in s, height in mV, width in s) of each wave
_WAVES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "N": (
        (-0.16, 0.12, 0.022),
        (-0.028, -0.10, 0.009),
        (0.0, 1.10, 0.011),
        (0.030, -0.22, 0.010),
        (0.26, 0.28, 0.050),
    ),
    "S": (
        (-0.12, -0.07, 0.016),
        (-0.028, -0.10, 0.009),
        (0.0, 1.05, 0.011),
        (0.030, -0.24, 0.010),
        (0.24, 0.25, 0.045),
    ),
    "V": ((-0.045, -0.25, 0.025), (0.0, 1.60, 0.034), (0.085, -0.55, 0.035), (0.32, -0.45, 0.070)),
}
# Class -> (interval before, interval after) as shares of the usual one
_TIMING = {"N": (1.0, 1.0), "S": (0.66, 1.05), "V": (0.62, 1.38)}


@dataclass(frozen=True)
class Simulated:
    """Signal and truth.

    Attributes
    ----------
    signal : float32 [samples], mV
    fs : Hz
    times : float64 [beats], s, at the R peak
    labels : N, S or V of each beat
    """

    signal: NDArray[np.float32]
    fs: float
    times: NDArray[np.float64]
    labels: tuple[str, ...]


def simulate(
    seconds: float,
    *,
    fs: float = 360,
    seed: int = 0,
    heart_rate: float = 72.0,
    ectopic: float = 0.12,
    noise_mv: float = 0.01,
) -> Simulated:
    """Make up an ECG; the same arguments give the same signal.

    Parameters
    ----------
    seconds : length, s
    fs : Hz
    heart_rate : beats a minute, at rest; it breathes by 5 %
    ectopic : share of beats that are S or V
    noise_mv : standard deviation of the white noise, mV; baseline wander comes with it
    """
    rng = np.random.default_rng(seed)
    times, labels = _rhythm(rng, seconds, 60.0 / heart_rate, ectopic)
    signal = draw_ecg(rng, times, labels, seconds, fs=fs, noise_mv=noise_mv)
    inside = [i for i, at in enumerate(times) if 0 <= at < seconds]
    return Simulated(signal, float(fs), times[inside], tuple(labels[i] for i in inside))


def draw_ecg(
    rng: np.random.Generator,
    times: NDArray[np.float64],
    labels: Sequence[str],
    seconds: float,
    *,
    fs: float = 360,
    noise_mv: float = 0.01,
    p_waves: bool = True,
) -> NDArray[np.float32]:
    """The ECG of these beats, float32 [samples], mV.

    Parameters
    ----------
    times : s, at the R peaks, ascending
    labels : N, S or V of each
    p_waves : False leaves them out, as atrial fibrillation does
    """
    time = np.arange(round(seconds * fs)) / fs
    signal = noise_mv * rng.standard_normal(len(time))
    for amplitude, frequency in ((6.0, 0.23), (4.0, 0.07)):
        signal += noise_mv * amplitude * np.sin(2 * np.pi * (frequency * time + rng.random()))
    size = np.exp(rng.normal(0.0, 0.03, len(times)))
    for at, label, height in zip(times, labels, size, strict=True):
        low, high = np.searchsorted(time, (at - 0.5, at + 0.7))
        waves = _WAVES[label] if p_waves or label == "V" else _WAVES[label][1:]
        for centre, millivolts, width in waves:
            distance = (time[low:high] - at - centre) / width
            signal[low:high] += height * millivolts * np.exp(-0.5 * distance**2)
    return signal.astype(np.float32)


def _rhythm(
    rng: np.random.Generator, seconds: float, usual: float, ectopic: float
) -> tuple[NDArray[np.float64], list[str]]:
    """R peaks from before the start to after the end; no ectopic beat follows another."""
    times, labels, label, at = [], [], "N", -usual * rng.random()
    while at < seconds + 1.0:
        times.append(at)
        labels.append(label)
        after = _TIMING[label][1]
        ectopic_next = label == "N" and len(times) > 3 and rng.random() < ectopic
        label = str(rng.choice(("V", "S"), p=(0.6, 0.4))) if ectopic_next else "N"
        breath = 1.0 + 0.05 * np.sin(2 * np.pi * 0.23 * at) + rng.normal(0.0, 0.01)
        at += usual * breath * after * _TIMING[label][0]
    return np.array(times), labels
