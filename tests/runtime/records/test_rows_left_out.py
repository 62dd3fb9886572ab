"""Rows that are known to be left out are gaps, whatever says so: counts, indices, clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import InputError, RecordError
from runtime.records import read

FS = 250
GAP = slice(1000, 1200)  # less than eight bits count up to


@pytest.fixture
def kept() -> NDArray[np.int64]:
    """Numbers of the samples that are not left out."""
    numbers = np.arange(5000)
    return np.delete(numbers, GAP)


def check(source: Any, signal: NDArray[np.float64], **options: Any) -> None:
    record = read(source, **options)
    expected = signal.copy()
    expected[GAP] = np.nan
    assert (record.lead, record.fs) == ("ECG", FS)
    np.testing.assert_allclose(record.signal, expected, atol=1e-5)


def write(path: Path, header: str, rows: Mapping[int, str]) -> Path:
    path.write_text("\n".join([header, *rows.values()]))
    return path


@pytest.mark.parametrize("name", ["sample", "'sample #'", "index", "n", "", "Unnamed: 0", "No."])
@pytest.mark.parametrize("count", [lambda i: i, lambda i: i + 7, lambda i: i % 256 + 1])
def test_a_column_that_counts_shows_them(
    tmp_path: Path,
    signal: NDArray[np.float64],
    kept: NDArray[np.int64],
    name: str,
    count: Callable[[int], int],
) -> None:
    rows = {i: f"{count(i)},{signal[i]:.5f}" for i in kept.tolist()}
    check(write(tmp_path / "x.csv", f"{name},ECG", rows), signal, fs=FS)


def test_a_count_that_leaves_out_most_is_refused(tmp_path: Path) -> None:
    rows = {i: f"{i + (1_000_000 if i > 500 else 0)},{i % 7}" for i in range(1000)}
    with pytest.raises(RecordError, match=r"counts 1001000 samples in 1000 rows; expected one"):
        read(write(tmp_path / "x.csv", "sample,ECG", rows), fs=FS)


@pytest.mark.parametrize("autumn", [False, True])
def test_a_clock_that_is_put_forward_or_back_leaves_out_nothing(
    tmp_path: Path, signal: NDArray[np.float64], kept: NDArray[np.int64], autumn: bool
) -> None:
    change = datetime(2024, 10 if autumn else 3, 27 if autumn else 31, 1, tzinfo=UTC)

    def clock(i: int) -> str:
        moment = change + timedelta(seconds=i / FS - 2)
        summer = (moment >= change) != autumn
        return moment.astimezone(timezone(timedelta(hours=2 if summer else 1))).isoformat(
            " ", "milliseconds"
        )

    rows = {i: f"{clock(i)},{signal[i]:.5f}" for i in kept.tolist()}
    path = write(tmp_path / "x.csv", "time,ECG", rows)
    check(path, signal)
    assert read(path).start == datetime.fromisoformat(clock(0)).replace(tzinfo=None)


def test_frames_and_dicts_show_them(signal: NDArray[np.float64], kept: NDArray[np.int64]) -> None:
    pandas = pytest.importorskip("pandas", reason="no pandas (pip install pandas)")
    frame = pandas.DataFrame({"ECG": signal})
    left = frame.iloc[kept]  # as after dropna
    check(left, signal, fs=FS)
    check(left["ECG"], signal, fs=FS)
    check(left.set_index(kept / FS), signal)
    check(left.set_index(pandas.Index(kept, name="sample")), signal, fs=FS)
    clock = [f"2024-01-05T10:00:{i / FS:06.3f}Z" for i in kept.tolist()]
    check(left.assign(time=clock), signal)
    check({"time": kept / FS, "ECG": signal[kept]}, signal)
    assert read(frame, fs=FS).gaps == 0


def test_complex_numbers_are_no_signal(signal: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match="cannot be read as an ECG"):
        read(signal + 0j, fs=FS)
