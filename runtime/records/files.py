"""Recordings in, annotations out: WFDB, EDF and CSV files.

WFDB and EDF need a package (``wfdb``, ``edfio``) that the minimal runtime leaves out.
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EkgError, InputError, MissingPackageError, RecordError
from ..findings import Beat, Event, Record
from ..rhythm.follow import AF, KINDS, VF, VT
from ..signal import units

# Header, signal, reference annotations, recordings of other formats, reports: never overwritten.
TAKEN = ("hea", "dat", "atr", "csv", "txt", "edf", "html")
PREFERRED_LEAD = "MLII"  # what the model was trained on most
MILLIVOLTS = units.MILLIVOLTS | {"\u03bcV": 1e-3}  # with the Greek letter, as some files have it
TIME = ("time", "t", "seconds", "elapsed time")  # what a CSV file's column of times is called
IN_A_SECOND = {"s": 1, "sec": 1, "seconds": 1, "ms": 1000}  # of its unit
CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")  # a time as [hours:]minutes:seconds
CLOCK_UNIT = re.compile(r"h+:m+:s+(\.m+)?")  # what PhysioNet's rdsamp calls its unit
TABLES = (".csv", ".txt")
# A table whose times jump may become so many times as long, and so long in any case.
MOST_GAPS, LONGEST_GAPS_S = 10, 3600.0
MOST_SHAKEN = 3  # samples that a time may lie beside its own
# What WFDB calls a rhythm; events without such a name are written as comments.
RHYTHMS = {VF: "(VF", VT: "(VT", "ventricular_run": "(IVR", AF: "(AFIB",
           "supraventricular_run": "(SVTA", "bigeminy": "(B", "trigeminy": "(T"}


def read(path: str | Path, *, lead: str | None = None, fs: float | None = None,
         start_s: float = 0.0, seconds: float | None = None) -> Record:
    """Read one lead.

    Parameters
    ----------
    path : a WFDB record without its extension, an ``.edf`` or a ``.csv`` file (a column for
        each lead in mV, a header of names; a first column ``time`` in s, or as a clock shows it
        (``1:02:03.456``), gives the rate; another unit stands after a name: ``ECG (uV)``,
        ``time (ms)``; or a row of units follows, as PhysioNet's ``rdsamp`` writes it)
    lead : by name; without it MLII where there is one, else the first in volts
    fs : Hz, needed for a CSV file without times, refused where it contradicts the file
    start_s, seconds : the part to read; all of it by default

    Raises
    ------
    RecordError
        The file is missing, damaged, or has no such lead.
    InputError
        No recording has such a start, length or rate.
    MissingPackageError
        Names the package to install.
    """
    path = Path(path)
    if not 0 <= start_s < math.inf:
        raise InputError(f"a start of {start_s:g} s: expected a finite one from 0 on.")
    for what, value, unit in (("a length", seconds, "s"), ("a rate", fs, "Hz")):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{what} of {value:g} {unit}: expected a finite one above 0.")
    suffix = path.suffix.lower()
    reader = _read_edf if suffix == ".edf" else _read_csv if suffix in TABLES else _read_wfdb
    chosen = _choose_lead(path, reader(path, fs), lead)
    rate = float(chosen.fs)
    if not 0 < rate < math.inf:
        raise RecordError(f"{path} is damaged: its rate is {rate:g} Hz.")
    if fs is not None and abs(fs - rate) > 1e-6 * rate:
        raise RecordError(f"{path} is sampled at {rate:g} Hz; --fs {fs:g} contradicts it.")
    with _explained(path, "is damaged: its signal cannot be read"):
        signal = np.asarray(chosen.load(), dtype=np.float64)
    first = round(min(start_s * rate, len(signal)))
    last = len(signal) if seconds is None else first + round(min(seconds * rate, len(signal)))
    part = signal[first:last]
    if not len(part):
        raise RecordError(f"{path} has {len(signal) / rate:.3g} s of signal; nothing is left "
                          f"from {start_s:g} s on.")
    missing = ~np.isfinite(part)
    if missing.all():
        raise RecordError(f"{path}: lead {chosen.name} has no sample in the part that was asked "
                          "for; expected numbers.")
    return Record(name_of(path), chosen.name, rate, _hold(part, missing), float(missing.mean()))


def distinct_names(paths: Sequence[str | Path]) -> None:
    """Refuse recordings of one name, of which the second's results would replace the first's."""
    named: dict[str, str | Path] = {}
    for path in paths:
        name = name_of(Path(path))
        if name in named:
            raise RecordError(f"{named[name]} and {path} would be written to the same files; "
                              "expected records of different names.")
        named[name] = path


def check_kept(paths: Sequence[str | Path], targets: Iterable[Path]) -> None:
    """Refuse to write over what is read: the recordings' own files.

    Raises
    ------
    RecordError
        Names the first file that would be replaced.
    """
    written = {target.resolve() for target in targets}
    for path in map(Path, paths):
        names = [path.name, f"{path.name}.hea"]
        if path.suffix.lower() not in (".edf", *TABLES):
            with suppress(Exception):  # what is wrong with it is said where it is read
                names += need("wfdb", "").rdheader(str(path)).file_name
        for name in filter(None, names):
            if (path.parent / name).resolve() in written:
                raise RecordError(f"{path.parent / name} is part of a recording and would be "
                                  "replaced; expected another --out or --annotator.")


def check_writable(folder: Path, annotator: str | None = None) -> None:
    """Refuse, before long work, what could not be written after it; makes the folder.

    Raises
    ------
    RecordError
        Nothing can be written into the folder, or the annotator would break a record.
    """
    if annotator is not None and not (annotator.isascii() and annotator.isalpha()
                                      and annotator.lower() not in TAKEN):
        raise RecordError(f"annotator {annotator!r}: expected letters only, and none of "
                          f"{', '.join(TAKEN)}, which name a record's own files.")
    with writing(folder), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make the folder that is written into; what the file system refuses is a `RecordError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RecordError(f"{error.filename or folder} cannot be written: "
                          f"{error.strerror or error}.") from error


def write_annotations(folder: Path, name: str, beats: Sequence[Beat], fs: float, *,
                      annotator: str = "ekg", scores: bool = False,
                      events: Sequence[Event] = ()) -> Path:
    """Write ``folder/name.annotator`` for WFDB tools; gives the path.

    ``scores`` puts each beat's score into the aux field. Events become rhythm annotations
    (``+``, the rhythm in the aux field) and, where WFDB has no name for them, comments (``"``).
    """
    wfdb = need("wfdb", "to write WFDB annotations")
    check_writable(folder, annotator)
    found = [(round(beat.time * fs), beat.label, f"{beat.score:.3f}" if scores else "")
             for beat in beats]
    marks = sorted([*_rhythm_marks(events, fs, (at for at, _, _ in found)), *found],
                   key=lambda mark: mark[0])
    path = folder / f"{name}.{annotator}"
    with writing(folder), tempfile.TemporaryDirectory() as scratch:
        content = b"\0\0"  # wfdb refuses to write no marks; two zero bytes are an empty file
        if marks:  # wfdb also refuses names of records with, say, a space
            samples, symbols, notes = zip(*marks, strict=True)
            wfdb.wrann("record", annotator, np.array(samples), symbol=list(symbols), fs=fs,
                       write_dir=scratch, aux_note=list(notes) if any(notes) else None)
            content = Path(scratch, f"record.{annotator}").read_bytes()
        path.write_bytes(content)
    return path


def _rhythm_marks(events: Sequence[Event], fs: float, beats: Iterable[int]
                  ) -> list[tuple[int, str, str]]:
    """Sample, symbol and aux field of each change of rhythm and of each comment.

    Of rhythms that overlap the gravest is written. A mark stands a sample before its beat, or on
    the next that is free: of two at one place WFDB's tools keep one.
    """
    taken = set(beats)

    def place(moment: float) -> int:
        at = next(i for i in itertools.count(max(0, round(moment * fs) - 1)) if i not in taken)
        taken.add(at)
        return at

    named = [event for event in events if event.kind in RHYTHMS and event.end is not None]
    changes: list[tuple[int, str, str]] = []
    written = "(N"
    for moment in sorted({time for e in named for time in (e.start, e.end or 0.0)}):
        lasting = [e.kind for e in named if e.start <= moment < (e.end or 0.0)]
        now = RHYTHMS[min(lasting, key=KINDS.index)] if lasting else "(N"
        if now != written:
            changes.append((place(moment), "+", now))
            written = now
    return changes + [(place(event.start), '"', event.kind) for event in events
                      if event.kind not in RHYTHMS]


def write_csv(path: Path, beats: Sequence[Beat]) -> Path:
    """Write time (s), label and score of each beat as CSV."""
    with writing(path.parent), path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("time", "label", "score"))
        writer.writerows((f"{b.time:.4f}", b.label, f"{b.score:.4f}") for b in beats)
    return path


@dataclass(frozen=True)
class _Lead:
    """A lead of a file, not read yet.

    Attributes
    ----------
    fs : Hz
    unit : as the file names it
    load : gives the signal in mV, NaN where it is missing; only where `MILLIVOLTS` has the unit
    """

    name: str
    fs: float
    unit: str
    load: Callable[[], NDArray[np.float64]]


def _read_wfdb(path: Path, fs: float | None) -> list[_Lead]:
    wfdb = need("wfdb", "to read WFDB records")
    if not os.path.isfile(f"{path}.hea"):
        raise RecordError(f"{path}.hea does not exist; expected a WFDB record named without its "
                          "extension, an .edf or a .csv file.")
    header = _wfdb_header(path)
    segments = [(path.name, header.sig_len)]
    if isinstance(header, wfdb.MultiRecord):
        segments = list(zip(header.seg_name, header.seg_len, strict=True))
        # The first tells of all signals, be it a segment or, of no length, their layout.
        header = next((_wfdb_header(path.parent / name) for name, _ in segments if name != "~"),
                      header)
    elif header.sig_len == 0:  # by WFDB's book it is not known then; wfdb reads nothing
        raise RecordError(f"{path}.hea tells a length of 0 samples; expected it, or none where it "
                          "is not known.")
    if not header.n_sig or not header.sig_name:
        raise RecordError(f"{path}.hea lists no signals.")

    def load(channel: int) -> NDArray[np.float64]:
        return np.concatenate([_wfdb_segment(path.parent / name, length, header, channel)
                               for name, length in segments if length != 0])

    return [_Lead(name or str(i), header.fs * header.samps_per_frame[i], header.units[i],
                  partial(load, i)) for i, name in enumerate(header.sig_name)]


def _wfdb_segment(path: Path, length: int | None, whole: Any, channel: int
                  ) -> NDArray[np.float64]:
    """A channel of the whole record from one of its segments, NaN where that lacks it."""
    header = None if path.name == "~" else _wfdb_header(path)
    name = whole.sig_name[channel]
    if header is None or name not in header.sig_name:
        return np.full((length or 0) * whole.samps_per_frame[channel], np.nan)
    if header.sig_name != whole.sig_name:  # a layout that varies
        channel = header.sig_name.index(name)
    record = need("wfdb", "to read WFDB records").rdrecord(
        str(path), sampto=length, channels=[channel], smooth_frames=False)
    return record.e_p_signal[0] * MILLIVOLTS[header.units[channel]]


def _wfdb_header(path: Path) -> Any:
    wfdb = need("wfdb", "to read WFDB records")
    with _explained(Path(f"{path}.hea"), "is not a WFDB header"):
        header = wfdb.rdheader(str(path))
        written = Path(f"{path}.hea").read_bytes()
        if not isinstance(header, wfdb.MultiRecord) and header.n_sig and not written.isascii():
            # wfdb drops what is not ASCII, and has V for µV.
            lines = [line for line in written.splitlines() if line.strip() and line[:1] != b"#"]
            header.units = [
                "uV" if re.search(rb"/(\xb5|\xc2\xb5|\xce\xbc)V", line) else unit
                for unit, line in zip(header.units, lines[1:], strict=False)]
    return header


def _read_edf(path: Path, fs: float | None) -> list[_Lead]:
    edfio = need("edfio", "to read EDF files")
    with _explained(path, "is not a whole EDF file"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Of a file that is cut off edfio warns, and gives what is left.
            warnings.filterwarnings("error", r"Incomplete data record|.* header indicates \d+ data")
            edf = edfio.read_edf(path, header_encoding="latin-1")  # ASCII, but for a µ
        pieces = edf.reserved.startswith("EDF+D")
        leads = [_Lead(signal.label or str(i), float(signal.sampling_frequency),
                       signal.physical_dimension, partial(_edf_signal, signal))
                 for i, signal in enumerate(edf.signals)]
    if pieces:
        raise RecordError(f"{path} is a discontinuous recording (EDF+D); expected a continuous "
                          "one.")
    if not leads:
        raise RecordError(f"{path} holds no signals.")
    return leads


def _edf_signal(signal: Any) -> NDArray[np.float64]:
    if signal.physical_min == signal.physical_max or signal.digital_min == signal.digital_max:
        raise ValueError("it has no calibration")  # edfio would give the digital values
    return signal.data * MILLIVOLTS[signal.physical_dimension]


def _read_csv(path: Path, fs: float | None) -> list[_Lead]:
    with (_explained(path, "is not a table of comma-separated numbers"), warnings.catch_warnings(),
          path.open(encoding="utf-8-sig") as file):  # Excel's UTF-8 starts with a mark
        warnings.simplefilter("ignore")  # numpy's, of an empty table
        rows = (line for line in file if line.strip())
        line = next(rows, "")
        first, units = next(csv.reader([line]), []), []
        named = any(cell.strip() and not _is_number(cell) for cell in first)
        if named:
            line = next(rows, "")
            units = _units(line)
        table = _table(rows if units else itertools.chain([line], rows))
    columns = [_column(cell) if named else (str(i), "mV") for i, cell in enumerate(first)]
    if units:
        columns = [(name, units[i] if i < len(units) else unit)
                   for i, (name, unit) in enumerate(columns)]
    if table.shape[0] < 2 or table.shape[1] != len(columns) or np.isnan(table).all():
        raise RecordError(f"{path} is not a table of comma-separated numbers with at least two "
                          "rows and a column for each lead in mV.")
    name, unit = columns[0]
    if name.lower() in TIME:
        if unit not in IN_A_SECOND:
            raise RecordError(f"{path}: the column {name!r} is in {unit!r}; expected s, ms or "
                              "hh:mm:ss.")
        table[:, 0] /= IN_A_SECOND[unit]
        fs, table = _timed(path, name, table, fs)
        columns = columns[1:]
    if fs is None:
        raise RecordError(f"{path} does not say its rate; give --fs in Hz, or a first column "
                          "'time' in s.")
    return [_Lead(name, fs, unit, partial(_csv_signal, path, name, unit, fs, column))
            for (name, unit), column in zip(columns, table.T, strict=True)]


def _table(lines: Iterable[str]) -> NDArray[np.float64]:
    """The numbers in a table, float64 [rows, columns], NaN where there is none.

    In pieces: numpy needs several times the memory of what it gives.
    """
    bare = (line.replace('"', "") for line in lines if line.strip())
    first = next(bare, "")
    if ";" in first:
        raise ValueError("its columns stand between semicolons")
    rows: Iterator[str] = itertools.chain([first] if first else [], bare)
    if _clock(first.partition(",")[0]) is not None:
        rows = map(_in_seconds, rows)
    pieces = []
    while some := list(itertools.islice(rows, 1 << 16)):
        try:
            pieces.append(np.loadtxt(some, delimiter=",", ndmin=2))
        except ValueError:  # of an empty cell, say; this takes seven times as long
            pieces.append(np.genfromtxt(some, delimiter=",", ndmin=2))
    return np.concatenate(pieces) if pieces else np.zeros((0, 0))


def _in_seconds(row: str) -> str:
    """A row whose first cell is a time, that time in s."""
    cell, comma, others = row.partition(",")
    return f"{_clock(cell)}{comma}{others}"


def _bare(cell: str) -> str:
    """Without the quotes that PhysioNet's tables put around words and times."""
    return cell.strip().strip("' ")


def _clock(cell: str) -> float | None:
    """The s that a cell such as ``'1:02:03.456'`` tells; None where it is another."""
    match = CLOCK.fullmatch(_bare(cell))
    if not match:
        return None
    hours, minutes, seconds = match.groups(default="0")
    return round(3600 * int(hours) + 60 * int(minutes) + float(seconds), 9)


def _units(line: str) -> list[str]:
    """The units of the columns, where a row names them; else empty."""
    cells = [_bare(cell) for cell in next(csv.reader([line]), [])]
    if any(_is_number(cell) or _clock(cell) is not None for cell in cells):
        return []
    units = ["s" if CLOCK_UNIT.fullmatch(cell.lower()) else cell for cell in cells]
    return units if any(unit in IN_A_SECOND or unit in MILLIVOLTS for unit in units) else []


def _column(cell: str) -> tuple[str, str]:
    """A column's name, bare of what PhysioNet's and numpy's tables put around it, and its unit.

    What stands in brackets and is no unit that is known belongs to a lead's name.
    """
    name = _bare(cell.strip().lstrip("# "))
    match = re.fullmatch(r"(.+?)\s*[(\[]\s*(.*?)\s*[)\]]", name)
    if match and (match[2] in MILLIVOLTS or match[1].lower() in TIME):
        return match[1], "s" if CLOCK_UNIT.fullmatch(match[2].lower()) else match[2]
    return name, "s" if name.lower() in TIME else "mV"


def _csv_signal(path: Path, name: str, unit: str, fs: float, values: NDArray[np.float64]
                ) -> NDArray[np.float64]:
    """A lead in mV, refused where it rises like a clock: that is no ECG, but would be read."""
    if len(values) >= fs and (values[1:] >= values[:-1]).all() and values[-1] > values[0]:
        raise RecordError(f"{path}: the column {name!r} never falls, as times or a count do not; "
                          "expected ECG (a column of times is called 'time', and --lead names "
                          "another lead).")
    return values * MILLIVOLTS[unit]


def _timed(path: Path, column: str, table: NDArray[np.float64], fs: float | None
           ) -> tuple[float, NDArray[np.float64]]:
    """The rate in Hz that the first column tells, and the others, NaN where it jumps."""
    times, values = table[:, 0], table[:, 1:]
    steps = np.diff(times)
    if not ((steps > 0) & (steps < np.inf)).all():
        raise RecordError(f"{path}: the column {column!r} does not rise; expected numbers of s.")
    if not values.shape[1]:
        raise RecordError(f"{path} has times but no lead.")
    rate, jumps = _rate(path, times, fs)
    rows = np.arange(len(times))
    lost = np.where(jumps, np.rint((times[1:] - times[0]) * rate) - rows[1:], 0.0)
    places = rows + np.maximum.accumulate(np.append(0.0, lost))
    if places[-1] > max(MOST_GAPS * len(rows), LONGEST_GAPS_S * rate):
        raise RecordError(f"{path} has {len(rows) / rate:.3g} s of signal spread over "
                          f"{times[-1] - times[0]:.3g} s; expected one recording.")
    placed = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
    placed[places.astype(np.int64)] = values
    return rate, placed


def _rate(path: Path, times: NDArray[np.float64], fs: float | None
          ) -> tuple[float, NDArray[np.bool_]]:
    """The rate in Hz that rising times (s) tell, and which of their steps are jumps.

    Times are rounded: to ms, the steps at 360 Hz are of 2 or 3 ms. But between jumps the steps
    add up to the true time but for what both ends are off. Within that, ``fs`` is taken, else
    a whole number. Times that were taken as samples arrived shake by more than that: some steps
    are as much too short as others are too long. Those tell no jumps, and must stay near a line.
    """
    grain = max(next((10.0**-d for d in range(9) if (times.round(d) == times).all()), 1e-9),
                float(np.spacing(np.abs(times).max())))
    steps = np.diff(times)
    usual = float(np.median(steps))
    margin = max(0.5 * usual, 1.01 * grain)
    jumps = steps > usual + margin
    shaken = bool((steps < usual - margin).any())
    if shaken:
        jumps[:] = False
    count, lasted = int((~jumps).sum()), float(steps[~jumps].sum())
    told = count / lasted
    uneven = max(grain, float(np.abs(steps[~jumps] - lasted / count).max()))
    slack = 1.01 * uneven * (int(jumps.sum()) + 1)
    if shaken:
        off = np.abs(times - times[0] - np.arange(len(times)) / told).max()
        if off > MOST_SHAKEN / told:
            raise RecordError(f"{path}: its times are uneven, up to {off:.3g} s beside those of "
                              f"{told:.6g} Hz, so what is missing cannot be told; if nothing is, "
                              "give --fs and leave the times out.")
    return next((rate for rate in (fs, float(round(told)))
                 if rate and abs(count / rate - lasted) <= slack), told), jumps


def _choose_lead(path: Path, leads: Sequence[_Lead], name: str | None) -> _Lead:
    wanted = PREFERRED_LEAD if name is None else name
    matches = [lead for lead in leads if lead.name == wanted]
    if not matches and name is None:
        matches = [lead for lead in leads if lead.unit in MILLIVOLTS] or [leads[0]]
    if not matches:
        raise RecordError(f"{path} has no lead {name!r}; it has "
                          f"{', '.join(lead.name for lead in leads)}.")
    if matches[0].unit not in MILLIVOLTS:
        raise RecordError(f"{path}: lead {matches[0].name} is in {matches[0].unit!r}; expected "
                          "mV, uV or V.")
    return matches[0]


@contextmanager
def _explained(path: Path, trouble: str) -> Iterator[None]:
    """Whatever a package raises about a file, of any type, as one sentence."""
    try:
        yield
    except EkgError:
        raise
    except FileNotFoundError as error:
        raise RecordError(f"{error.filename or path} does not exist.") from error
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise RecordError(f"{path} {trouble} ({reason}).") from error


def name_of(path: str | Path) -> str:
    """What the results of a recording are called."""
    path = Path(path)
    name = path.stem if path.suffix.lower() in (".edf", *TABLES) else path.name
    return os.fsencode(name).decode(errors="replace")  # results are named in text


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
