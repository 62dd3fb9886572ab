"""Real recordings in: find or download them, read them, split them by patient, cut crops.

Everything leaves this module at `FS` (360 Hz), in mV, as float32 ``[leads, samples]``, with
beats as sample positions and AAMI classes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.simulate import simulate

if TYPE_CHECKING:
    import requests

FS = 360  # Hz, the rate of mitdb; every other database is resampled to it
CLASSES = ("N", "S", "V", "F", "Q")

# AAMI EC57 groups of the WFDB beat symbols, as de Chazal (2004) and nearly every later paper
# use them: the escape beats e and j count as N. (bxb counts them as S, and so does training.ec57.)
AAMI = {symbol: label for label, symbols in {
    "N": "NLRejB", "S": "AaJSn", "V": "VEr", "F": "F", "Q": "/fQ?",
}.items() for symbol in symbols}

# De Chazal, O'Dwyer, Reilly: IEEE Trans Biomed Eng 51(7), 2004. No patient is in both
# (but 201 and 202, one in each, are the same person).
DS1 = tuple("101 106 108 109 112 114 115 116 118 119 122 "
            "124 201 203 205 207 208 209 215 220 223 230".split())
DS2 = tuple("100 103 105 111 113 117 121 123 200 202 210 "
            "212 213 214 219 221 222 228 231 232 233 234".split())
PACED = ("102", "104", "107", "217")  # stand outside both

VERSION = "1.0.0"  # of every PhysioNet database used here
PHYSIONET = "https://physionet.org/files"
# svdb has 78 records; these 59 were at hand when the shipped model was trained.
SVDB = tuple("800 801 802 804 805 806 808 809 810 812 820 821 823 824 825 827 828 829 841 842 "
             "843 845 846 847 849 850 851 853 854 855 857 858 859 861 862 863 865 866 867 869 "
             "870 871 873 874 875 877 878 879 881 882 883 885 886 887 889 890 891 893 894".split())
CUDB = tuple(f"cu{i:02d}" for i in range(1, 36))  # ventricular fibrillation; for rhythm only
NOISES = ("bw", "em", "ma")  # baseline wander, electrode motion, muscle
RECORDS = {"mitdb": (*DS1, *DS2, *PACED), "svdb": SVDB, "cudb": CUDB, "nstdb": NOISES}
BEATLESS = ("nstdb",)  # databases without annotation files


class DataError(Exception):
    """Recordings are missing or damaged; the message says which and what to do."""


@dataclass(frozen=True)
class Record:
    """One recording with its reference beats.

    Attributes
    ----------
    signal : float32 [leads, samples], mV at 360 Hz; the lead to look at first comes first
        (MLII where the record has it).
    beats : int64 [beats], sample positions at 360 Hz, ascending.
    labels : int8 [beats], index into `CLASSES`.
    flutter : int64 [episodes, 2], start and end (samples) of ventricular flutter or
        fibrillation, where no beats are defined.
    marks : all that the annotators wrote, in the order of their file: sample at 360 Hz, WFDB
        symbol, subtype. What EC57 counts beside beats is only here.
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


def data_folder() -> Path | None:
    """The folder that holds ``mitdb/`` and the others, or None where there is none.

    ``EKG_DATA`` names it; else ``data/``, else ``../shared/data``, seen from the project's root.
    """
    named = os.environ.get("EKG_DATA")
    if named:
        if not Path(named).is_dir():
            raise DataError(f"EKG_DATA names {named}, which is no folder; "
                            "expected the folder that holds mitdb/ and svdb/.")
        return Path(named)
    root = Path(__file__).resolve().parent.parent
    for folder in (root / "data", root.parent / "shared" / "data"):
        if (folder / "mitdb").is_dir():
            return folder
    return None


def require_data(databases: Iterable[str] = ("mitdb", "svdb", "nstdb")) -> Path:
    """The data folder with these databases in it, complete and undamaged, downloaded if need be.

    A complete database without SHA256SUMS, which wfdb's own downloader does not write, is taken
    as it is.

    Raises
    ------
    DataError
        Where a database is unknown, or data are damaged, or missing and not to be had; then it
        names the three remedies.
    """
    wanted = {database: _files(database) for database in databases}  # first: it may refuse
    folder = data_folder()
    if folder is None:
        folder = Path(__file__).resolve().parent.parent / "data"
    for database, names in wanted.items():
        if not all((folder / database / name).is_file() for name in names):
            download(database, folder)
        verify(folder / database)
    return folder


def download(database: str, folder: Path, *, base_url: str | None = None) -> None:
    """Fetch one database from PhysioNet into ``folder/database``.

    Each file is checked against the database's SHA256SUMS.txt; a broken-off file is continued
    where it stopped. (wfdb's own downloader does neither, so this does not use it.)
    ``EKG_PHYSIONET`` names a mirror. No folder is made before the sums are there: an empty one
    would look like data.

    Raises
    ------
    DataError
        Where the server cannot be reached, lacks a file, or sends one that does not match, or the
        folder cannot be written.
    """
    import requests
    from tqdm import tqdm

    base = base_url or os.environ.get("EKG_PHYSIONET", PHYSIONET)
    url, target = f"{base}/{database}/{VERSION}", folder / database
    names = _files(database)
    try:
        with requests.Session() as http:
            reply = http.get(f"{url}/SHA256SUMS.txt", timeout=30)
            reply.raise_for_status()
            sums = _parse_sums(reply.text)
            target.mkdir(parents=True, exist_ok=True)
            for name in tqdm(names, desc=f"download {database}", unit="file"):
                _fetch(http, f"{url}/{name}", target / name, sums.get(name))
            (target / "SHA256SUMS").write_text(
                "".join(f"{sums[name]}  {name}\n" for name in names if name in sums))
    except requests.RequestException as error:  # these are OSErrors too
        raise DataError(
            f"{database} is not in {folder} and could not be downloaded from {base} "
            f"({type(error).__name__}). Three ways to provide it: set EKG_DATA to a folder that "
            f"holds {database}/, put it under data/{database}/, or run again with a network "
            "connection (what is there already is kept).") from error
    except OSError as error:
        raise DataError(
            f"{database} cannot be written to {target} ({error.strerror or error}); expected "
            f"EKG_DATA or data/ to hold {database}/ or to be a folder to write to.") from error


def verify(folder: Path) -> None:
    """Check every file that SHA256SUMS lists; without it there is nothing to check against.

    Raises
    ------
    DataError
        Names the first missing or damaged file.
    """
    for sums in (folder / "SHA256SUMS", folder / "SHA256SUMS.txt"):
        if sums.is_file():
            break
    else:
        return
    for name, expected in _parse_sums(sums.read_text()).items():
        path = folder / name
        if path.suffix not in (".hea", ".dat", ".atr"):
            continue
        if not path.is_file():
            raise DataError(f"{path} is missing although {sums.name} lists it; "
                            "download it again or copy it from a complete database.")
        if _sha256(path) != expected:
            raise DataError(f"{path} is damaged (its SHA-256 is not the one in {sums.name}); "
                            "delete it and download it again.")


@cache
def load(database: str, name: str, folder: Path) -> Record:
    """Read one WFDB record with its ``atr`` annotations, resampled to 360 Hz.

    Raises
    ------
    DataError
        Where a file is missing or not readable.
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
        name, database, tuple(record.sig_name[i] for i in order), signal, samples[kept],
        np.array([CLASSES.index(AAMI[symbols[i]]) for i in kept], dtype=np.int8),
        np.array(flutter(written, signal.shape[1]), dtype=np.int64).reshape(-1, 2), written)


def flutter(marks: Iterable[tuple[int, str, int]], end: int) -> list[tuple[int, int]]:
    """Start and end of each episode of ventricular flutter or fibrillation, as bxb reads them.

    From ``[`` to the next ``]``, whatever stands between; an episode without one lasts to ``end``,
    and a ``]`` outside an episode says nothing.
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


def simulated_records(count: int, *, seconds: float = 300.0) -> list[Record]:
    """Simulated patients, two leads each, where no real ones can be had."""
    records = []
    for seed in range(count):
        made = simulate(seconds, fs=FS, seed=seed, heart_rate=55.0 + 5.0 * (seed % 9))
        beats = np.rint(made.times * FS).astype(np.int64)
        labels = np.array([CLASSES.index(label) for label in made.labels], dtype=np.int8)
        beats = np.minimum(beats, len(made.signal) - 1)
        second = np.gradient(made.signal) * 8.0  # another view of the same beats
        records.append(Record(f"s{seed:02d}", "simulated", ("I", "II"),
                              np.stack([made.signal, second]).astype(np.float32), beats, labels,
                              np.zeros((0, 2), dtype=np.int64),
                              tuple((int(beat), label, 0) for beat, label in
                                    zip(beats, made.labels, strict=True))))
    return records


def simulated_noise(count: int = 3, *, seconds: float = 300.0) -> NDArray[np.float32]:
    """Noise where nstdb cannot be had: slow random drift, float32 [count, samples], mV."""
    steps = np.random.default_rng(0).standard_normal((count, round(seconds * FS)))
    drift = np.cumsum(steps, axis=1) * 0.01
    return (drift + 0.02 * steps).astype(np.float32)


def class_counts(records: Iterable[Record]) -> NDArray[np.int64]:
    """Beats of each class over the records, in the order of `CLASSES`."""
    return sum((np.bincount(r.labels, minlength=len(CLASSES)) for r in records),
               start=np.zeros(len(CLASSES), dtype=np.int64))


def folds(records: Sequence[Record], count: int) -> list[list[Record]]:
    """Split records into folds by patient, each with its share of S, V and F beats.

    One record is one patient in DS1 and in svdb. Within each database the records are dealt
    out in the order of their rarest beats, forwards and backwards in turn, so that no fold
    gets all the patients rich in them.
    """
    split: list[list[Record]] = [[] for _ in range(count)]
    for database in sorted({r.database for r in records}):
        ranked = sorted((r for r in records if r.database == database),
                        key=lambda r: (-int((r.labels == 1).sum()), -int((r.labels > 1).sum()),
                                       r.name))
        for rank, record in enumerate(ranked):
            turn, place = divmod(rank, count)
            split[place if turn % 2 == 0 else count - 1 - place].append(record)
    return split


def windows(record: Record, lead: int = 0, seconds: float = 1.0
            ) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The record in consecutive windows and the class of each.

    Returns
    -------
    signal : float32 [windows, samples], mV
    labels : int8 [windows]; -1 where no beat lies in the window, else the class of its
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


def require_writable(target: Path) -> None:
    """Refuse, before long work, a folder that could not be made or written to after it.

    Leaves nothing behind.

    Raises
    ------
    DataError
        Where that is so, by trying: modes do not say that even root can make nothing in /proc.
    """
    try:
        there = next(folder for folder in (target, *target.parents) if folder.exists())
        tempfile.TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        raise DataError(f"{target} cannot be made or written ({error.strerror}); expected another "
                        "folder (--out).") from error


def _files(database: str) -> list[str]:
    if database not in RECORDS:
        raise DataError(f"{database!r} is no database that is read here; expected one of "
                        f"{', '.join(RECORDS)}.")
    endings = (".hea", ".dat") if database in BEATLESS else (".hea", ".dat", ".atr")
    return [record + ending for record in RECORDS[database] for ending in endings]


def _parse_sums(text: str) -> dict[str, str]:
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {name.strip().lstrip("*./"): digest for digest, name in pairs}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(http: requests.Session, url: str, path: Path, digest: str | None) -> None:
    """One file, continued from ``path.part`` where an earlier try broke off."""
    if digest is None:
        raise DataError(f"{url} is not listed in the database's SHA256SUMS.txt.")
    if path.is_file() and _sha256(path) == digest:
        return
    part = path.with_name(path.name + ".part")
    done = part.stat().st_size if part.is_file() else 0
    reply = http.get(url, headers={"Range": f"bytes={done}-"} if done else {},
                     stream=True, timeout=30)
    if reply.status_code == 416:  # nothing left to send: the part is the whole file
        part.rename(path)
    else:
        reply.raise_for_status()
        with part.open("ab" if reply.status_code == 206 else "wb") as file:
            for block in reply.iter_content(1 << 13):
                file.write(block)
        part.rename(path)
    if _sha256(path) != digest:
        path.unlink()
        raise DataError(f"{url} arrived damaged (its SHA-256 is not the one in SHA256SUMS.txt); "
                        "run again.")
