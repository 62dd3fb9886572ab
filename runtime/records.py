"""Recordings in, annotations out: WFDB, EDF and CSV files.

WFDB and EDF need a package (``wfdb``, ``edfio``) that the minimal runtime leaves out.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from runtime.beats import Beat
from runtime.errors import MissingPackageError, RecordError
from runtime.rhythm import AF, KINDS, VF, VT, Event

TAKEN = ("hea", "dat", "atr")  # header, signal, reference annotations: never overwritten
PREFERRED_LEAD = "MLII"  # what the model was trained on most
# What WFDB calls a rhythm; events without such a name are written as comments.
RHYTHMS = {VF: "(VF", VT: "(VT", "ventricular_run": "(IVR", AF: "(AFIB",
           "supraventricular_run": "(SVTA", "bigeminy": "(B", "trigeminy": "(T"}


@dataclass(frozen=True)
class Recording:
    """One lead of one recording.

    Attributes
    ----------
    name : of the record; lead : of the signal
    fs : Hz
    signal : float64 [samples], mV, gaps filled with the value before
    gaps : share of the samples that were missing
    """

    name: str
    lead: str
    fs: float
    signal: NDArray[np.float64]
    gaps: float


def read(path: str | Path, *, lead: str | None = None, fs: float | None = None,
         start_s: float = 0.0, seconds: float | None = None) -> Recording:
    """Read one lead.

    Parameters
    ----------
    path : a WFDB record without its extension, an ``.edf`` or a ``.csv`` file (a column for
        each lead in mV, a header of names; a column ``time`` in s gives the rate)
    lead : by name; without it MLII where there is one, else the first
    fs : Hz, needed for a CSV file without times, refused where it contradicts the file
    start_s, seconds : the part to read; all of it by default

    Raises
    ------
    RecordError
        The file is missing, damaged, or has no such lead.
    MissingPackageError
        Names the package to install.
    """
    path = Path(path)
    if path.suffix.lower() == ".edf":
        reader = _read_edf
    elif path.suffix.lower() in (".csv", ".txt"):
        reader = _read_csv
    else:
        reader = _read_wfdb
    names, rate, load = reader(path, fs)
    if fs is not None and abs(fs - rate) > 1e-6 * rate:
        raise RecordError(f"{path} is sampled at {rate:g} Hz; --fs {fs:g} contradicts it.")
    chosen = _choose_lead(path, names, lead)
    try:
        signal = np.asarray(load(chosen), dtype=np.float64)
    except (OSError, ValueError, IndexError) as error:
        raise RecordError(f"{path} is damaged: its signal cannot be read ({error}).") from error
    first = round(start_s * rate)
    last = len(signal) if seconds is None else first + round(seconds * rate)
    part = signal[first:last]
    if not len(part):
        raise RecordError(f"{path} has {len(signal) / rate:.3g} s of signal; nothing is left "
                          f"from {start_s:g} s on.")
    missing = ~np.isfinite(part)
    return Recording(path.stem if path.suffix.lower() in (".edf", ".csv", ".txt") else path.name,
                     names[chosen], rate, _hold(part, missing), float(missing.mean()))


def write_annotations(folder: Path, name: str, beats: Sequence[Beat], fs: float, *,
                      annotator: str = "ekg", scores: bool = False,
                      events: Sequence[Event] = ()) -> Path:
    """Write ``folder/name.annotator`` for WFDB tools; gives the path.

    ``scores`` puts each beat's score into the aux field. Events become rhythm annotations
    (``+``, the rhythm in the aux field) and, where WFDB has no name for them, comments (``"``).
    """
    wfdb = need("wfdb", "to write WFDB annotations")
    if not annotator.isalpha() or annotator in TAKEN:
        raise RecordError(f"annotator {annotator!r}: expected letters only, and none of "
                          f"{', '.join(TAKEN)}, which name a record's own files.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{annotator}"
    marks = sorted([*_rhythm_marks(events, fs),
                    *((round(beat.time * fs), beat.label, f"{beat.score:.3f}" if scores else "")
                      for beat in beats)], key=lambda mark: mark[0])
    if not marks:  # wfdb refuses to write none; two zero bytes are an empty annotation file
        path.write_bytes(b"\0\0")
        return path
    samples, symbols, notes = zip(*marks, strict=True)
    wfdb.wrann(name, annotator, np.array(samples), symbol=list(symbols), fs=fs,
               write_dir=str(folder), aux_note=list(notes) if any(notes) else None)
    return path


def _rhythm_marks(events: Sequence[Event], fs: float) -> list[tuple[int, str, str]]:
    """Sample, symbol and aux field of each change of rhythm and of each comment.

    Of rhythms that overlap the gravest is written. A mark stands a sample before its beat,
    because WFDB wants no two at one place.
    """
    named = [event for event in events if event.kind in RHYTHMS and event.end is not None]
    changes: list[tuple[int, str, str]] = []
    written = "(N"
    for moment in sorted({time for e in named for time in (e.start, e.end or 0.0)}):
        lasting = [e.kind for e in named if e.start <= moment < (e.end or 0.0)]
        now = RHYTHMS[min(lasting, key=KINDS.index)] if lasting else "(N"
        if now != written:
            changes.append((max(0, round(moment * fs) - 1), "+", now))
            written = now
    taken = {at for at, _, _ in changes}
    for event in events:
        if event.kind not in RHYTHMS:
            at = max(0, round(event.start * fs) - 1)
            changes.append((at + 2 if at in taken else at, '"', event.kind))
    return changes


def write_csv(path: Path, beats: Sequence[Beat]) -> Path:
    """Write time (s), label and score of each beat as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("time", "label", "score"))
        writer.writerows((f"{b.time:.4f}", b.label, f"{b.score:.4f}") for b in beats)
    return path


def _read_wfdb(path, fs):  # type: ignore[no-untyped-def]
    wfdb = need("wfdb", "to read WFDB records")
    if not path.with_name(path.name + ".hea").is_file():
        raise RecordError(f"{path}.hea does not exist; expected a WFDB record named without its "
                          "extension, an .edf or a .csv file.")
    try:
        header = wfdb.rdheader(str(path))
    except (OSError, ValueError, IndexError) as error:
        raise RecordError(f"{path}.hea is not a WFDB header ({error}).") from error
    if not header.n_sig:
        raise RecordError(f"{path}.hea lists no signals.")
    names = header.sig_name or [str(i) for i in range(header.n_sig)]
    return names, float(header.fs), lambda channel: wfdb.rdrecord(
        str(path), channels=[channel]).p_signal[:, 0]


def _read_edf(path, fs):  # type: ignore[no-untyped-def]
    edfio = need("edfio", "to read EDF files")
    try:
        edf = edfio.read_edf(path)
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist.") from None
    except (OSError, ValueError, IndexError) as error:
        raise RecordError(f"{path} is not an EDF file ({error}).") from error
    names = [signal.label for signal in edf.signals]
    if not names:
        raise RecordError(f"{path} holds no signals.")
    factors = {"mV": 1.0, "uV": 0.001, "µV": 0.001, "V": 1000.0}
    units = {signal.physical_dimension for signal in edf.signals} & set(factors)

    def load(channel):  # type: ignore[no-untyped-def]
        signal = edf.signals[channel]
        if signal.physical_dimension not in factors:
            raise ValueError(f"lead {signal.label} is in {signal.physical_dimension!r}; expected "
                             f"{', '.join(sorted(units or factors))}")
        return signal.data * factors[signal.physical_dimension]

    return names, float(edf.signals[0].sampling_frequency), load


def _read_csv(path, fs):  # type: ignore[no-untyped-def]
    try:
        with path.open(newline="") as file:
            first = next(csv.reader(file), [])
        named = any(not _is_number(cell) for cell in first)
        table = (np.genfromtxt(path, delimiter=",", skip_header=int(named), ndmin=2)
                 if path.stat().st_size else np.zeros((0, 0)))
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} is not a table of comma-separated numbers "
                          f"({str(error).splitlines()[0]}).") from error
    names = [cell.strip() for cell in first] if named else [str(i) for i in range(len(first))]
    if table.shape[0] < 2 or table.shape[1] != len(names) or np.isnan(table).all():
        raise RecordError(f"{path} is not a table of comma-separated numbers with at least two "
                          "rows and a column for each lead in mV.")
    if names[0].lower() in ("time", "t", "seconds"):
        steps = np.diff(table[:, 0])
        if not (steps > 0).all():
            raise RecordError(f"{path}: the column {names[0]!r} does not rise; expected s.")
        names, table, fs = names[1:], table[:, 1:], float(1.0 / np.median(steps))
        if not names:
            raise RecordError(f"{path} has times but no lead.")
    if fs is None:
        raise RecordError(f"{path} does not say its rate; give --fs in Hz, or a first column "
                          "'time' in s.")
    return names, fs, lambda channel: table[:, channel]


def _choose_lead(path: Path, names: Sequence[str], lead: str | None) -> int:
    wanted = PREFERRED_LEAD if lead is None else lead
    matches = [i for i, name in enumerate(names) if name == wanted]
    if matches:
        return matches[0]
    if lead is None:
        return 0
    raise RecordError(f"{path} has no lead {lead!r}; it has {', '.join(names)}.")


def _hold(signal: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Gaps filled with the value before them (the first one after, at the start)."""
    if not missing.any():
        return signal
    if missing.all():
        return np.zeros_like(signal)
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(signal))))
    return signal[np.where(last < 0, int(np.argmin(missing)), last)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def need(package: str, purpose: str) -> ModuleType:
    """A package that the minimal runtime leaves out.

    Raises
    ------
    MissingPackageError
        Says what it is needed for and how to install it.
    """
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(f"the package {package!r} is needed {purpose}; install it with "
                                  f"`pip install {package}`.") from error
