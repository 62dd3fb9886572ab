"""Recordings in, annotations out: one file a format, and a registry that finds its reader."""

from .annotations_csv import write_csv
from .annotations_wfdb import write_annotations
from .packages import need
from .reading import read
from .targets import check_kept, check_writable, distinct_names, name_of, writing

__all__ = [
    "check_kept",
    "check_writable",
    "distinct_names",
    "name_of",
    "need",
    "read",
    "write_annotations",
    "write_csv",
    "writing",
]
