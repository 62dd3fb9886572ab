"""The reference filter, with SciPy; every other implementation must equal it.

A linear-phase band-pass and a moving average, both linear, so the deployed filter is their
cascade folded into one FIR: `taps`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.recordings import FS

BAND_HZ = (0.5, 40.0)  # nominal; the low edge is soft: half the amplitude passes at 1.5 Hz
BAND_TAPS = 213
AVERAGE_TAPS = 5  # moving average: 14 ms, its first zero at 72 Hz
# Together 217 taps: a delay of 108 samples = 0.3 s = 6 hops of 18 samples.


def band_pass(
    count: int = BAND_TAPS, band_hz: tuple[float, float] = BAND_HZ
) -> NDArray[np.float64]:
    """Linear-phase FIR band-pass (Hamming window), float64 [count].

    A window this short leaves a rest at 0 Hz; it is taken out with a copy of the window, so
    that the gain there is exactly 0 and an electrode's offset leaves no trace.
    """
    from scipy import signal  # a second of import, which few who import this need

    taps = signal.firwin(count, band_hz, fs=FS, pass_zero=False, window="hamming", scale=False)
    window = signal.get_window("hamming", count, fftbins=False)
    return np.asarray(taps - window * (taps.sum() / window.sum()))


def moving_average(count: int = AVERAGE_TAPS) -> NDArray[np.float64]:
    """Equal weights that sum to 1, float64 [count]."""
    return np.full(count, 1.0 / count)


def taps(band_taps: int = BAND_TAPS) -> NDArray[np.float32]:
    """The deployed filter: band-pass and moving average in one FIR, float32 [band_taps + 4]."""
    return np.convolve(band_pass(band_taps), moving_average()).astype(np.float32)


def delay_samples(fir: NDArray[np.float32]) -> int:
    """Delay of the filter, samples (linear phase: half its length)."""
    return (len(fir) - 1) // 2


def fir_filter(
    ecg: NDArray[np.floating], fir: NDArray[np.float32], carry: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Filter a chunk of ECG causally.

    Parameters
    ----------
    ecg : [batch, samples], mV
    fir : [taps]
    carry : [batch, taps - 1], the samples before this chunk; None where a recording starts
        (zeros: the past was flat, the caller has subtracted the first sample).

    Returns
    -------
    filtered : float64 [batch, samples], mV
    carry : float64 [batch, taps - 1], to give back with the next chunk

    Notes
    -----
    The carry is raw past samples, not `scipy.signal.lfilter`'s ``zi``: every implementation
    (a convolution, a GPU kernel) can take and give those.
    """
    from scipy import signal

    history = len(fir) - 1
    if carry is None:
        carry = np.zeros((ecg.shape[0], history))
    extended = np.concatenate([carry, ecg], axis=1, dtype=np.float64)
    filtered = signal.lfilter(fir.astype(np.float64), 1.0, extended, axis=1)[:, history:]
    return filtered, extended[:, extended.shape[1] - history :]
