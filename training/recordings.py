"""Real recordings: read, split by patient, cut into windows.

Everything leaves this module at `FS` (360 Hz), in mV, as float32 ``[leads, samples]``, with
beats as sample positions and AAMI classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.findings import CLASSES
from training.databases import BEATLESS
from training.errors import DataError

FS = 360  # Hz, the rate of mitdb; every other database is resampled to it

# AAMI EC57 groups of the WFDB beat symbols, as de Chazal (2004) and nearly every later paper
# use them: the escape beats e and j count as N. (bxb counts them as S, and so does training.ec57.)
AAMI = {
    symbol: label
    for label, symbols in {
        "N": "NLRejB",
        "S": "AaJSn",
        "V": "VEr",
        "F": "F",
        "Q": "/fQ?",
    }.items()
    for symbol in symbols
}


@dataclass(frozen=True)
class Record:
    """One recording with its reference beats.

    Attributes
    ----------
    signal : float32 [leads, samples], mV at 360 Hz; the lead to look at first comes first
        (MLII if the record has it).
    beats : int64 [beats], sample positions at 360 Hz, ascending.
    labels : int8 [beats], index into `CLASSES`.
    flutter : int64 [episodes, 2], start and end (samples) of ventricular flutter or
        fibrillation, where no beats are defined.
    marks : all that the annotators wrote, in the order of their file: sample at 360 Hz, WFDB
        symbol, subtype. Only here are the marks that EC57 counts beside beats.
    """

    name: str
    database: str
    leads: tuple[str, ...]
    signal: NDArray[np.float32]
    beats: NDArray[np.int64]
    labels: NDArray[np.int8]
    flutter: NDArray[np.int64]
    marks: tuple[tuple[int, str, int], ...] = ()

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / FS


@cache
def load(database: str, name: str, folder: Path) -> Record:
    """Read one WFDB record with its ``atr`` annotations, resampled to 360 Hz.

    Raises
    ------
    DataError
        A file is missing or not readable.
    """
    import wfdb
    from scipy.signal import resample_poly

    path = folder / database / name
    try:
        record = wfdb.rdrecord(str(path))
        marks = None if database in BEATLESS else wfdb.rdann(str(path), "atr")
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a WFDB record ({error}).") from error
    ratio = Fraction(FS) / Fraction(record.fs).limit_denominator(1000)
    signal = np.nan_to_num(record.p_signal.T)
    if ratio != 1:
        signal = resample_poly(signal, ratio.numerator, ratio.denominator, axis=1)
    order = sorted(range(record.n_sig), key=lambda i: record.sig_name[i] != "MLII")
    signal = np.ascontiguousarray(signal[order], dtype=np.float32)
    if marks is None:
        positions, symbols, subtypes = np.zeros(0), [], np.zeros(0, dtype=np.int64)
    else:
        positions, symbols, subtypes = marks.sample * float(ratio), marks.symbol, marks.subtype
    samples = np.minimum(np.rint(positions).astype(np.int64), signal.shape[1] - 1)
    written = tuple(zip(samples.tolist(), symbols, subtypes.tolist(), strict=True))
    kept = [i for i, symbol in enumerate(symbols) if symbol in AAMI]
    return Record(
        name,
        database,
        tuple(record.sig_name[i] for i in order),
        signal,
        samples[kept],
        np.array([CLASSES.index(AAMI[symbols[i]]) for i in kept], dtype=np.int8),
        np.array(flutter(written, signal.shape[1]), dtype=np.int64).reshape(-1, 2),
        written,
    )


def flutter(marks: Iterable[tuple[int, str, int]], end: int) -> list[tuple[int, int]]:
    """Start and end of each episode of ventricular flutter or fibrillation, as bxb reads them.

    From ``[`` to the next ``]``, whatever stands between; an episode without one lasts to ``end``,
    and a ``]`` outside an episode does not count.
    """
    episodes: list[tuple[int, int]] = []
    start = None
    for sample, symbol, _ in marks:
        if symbol == "[" and start is None:
            start = sample
        elif symbol == "]" and start is not None:
            episodes.append((start, sample))
            start = None
    return episodes if start is None else [*episodes, (start, end)]


def load_all(database: str, names: Sequence[str], folder: Path) -> list[Record]:
    """`load` for many, with a progress bar."""
    from tqdm import tqdm

    return [load(database, name, folder) for name in tqdm(names, desc=f"read {database}")]


def class_counts(records: Iterable[Record]) -> NDArray[np.int64]:
    """Beats of each class over the records, in the order of `CLASSES`."""
    return sum(
        (np.bincount(r.labels, minlength=len(CLASSES)) for r in records),
        start=np.zeros(len(CLASSES), dtype=np.int64),
    )


def folds(records: Sequence[Record], count: int) -> list[list[Record]]:
    """Split records into folds by patient, each with its share of S, V and F beats.

    One record is one patient in DS1 and in svdb. Within each database the records are dealt
    out in the order of their rarest beats, forwards and backwards in turn, so that no fold
    gets all the patients rich in them.
    """
    split: list[list[Record]] = [[] for _ in range(count)]
    for database in sorted({r.database for r in records}):
        ranked = sorted(
            (r for r in records if r.database == database),
            key=lambda r: (-int((r.labels == 1).sum()), -int((r.labels > 1).sum()), r.name),
        )
        for rank, record in enumerate(ranked):
            turn, place = divmod(rank, count)
            split[place if turn % 2 == 0 else count - 1 - place].append(record)
    return split


def windows(
    record: Record, lead: int = 0, seconds: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The record in consecutive windows and the class of each.

    Returns
    -------
    signal : float32 [windows, samples], mV
    labels : int8 [windows]; -1 if no beat lies in the window, else the class of its
        rarest beat (a window with any beat that is not N is not normal).
    """
    samples = round(seconds * FS)
    count = record.signal.shape[1] // samples
    signal = record.signal[lead, : count * samples].reshape(count, samples)
    labels = np.full(count, -1, dtype=np.int8)
    # From commonest to rarest, so that the rarest is written last.
    for label in (0, 4, 2, 1, 3):
        inside = record.beats[record.labels == label] // samples
        labels[inside[inside < count]] = label
    return signal, labels
