"""The formats that can be read, and the reader for a file."""

from __future__ import annotations

from pathlib import Path

from ..errors import RecordError
from .edf import EdfReader
from .reader import Reader
from .sample import SampleReader
from .tables import TableReader
from .wfdb import WfdbReader

# The first that matches reads the file. A new format is a file of its own and an entry here.
READERS: tuple[Reader, ...] = (TableReader(), EdfReader(), WfdbReader(), SampleReader())


def find(path: Path) -> Reader:
    """Return the reader for a file; raises `RecordError` if no format matches."""
    for reader in READERS:
        if reader.matches(path):
            return reader
    others = " or ".join(
        f"{reader.name} ({', '.join(reader.extensions)})" for reader in READERS if reader.extensions
    )
    raise RecordError(
        f"{path}.hea does not exist; expected a WFDB record named without its "
        f"extension, or a file of another format: {others}."
    )


def extensions() -> tuple[str, ...]:
    """Return the extensions of all formats, lower case with the dot."""
    return tuple(extension for reader in READERS for extension in reader.extensions)
