"""The form of a reader: each file format has one, in a file of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from .leads import Lead


@dataclass
class Options:
    """What a caller says of a file beforehand, and what its reader says of it afterwards.

    Attributes
    ----------
    fs : Hz, for a format that does not state its rate
    partial : read the whole part of a file that is cut off
    notes : clauses for people, as "the times were left out"; a reader adds to them
    start : when the recording began, as the file states it and without a zone; a reader sets it
    """

    fs: float | None = None
    partial: bool = False
    notes: list[str] = field(default_factory=list)
    start: datetime | None = None


class Reader(ABC):
    """Reads the recordings of one format; `runtime.records.registry` lists all readers.

    Attributes
    ----------
    name : of the format, as error messages give it
    extensions : of its files, lower case with the dot; none if a record is named without one
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]] = ()

    def recognises(self, path: Path) -> bool:
        """Return True if the file's first bytes are of this format, whatever it is called."""
        return False

    def matches(self, path: Path) -> bool:
        """Return True if this reader is the one for the file; here, judged by its extension."""
        return path.suffix.lower() in self.extensions

    @abstractmethod
    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads of a recording.

        Returns
        -------
        at least one lead

        Raises
        ------
        RecordError
            The file is missing, damaged or of another format.
        MissingPackageError
            Names the package to install.
        """

    def files(self, path: Path) -> list[Path]:
        """List the files of a recording, which must not be overwritten."""
        return [path]
