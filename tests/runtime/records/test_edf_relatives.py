"""Relatives of EDF: EDF+D with and without pauses, BDF, other names and cut files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read

edfio = pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
FS = 250


def write(path: Path, signal: np.ndarray, unit: str = "mV", *, bdf: bool = False) -> None:
    """Write the signal as EDF+ or BDF+ in records of 1 s."""
    made, kind = (edfio.Bdf, edfio.BdfSignal) if bdf else (edfio.Edf, edfio.EdfSignal)
    leads = [kind(signal, FS, label="ECG", physical_dimension=unit)]
    note = edfio.EdfAnnotation(0.5, None, "start")
    made(leads, annotations=[note], data_record_duration=1).write(path)


def make_discontinuous(path: Path, *, pauses: dict[int, int]) -> None:
    """Mark a file EDF+D and let it pause, by so many whole seconds before these records."""
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+D" if content[:1] == b"0" else b"BDF+D"
    places = [content.index(f"+{record}\x14\x14".encode()) for record in range(20)]
    late = 0
    for record, at in enumerate(places):
        late += pauses.get(record, 0)
        old, mark = (f"+{time}\x14\x14".encode() for time in (record, record + late))
        room = content[at : at + 16]
        content[at : at + 16] = (mark + room[len(old) :] + bytes(8))[: len(room)]
    path.write_bytes(content)


@pytest.mark.parametrize("bdf", [False, True])
def test_discontinuous_file_without_pauses_is_whole(
    tmp_path: Path, signal: np.ndarray, bdf: bool
) -> None:
    write(tmp_path / "x.edf", signal, bdf=bdf)
    make_discontinuous(tmp_path / "x.edf", pauses={})
    record = read(tmp_path / "x.edf")
    assert (record.lead, record.fs, record.gaps) == ("ECG", FS, 0)
    np.testing.assert_allclose(record.signal, signal, atol=1e-3)


def test_pauses_of_a_discontinuous_file_are_gaps(tmp_path: Path, signal: np.ndarray) -> None:
    write(tmp_path / "x.edf", signal)
    make_discontinuous(tmp_path / "x.edf", pauses={5: 3})
    record = read(tmp_path / "x.edf")
    assert (len(record.signal), record.gaps) == (23 * FS, pytest.approx(3 / 23))
    np.testing.assert_allclose(record.signal[: 5 * FS], signal[: 5 * FS], atol=1e-3)
    np.testing.assert_allclose(record.signal[8 * FS :], signal[5 * FS :], atol=1e-3)


def test_records_out_of_order_or_days_apart_are_refused(tmp_path: Path, signal: np.ndarray) -> None:
    write(tmp_path / "x.edf", signal)
    make_discontinuous(tmp_path / "x.edf", pauses={5: -3})
    with pytest.raises(RecordError, match="data record 6 begins at 2 s, before the one in front"):
        read(tmp_path / "x.edf")
    write(tmp_path / "y.edf", signal)
    make_discontinuous(tmp_path / "y.edf", pauses={9: 200_000})
    with pytest.raises(RecordError, match=r"20 s of signal spread over 2e\+05 s; expected one"):
        read(tmp_path / "y.edf")


@pytest.mark.parametrize("name", ["x.bdf", "x.rec", "x.BDF", "x", "x.dat2", "x.csv"])
@pytest.mark.parametrize("bdf", [False, True])
def test_files_are_known_by_their_first_bytes(
    tmp_path: Path, signal: np.ndarray, name: str, bdf: bool
) -> None:
    write(tmp_path / name, signal, bdf=bdf)
    np.testing.assert_allclose(read(tmp_path / name).signal, signal, atol=1e-3)


@pytest.mark.parametrize(
    ("unit", "factor"), [("uv", 1e3), ("UV", 1e3), ("mv", 1), ("", 1), ("nV", 1e6), ("v", 1e-3)]
)
def test_units_in_other_spellings(
    tmp_path: Path, signal: np.ndarray, unit: str, factor: float
) -> None:
    write(tmp_path / "x.edf", signal * factor, unit)
    np.testing.assert_allclose(read(tmp_path / "x.edf").signal, signal, atol=1e-3)


def test_numbers_in_a_blank_unit_must_be_millivolts(tmp_path: Path, signal: np.ndarray) -> None:
    write(tmp_path / "x.edf", signal * 1000, "")
    with pytest.raises(RecordError, match=r"lead ECG has no unit.*likely uV"):
        read(tmp_path / "x.edf")
    np.testing.assert_allclose(read(tmp_path / "x.edf", units="uV").signal, signal, atol=1e-3)


@pytest.mark.parametrize("bdf", [False, True])
def test_whole_part_of_a_cut_file_is_read_on_request(
    tmp_path: Path, signal: np.ndarray, bdf: bool
) -> None:
    path = tmp_path / "x.edf"
    write(path, signal, bdf=bdf)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(RecordError, match=r"promises 20 data records.*--partial reads the 1[89]"):
        read(path)
    record = read(path, partial=True)
    seconds = len(record.signal) // FS
    assert seconds in (18, 19)
    assert record.notes == (f"cut off: the {seconds} whole data records of 20 were read",)
    np.testing.assert_allclose(record.signal, signal[: seconds * FS], atol=1e-3)
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(RecordError, match="holds no whole data record"):
        read(path, partial=True)


def test_annotations_may_come_before_the_signals(tmp_path: Path) -> None:
    ecg = np.round(np.sin(np.arange(3600) / 20), 3)
    path = tmp_path / "rec.edf"
    edfio.Edf(
        [edfio.EdfSignal(ecg, 360, label="ECG", physical_dimension="mV")],
        annotations=[edfio.EdfAnnotation(1.0, None, "hello")],
    ).write(path)
    content = path.read_bytes()
    assert content[252:256].strip() == b"2"
    header, at = content[:256], 256
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):  # of each field, for both signals
        header += content[at + width : at + 2 * width] + content[at : at + width]
        at += 2 * width
    samples = [int(content[688 + 8 * i : 696 + 8 * i]) for i in range(2)]
    size, first = 2 * sum(samples), 2 * samples[0]
    records = [content[place : place + size] for place in range(768, len(content), size)]
    (tmp_path / "first.edf").write_bytes(
        header + b"".join(record[first:] + record[:first] for record in records)
    )
    found = read(tmp_path / "first.edf")
    assert (found.lead, found.fs) == ("ECG", 360)
    np.testing.assert_array_equal(found.signal, read(path).signal)
