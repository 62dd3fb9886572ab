"""Start, header and pieces of a recording's file: what a report says of it, and how it is read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.records import read, wfdb


def write_wfdb(folder: Path, first_line: str, *comments: str, samples: int = 3600) -> Path:
    counts = np.random.default_rng(1).integers(-400, 400, samples).astype("<i2")
    counts.tofile(folder / "r.dat")
    lines = (first_line, "r.dat 16 200/mV 16 0 0 0 0 MLII", *comments)
    (folder / "r.hea").write_text("\n".join(lines) + "\n")
    return folder / "r"


@pytest.mark.needs("wfdb")
def test_a_wfdb_record_says_when_it_began_and_whose_it_is(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, "r 1 360 3600 23:59:55 03/02/2026", "# 69 M", "# Digoxin", "#")
    record = read(path)
    assert record.start == dt.datetime(2026, 2, 3, 23, 59, 55)
    assert record.header == ("69 M", "Digoxin")
    assert read(path, start_s=7.5).start == dt.datetime(2026, 2, 4, 0, 0, 2, 500_000)
    timed = read(write_wfdb(tmp_path, "r 1 360 3600 9:14:00"))
    assert timed.start == dt.datetime(1, 1, 1, 9, 14)
    silent = read(write_wfdb(tmp_path, "r 1 360 3600"))
    assert (silent.start, silent.header) == (None, ())


@pytest.mark.needs("wfdb")
def test_a_record_read_in_pieces_is_the_one_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wfdb(tmp_path, "r 1 360 3600")
    at_once = read(path).signal
    for frames in (1, 7, 3599, 3600):
        monkeypatch.setattr(wfdb, "PIECE_FRAMES", frames * 100)
        np.testing.assert_array_equal(read(path).signal, at_once)
    monkeypatch.setattr(wfdb, "PIECE_FRAMES", 999)
    np.testing.assert_array_equal(read(path).signal, at_once)


@pytest.mark.needs("edfio")
def test_an_edf_file_says_when_it_began_and_whose_it_is(tmp_path: Path) -> None:
    edfio: Any = pytest.importorskip("edfio")
    edf = edfio.Edf(
        [edfio.EdfSignal(np.sin(np.arange(3600)), 360, label="ECG", physical_dimension="mV")],
        patient=edfio.Patient(code="MCH-0234567", sex="F", name="Haagse_Harry"),
        recording=edfio.Recording(startdate=dt.date(2020, 1, 2)),
        starttime=dt.time(22, 5, 6),
    )
    edf.write(tmp_path / "a.edf")
    record = read(tmp_path / "a.edf")
    assert record.start == dt.datetime(2020, 1, 2, 22, 5, 6)
    assert record.header == ("MCH-0234567 F Haagse Harry", "02-JAN-2020")
    edf.anonymize()
    edf.write(tmp_path / "b.edf")
    anonymous = read(tmp_path / "b.edf")
    assert (anonymous.start, anonymous.header) == (None, ())
