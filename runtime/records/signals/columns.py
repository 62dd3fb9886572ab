"""Signals as tables with a column for each lead: CSV, Parquet and NumPy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ..packages import need
from .recording import Recording
from .writer import SignalWriter

ROWS_AT_ONCE = 1 << 16


class CsvSignals(SignalWriter):
    """Writes a column of times in s and one for each lead; an empty cell is a missing sample."""

    name = "CSV"
    extensions = (".csv",)

    def write(self, target: Path, recording: Recording) -> list[str]:
        """Write the table, its rate and start above it."""
        fs = recording.common_rate(self.name)
        with target.open("w", newline="", encoding="utf-8") as file:
            if recording.start is not None:
                file.write(f"# start: {recording.start.isoformat()}\n")
            file.write(f"# sample rate: {fs:.12g} Hz\n")
            writer = csv.writer(file)
            writer.writerow(["time (s)", *(_heading(s.name, s.unit) for s in recording.signals)])
            table = recording.table()
            for first in range(
                0, len(table), ROWS_AT_ONCE
            ):  # as Python's own they take 5 times more
                for i, row in enumerate(table[first : first + ROWS_AT_ONCE].tolist(), first):
                    # The shortest text that gives the same number again.
                    cells = ["" if value != value else repr(value) for value in row]
                    writer.writerow([f"{i / fs:.6f}", *cells])
        return []


class ParquetSignals(SignalWriter):
    """Writes what CSV has; the metadata state ``fs``, ``start`` and each column's ``unit``."""

    name = "Parquet"
    extensions = (".parquet", ".pq")

    def write(self, target: Path, recording: Recording) -> list[str]:
        """Write the table."""
        pa = need("pyarrow", "to write Parquet files")
        pq = need("pyarrow.parquet", "to write Parquet files", "pyarrow")
        fs, table = recording.common_rate(self.name), recording.table()
        said = {"fs": f"{fs:.12g}"}
        if recording.start is not None:
            said["start"] = recording.start.isoformat()
        fields = [
            pa.field(signal.name, pa.float64(), metadata={"unit": signal.unit})
            for signal in recording.signals
        ]
        fields = [pa.field("time", pa.float64(), metadata={"unit": "s"}), *fields]
        times = np.arange(len(table)) / fs
        columns = [pa.array(times), *(pa.array(v, from_pandas=True) for v in table.T)]
        arrow = pa.table(columns, pa.schema(fields, metadata=said))
        pq.write_table(arrow, target, write_page_checksum=True)
        return []


class NumpySignals(SignalWriter):
    """Writes arrays: ``signal`` [samples, leads], ``fs``, ``leads``, ``units`` and ``start``."""

    name = "NumPy"
    extensions = (".npz",)

    def write(self, target: Path, recording: Recording) -> list[str]:
        """Write the archive."""
        arrays = {
            "signal": recording.table(),
            "fs": np.array(recording.common_rate(self.name)),
            "leads": np.array([signal.name for signal in recording.signals]),
            "units": np.array([signal.unit for signal in recording.signals]),
        }
        if recording.start is not None:
            arrays["start"] = np.array(recording.start.isoformat())
        with target.open("wb") as file:  # numpy would add an extension to a name
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return []


def _heading(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name
