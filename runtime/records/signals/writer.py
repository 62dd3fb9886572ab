"""The form of a writer of signals: each format that recordings are converted to has one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from .recording import Recording


class SignalWriter(ABC):
    """Writes all leads of a recording: names, units, rates, gaps, start.

    Attributes
    ----------
    name : of the format
    extensions : of its files, lower case with the dot; empty for a name without one
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]

    def files(self, target: Path) -> list[Path]:
        """List the files that are written."""
        return [target]

    @abstractmethod
    def write(self, target: Path, recording: Recording) -> list[str]:
        """Write the files.

        Returns
        -------
        clauses on what the format could not hold as it was

        Raises
        ------
        RecordError
            The format cannot hold the recording.
        MissingPackageError
            Names the package to install.
        """
