"""The recording that comes with the package, half a minute of real ECG: the record ``sample``."""

from __future__ import annotations

import csv
from pathlib import Path

from .leads import Lead
from .reader import Options, Reader
from .tables import TableReader

NAME = "sample"
FOLDER = Path(__file__).resolve().parent.parent / "sample"  # LICENSE.md there says whose it is
SOURCE = "MIT-BIH record 233 from 17:47"


class SampleReader(Reader):
    """Reads the table in the package; asked last, so that a file named ``sample`` comes first."""

    name = "sample"

    def matches(self, path: Path) -> bool:
        """Return True if the record is named ``sample``."""
        return path == Path(NAME)

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the one lead of the sample, MLII."""
        return TableReader().leads(FOLDER / "sample.csv", options)

    def files(self, path: Path) -> list[Path]:
        """List nothing: no file of the user's is read."""
        return []


def reference_beats() -> list[tuple[float, str]]:
    """Time (s) and class of each beat of the sample, by the database's own annotations."""
    with (FOLDER / "beats.csv").open(newline="") as file:
        return [(float(row["time"]), row["label"]) for row in csv.DictReader(file)]
