"""Recordings in EDF, EDF+ and BDF; needs the package ``edfio``."""

from __future__ import annotations

import warnings
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .edf_header import EdfHeader, is_edf, read_header, record_places
from .leads import Lead
from .packages import explained, need
from .reader import Options, Reader

# What `ekg convert` writes before a lead's name: a sample is missing for as long as this lasts.
MISSING_TEXT = "signal missing: "
Mark = tuple[float, float, str]  # onset and length in s, and the lead


class EdfReader(Reader):
    """Reads EDF, EDF+ and BDF files; each lead has a rate of its own, pauses are gaps."""

    name = "EDF"
    extensions = (".edf", ".bdf", ".rec")

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins as EDF or BDF does."""
        return is_edf(path)

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List a file's signals."""
        edfio = need("edfio", "to read EDF files")
        with explained(path, "is not a whole EDF file"):
            header = read_header(path)
        whole = header.whole_records
        if header.records not in (-1, whole) and not options.partial:
            raise RecordError(
                f"{path} is not a whole EDF file: its header promises {header.records} data "
                f"records, and it holds {header.held_records:.4g} of them; --partial reads the "
                f"{whole} whole ones."
            )
        if not options.partial and header.held_records != whole:
            raise RecordError(
                f"{path} is not a whole EDF file: its last data record is cut off; --partial "
                f"reads the {whole} whole ones."
            )
        if not whole:
            raise RecordError(f"{path} holds no whole data record.")
        if header.held_records != whole or header.records not in (-1, whole):
            promised = f" of {header.records}" if header.records > 0 else ""
            options.notes.append(f"cut off: the {whole} whole data records{promised} were read")
        read = edfio.read_bdf if header.sample_bytes == 3 else edfio.read_edf
        with explained(path, "is not a whole EDF file"), warnings.catch_warnings():
            # edfio warns of a file that is cut off, and returns the whole records.
            warnings.simplefilter("ignore")
            edf = read(path, header_encoding="latin-1")  # ASCII, but for a µ
            _describe(edf, options)
            marks = _missing_marks(edf)
            leads = [
                Lead(
                    signal.label or str(i),
                    float(signal.sampling_frequency),
                    signal.physical_dimension,
                    partial(_load, signal, path, header, marks),
                )
                for i, signal in enumerate(edf.signals)
            ]
        if not leads:
            raise RecordError(f"{path} holds no signals.")
        options.start = _start(edf)
        return leads


def _describe(edf: Any, options: Options) -> None:
    """Take what the file's header says of the patient and the recording, if it says it rightly."""
    lines = (edf.local_patient_identification, edf.local_recording_identification)
    # X stands for what is not known, a low line for a blank.
    told = ([w for w in line.split() if w not in ("X", "Startdate")] for line in lines)
    options.header = tuple(" ".join(words).replace("_", " ") for words in told if words)


def _start(edf: Any) -> datetime | None:
    """Return when the recording began, in the year 1 if the date is left out for privacy.

    None if neither is known; midnight without a date is no time.
    """
    with suppress(Exception), warnings.catch_warnings():  # the signal can be read all the same
        warnings.simplefilter("ignore")
        day = date.min
        with suppress(Exception):
            day = edf.startdate
        begin = datetime.combine(day, edf.starttime)
        return None if begin == datetime.min else begin
    return None


def _missing_marks(edf: Any) -> list[Mark]:
    """Return the annotations that say where samples are missing."""
    with suppress(Exception):  # other programs' annotations may be anything
        return [
            (float(mark.onset), float(mark.duration or 0), mark.text.removeprefix(MISSING_TEXT))
            for mark in edf.annotations
            if mark.text.startswith(MISSING_TEXT)
        ]
    return []


def _load(signal: Any, path: Path, header: EdfHeader, marks: list[Mark]) -> NDArray[np.float64]:
    """Return a signal in its own unit, NaN where the recording paused or samples are missing."""
    if signal.physical_min == signal.physical_max or signal.digital_min == signal.digital_max:
        raise ValueError("it has no calibration")  # edfio would return the digital values
    records = np.array(signal.data, dtype=np.float64)
    if not header.discontinuous:
        return _without_missing(records, signal, marks)
    records = records[: len(records) // header.whole_records * header.whole_records]
    records = records.reshape(header.whole_records, -1)
    size = records.shape[1]
    starts = record_places(path, header, size)
    placed = np.full(int(starts[-1]) + size, np.nan)
    placed[(starts[:, None] + np.arange(size)).ravel()] = records.ravel()
    return placed


def _without_missing(
    samples: NDArray[np.float64], signal: Any, marks: list[Mark]
) -> NDArray[np.float64]:
    """Take out samples that are marked as missing; at the end they only fill the last record."""
    end = len(samples)
    for onset, length, lead in marks:
        if lead != signal.label:
            continue
        first = round(onset * signal.sampling_frequency)
        last = round((onset + length) * signal.sampling_frequency)
        samples[max(0, first) : max(0, last)] = np.nan
        if last >= len(samples) > first > 0:
            end = min(end, first)
    return samples[:end]
