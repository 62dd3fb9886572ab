"""Annotation files of a record compared, by bxb's convention or the papers'.

`training.ec57` counts for bxb, `training.scores` for papers.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.findings import CLASSES
from training.ec57 import Annotations, Comparison, compare
from training.errors import DataError
from training.recordings import AAMI, flutter
from training.scores import Score, score


def compare_files(
    reference: Path, test: Path, record: str, annotators: tuple[str, str], **options: Any
) -> Comparison:
    """`compare` the annotations of one record.

    Parameters
    ----------
    reference, test : folders; the header is in the first
    annotators : endings of the files' names
    options : as of `compare`

    Raises
    ------
    DataError
        A file is missing or damaged.
    """
    fs, samples = read_header(reference, record)
    return compare(
        read_annotations(reference, record, annotators[0], fs),
        read_annotations(test, record, annotators[1], fs),
        fs,
        record_samples=samples,
        **options,
    )


def score_files(
    reference: Path, test: Path, record: str, annotators: tuple[str, str], **options: Any
) -> Score:
    """As `compare_files`, but `score`: the papers' convention."""
    fs, samples = read_header(reference, record)
    start, stop = options.get("start_s", 0.0), options.get("stop_s", math.inf)
    stop = min(stop, samples / fs) if samples else stop
    if stop <= start:
        raise ValueError(
            f"The comparison would stop at {stop:g} s before it starts at {start:g} s."
        )
    there = read_annotations(reference, record, annotators[0], fs)
    found = read_annotations(test, record, annotators[1], fs)
    return score(
        *_beats(there), *_beats(found), fs, flutter=flutter(there.marks(), sys.maxsize), **options
    )


def read_annotations(folder: Path, record: str, annotator: str, fs: float) -> Annotations:
    """Read an annotation file; times in another resolution are brought to ``fs`` (Hz)."""
    path = _existing(folder / f"{record}.{annotator}")
    content = path.read_bytes()
    if content[-2:] != b"\0\0" or len(content) % 2:
        raise DataError(
            f"{path} does not end as a WFDB annotation file does: it is cut off or no such file."
        )
    if not content.strip(b"\0"):  # no annotations, of which wfdb makes an error
        return Annotations(np.zeros(0, np.int64), [])
    import wfdb

    try:
        found = wfdb.rdann(str(folder / record), annotator)
    except Exception as error:  # wfdb raises whatever a damaged byte leads to
        raise DataError(f"{path} cannot be read: {error}.") from error
    samples = np.asarray(found.sample, dtype=np.int64)
    if found.fs and found.fs != fs:
        samples = np.floor(samples * (fs / found.fs) + 0.5).astype(np.int64)
    return Annotations(samples, found.symbol, found.subtype)


def read_header(folder: Path, record: str) -> tuple[float, int | None]:
    """Sampling frequency in Hz and length in samples (None: not stated) of a record."""
    import wfdb

    path = _existing(folder / f"{record}.hea")
    try:
        header = wfdb.rdheader(str(folder / record))
    except Exception as error:  # as above
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not header.fs:
        raise DataError(f"{path} states no sampling frequency.")
    return float(header.fs), header.sig_len or None


def _beats(annotations: Annotations) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples and indices into `CLASSES` of what are beats in papers."""
    beats = [
        (sample, CLASSES.index(AAMI[symbol]))
        for sample, symbol, _ in annotations.marks()
        if symbol in AAMI
    ]
    samples, labels = np.array(beats, dtype=np.int64).reshape(-1, 2).T
    return samples, labels


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    return path
