"""Tables of a whole archive as Parquet: a row a record, a row a beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..ekg import CLASSES, Beat
from .places import Place, read_file, write

RECORDS, BEATS = "records.parquet", "beats.parquet"
FLAWS = ("flat", "clipped", "baseline", "noise", "powerline")
_BEAT_FIELDS = pa.schema(
    [
        ("record", pa.string()),
        ("sample", pa.int64()),
        ("time", pa.float64()),
        ("label", pa.dictionary(pa.int8(), pa.string())),
        ("score", pa.float32()),
    ]
)


def beats_table(name: str, fs: float, beats: Sequence[Beat]) -> bytes:
    """Return a record's beats as Parquet: record, sample, time in s, label and score."""
    columns = [
        [name] * len(beats),
        [round(beat.time * fs) for beat in beats],
        [beat.time for beat in beats],
        [beat.label for beat in beats],
        [beat.score for beat in beats],
    ]
    arrays = [
        pa.array(column, field.type) for column, field in zip(columns, _BEAT_FIELDS, strict=True)
    ]
    return _parquet([pa.table(arrays, schema=_BEAT_FIELDS)], _BEAT_FIELDS)


def write_records(out: Place, rows: Iterable[dict[str, Any]]) -> None:
    """Write a row for each record: whose it is, counts of beats and events, quality."""
    flat = [
        {
            **{key: row[key] for key in ("name", "source", "results", "input", "model", "version")},
            **{key: row[key] for key in ("lead", "fs", "seconds", "gaps")},
            **{f"beats_{label}": row["beats"].get(label, 0) for label in CLASSES},
            "events": sorted({event["kind"] for event in row["events"]}),
            "events_count": len(row["events"]),
            "readable": row["quality"]["ok"],
            **{name: row["quality"][name] for name in FLAWS},
            "range_mv": row["quality"]["range_mv"],
        }
        for row in rows
    ]
    table = pa.Table.from_pylist(flat)
    write(out, RECORDS, _parquet([table], table.schema))


def write_beats(out: Place, rows: Iterable[dict[str, Any]]) -> None:
    """Write a row for each beat of all records, a group of rows for each record."""
    parts = (read_file(out, f"{row['results']}.beats.parquet") for row in rows)
    tables = (pq.read_table(BytesIO(part)) for part in parts if part)
    write(out, BEATS, _parquet(tables, _BEAT_FIELDS))


def _parquet(tables: Iterable[pa.Table], schema: pa.Schema) -> bytes:
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, schema) as writer:
        for table in tables:
            writer.write_table(table)
    return buffer.getvalue()
