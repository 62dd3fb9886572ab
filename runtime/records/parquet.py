"""Recordings as Parquet tables; needs the package ``pyarrow``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .arrays import check_unfolded
from .layout import Column
from .leads import Lead, check_not_mixed
from .packages import explained, need
from .preambles import Facts
from .reader import Options, Reader
from .tables import Table, named_column, table_leads

MAGIC = b"PAR1"
MAX_COLUMNS = 4096
LOOKED_AT = 10_000  # rows, for words beside the samples


class ParquetReader(Reader):
    """Reads tables with a column for each lead and perhaps one of times.

    The metadata of the table may state ``fs`` and ``start``, those of a column its ``unit``, which
    may also stand behind its name.
    """

    name = "Parquet"
    extensions = (".parquet", ".pq")

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins as Parquet does."""
        with path.open("rb") as file:
            return file.read(4) == MAGIC

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List a table's columns; a rate is needed if neither times nor metadata give it."""
        need("pyarrow", "to read Parquet files")
        with explained(path, "is not a whole Parquet file"):
            return table_leads(path, _read(path), options)


def _read(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
        if len(schema) > MAX_COLUMNS:
            raise RecordError(f"{path} has {len(schema)} columns; expected up to {MAX_COLUMNS}.")
        kept = [field for field in schema if _kind(field.type, pa)]
        if not kept or rows < 2:
            raise RecordError(
                f"{path} has {rows} rows and {len(kept)} columns of numbers; expected a row for "
                "each sample and a column for each lead."
            )
        words = [field.name for field in schema if _is_word(field.type, pa)]
        for batch in islice(file.iter_batches(LOOKED_AT, columns=words) if words else (), 1):
            for column in batch.columns:
                check_not_mixed(path, {str(word) for word in column.unique().to_pylist()})
        check_unfolded(path, 8 * rows * len(kept))
        table = file.read([field.name for field in kept], use_threads=False)
    columns = []
    for i, field in enumerate(kept):
        column = named_column(i, field.name, _kind(field.type, pa))
        unit = _text(field.metadata, "unit")
        columns.append(Column(column.name, unit or column.unit, column.kind))
    values = np.stack([_numbers(table.column(i), pa) for i in range(len(kept))], axis=1)
    fs = _text(schema.metadata, "fs")
    start = _text(schema.metadata, "start")
    facts = Facts(
        float(fs) if fs else None,
        start=datetime.fromisoformat(start).replace(tzinfo=None) if start else None,
    )
    return Table(tuple(columns), values, facts, named=True)


def _kind(kind: Any, pa: Any) -> str:
    """Return ``n`` for numbers, ``t`` for moments and times of day, empty for what is neither."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "n"
    return "t" if pa.types.is_timestamp(kind) or pa.types.is_time(kind) else ""


def _is_word(kind: Any, pa: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(column: Any, pa: Any) -> NDArray[np.float64]:
    """Return a column's numbers, NaN for null; times in s, dates since 1970."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        whole = column.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
        return np.asarray(whole.cast(pa.float64(), safe=False).to_numpy()) / per_second
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _text(metadata: Mapping[bytes, bytes] | None, key: str) -> str:
    return ((metadata or {}).get(key.encode()) or b"").decode(errors="replace")
