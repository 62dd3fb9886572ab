"""The form of a writer: each format of annotations has one, in a file of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import MINYEAR, date
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...findings import Record
from ..packages import check_there
from ..targets import writing

if TYPE_CHECKING:
    from ..annotation import Annotation


def date_of(record: Record) -> date | None:
    """Return the day on which a record began; None if the file gives the time alone."""
    return None if record.start is None or record.start.year == MINYEAR else record.start.date()


class Writer(ABC):
    """Writes annotations in one format; `runtime.records.outputs.WRITERS` lists all writers.

    Attributes
    ----------
    name : of the format, as ``--to`` and `Annotation.write` take it
    endings : of its files, behind ``RECORD.ANNOTATOR``
    package : that it needs, as it is imported; empty if none
    of_signal : the signal is in its files, or how long it is
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    package: ClassVar[str] = ""
    of_signal: ClassVar[bool] = True

    def check(self) -> None:
        """Refuse before long work; raises `MissingPackageError` if the package is not there."""
        if self.package:
            check_there(self.package, f"to write {self.name} annotations")

    def paths(self, folder: Path, name: str, annotator: str) -> tuple[Path, ...]:
        """Return the files that are written for a record of this name."""
        return tuple(folder / f"{name}.{annotator}{ending}" for ending in self.endings)

    def write(
        self, annotation: Annotation, folder: Path, annotator: str, *, scores: bool = False
    ) -> tuple[Path, ...]:
        """Write the files.

        Parameters
        ----------
        annotator : stands in the files' names behind the record's
        scores : put scores where the format has room for a note; the others always have them

        Raises
        ------
        RecordError
            The files cannot be written.
        MissingPackageError
            Names the package to install.
        """
        self.check()
        paths = self.paths(folder, annotation.record.name, annotator)
        with writing(folder):
            for path, content in zip(paths, self.contents(annotation, scores), strict=True):
                path.write_bytes(content)
        return paths

    @abstractmethod
    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the content of each file."""
