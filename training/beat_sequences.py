"""Beats one after another, as the second network reads them, with their rhythm.

Whole days of many patients have marks alone (ltafdb, vitaldb, edb, nsrdb, afdb): their intervals
are known, their signal is not. Hand-held strips (cinc2017) and Holter recordings (mitdb's DS1,
svdb) are heard by the runtime itself, each Holter patient by the network of the fold that left
it out, so what is learnt from are the beats that a stream finds in a stranger.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.detector import Detector, load_rhythm
from runtime.model.rhythm_network import RhythmGraph
from runtime.rhythm.tracker import RhythmTracker
from training import dataset, recordings
from training.download import PROJECT, data_folder, require_data
from training.errors import DataError
from training.rhythm_net import beats_of
from training.rhythm_references import rhythm_marks
from training.torch_detector import detector_of
from training.weak import FIFTH, NOISE, entries, read, require_folder

CACHE = PROJECT / "runs" / "beats"
MARKED = ("ltafdb", "vitaldb", "edb", "nsrdb", "afdb")
BEATS = "NLRBAaJSVrFejnE/fQ?"  # WFDB's symbols of beats
NOT_ATRIAL = "VrEF/fQ?"
UNKNOWN = -1  # of a beat's rhythm
# Of svdb, which has no rhythm marks: intervals without order and no P wave before half an hour of
# beats.
UNMARKED = ("804",)
# Of a beat: s since the beat before (0: not known), 1 if it is certainly N or S, the logarithm of
# the share of the power before the beats that is left in its mean over 24 and over 12 of them, and
# the number of beats in these means (0: not known).
COLUMNS = ("interval_s", "atrial", "p_wave_24", "p_wave_12", "p_wave_beats")
FOLDS = PROJECT / "bench" / "results" / "folds"


class Beats(NamedTuple):
    """The beats of one recording.

    Attributes
    ----------
    source : database
    person : the patient's number; of `cinc2017`, which publishes none, the record's name
    fold : of the Holter patients, which network has not seen them; -1 of all others
    rows : float32 [beats, 5], `COLUMNS`
    seconds : float32 [beats], when they were, as far as it is known
    fibrillating : int8 [beats], 1 in atrial fibrillation, 0 not, `UNKNOWN`
    """

    source: str
    person: str
    fold: int
    rows: NDArray[np.float32]
    seconds: NDArray[np.float32]
    fibrillating: NDArray[np.int8]

    @property
    def held_back(self) -> bool:
        """True for a fixed fifth of the people, and all of afdb, on whom nothing is trained."""
        digest = hashlib.sha256(self.person.encode()).digest()
        return self.source == "afdb" or (
            self.fold < 0 and int.from_bytes(digest[:8], "big") % FIFTH == 0
        )


def everything(*, limit: int | None = None) -> list[Beats]:
    """All that is at hand, read or heard once and then kept in `CACHE`.

    Parameters
    ----------
    limit : read only so many recordings of each source, and keep nothing

    Raises
    ------
    DataError
        Nothing is at hand.
    """
    found: list[Beats] = []
    sources: dict[str, Callable[[int | None], Iterator[Beats]]] = {
        **{name: lambda limit, name=name: marked(name, limit) for name in MARKED},  # type: ignore[misc]
        "cinc2017": strips,
        "holter": holter,
    }
    for name, source in sources.items():
        path = CACHE / f"{name}-{_digest(name)}.npz"
        if limit is None and path.is_file():
            found += _load(path)
            continue
        try:
            some = list(source(limit))
        except DataError as error:
            print(f"{error} It is left out.")
            continue
        if limit is None:
            _save(path, some)
        found += some
    if not found:
        raise DataError("no recordings are at hand; expected EKG_DATA to name their folder.")
    return found


def marked(database: str, limit: int | None = None) -> Iterator[Beats]:
    """A database of which only the marks are at hand."""
    folder = require_folder(database) if database != "vitaldb" else _vitaldb()
    paths = sorted(folder.glob("*.csv" if database == "vitaldb" else "*.atr"))
    paths = [path for path in paths if path.stem != "metadata"][:limit]
    of = _vitaldb_marks if database == "vitaldb" else _wfdb_marks
    for path in tqdm(paths, desc=f"read {database}", unit="record"):
        times, atrial, fibrillating = of(path)
        if len(times) < 2:
            continue
        rows = np.zeros((len(times), len(COLUMNS)), dtype=np.float32)
        rows[1:, 0], rows[:, 1] = np.diff(times), atrial
        yield Beats(
            database, path.stem.split("_")[-1], -1, rows, times.astype(np.float32), fibrillating
        )


def _wfdb_marks(
    path: Path,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int8]]:
    import wfdb

    name = str(path.with_suffix(""))
    marks, fs = wfdb.rdann(name, "atr"), float(wfdb.rdheader(name).fs)
    # afdb's beats were found by a program and have no class.
    beats = wfdb.rdann(name, "qrs") if path.parent.name == "afdb" else marks
    symbols = np.array(beats.symbol)
    kept = np.isin(symbols, list(BEATS))
    times = beats.sample[kept] / fs
    changes = [
        (sample / fs, note.strip("\0"))
        for sample, symbol, note in zip(marks.sample, marks.symbol, marks.aux_note, strict=True)
        if symbol == "+"
    ]
    rhythm = np.zeros(len(times), dtype=np.int8)
    for start, note in changes:
        # Flutter is neither: its ventricular answer may be regular or not.
        rhythm[times >= start] = {"(AFIB": 1, "(AFL": UNKNOWN}.get(note, 0)
    return times, ~np.isin(symbols[kept], list(NOT_ATRIAL)), rhythm


def _vitaldb_marks(
    path: Path,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int8]]:
    with path.open(encoding="utf-8-sig") as lines:
        marks = sorted(
            (float(row["time_second"]), row["beat_type"] in "NS", _vitaldb_rhythm(row))
            for row in csv.DictReader(lines)
            if row["time_second"]
        )
    times, atrial, rhythm = map(np.array, zip(*marks, strict=True))
    return times.astype(np.float64), atrial.astype(bool), rhythm.astype(np.int8)


def _vitaldb_rhythm(row: dict[str, str]) -> int:
    if row["bad_signal_quality"] == "True" or row["rhythm_label"] in (
        "",
        "Noise",
        "Unclassifiable",
    ):
        return UNKNOWN
    return int(row["rhythm_label"] == "AFIB/AFL")


def _vitaldb() -> Path:
    folder = (data_folder() or PROJECT / "data") / "vitaldb"
    if not folder.is_dir():
        raise DataError("vitaldb is not at hand; expected EKG_DATA to name a folder that holds it.")
    return folder


def strips(limit: int | None = None) -> Iterator[Beats]:
    """Hand-held strips; what is neither normal nor fibrillation is no fibrillation either."""
    detector = Detector.load(provider="cpu")
    known = [entry for entry in entries("cinc2017") if entry.label != NOISE][:limit]
    for entry in tqdm(known, desc="hear cinc2017", unit="strip"):
        record = read(entry)
        rows, seconds = heard(detector, record.signal[0].astype(np.float64), record.fs)
        rhythm = np.full(len(rows), entry.label == "A", dtype=np.int8)
        yield Beats("cinc2017", entry.person, -1, rows, seconds, rhythm)


def holter(limit: int | None = None) -> Iterator[Beats]:
    """DS1 and svdb, each patient heard by the network that left it out."""
    folder = require_data(["mitdb", "svdb"])
    records, _, _ = dataset.training_data(["mitdb", "svdb"])
    for fold, patients in enumerate(recordings.folds(records, len(_fold_runs()))):
        detector = detector_of(_fold_runs()[fold])
        for record in tqdm(patients[:limit], desc=f"hear fold {fold}", unit="record"):
            rows, seconds = heard(detector, record.signal[0], recordings.FS)
            rhythm = np.zeros(len(rows), dtype=np.int8)
            if record.database == "mitdb":
                for mark, value in (("(AFIB", 1), ("(AFL", UNKNOWN)):
                    for start, end in rhythm_marks(folder, record.name, mark):
                        rhythm[(seconds >= start) & (seconds < end)] = value
            elif record.name in UNMARKED:
                rhythm[:] = UNKNOWN
            yield Beats(record.database, record.name, fold, rows, seconds, rhythm)


def heard(
    detector: Detector, signal: NDArray[np.floating], fs: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the second network is given of a recording: rows, and the second of each."""
    listener = _Listener()
    noting = Detector(
        detector.session, detector.contract, detector.digest, replace(load_rhythm(), beats=listener)
    )
    stream = noting.stream(fs, events=True)
    listener.tracker = stream.tracker
    second = round(fs)  # by second, as the network reads the beats of a longer piece in one run
    for at in range(0, len(signal), second):
        stream.push(signal[at : at + second])
    stream.finish()
    inputs = torch.zeros(0, 1, len(RhythmGraph.INPUTS))
    inputs = torch.cat([inputs, *map(torch.from_numpy, listener.inputs)])
    return beats_of(inputs)[0].numpy(), np.array(listener.seconds, dtype=np.float32)


class _Listener:
    """Stands in for the second network, and notes what it is given."""

    memory_size, lag = 1, 1

    def __init__(self) -> None:
        self.tracker: RhythmTracker | None = None
        self.inputs: list[NDArray[np.float32]] = []
        self.seconds: list[int] = []

    def run(
        self, beats: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert self.tracker is not None
        self.inputs.append(beats)
        self.seconds += [self.tracker.seconds.next - 1] * len(beats)
        return np.full((len(beats), 1, len(RhythmGraph.OUTPUTS)), -10.0, np.float32), memory


def _fold_runs() -> Sequence[Path]:
    return sorted(FOLDS.glob("fold[0-9]"))


def _digest(source: str) -> str:
    """Names what a source was heard by."""
    if source == "holter":
        parts = [(run / "model.pt").read_bytes() for run in _fold_runs()]
    elif source == "cinc2017":
        parts = [Detector.load(provider="cpu").digest]
    else:
        parts = []
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:8]


def _save(path: Path, some: Sequence[Beats]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")  # one that broke off would be read next time
    np.savez_compressed(
        part,
        allow_pickle=False,
        source=[one.source for one in some],
        person=[one.person for one in some],
        fold=[one.fold for one in some],
        length=[len(one.rows) for one in some],
        **{
            name: np.concatenate([getattr(one, name) for one in some])
            for name in ("rows", "seconds", "fibrillating")
        },
    )
    part.replace(path)


def _load(path: Path) -> list[Beats]:
    with np.load(path) as kept:
        ends = np.cumsum(kept["length"])[:-1]
        return [
            Beats(str(source), str(person), int(fold), rows, seconds, fibrillating)
            for source, person, fold, rows, seconds, fibrillating in zip(
                kept["source"],
                kept["person"],
                kept["fold"],
                *(np.split(kept[name], ends) for name in ("rows", "seconds", "fibrillating")),
                strict=True,
            )
        ]
