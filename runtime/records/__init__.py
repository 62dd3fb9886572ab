"""Recordings in, annotations out: one file a format, and registries of readers and writers."""

from .annotation import Annotation
from .outputs.tables import write_csv
from .packages import need
from .reading import read
from .targets import check_kept, check_writable, distinct_names, name_of, writing

__all__ = [
    "Annotation",
    "check_kept",
    "check_writable",
    "distinct_names",
    "name_of",
    "need",
    "read",
    "write_csv",
    "writing",
]
