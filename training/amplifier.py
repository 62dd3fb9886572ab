"""One recording as another patient and device would give it: size, filters, sampling rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.recordings import FS

RATES = (100, 125, 128, 200, 250, 300, 500)  # Hz


def gain(rng: np.random.Generator) -> float:
    """How much larger than recorded the ECG is: 0.2 to 4 times."""
    return float(np.exp(rng.uniform(np.log(0.2), np.log(4.0))))


def heard(rng: np.random.Generator, ecg: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signal through filters as devices have them, each in some of the devices.

    A high-pass from 0.05 to 1 Hz, a low-pass from 25 to 100 Hz, a notch at the mains' frequency,
    another sampling rate. All are causal, and have settled where the signal starts.
    """
    from scipy.signal import butter, iirnotch

    nyquist = FS / 2
    if rng.random() < 0.6:
        corner = np.exp(rng.uniform(np.log(0.05), 0.0))
        ecg = _filter(butter(rng.integers(1, 3), corner / nyquist, "high"), ecg)
    if rng.random() < 0.6:
        ecg = _filter(butter(2, rng.uniform(25.0, 100.0) / nyquist), ecg)
    if rng.random() < 0.3:
        ecg = _filter(iirnotch(rng.choice((50.0, 60.0)), rng.uniform(5.0, 30.0), FS), ecg)
    if rng.random() < 0.4:
        rate = rng.choice(RATES)
        if rate < FS:
            ecg = _filter(butter(4, 0.4 * rate / nyquist), ecg)
        time = np.arange(len(ecg)) / FS
        sampled = np.arange(len(ecg) * rate // FS + 1) / rate
        ecg = np.interp(time, sampled, np.interp(sampled, time, ecg))
    return ecg


def _filter(
    coefficients: tuple[NDArray[np.float64], NDArray[np.float64]], ecg: NDArray[np.float64]
) -> NDArray[np.float64]:
    from scipy.signal import lfilter, lfilter_zi

    return np.asarray(lfilter(*coefficients, ecg, zi=lfilter_zi(*coefficients) * ecg[0])[0])
