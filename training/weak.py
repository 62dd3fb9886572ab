"""Recordings of strangers with one label each: hand-held strips, and clinical twelve-lead ECGs.

A fixed fifth of the people (`held_back`) is never trained on.
"""

from __future__ import annotations

import ast
import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.download import data_folder
from training.errors import DataError

FIFTH = 5  # one in so many people is held back
NOISE = "~"
# SCP codes of PTB-XL after which some beats may not be N, or are paced.
ECTOPIC = {
    "PVC",
    "PAC",
    "PACE",
    "BIGU",
    "TRIGU",
    "SVARR",
    "SVTAC",
    "PSVT",
    "AFLT",
    "AFIB",
    "2AVB",
    "3AVB",
    "WPW",
}
SINUS_OR_NORMAL = {"SR", "SBRAD", "STACH", "SARRH", "NORM"}
BUNDLE_BRANCH_BLOCK = {"CLBBB", "CRBBB", "ILBBB", "IRBBB"}
# Labels under which every beat is N, and is in sinus rhythm.
REGULAR = ("N", "block", "sinus")


@dataclass(frozen=True)
class Entry:
    """What the reference says of a recording.

    Attributes
    ----------
    name : path in the database's folder, without ending
    person : the patient's number; of `cinc2017`, which publishes none, the record's name
    label : N normal, A atrial fibrillation, O another rhythm or ectopic beats, ~ noise; of
        `ptbxl` also ``block`` (bundle branch block) and ``sinus`` (another disease), both in sinus
        rhythm without ectopic beats; of `cpsc2021` also ``paroxysmal`` (fibrillation in a part)
    """

    database: str
    name: str
    person: str
    label: str

    @property
    def held_back(self) -> bool:
        """True for a fixed fifth of the people, on whom nothing is trained or chosen."""
        return fifth_of(self.person) == 0


def fifth_of(person: str) -> int:
    """Which fifth of the people a person belongs to, 0 to 4."""
    return int.from_bytes(hashlib.sha256(person.encode()).digest()[:8], "big") % FIFTH


@dataclass(frozen=True)
class WeakRecord:
    """A recording at its own rate: float32 [leads, samples], mV, at ``fs`` Hz."""

    entry: Entry
    leads: tuple[str, ...]
    fs: float
    signal: NDArray[np.float32]


def entries(database: str) -> list[Entry]:
    """The recordings of a database, in the order of its reference.

    Raises
    ------
    DataError
        The database is not at hand.
    """
    folder = require_folder(database)
    try:
        return list(READERS[database](folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"the reference of {folder} cannot be read ({error!r}); expected the "
            "database as published."
        ) from error


def require_folder(database: str) -> Path:
    """The folder of a database; DataError if it is not at hand."""
    folder = data_folder()
    if folder is None or not (folder / database / "RECORDS").is_file():
        raise DataError(
            f"{database} is not at hand; expected EKG_DATA to name a folder that holds "
            f"{database}/ with its RECORDS."
        )
    return folder / database


def read(entry: Entry) -> WeakRecord:
    """Read a recording's signal; DataError if it cannot be read."""
    import wfdb

    path = require_folder(entry.database) / entry.name
    try:
        record = wfdb.rdrecord(str(path))
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a WFDB record ({error}).") from error
    signal = np.nan_to_num(record.p_signal.T).astype(np.float32)
    return WeakRecord(entry, tuple(record.sig_name), float(record.fs), signal)


def label_of_codes(codes: set[str]) -> str:
    """Label of a PTB-XL recording with these SCP codes, as of `Entry`."""
    if unlike := codes & ECTOPIC:
        return "A" if unlike == {"AFIB"} else "O"
    if not codes & SINUS_OR_NORMAL:
        return "O"
    if codes & BUNDLE_BRANCH_BLOCK:
        return "block"
    return "N" if "NORM" in codes else "sinus"


def _cinc2017(folder: Path) -> Iterator[Entry]:
    for name, label in csv.reader((folder / "REFERENCE.csv").read_text().splitlines()):
        yield Entry("cinc2017", name, name, label)


def _ptbxl(folder: Path) -> Iterator[Entry]:
    for row in csv.DictReader((folder / "REFERENCE.csv").read_text().splitlines()):
        codes = set(ast.literal_eval(row["scp_codes"]))
        yield Entry("ptbxl", row["record"], row["patient_id"], label_of_codes(codes))


def _cpsc2021(folder: Path) -> Iterator[Entry]:
    labels = {"non": "N", "paroxysmal": "paroxysmal", "persistent": "A"}
    for name in (folder / "RECORDS").read_text().split():
        comment = (folder / f"{name}.hea").read_text().split("#")[1]
        _, patient, _ = name.split("_")
        yield Entry("cpsc2021", name, patient, labels[comment.split()[0]])


READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    "cinc2017": _cinc2017,
    "ptbxl": _ptbxl,
    "cpsc2021": _cpsc2021,
}
