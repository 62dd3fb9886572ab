"""The recordings that evidence is taken from: signal, reference marks, and what was trained on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runtime import records
from runtime.findings import Record
from training.databases import CUDB, DS1, DS2, PACED, PACED_TEST, SVDB
from training.ec57 import Annotations
from training.errors import DataError
from training.noise import DECIBELS, kept_noise, mix
from training.recordings import load

NEVER, TRAINED, PERSON, RHYTHM = (
    "never trained on",
    "trained on",
    "person trained on",
    "fibrillation fitted on",
)
STRESSED = ("118", "119")  # the patients of nstdb's own mixtures
ONE_PERSON = {"202": "201"}  # two records of mitdb
_AGE_AND_SEX = re.compile(r"(\d{1,3}) ([MF])\b")


class Named(NamedTuple):
    """A recording by name.

    Attributes
    ----------
    group : what it is summed with
    seen : which of `NEVER`, `TRAINED`, `PERSON` and `RHYTHM` holds for the committed model
    marked : what the reference tells: "classes" of beats, "rhythm" (atrial fibrillation)
    decibels : of electrode motion mixed in; None: as it is
    """

    group: str
    database: str
    name: str
    lead: int
    seen: str
    marked: frozenset[str] = frozenset({"classes", "rhythm"})
    decibels: float | None = None

    @property
    def title(self) -> str:
        noisy = "" if self.decibels is None else f" at {self.decibels:g} dB"
        return f"{self.database}/{self.name}{noisy}"


@dataclass(frozen=True)
class Case:
    """A recording, its reference, and its patient.

    Attributes
    ----------
    patient : the same for all recordings of a person, by which intervals are drawn
    age, sex : as the header has them; None and "" if it does not
    reference : all marks of the annotators, in samples of the record
    notes : what stands beside each mark, as a change of rhythm does
    """

    named: Named
    record: Record
    patient: str
    age: int | None
    sex: str
    reference: Annotations
    notes: tuple[str, ...]


def listed(folder: Path) -> list[Named]:
    """Every recording at hand that has reference marks of beats."""
    found = []
    for lead, which in enumerate(("", ", second lead")):
        for group, names in (("DS2", DS2), ("DS1", DS1), ("paced", PACED)):
            for name in names:
                seen = (
                    PERSON
                    if name in ONE_PERSON
                    else NEVER
                    if name in (*DS2, *PACED_TEST)
                    else TRAINED
                )
                found.append(Named(f"{group}{which}", "mitdb", name, lead, seen))
        only = frozenset({"classes"})
        found += [Named(f"svdb{which}", "svdb", name, lead, TRAINED, only) for name in SVDB]
    found += [Named("cudb", "cudb", name, 0, RHYTHM, frozenset()) for name in CUDB]
    index = folder / "cpsc2021" / "RECORDS"
    if index.is_file():
        found += [Named("cpsc2021", "cpsc2021", n, 0, NEVER) for n in index.read_text().split()]
    found += [
        Named(f"noise {decibels:g} dB", "mitdb", name, 0, TRAINED, decibels=decibels)
        for decibels in DECIBELS
        for name in STRESSED
    ]
    return [named for named in found if (folder / named.database / f"{named.name}.hea").is_file()]


def read_case(named: Named, folder: Path) -> Case:
    """Read a recording with its marks; DataError if its files are missing or damaged."""
    import wfdb

    path = folder / named.database / named.name
    try:
        marks = wfdb.rdann(str(path), "atr")
        leads = wfdb.rdheader(str(path)).sig_name
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a WFDB record ({error}).") from error
    # Record 114 has its leads the other way round.
    order = sorted(range(len(leads)), key=lambda i: leads[i] != "MLII")
    record = records.read(path, lead=leads[order[named.lead]])
    if named.decibels is not None:
        record = _with_noise(named, record, folder)
    age_sex = next((m for line in record.header if (m := _AGE_AND_SEX.search(line))), None)
    patient = named.name
    if named.database == "cpsc2021":  # data_PATIENT_RECORDING
        patient = named.name.split("_")[1]
    return Case(
        named,
        record,
        f"{named.database}/{ONE_PERSON.get(patient, patient)}",
        int(age_sex[1]) if age_sex and int(age_sex[1]) else None,
        age_sex[2] if age_sex else "",
        Annotations(np.asarray(marks.sample, dtype=np.int64), marks.symbol, marks.subtype),
        tuple(note.strip("\0") for note in marks.aux_note),
    )


def _with_noise(named: Named, record: Record, folder: Path) -> Record:
    assert named.decibels is not None
    mixed = mix(load(named.database, named.name, folder), kept_noise("em", folder), named.decibels)
    return Record(record.name, record.lead, record.fs, mixed.astype(np.float64), record.gaps)
