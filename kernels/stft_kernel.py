"""Power spectra of overlapping frames on the GPU, for noise and fibrillation features."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from .common import (
    GRID_LIMIT,
    CupyArray,
    c_floats,
    check_array,
    checked_size,
    import_cupy,
    output,
    read_source,
)

FFT_SIZES = (128, 256, 512)


class CupyStft:
    """One-sided power spectral density of Hann-windowed frames, for a batch of ECG streams.

    Parameters
    ----------
    n_fft
        Samples in a frame: 128, 256 or 512.
    hop
        Samples from one frame's start to the next one's, at least 1.
    fs
        Sample rate in Hz.

    Raises
    ------
    ImportError
        CuPy is not installed; the message says which package to install.
    ValueError
        A frame size, hop or rate that is not allowed.

    Examples
    --------
    >>> stft = CupyStft(256, hop=90)  # doctest: +SKIP
    >>> power = stft(ecg)  # (batch, frames, 129), mV^2/Hz  # doctest: +SKIP

    Notes
    -----
    Frame i covers samples i * hop to i * hop + n_fft - 1 and nothing later; what is left after the
    last full frame is not used. A stream keeps its samples from frames * hop on and puts them
    before the next chunk. No mean is removed: give it filtered ECG.
    """

    def __init__(self, n_fft: int = 256, *, hop: int = 64, fs: float = 360.0) -> None:
        check_framing(n_fft, hop, fs)
        self.n_fft, self.hop, self.fs = n_fft, hop, fs
        self._cupy = import_cupy()
        self.kernel = self._cupy.RawModule(code=source(n_fft, fs)).get_function("stft")

    @cached_property
    def frequencies(self) -> npt.NDArray[np.float64]:
        """The bins' frequencies in Hz, shape (n_fft // 2 + 1,)."""
        return np.arange(self.n_fft // 2 + 1, dtype=np.float64) * (self.fs / self.n_fft)

    def __call__(
        self, ecg: CupyArray, *, out: CupyArray | None = None, stream: Any = None
    ) -> CupyArray:
        """Spectra of all full frames.

        Parameters
        ----------
        ecg
            Float32, shape (batch, samples), mV.
        out
            An array to write into instead of a new one; it may not overlap `ecg`.
        stream
            The cupy.cuda.Stream to run on; the current one unless given. The call does not wait
            for the GPU.

        Returns
        -------
        power
            Float32, shape (batch, frames, n_fft // 2 + 1), mV^2/Hz; no frames if a stream is
            shorter than n_fft.

        Raises
        ------
        TypeError, ValueError
            An array of another type, shape, layout or device, an overlap, or too many frames.
        """
        check_array(self._cupy, "ecg", ecg, (None, None))
        batch, samples = checked_size(ecg)
        frames = frame_count(samples, self.n_fft, self.hop)
        if batch * frames > GRID_LIMIT:
            raise ValueError(f"{batch} streams of {frames} frames are too many for one launch.")
        with stream or nullcontext():
            shape = (batch, frames, self.n_fft // 2 + 1)
            power = output(self._cupy, "out", out, shape, (ecg,))
            if batch * frames:
                integers = tuple(np.int32(value) for value in (samples, frames, self.hop))
                self.kernel(
                    (batch * frames,),
                    (self.n_fft // 4,),
                    (ecg, power, *integers),
                    shared_mem=self.n_fft * 8,
                )
        return power


def reference(ecg: Any, n_fft: int = 256, *, hop: int = 64, fs: float = 360.0) -> Any:
    """The answer by definition, in float64 and rounded once, for NumPy or CuPy arrays.

    It is SciPy's `signal.spectrogram` with `window="hann"`, `detrend=False`, and frames in the
    middle axis. Parameters and result as for `CupyStft`.
    """
    check_framing(n_fft, hop, fs)
    starts = np.arange(frame_count(ecg.shape[1], n_fft, hop)) * hop
    positions = np.asarray(starts[:, None] + np.arange(n_fft), like=ecg)
    frames = ecg[:, positions] * np.asarray(hann(n_fft), like=ecg)
    power = np.abs(np.fft.rfft(frames, axis=-1)) ** 2 * psd_scale(n_fft, fs)
    power[..., 1:-1] *= 2
    return power.astype(np.float32)


def cupyx_baseline(
    n_fft: int = 256, *, hop: int = 64, fs: float = 360.0
) -> Callable[[CupyArray], CupyArray]:
    """The same spectra from `cupyx.scipy.signal.spectrogram`, to measure ours against.

    As with ours the window goes to the GPU once: no call pays for it.

    Returns
    -------
    Called with `ecg`, gives the spectra, both as for `CupyStft`.
    """
    check_framing(n_fft, hop, fs)
    spectrogram = import_module("cupyx.scipy.signal").spectrogram
    window = import_cupy().asarray(hann(n_fft), dtype=np.float32)
    options = {"window": window, "nperseg": n_fft, "noverlap": n_fft - hop, "detrend": False}

    def run(ecg: CupyArray) -> CupyArray:
        return spectrogram(ecg, fs, **options)[2].swapaxes(1, 2)

    return run


def frame_count(samples: int, n_fft: int, hop: int) -> int:
    """Full frames in a stream of `samples`."""
    return max(0, (samples - n_fft) // hop + 1)


def hann(n_fft: int) -> npt.NDArray[np.float64]:
    """The periodic Hann window, whose shifted copies add up evenly."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


def psd_scale(n_fft: int, fs: float) -> float:
    """From |X|^2 to a density in mV^2/Hz: the window's power and the rate divided out."""
    return 1.0 / (fs * float(np.sum(hann(n_fft) ** 2)))


def check_framing(n_fft: int, hop: int, fs: float) -> None:
    """Raise a ValueError unless the kernel can be built for these."""
    if n_fft not in FFT_SIZES:
        raise ValueError(f"n_fft must be one of {FFT_SIZES}, got {n_fft}.")
    if not 1 <= hop < 2**31:
        raise ValueError(f"hop must be 1 or more samples, got {hop}.")
    if not 0 < fs < float("inf"):
        raise ValueError(f"fs must be a positive rate in Hz, got {fs}.")


def source(n_fft: int, fs: float) -> str:
    """The CUDA source for this frame size and rate, with its tables compiled in."""
    check_framing(n_fft, 1, fs)
    angles = 2 * np.pi * np.arange(n_fft // 2 + 1) / n_fft
    pairs = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    definitions = {
        "FFT_SIZE": str(n_fft),
        "PSD_SCALE": c_floats(psd_scale(n_fft, fs)),
        "WINDOW_VALUES": c_floats(hann(n_fft)),
        "TWIDDLE_VALUES": ", ".join(f"{{{c_floats(pair)}}}" for pair in pairs),
    }
    return read_source("stft.cu", definitions)
