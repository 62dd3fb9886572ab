"""Rate and gaps from a table's column of times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime import RecordError
from runtime.records import read


def timed(path: Path, times: np.ndarray, decimals: int = 6) -> Path:
    """Write a table whose lead counts its rows, from 0 to 96 again and again."""
    path.write_text(
        "time,I (mV)\n" + "".join(f"{t:.{decimals}f},{i % 97 / 8}\n" for i, t in enumerate(times))
    )
    return path


@settings(max_examples=12, deadline=None)  # each reads two files
@example(
    fs=100, decimals=3, start=0.0, seconds=5.0, gap_at=0.5, lost=4491, given_fs=True
)  # the pause is nine times as long as the signal
@given(
    fs=st.sampled_from(
        [100, 128, 200, 250, 256, 257, 300, 333, 360, 400, 500, 512, 720, 800, 1000]
    ),
    decimals=st.sampled_from([3, 4, 6, 9]),
    start=st.sampled_from([0.0, 17.123, 86400.0, 1.7e9]),
    seconds=st.floats(5, 9),
    gap_at=st.floats(0.1, 0.9),
    lost=st.integers(3, 9000),
    given_fs=st.booleans(),
)
def test_rate_and_gaps_follow_from_the_times(
    tmp_path_factory: pytest.TempPathFactory,
    fs: int,
    decimals: int,
    start: float,
    seconds: float,
    gap_at: float,
    lost: int,
    given_fs: bool,
) -> None:
    rows = round(seconds * fs)
    before = round(gap_at * rows)
    at = np.arange(rows) + np.where(np.arange(rows) < before, 0, lost)
    path = timed(tmp_path_factory.mktemp("timed") / "x.csv", start + at / fs, decimals)
    record = read(path, fs=fs if given_fs else None)
    assert record.fs == fs
    # Half a sample or more may be lost to the rounding.
    found = len(record.signal) - rows
    assert abs(found - lost) <= round(fs * 10.0**-decimals)
    assert record.gaps == pytest.approx(found / (rows + found))
    expected = np.array([*range(before), *[np.nan] * found, *range(before, rows)]) % 97 / 8
    np.testing.assert_array_equal(record.signal, expected)
    with pytest.raises(RecordError, match="contradicts"):
        read(path, fs=fs * 1.01)


def test_times_that_fit_two_rates_leave_the_choice_to_the_caller(tmp_path: Path) -> None:
    path = timed(tmp_path / "x.csv", np.arange(1080) / 360, 3)
    assert (read(path).fs, read(path, fs=359.97).fs) == (360, 359.97)
    path = timed(tmp_path / "x.csv", np.arange(36000) / 359.5)
    assert read(path).fs == pytest.approx(359.5, abs=1e-4)


@pytest.mark.parametrize("jitter_ms", [0.8, 1.8, 3.0])
def test_jittered_times_make_no_gaps_and_hide_none(tmp_path: Path, jitter_ms: float) -> None:
    off = np.random.default_rng(1).uniform(-jitter_ms, jitter_ms, 5000) / 1000
    times = np.sort(np.arange(5000) / 250 + off)  # listed in order, as they arrived
    record = read(timed(tmp_path / "x.csv", times, 9))
    assert record.fs == pytest.approx(250, abs=0.05)
    assert (record.gaps, len(record.signal)) == (0, 5000)
    assert read(tmp_path / "x.csv", fs=250).fs == 250
    lacking = np.delete(times, slice(2000, 2100))
    if jitter_ms < 1:
        assert read(timed(tmp_path / "x.csv", lacking, 9)).gaps == pytest.approx(0.02, abs=1e-3)
    else:
        with pytest.raises(RecordError, match=r"times are uneven, up to .* s beside those of"):
            read(timed(tmp_path / "x.csv", lacking, 9))


def test_two_recordings_in_one_file_are_refused(tmp_path: Path) -> None:
    days = [*np.arange(500) / 250, *86400 + np.arange(500) / 250]
    with pytest.raises(RecordError, match=r"4 s of signal spread over 8.64e\+04 s; expected one"):
        read(timed(tmp_path / "x.csv", np.array(days)))
