"""Files in and out: WFDB, EDF, CSV; what is missing or wrong is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Beat, EkgError, InputError, MissingPackageError, RecordError
from runtime.findings import Event
from runtime.records.files import (
    check_kept,
    check_writable,
    distinct_names,
    read,
    write_annotations,
    write_csv,
)
from runtime.simulate import simulate

SIGNAL = simulate(20, fs=250, seed=1).signal.astype(np.float64)


@pytest.fixture
def wfdb_record(tmp_path: Path) -> Path:
    import wfdb

    wfdb.wrsamp("rec", fs=250, units=["mV", "mV"], sig_name=["V5", "MLII"], fmt=["16", "16"],
                p_signal=np.stack([-SIGNAL, SIGNAL], axis=1), write_dir=str(tmp_path))
    return tmp_path / "rec"


def test_wfdb_takes_mlii_unless_told(wfdb_record: Path) -> None:
    recording = read(wfdb_record)
    assert (recording.name, recording.lead, recording.fs) == ("rec", "MLII", 250)
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-3)
    np.testing.assert_allclose(read(wfdb_record, lead="V5").signal, -SIGNAL, atol=1e-3)


def test_a_part_of_a_record(wfdb_record: Path) -> None:
    part = read(wfdb_record, start_s=2, seconds=3)
    np.testing.assert_allclose(part.signal, SIGNAL[500:1250], atol=1e-3)


def write_wfdb(folder: Path, name: str, leads: dict[str, tuple[np.ndarray, str]]) -> None:
    """A record of signals in units."""
    import wfdb

    signals, units = zip(*leads.values(), strict=True)
    wfdb.wrsamp(name, fs=250, units=list(units), sig_name=list(leads), fmt=["16"] * len(leads),
                p_signal=np.stack(signals, axis=1), write_dir=str(folder))


def write_edf(path: Path, *leads: tuple[str, float, np.ndarray, str]) -> None:
    """Signals of a name, rate and unit."""
    import edfio

    edfio.Edf([edfio.EdfSignal(signal, fs, label=name, physical_dimension=unit)
               for name, fs, signal, unit in leads]).write(path)


def overwrite(path: Path, at: int, content: bytes) -> None:
    path.write_bytes(path.read_bytes()[:at] + content + path.read_bytes()[at + len(content):])


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1.0), ("uV", 1e3), ("V", 1e-3)])
def test_wfdb_units_become_mv(tmp_path: Path, unit: str, factor: float) -> None:
    write_wfdb(tmp_path, "rec", {"ECG": (SIGNAL * factor, unit)})
    np.testing.assert_allclose(read(tmp_path / "rec").signal, SIGNAL, atol=1e-3)


@pytest.mark.parametrize("coding", ["latin-1", "utf-8"])
def test_wfdb_microvolts_are_not_taken_for_volts(tmp_path: Path, coding: str) -> None:
    write_wfdb(tmp_path, "rec", {"ECG": (SIGNAL * 1e3, "uV")})
    header = tmp_path / "rec.hea"
    header.write_bytes(header.read_text().replace("uV", "µV").encode(coding))
    np.testing.assert_allclose(read(tmp_path / "rec").signal, SIGNAL, atol=1e-3)


def test_the_first_lead_in_volts_is_taken(tmp_path: Path) -> None:
    leads = {"ABP": (SIGNAL, "mmHg"), "V5": (-SIGNAL, "mV"), "II": (SIGNAL, "mV")}
    write_wfdb(tmp_path, "rec", leads)
    write_edf(tmp_path / "x.edf", *((name, 250, *lead) for name, lead in leads.items()))
    write_wfdb(tmp_path, "abp", {"ABP": (SIGNAL, "mmHg")})
    for path in (tmp_path / "rec", tmp_path / "x.edf"):
        assert read(path).lead == "V5"
        with pytest.raises(RecordError, match="lead ABP is in 'mmHg'; expected mV, uV or V"):
            read(path, lead="ABP")
    with pytest.raises(RecordError, match="lead ABP is in 'mmHg'"):
        read(tmp_path / "abp")


@pytest.mark.parametrize(("master", "pieces"), [
    ("rec/2 2 250 5000\na 2500\nb 2500\n", ((0, 2500), (2500, 5000))),
    ("rec/3 2 250 6000\na 2500\n~ 1000\nb 2500\n", ((0, 2500), None, (2500, 5000))),
    ("rec/3 2 250 3500\n~ 1000\na 2500\n", (None, (0, 2500))),
    ("rec/4 2 250 7500\nlayout 0\na 2500\nother 2500\nb 2500\n",
     ((0, 2500), None, (2500, 5000))),
])
def test_wfdb_segments_and_the_gaps_between_them(
        tmp_path: Path, master: str, pieces: tuple[tuple[int, int] | None, ...]) -> None:
    write_wfdb(tmp_path, "a", {"V5": (-SIGNAL[:2500], "mV"), "MLII": (SIGNAL[:2500], "mV")})
    write_wfdb(tmp_path, "other", {"V5": (-SIGNAL[:2500], "mV")})
    whole = {"V5": (-SIGNAL[2500:], "mV"), "MLII": (SIGNAL[2500:], "mV")}
    # Where the layout varies, so do the order of the leads and their units.
    write_wfdb(tmp_path, "b", whole if "layout" not in master
               else {"MLII": (SIGNAL[2500:] * 1e3, "uV"), "V5": (-SIGNAL[2500:], "mV")})
    (tmp_path / "layout.hea").write_text(
        "layout 2 250 0\n~ 0 200/mV 16 0 0 0 0 V5\n~ 0 200/mV 16 0 0 0 0 MLII\n")
    (tmp_path / "rec.hea").write_text(master)
    recording = read(tmp_path / "rec")
    lengths = [piece[1] - piece[0] if piece else 2500 if "other" in master else 1000
               for piece in pieces]
    assert (recording.lead, recording.fs, len(recording.signal)) == ("MLII", 250, sum(lengths))
    gap = sum(n for n, piece in zip(lengths, pieces, strict=True) if not piece)
    assert recording.gaps == pytest.approx(gap / sum(lengths))
    for start, n, piece in zip(np.cumsum([0, *lengths[:-1]]), lengths, pieces, strict=True):
        if piece:
            np.testing.assert_allclose(recording.signal[start : start + n],
                                       SIGNAL[slice(*piece)], atol=1e-3)


@pytest.mark.parametrize("lead", [None, "0"])
def test_a_wfdb_lead_that_has_no_name_and_samples_of_its_own_rate(tmp_path: Path,
                                                                  lead: str | None) -> None:
    digital = np.zeros((1000, 3), dtype="<i2")  # frames of two samples of one lead, one of another
    digital[:, :2] = np.round(SIGNAL[:2000].reshape(1000, 2) * 200)
    (tmp_path / "rec.dat").write_bytes(digital.tobytes())
    (tmp_path / "rec.hea").write_text("rec 2 125 1000\nrec.dat 16x2 200\nrec.dat 16 200\n")
    recording = read(tmp_path / "rec", lead=lead)
    assert (recording.lead, recording.fs) == ("0", 250)
    np.testing.assert_allclose(recording.signal, SIGNAL[:2000], atol=3e-3)


def test_edf_units_and_a_rate_for_each_lead(tmp_path: Path) -> None:
    write_edf(tmp_path / "x.edf", ("SpO2", 1, np.linspace(0, 1, 20), "%"),
              ("II", 250, SIGNAL * 1000, "uV"), ("V1", 125, SIGNAL[::2], "mV"),
              ("V2", 250, SIGNAL * 1000, "uV"))
    overwrite(tmp_path / "x.edf", 256 + 4 * 96 + 3 * 8, "µV".encode("latin-1"))
    recording = read(tmp_path / "x.edf", fs=250)
    assert (recording.name, recording.lead, recording.fs) == ("x", "II", 250)
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-3)
    np.testing.assert_allclose(read(tmp_path / "x.edf", lead="V2").signal, SIGNAL, atol=1e-3)
    other = read(tmp_path / "x.edf", lead="V1")
    assert (other.fs, len(other.signal)) == (125, len(SIGNAL) / 2)


@pytest.mark.parametrize(("at", "content", "sentence"), [
    (192, b"EDF+D", "is a discontinuous recording"),
    (244, b"0       ", "is not a whole EDF file"),  # duration of a data record
    (244, b"-1      ", "its rate is -250 Hz"),
    (256 + 16 + 80 + 8, b"x       ", "its signal cannot be read"),  # physical minimum
    (256 + 16 + 80 + 8, b"1       1       ", "it has no calibration"),  # and maximum
])
def test_an_edf_file_that_cannot_be_used_is_refused(
        tmp_path: Path, at: int, content: bytes, sentence: str) -> None:
    write_edf(tmp_path / "x.edf", ("II", 250, SIGNAL, "mV"))
    overwrite(tmp_path / "x.edf", at, content)
    with pytest.raises(RecordError, match=sentence):
        read(tmp_path / "x.edf")


def test_a_cut_off_edf_file_is_refused(tmp_path: Path) -> None:
    write_edf(tmp_path / "x.edf", ("II", 250, SIGNAL, "mV"))
    whole = (tmp_path / "x.edf").read_bytes()
    overwrite(tmp_path / "x.edf", 236, b"-1      ")  # of a recording that goes on
    assert len(read(tmp_path / "x.edf").signal) == len(SIGNAL)
    for size in (len(whole) // 2, len(whole) - 10):
        (tmp_path / "x.edf").write_bytes(whole[:size])
        with pytest.raises(RecordError, match="is not a whole EDF file"):
            read(tmp_path / "x.edf")


@pytest.mark.parametrize("header", ["", "I,MLII\n"])
def test_csv_with_a_rate(tmp_path: Path, header: str) -> None:
    rows = "\n".join(f"{-v:.6f},{v:.6f}" for v in SIGNAL)
    (tmp_path / "x.csv").write_text(header + rows)
    recording = read(tmp_path / "x.csv", fs=250)
    expected = SIGNAL if header else -SIGNAL
    np.testing.assert_allclose(recording.signal, expected, atol=1e-5)


def timed(path: Path, times: np.ndarray, decimals: int = 6) -> Path:
    """A CSV file of a lead that counts its rows, again and again."""
    path.write_text("time,I\n" + "".join(f"{t:.{decimals}f},{i % 97}\n"
                                         for i, t in enumerate(times)))
    return path


@settings(max_examples=100, deadline=None)
@given(fs=st.sampled_from([100, 128, 200, 250, 256, 257, 300, 333, 360, 400, 500, 512, 720, 800,
                           1000]),
       decimals=st.sampled_from([3, 4, 6, 9]), start=st.sampled_from([0.0, 17.123, 86400.0, 1.7e9]),
       seconds=st.floats(5, 9), gap_at=st.floats(0.1, 0.9), lost=st.integers(3, 9000),
       told=st.booleans())
def test_csv_times_tell_rate_and_gaps(
        tmp_path_factory: pytest.TempPathFactory, fs: int, decimals: int, start: float,
        seconds: float, gap_at: float, lost: int, told: bool) -> None:
    rows = round(seconds * fs)
    before = round(gap_at * rows)
    at = np.arange(rows) + np.where(np.arange(rows) < before, 0, lost)
    path = timed(tmp_path_factory.mktemp("timed") / "x.csv", start + at / fs, decimals)
    recording = read(path, fs=fs if told else None)
    assert recording.fs == fs
    # Half a sample or more may be lost to the rounding.
    found = len(recording.signal) - rows
    assert abs(found - lost) <= round(fs * 10.0**-decimals)
    assert recording.gaps == pytest.approx(found / (rows + found))
    held = [*range(before), *[before - 1] * found, *range(before, rows)]
    np.testing.assert_array_equal(recording.signal, np.array(held) % 97)
    with pytest.raises(RecordError, match="contradicts"):
        read(path, fs=fs * 1.01)


def test_csv_times_that_fit_two_rates_leave_it_to_the_caller(tmp_path: Path) -> None:
    path = timed(tmp_path / "x.csv", np.arange(1080) / 360, 3)
    assert (read(path).fs, read(path, fs=359.97).fs) == (360, 359.97)
    path = timed(tmp_path / "x.csv", np.arange(36000) / 359.5)
    assert read(path).fs == pytest.approx(359.5, abs=1e-4)


@pytest.mark.parametrize("shake_ms", [0.8, 1.8, 3.0])
def test_csv_times_that_shake_leave_rows_together(tmp_path: Path, shake_ms: float) -> None:
    off = np.random.default_rng(1).uniform(-shake_ms, shake_ms, 5000) / 1000
    times = np.sort(np.arange(5000) / 250 + off)  # told in the order in which they were taken
    recording = read(timed(tmp_path / "x.csv", times, 9))
    assert recording.fs == pytest.approx(250, abs=0.05)
    assert (recording.gaps, len(recording.signal)) == (0, 5000)
    assert read(tmp_path / "x.csv", fs=250).fs == 250
    lacking = np.delete(times, slice(2000, 2100))
    if shake_ms < 1:
        assert read(timed(tmp_path / "x.csv", lacking, 9)).gaps == pytest.approx(0.02, abs=1e-3)
    else:
        with pytest.raises(RecordError, match=r"times are uneven, up to .* s beside those of"):
            read(timed(tmp_path / "x.csv", lacking, 9))


@pytest.mark.parametrize(("head", "times", "lead", "factor"), [
    ("time,ECG", "s", "ECG", 1), ("Time (s),ECG [mV]", "s", "ECG", 1),
    ("# time,ECG", "s", "ECG", 1), ("time [ms],II (uV)", "ms", "II", 1e-3),
    ("'Elapsed time','V5','MLII'", "s", "MLII", 1), ("t(sec),lead (left)", "s", "lead (left)", 1)])
def test_csv_columns_tell_their_units(tmp_path: Path, head: str, times: str, lead: str,
                                      factor: float) -> None:
    rows = [f"{i * 4 if times == 'ms' else i * 0.004:g}" + f',"{value}"' * head.count(",")
            for i, value in enumerate([1, 2, 3] * 100)]
    (tmp_path / "x.csv").write_text("\n".join([head, *rows]))
    recording = read(tmp_path / "x.csv")
    assert (recording.lead, recording.fs, recording.gaps) == (lead, 250, 0)
    np.testing.assert_allclose(recording.signal, np.array([1, 2, 3] * 100) * factor)


@pytest.mark.parametrize(("head", "start"), [
    ("'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'", 0),
    ("'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'", 3599), ("time,MLII,V5", 59),
    ("time (hh:mm:ss.mmm),MLII,V5", 36000)])
def test_csv_times_as_a_clock_shows_them(tmp_path: Path, head: str, start: int) -> None:
    """As PhysioNet's rdsamp writes them: https://physionet.org/physiotools/wag/rdsamp-1.htm"""
    rows = []
    for i in range(3 * 360):
        minutes, ms = divmod(1000 * start + round(1000 * i / 360), 60000)
        hours, minutes = divmod(minutes, 60)
        clock = f"{minutes}:{ms / 1000:06.3f}" if not hours else (
            f"{hours}:{minutes:02d}:{ms / 1000:06.3f}")
        rows.append(f"'{clock}',{i % 97 / 100},{-i % 97 / 100}")
    (tmp_path / "x.csv").write_text("\n".join([head, *rows]))
    recording = read(tmp_path / "x.csv")
    assert (recording.lead, recording.fs, recording.gaps) == ("MLII", 360, 0)
    np.testing.assert_allclose(recording.signal, np.arange(3 * 360) % 97 / 100)


def test_csv_units_may_have_a_row_of_their_own(tmp_path: Path) -> None:
    head = "'Elapsed time','ABP','II'\n'seconds','mmHg','uV'"
    rows = [f"{i / 250},80,{i % 9}" for i in range(99)]
    (tmp_path / "x.csv").write_text("\n".join([head, *rows]))
    recording = read(tmp_path / "x.csv")
    assert (recording.lead, recording.fs) == ("II", 250)
    np.testing.assert_allclose(recording.signal, np.arange(99) % 9 / 1000)


def test_a_csv_file_of_two_recordings_is_refused(tmp_path: Path) -> None:
    days = [*np.arange(500) / 250, *86400 + np.arange(500) / 250]
    with pytest.raises(RecordError, match=r"4 s of signal spread over 8.64e\+04 s; expected one"):
        read(timed(tmp_path / "x.csv", np.array(days)))


@pytest.mark.parametrize(("content", "lead", "signal"), [
    (b"\xef\xbb\xbftime,ecg\r\n0,1\r\n0.01,2\r\n", "ecg", [1, 2]),
    (b'"Time","ecg, raw"\n0,1\n0.01,2\n', "ecg, raw", [1, 2]),
    (b"\nI,II\n1,2\n3,4\n", "I", [1, 3]),
    (b",0.5\n1,0.5\n2,0.5\n", "0", [1, 1, 2]),
    (b"nan\n1\n2\n", "0", [1, 1, 2]),
])
def test_csv_files_as_others_write_them(tmp_path: Path, content: bytes, lead: str,
                                        signal: list[float]) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    recording = read(tmp_path / "x.csv", fs=100)
    assert (recording.lead, recording.fs, recording.signal.tolist()) == (lead, 100, signal)


def test_gaps_are_held_and_counted(tmp_path: Path) -> None:
    values = ["", "", "1.0", "2.0", "", "3.0"] * 50
    (tmp_path / "x.csv").write_text("I,II\n" + "\n".join(f"0,{v}" for v in values))
    recording = read(tmp_path / "x.csv", fs=100, lead="II")
    assert recording.gaps == pytest.approx(0.5)
    assert recording.signal[:6].tolist() == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize(("name", "content", "options", "sentence"), [
    ("nothing", None, {}, r"nothing.hea does not exist; expected a WFDB record"),
    ("x.csv", None, {}, "does not exist"),
    ("x.edf", None, {}, "does not exist"),
    ("x.edf", "no edf", {}, "is not a whole EDF file"),
    ("x.csv", "", {"fs": 100}, "not a table"),
    ("x.csv", "\n \n", {"fs": 100}, "not a table"),
    ("x.csv", "time,I\n", {}, "not a table"),
    ("x.csv", "some words\nand more\n", {"fs": 100}, "not a table"),
    ("x.csv", "1\n2\n3\n", {}, "does not say its rate"),
    ("x.csv", "time,I\n0,1\n0,2\n0,3\n", {}, "does not rise"),
    ("x.csv", "time (min),I\n0,1\n1,2\n", {}, "'time' is in 'min'; expected s, ms or hh:mm:ss"),
    ("x.csv", "'Elapsed time','I'\n'hours','mV'\n0,1\n1,2\n", {}, "'Elapsed time' is in 'hours'"),
    ("x.csv", "'Elapsed time','I'\n'0:00.000',1\n'0:0x',2\n", {}, "does not rise"),
    ("x.csv", "'Elapsed time','P'\n's','mmHg'\n0,1\n1,2\n", {}, "lead P is in 'mmHg'"),
    ("x.csv", "clock,I\n" + "".join(f"{i / 100},0\n" for i in range(100)), {"fs": 100},
     "column 'clock' never falls.*expected ECG"),
    ("x.csv", "Zeit,I\n" + "".join(f"{i // 50},0\n" for i in range(200)), {"fs": 100},
     "column 'Zeit' never falls"),
    ("x.csv", "I;II\n1;2\n3;4\n", {"fs": 100}, "columns stand between semicolons"),
    ("x.csv", "0,004;0,1234\n0,008;0,1\n0,012;0,1\n", {"fs": 250}, "semicolons"),
    ("x.csv", "I,II\nnan,2\nx,4\n", {"fs": 100}, "lead I has no sample in the part"),
    ("x.csv", "I,II\n1,2\n3,4\n", {"fs": 100, "lead": "V9"}, "no lead 'V9'; it has I, II"),
    ("x.csv", "1\n2\n3\n", {"fs": 100, "start_s": 9.0}, "nothing is left"),
    ("x.hea", "garbage", {"as": "x"}, "is not a WFDB header|cannot be read"),
    ("x.hea", "x 0 250 5\n", {"as": "x"}, "lists no signals"),
    ("x.hea", "x 1 250 0\nx.dat 16 200\n", {"as": "x"}, "tells a length of 0 samples"),
    ("x.hea", "x 1 0 5\nx.dat 16 200\n", {"as": "x"}, "is damaged: its rate is 0 Hz"),
    ("x.hea", "x 1 250 5\nx.dat 16 200\n", {"as": "x"}, "x.dat does not exist"),
    ("x.hea", "x 1 250 5\nx.hea 999 200\n", {"as": "x"}, "is damaged: its signal cannot be read"),
    ("x.hea", "x/2 1 250 9\na 5\nb 4\n", {"as": "x"}, "a.hea does not exist"),
    ("x.hea", "x/1 1 250 9\n~ 9\n", {"as": "x"}, "lists no signals"),
])
def test_what_is_wrong_with_a_file_is_said(
        tmp_path: Path, name: str, content: str | None, options: dict[str, object],
        sentence: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    path = tmp_path / str(options.pop("as", name))
    with pytest.raises(RecordError, match=sentence):
        read(path, **options)  # type: ignore[arg-type]


def test_a_cut_off_signal_file_is_damaged(wfdb_record: Path) -> None:
    dat = wfdb_record.with_suffix(".dat")
    dat.write_bytes(dat.read_bytes()[:1000])
    with pytest.raises(RecordError, match="is damaged"):
        read(wfdb_record)


@pytest.mark.parametrize("option", ["start_s", "seconds", "fs"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_part_that_no_recording_has_is_refused(tmp_path: Path, option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"of {value:g} (s|Hz): expected"):
        read(tmp_path / "x.csv", **{option: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a length of 0 s: expected a finite one above 0"):
        read(tmp_path / "x.csv", seconds=0)


def test_a_contradicting_rate_is_refused(wfdb_record: Path) -> None:
    with pytest.raises(RecordError, match="sampled at 250 Hz; --fs 360 contradicts"):
        read(wfdb_record, fs=360)


@pytest.mark.parametrize(("package", "name"), [("wfdb", "rec"), ("edfio", "x.edf")])
def test_a_missing_package_is_named(
        wfdb_record: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=f"`pip install {package}`") as caught:
        read(wfdb_record.with_name(name))
    assert isinstance(caught.value, EkgError)
    assert isinstance(caught.value, ImportError)


BEATS = [Beat(0.5, "N", 0.9, (0.9, 0.1, 0, 0, 0)), Beat(1.25, "V", 0.8, (0.1, 0.1, 0.8, 0, 0))]


@pytest.mark.parametrize("scores", [False, True])
def test_annotations_are_read_back_by_wfdb(tmp_path: Path, scores: bool) -> None:
    import wfdb

    path = write_annotations(tmp_path / "new", "rec", BEATS, 250, scores=scores)
    assert path == tmp_path / "new" / "rec.ekg"
    marks = wfdb.rdann(str(tmp_path / "new" / "rec"), "ekg")
    assert marks.sample.tolist() == [125, 312]
    assert marks.symbol == ["N", "V"]
    assert marks.fs == 250
    aux = [note.rstrip("\0") for note in marks.aux_note]
    assert aux == (["0.900", "0.800"] if scores else ["", ""])


def test_no_two_marks_stand_at_one_place(tmp_path: Path) -> None:
    """WFDB's sortann keeps the last of several at one place."""
    import wfdb

    events = [Event(kind, start, start + 5.0, 0.9, "") for kind, start in (
        ("pause", 1.25), ("bradycardia", 1.25), ("asystole", 1.25), ("atrial_fibrillation", 0.0),
        ("couplet", 0.0))]
    beats = [replace(BEATS[0], time=0.0), *BEATS]
    write_annotations(tmp_path, "rec", beats, 250, events=events)
    marks = wfdb.rdann(str(tmp_path / "rec"), "ekg")
    assert len(set(marks.sample.tolist())) == len(marks.sample) == 9
    assert [marks.sample[i] for i, s in enumerate(marks.symbol) if s in "NV"] == [0, 125, 312]


@pytest.mark.parametrize("target", ["rec.dat", "rec.hea"])
def test_what_is_read_is_not_written_over(wfdb_record: Path, target: str) -> None:
    check_kept([wfdb_record], [wfdb_record.with_name("rec.ekg")])
    with pytest.raises(RecordError, match=f"{target} is part of a recording"):
        check_kept([wfdb_record], [wfdb_record.with_name(target)])


def test_no_beats_make_an_empty_annotation_file(tmp_path: Path) -> None:
    path = write_annotations(tmp_path, "rec", [], 250)
    assert path.read_bytes() == b"\0\0"


@pytest.mark.parametrize("annotator", ["e-1", "", "é", "dat", "hea", "atr", "csv", "txt", "edf",
                                       "html", "CSV"])
def test_an_annotator_that_would_break_a_record_is_refused(tmp_path: Path, annotator: str
                                                           ) -> None:
    for refuse in (lambda: check_writable(tmp_path, annotator),
                   lambda: write_annotations(tmp_path, "rec", BEATS, 250, annotator=annotator)):
        with pytest.raises(RecordError, match="letters only, and none of hea, dat, atr"):
            refuse()


@pytest.mark.parametrize("name", ["my ecg", "2024-01-02T10.30", "Müller", "a$b$c_{"])
def test_annotations_of_any_name_are_read_back_by_wfdb(tmp_path: Path, name: str) -> None:
    import wfdb

    assert write_annotations(tmp_path, name, BEATS, 250) == tmp_path / f"{name}.ekg"
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.ekg"]
    assert wfdb.rdann(str(tmp_path / name), "ekg").symbol == ["N", "V"]


@pytest.mark.parametrize("write", [
    lambda folder: check_writable(folder), lambda folder: check_writable(folder / "deeper", "ekg"),
    lambda folder: write_annotations(folder, "rec", BEATS, 250),
    lambda folder: write_csv(folder / "rec.csv", BEATS)])
def test_what_the_file_system_refuses_is_said(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RecordError, match=r"taken.* cannot be written: (File exists|Not a dir)"):
        write(tmp_path / "taken")


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder", "ekg")
    assert not list((tmp_path / "new" / "folder").iterdir())


def test_records_of_one_name_are_refused() -> None:
    distinct_names(["100", "101.csv", Path("a/102.b")])
    with pytest.raises(RecordError, match=r"a/100 and 100\.CSV would be written to the same files"):
        distinct_names(["a/100", "101", "100.CSV"])
    with pytest.raises(RecordError, match="100 and 100 would"):
        distinct_names(["100", "100"])


def test_csv_of_beats(tmp_path: Path) -> None:
    lines = write_csv(tmp_path / "a" / "x.csv", BEATS).read_text().splitlines()
    assert lines == ["time,label,score", "0.5000,N,0.9000", "1.2500,V,0.8000"]
