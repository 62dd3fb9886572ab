"""Reading one lead of any file: lead, part, rate and gaps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import InputError, RecordError
from runtime.records import read


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Leads I, counting from 0 in mV, and II, the same upside down, at 100 Hz."""
    path = tmp_path / "x.csv"
    path.write_text(
        "time,I (mV),II (mV)\n"
        + "".join(f"{i / 100},{i % 50 / 8},{-i % 50 / 8}\n" for i in range(300))
    )
    return path


def test_mlii_is_preferred_and_any_lead_can_be_named(wfdb_record: Path, signal: np.ndarray) -> None:
    record = read(wfdb_record)
    assert (record.name, record.lead, record.fs) == ("rec", "MLII", 250)
    np.testing.assert_allclose(record.signal, signal, atol=1e-3)
    np.testing.assert_allclose(read(wfdb_record, lead="V5").signal, -signal, atol=1e-3)


def test_first_lead_in_volts_is_taken_and_others_refused(
    tmp_path: Path,
    signal: np.ndarray,
    write_wfdb: Callable[..., None],
    write_edf: Callable[..., None],
) -> None:
    leads = {"ABP": (signal, "mmHg"), "V5": (-signal, "mV"), "V6": (signal, "mV")}
    write_wfdb(tmp_path, "rec", leads)
    write_edf(tmp_path / "x.edf", *((name, 250, *lead) for name, lead in leads.items()))
    write_wfdb(tmp_path, "abp", {"ABP": (signal, "mmHg")})
    for path in (tmp_path / "rec", tmp_path / "x.edf"):
        assert read(path).lead == "V5"
        with pytest.raises(RecordError, match="lead ABP is in 'mmHg'; expected mV, uV or V"):
            read(path, lead="ABP")
    with pytest.raises(RecordError, match="abp has no ECG: its leads are ABP; --lead names"):
        read(tmp_path / "abp")


def test_unknown_lead_is_refused_with_those_there_are(table: Path) -> None:
    with pytest.raises(RecordError, match="no lead 'V9'; it has I, II"):
        read(table, lead="V9")


def test_part_of_a_record_is_read(table: Path) -> None:
    whole = read(table)
    assert len(whole.signal) == 300
    part = read(table, start_s=1, seconds=1.5)
    np.testing.assert_array_equal(part.signal, whole.signal[100:250])
    np.testing.assert_array_equal(read(table, start_s=2, seconds=9).signal, whole.signal[200:])
    with pytest.raises(RecordError, match="has 3 s of signal; nothing is left from 9 s on"):
        read(table, start_s=9)


@pytest.mark.parametrize("option", ["start_s", "seconds", "fs"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_impossible_part_or_rate_is_refused(table: Path, option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"of {value:g} (s|Hz): expected"):
        read(table, **{option: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a length of 0 s: expected a finite one above 0"):
        read(table, seconds=0)


def test_contradicting_rate_is_refused(table: Path) -> None:
    assert read(table, fs=100).fs == 100
    with pytest.raises(RecordError, match="sampled at 100 Hz; --fs 360 contradicts"):
        read(table, fs=360)


def test_gaps_are_nan_and_counted(tmp_path: Path) -> None:
    values = ["", "", "1.0", "2.0", "", "3.0"] * 50
    (tmp_path / "x.csv").write_text("I,II\n" + "\n".join(f"0,{v}" for v in values))
    record = read(tmp_path / "x.csv", fs=100, lead="II")
    assert record.gaps == pytest.approx(0.5)
    np.testing.assert_array_equal(record.signal[:6], [np.nan, np.nan, 1, 2, np.nan, 3])


def test_part_without_any_sample_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("I,II\nnan,2\n,4\n-,6\n")
    with pytest.raises(RecordError, match="lead I has no sample in the part"):
        read(tmp_path / "x.csv", fs=100, lead="I")
