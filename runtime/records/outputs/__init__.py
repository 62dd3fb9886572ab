"""Annotations out: one file a format, and the table of codes that they share."""

from __future__ import annotations

from ...errors import InputError
from .dicom_waveform import DicomWriter
from .edf_annotations import EdfWriter
from .fhir import FhirWriter
from .ishne_annotations import IshneWriter
from .tables import CsvWriter, ParquetWriter
from .wfdb_annotations import WfdbWriter
from .writer import Writer

# A new format is a file of its own and an entry here.
WRITERS: dict[str, Writer] = {
    writer.name: writer
    for writer in (
        WfdbWriter(),
        EdfWriter(),
        CsvWriter(),
        ParquetWriter(),
        FhirWriter(),
        DicomWriter(),
        IshneWriter(),
    )
}


def writer_of(name: str) -> Writer:
    """Return the writer of a format; raises `InputError` if there is none of this name."""
    if name not in WRITERS:
        raise InputError(f"annotations are not written as {name!r}; expected {', '.join(WRITERS)}.")
    return WRITERS[name]
