"""Parquet tables, as pyarrow and pandas write them."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read
from runtime.records.reader import Options
from runtime.records.registry import find

pa = pytest.importorskip("pyarrow", reason="no pyarrow (pip install pyarrow)")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, columns: dict[str, object], metadata: dict[str, str] | None = None) -> Path:
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


def test_rate_and_start_stand_in_the_metadata_of_the_table(
    tmp_path: Path, signal: np.ndarray
) -> None:
    said = {"fs": "250", "start": "2020-01-02T03:04:05"}
    path, options = write(tmp_path / "x.parquet", {"II": signal}, said), Options()
    (lead,) = find(path).leads(path, options)
    assert (lead.fs, options.start) == (250, datetime(2020, 1, 2, 3, 4, 5))
    with pytest.raises(RecordError, match="does not say its rate"):
        read(write(tmp_path / "y.parquet", {"II": signal}))


def test_unit_of_a_column_stands_in_its_metadata_or_behind_its_name(
    tmp_path: Path, signal: np.ndarray
) -> None:
    field = pa.field("II", pa.float64(), metadata={"unit": "V"})
    table = pa.table([pa.array(signal / 1000)], pa.schema([field]))
    pq.write_table(table, tmp_path / "x.parquet")
    np.testing.assert_allclose(read(tmp_path / "x.parquet", fs=250).signal, signal)
    behind = write(tmp_path / "y.parquet", {"II (uV)": 1000 * signal})
    np.testing.assert_allclose(read(behind, fs=250).signal, signal)


@pytest.mark.parametrize("kind", ["timestamp", "seconds", "milliseconds", "time of day"])
def test_times_give_rate_and_gaps(tmp_path: Path, signal: np.ndarray, kind: str) -> None:
    kept = np.delete(np.arange(len(signal)), np.s_[1000:1250])
    ms = 4 * kept
    day = 36_000_000
    columns = {
        "timestamp": ("t", pa.array((ms + 1_577_934_245_000).astype("M8[ms]"))),
        "seconds": ("time", pa.array(ms / 1000)),
        "milliseconds": ("time (ms)", pa.array(ms)),
        "time of day": ("clock", pa.array([clock(day + int(v)) for v in ms], pa.time64("us"))),
    }
    name, times = columns[kind]
    record = read(write(tmp_path / "x.parquet", {name: times, "ECG (mV)": signal[kept]}))
    assert (record.fs, record.lead) == (250, "ECG")
    assert record.gaps == pytest.approx(250 / len(signal))
    np.testing.assert_array_equal(record.signal[1250:], signal[1250:])


def clock(ms: int) -> time:
    seconds, rest = divmod(ms, 1000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, 1000 * rest)


def test_null_is_a_missing_sample_and_words_are_no_lead(tmp_path: Path, signal: np.ndarray) -> None:
    values = [None if 100 <= i < 350 else float(v) for i, v in enumerate(signal)]
    path = write(tmp_path / "x.parquet", {"II": pa.array(values), "note": ["a"] * len(values)})
    record = read(path, fs=250)
    assert record.gaps == pytest.approx(250 / len(signal))


def test_frame_of_pandas_with_an_index_of_times_is_read(tmp_path: Path, signal: np.ndarray) -> None:
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2020-01-02 03:04:05", periods=len(signal), freq="4ms")
    pandas.DataFrame({"II": signal}, index=index).to_parquet(tmp_path / "x.parquet")
    record = read(tmp_path / "x.parquet")
    assert (record.fs, record.lead) == (250, "II")
    np.testing.assert_array_equal(record.signal, signal)


def test_table_without_numbers_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"note": ["a", "b", "c"]})
    with pytest.raises(RecordError, match="3 rows and 0 columns of numbers"):
        read(path)
    rows = write(tmp_path / "y.parquet", {"II": [[1.0, 2.0]]})
    with pytest.raises(RecordError, match="a row for each sample"):
        read(rows)
