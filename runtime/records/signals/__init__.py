"""Recordings out: all leads of one written in a format, and the registry of those that are."""

from __future__ import annotations

from pathlib import Path

from ...errors import RecordError
from .columns import CsvSignals, NumpySignals, ParquetSignals
from .edf_signals import BdfSignals, EdfSignals
from .recording import Recording, Signal, read_recording
from .wfdb_signals import WfdbSignals
from .writer import SignalWriter

__all__ = ["WRITERS", "Recording", "Signal", "SignalWriter", "read_recording", "writer_for"]

# A new format is a file of its own and an entry here.
WRITERS: tuple[SignalWriter, ...] = (
    WfdbSignals(),
    EdfSignals(),
    BdfSignals(),
    CsvSignals(),
    ParquetSignals(),
    NumpySignals(),
)


def writer_for(target: Path) -> SignalWriter:
    """Return the writer that a file's name asks for; without an extension it is WFDB's.

    Raises
    ------
    RecordError
        No format that is written has this extension.
    """
    suffix = target.suffix.lower()
    for writer in WRITERS:
        if suffix in writer.extensions:
            return writer
    known = ", ".join(f"{writer.name} ({writer.extensions[0] or 'none'})" for writer in WRITERS)
    raise RecordError(
        f"{target} cannot be written, as its extension {suffix!r} is of no format that is; "
        f"expected one of {known}."
    )
