"""The form of a reader: each file format has one, in a file of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from .leads import Lead


class Reader(ABC):
    """Reads the recordings of one format; `runtime.records.registry` lists all readers.

    Attributes
    ----------
    name : of the format, as error messages give it
    extensions : of its files, lower case with the dot; none if a record is named without one
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]] = ()

    def matches(self, path: Path) -> bool:
        """Return True if this reader is the one for the file; here, judged by its extension."""
        return path.suffix.lower() in self.extensions

    @abstractmethod
    def leads(self, path: Path, fs: float | None) -> list[Lead]:
        """List the leads of a recording.

        Parameters
        ----------
        fs : Hz, for a format that does not state its rate

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
