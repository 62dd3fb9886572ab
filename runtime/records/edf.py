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
from .digital import CODES, DigitalSignal, Signal, unused
from .edf_header import EdfHeader, is_edf, read_codes, read_header, record_places
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
                    partial(_load, signal, path, header, channel, marks),
                )
                for i, (signal, channel) in enumerate(
                    zip(edf.signals, header.signal_channels, strict=True)
                )
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


def _load(signal: Any, path: Path, header: EdfHeader, channel: int, marks: list[Mark]) -> Signal:
    """Return a signal in its own unit, NaN where the recording paused or samples are missing.

    That of EDF is returned as its codes, unless each of 65,536 is used and none can be missing.
    """
    span = abs(signal.physical_max - signal.physical_min)
    if not 0 < span < np.inf or signal.digital_min == signal.digital_max:
        raise ValueError("it has no calibration")  # edfio would return the digital values
    if header.sample_bytes == 3:
        return _without_missing(np.array(signal.data), np.nan, signal, path, header, marks)
    # Not by edfio, whose map of the file stays in memory.
    codes = read_codes(path, header, channel)
    values = code_values(signal)
    missing = unused(codes)
    if missing is None:
        whole = np.asarray(DigitalSignal(codes, values))
        return _without_missing(whole, np.nan, signal, path, header, marks)
    values[missing == CODES] = np.nan
    codes = _without_missing(codes, missing, signal, path, header, marks)
    return DigitalSignal(codes, values)


def code_values(signal: Any) -> NDArray[np.float64]:
    """Return what each of `CODES` is worth: a line through both ends of the ranges, as in edfio."""
    gain = (signal.physical_max - signal.physical_min) / (signal.digital_max - signal.digital_min)
    offset = signal.physical_max / gain - signal.digital_max
    return np.asarray((CODES + offset) * gain)


def _without_missing(
    samples: NDArray[Any],
    missing: float,
    signal: Any,
    path: Path,
    header: EdfHeader,
    marks: list[Mark],
) -> NDArray[Any]:
    """Return samples with this value for those that are missing.

    They are marked, and at the end only fill the last data record, or the recording paused.
    """
    if header.discontinuous:
        size = len(samples) // header.whole_records
        starts = record_places(path, header, size)
        placed = np.full(int(starts[-1]) + size, missing, dtype=samples.dtype)
        for start, record in zip(starts, samples.reshape(-1, size), strict=True):
            placed[start : start + size] = record
        return placed
    end = len(samples)
    for onset, length, lead in marks:
        if lead != signal.label:
            continue
        first = round(onset * signal.sampling_frequency)
        last = round((onset + length) * signal.sampling_frequency)
        samples[max(0, first) : max(0, last)] = missing
        if last >= len(samples) > first > 0:
            end = min(end, first)
    return samples[:end]
