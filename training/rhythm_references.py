"""Reference marks of rhythm and quality, and noise mixed into records.

Fitting and measuring both read the marks here, in the same way.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime import records
from runtime.detector import load_rhythm
from runtime.findings import UNREADABLE
from runtime.model.contract import FS
from runtime.signal.features import WINDOW_S
from runtime.signal.missing import NO_SIGNAL, bridge
from runtime.signal.policy import MissingLimits, QualityPolicy
from runtime.signal.quality import flaws_of
from runtime.signal.resample import resampler
from training.recordings import Record, flutter


def cudb_signal(folder: Path, name: str) -> NDArray[np.float32]:
    """A record of cudb as a stream hears it, mV at 360 Hz.

    Samples at the converter's lower end are stored as missing; they are bridged.
    """
    record = records.read(folder / "cudb" / name)
    return as_heard(record.signal, record.fs)


def as_heard(signal: NDArray[np.floating], fs: float) -> NDArray[np.float32]:
    """A signal in mV as a stream hears it: without gaps, less its first sample, at 360 Hz."""
    samples = np.asarray(signal, dtype=np.float64)[None]
    ecg = bridge(samples, [NO_SIGNAL], fs, _missing_limits()).ecg
    output, _ = resampler(fs, FS).push(np.zeros((1, 0), dtype=np.float32), ecg, 0)
    return output[0]


@lru_cache(maxsize=1)
def _missing_limits() -> MissingLimits:
    return load_rhythm().quality.missing


def fibrillation(folder: Path, database: str, name: str) -> NDArray[np.float64]:
    """Start and end of each marked episode of flutter or fibrillation, s, [episodes, 2].

    An episode without an end lasts to the record's.
    """
    import wfdb

    marks = wfdb.rdann(str(folder / database / name), "atr")
    header = wfdb.rdheader(str(folder / database / name))
    episodes = flutter(zip(marks.sample, marks.symbol, marks.subtype, strict=True), header.sig_len)
    return np.array(episodes, dtype=np.float64).reshape(-1, 2) / header.fs


def unreadable(folder: Path, name: str) -> NDArray[np.float64]:
    """Start and end of each stretch of a record of cudb that the reference calls unreadable, s,
    [stretches, 2]: from a mark of signal quality with the subtype -1 to the next."""
    import wfdb

    marks = wfdb.rdann(str(folder / "cudb" / name), "atr")
    header = wfdb.rdheader(str(folder / "cudb" / name))
    changes = [
        (sample / header.fs, subtype)
        for symbol, sample, subtype in zip(marks.symbol, marks.sample, marks.subtype, strict=True)
        if symbol == "~"
    ]
    changes.append((header.sig_len / header.fs, 0))
    return np.array(
        [(start, end) for (start, subtype), (end, _) in pairwise(changes) if subtype == -1],
        dtype=np.float64,
    ).reshape(-1, 2)


def first_half(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of a noise recording that thresholds and models may see."""
    return samples[: len(samples) // 2]


def mix(
    record: Record, noise: NDArray[np.float32], decibels: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Add noise as PhysioNet's ``nst`` does: from 5:00 on, in every other two minutes.

    Signal power is that of a sine as tall as the record's median QRS, noise power the mean
    variance within a second.

    Returns
    -------
    signal : float32 [samples], mV
    noisy : float64 [blocks, 2], s
    """
    ecg, reach = record.signal[0], round(0.05 * FS)
    inside = record.beats[(record.beats >= reach) & (record.beats < len(ecg) - reach)]
    around = ecg[inside[:, None] + np.arange(-reach, reach)]
    power = np.median(np.ptp(around, axis=1)) ** 2 / 8
    rows = noise[: len(noise) // FS * FS].reshape(-1, FS)
    gain = np.sqrt(power / rows.var(axis=1).mean() / 10 ** (decibels / 10))
    starts = np.arange(300, len(ecg) / FS, 240.0)
    noisy = np.stack([starts, np.minimum(starts + 120, len(ecg) / FS)], axis=1)
    mixed, used = ecg.copy(), 0
    for start, end in (noisy * FS).astype(np.int64):
        mixed[start:end] += gain * np.take(
            noise - noise.mean(), np.arange(used, used + end - start), mode="wrap"
        )
        used += end - start
    return mixed, noisy


def label_windows(count: int, spans: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 for windows inside a span, 0 outside, -1 across an edge; one starts each second."""
    start = np.arange(count)[:, None]
    end = start + WINDOW_S
    inside = ((start >= spans[:, 0]) & (end <= spans[:, 1])).any(axis=1)
    touched = ((start < spans[:, 1]) & (end > spans[:, 0])).any(axis=1)
    return np.where(inside, 1, np.where(touched, -1, 0))


def readable(signal: NDArray[np.floating], policy: QualityPolicy) -> NDArray[np.bool_]:
    """True for windows without an unreadable second, as a stream would judge, bool [windows]."""
    rows = signal[: len(signal) // FS * FS].reshape(-1, FS)
    flaws = flaws_of(
        rows,
        FS,
        policy,
        np.minimum.accumulate(rows.min(axis=1)),
        np.maximum.accumulate(rows.max(axis=1)),
    )
    bad = np.cumsum(np.pad(flaws & int(UNREADABLE) != 0, (1, 0)))
    return np.asarray(bad[WINDOW_S:] == bad[:-WINDOW_S])


def rhythm_marks(folder: Path, name: str, mark: str) -> NDArray[np.float64]:
    """Start and end of each stretch of mitdb that the reference gives this rhythm, s."""
    import wfdb

    marks = wfdb.rdann(str(folder / "mitdb" / name), "atr")
    length = wfdb.rdheader(str(folder / "mitdb" / name)).sig_len / FS
    changes = [
        (sample / FS, note.strip("\0"))
        for sample, symbol, note in zip(marks.sample, marks.symbol, marks.aux_note, strict=True)
        if symbol == "+"
    ]
    ends = [start for start, _ in changes[1:]] + [length]
    return np.array(
        [(start, end) for (start, note), end in zip(changes, ends, strict=True) if note == mark],
        dtype=np.float64,
    ).reshape(-1, 2)


def truth_of(folder: Path, name: str, count: int | None = None) -> NDArray[np.int64]:
    """1 for windows of cudb in fibrillation, 0 outside, -1 across an edge or in signal that the
    reference calls unreadable."""
    if count is None:
        count = len(cudb_signal(folder, name)) // FS - WINDOW_S + 1
    truth = label_windows(count, fibrillation(folder, "cudb", name))
    return np.where(label_windows(count, unreadable(folder, name)) == 0, truth, -1)
