"""The noise stress test: recorded noise in calibrated amounts in clean ECG, as WFDB's ``nst`` does.

Sources: G. Moody, W. Muldrow, R. Mark: A noise stress test for arrhythmia detectors, Computers in
Cardiology 11:381 (1984); WFDB Applications Guide, nst(1) and sigamp(1).

The signal's size is the mean peak-to-peak amplitude, within 50 ms of the mark, of the first 300 N
and S beats, the noise's the mean over the first 300 s of its RMS within a second, each without
the largest and smallest 5 %. A signal's power is its size squared over 8, as of a sine so tall.
Noise is added in every other two minutes from 5:00 on; where it begins and ends, the level is
kept, so that there is no step. Two things differ from nst: only the second half of a noise
recording is used, because the first was trained with, and it stands still while the ECG is clean
(so that its 15 minutes reach for a record and none is heard twice).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.findings import CLASSES
from training.recordings import FS, Record, load

DECIBELS = (24, 18, 12, 6, 0, -6)
START_S, BLOCK_S = 300, 120
_REACH = round(0.05 * FS)
_MEASURED = 300  # beats, and seconds of noise


def kept_noise(name: str, folder: Path) -> NDArray[np.float64]:
    """The second half of nstdb's ``bw``, ``em`` or ``ma``, first lead, [samples] in mV."""
    samples = load("nstdb", name, folder).signal[0].astype(np.float64)
    return samples[len(samples) // 2 :]


def noisy_blocks(seconds: float) -> list[tuple[float, float]]:
    """Start and end, s, of the parts of a record that get noise."""
    starts = np.arange(START_S, seconds, 2 * BLOCK_S).tolist()
    return [(start, min(start + BLOCK_S, seconds)) for start in starts]


def mix(record: Record, noise: NDArray[np.float64], decibels: float) -> NDArray[np.float32]:
    """The record's first lead with noise in its `noisy_blocks`, float32 [samples] in mV.

    Raises
    ------
    ValueError
        There is less noise than the blocks need.
    """
    ecg = record.signal[0]
    blocks = np.rint(np.array(noisy_blocks(record.seconds)).reshape(-1, 2) * FS).astype(np.int64)
    needed = int((blocks[:, 1] - blocks[:, 0]).sum())
    if needed > len(noise):
        raise ValueError(f"{needed / FS:g} s of noise are needed, there are {len(noise) / FS:g} s.")
    gain = (qrs_size(record) / np.sqrt(8) * 10 ** (-decibels / 20)) / noise_size(noise)
    steps = np.zeros(len(ecg))
    used = 0
    for start, end in blocks:
        # Changes, not levels: the first sample adds none, and after the last one they stop.
        steps[start + 1 : end] = np.diff(noise[used : used + end - start])
        used += end - start
    return (ecg + gain * np.cumsum(steps)).astype(np.float32)


def qrs_size(record: Record) -> float:
    """Mean height of the first lead's QRS complexes, mV."""
    ecg = record.signal[0]
    beats = record.beats[record.labels <= CLASSES.index("S")]
    beats = beats[(beats >= _REACH) & (beats < len(ecg) - _REACH)][:_MEASURED]
    around = ecg[beats[:, None] + np.arange(-_REACH, _REACH + 1)]
    return _trimmed_mean(np.ptp(around, axis=1).astype(np.float64))


def noise_size(noise: NDArray[np.float64]) -> float:
    """Mean RMS within a second, mV."""
    seconds = min(len(noise) // FS, _MEASURED)
    return _trimmed_mean(noise[: seconds * FS].reshape(seconds, FS).std(axis=1))


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    out = len(values) // 20
    return float(np.sort(values)[out : len(values) - out].mean())
