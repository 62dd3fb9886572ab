"""Beats and events as tables: CSV, and Parquet, which needs the package ``pyarrow``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...findings import Beat
from ..packages import need
from ..targets import writing
from .codes import event_codes
from .writer import Writer

if TYPE_CHECKING:
    from ..annotation import Annotation

Columns = Mapping[str, Sequence[Any]]


def beats_table(annotation: Annotation) -> Columns:
    """Return the columns of the beats.

    ``time`` in s, ``sample``, ``label``, ``score``, and ``rr``, s since the beat before, NaN for
    the first and where signal is missing.
    """
    beats = annotation.beats
    before = [np.nan] if beats else []
    return {
        "time": [beat.time for beat in beats],
        "sample": annotation.samples.tolist(),
        "label": [beat.label for beat in beats],
        "score": [beat.score for beat in beats],
        "rr": before + annotation.rr.tolist(),
    }


def events_table(annotation: Annotation) -> Columns:
    """Return the columns of the events.

    ``kind``, ``start`` and ``end`` in s, ``confidence``, ``rule``, and the codes ``mdc`` (of IEEE
    11073) and ``snomed``, empty if the kind has none.
    """
    events = annotation.events
    codes = [event_codes(event.kind) for event in events]
    return {
        "kind": [event.kind for event in events],
        "start": [event.start for event in events],
        "end": [np.nan if event.end is None else event.end for event in events],
        "confidence": [event.confidence for event in events],
        "rule": [event.rule for event in events],
        "mdc": [code.mdc.value if code.mdc else "" for code in codes],
        "snomed": [code.snomed.value if code.snomed else "" for code in codes],
    }


class CsvWriter(Writer):
    """Writes two tables as CSV."""

    name = "csv"
    endings = (".beats.csv", ".events.csv")

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the table of the beats and that of the events."""
        return tuple(
            _as_csv(table, zip(*table.values(), strict=True))
            for table in (beats_table(annotation), events_table(annotation))
        )


class ParquetWriter(Writer):
    """Writes two tables as Parquet; record, lead and rate are in their metadata."""

    name = "parquet"
    endings = (".beats.parquet", ".events.parquet")
    package = "pyarrow"

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the table of the beats and that of the events."""
        arrow = need("pyarrow", "to write Parquet files")
        parquet = need("pyarrow.parquet", "to write Parquet files")
        text, number = arrow.string(), arrow.float64()
        types = {"sample": arrow.int64()}
        types |= dict.fromkeys(("label", "kind", "rule", "mdc", "snomed"), text)
        record = annotation.record
        said = {
            "record": record.name,
            "lead": record.lead,
            "fs": repr(record.fs),
            "start": record.start.isoformat() if record.start else "",
            "made_by": annotation.made_by,
        }
        files = []
        for table in (beats_table(annotation), events_table(annotation)):
            schema = arrow.schema([(name, types.get(name, number)) for name in table], said)
            sink = io.BytesIO()
            parquet.write_table(arrow.table(dict(table), schema=schema), sink)
            files.append(sink.getvalue())
        return tuple(files)


def write_csv(path: Path, beats: Sequence[Beat]) -> Path:
    """Write time (s), label and score of each beat as CSV; returns the path."""
    rows = ((f"{b.time:.4f}", b.label, f"{b.score:.4f}") for b in beats)
    with writing(path.parent):
        path.write_bytes(_as_csv(("time", "label", "score"), rows))
    return path


def _as_csv(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return a table in UTF-8; numbers to the microsecond, missing ones are empty cells."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(map(_cell, row) for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if value != value else round(value, 6)
