"""Files in and out: WFDB, EDF, CSV; what is missing or wrong is said."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from runtime import Beat, EkgError, MissingPackageError, RecordError
from runtime.records import read, write_annotations, write_csv
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


def test_edf(tmp_path: Path) -> None:
    import edfio

    signal = edfio.EdfSignal(SIGNAL * 1000, sampling_frequency=250, label="II",
                             physical_dimension="uV")
    edfio.Edf([signal]).write(tmp_path / "x.edf")
    recording = read(tmp_path / "x.edf")
    assert (recording.name, recording.lead, recording.fs) == ("x", "II", 250)
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-3)


@pytest.mark.parametrize("header", ["", "I,MLII\n"])
def test_csv_with_a_rate(tmp_path: Path, header: str) -> None:
    rows = "\n".join(f"{-v:.6f},{v:.6f}" for v in SIGNAL)
    (tmp_path / "x.csv").write_text(header + rows)
    recording = read(tmp_path / "x.csv", fs=250)
    expected = SIGNAL if header else -SIGNAL
    np.testing.assert_allclose(recording.signal, expected, atol=1e-5)


def test_csv_with_times_knows_its_rate(tmp_path: Path) -> None:
    rows = "\n".join(f"{i / 250:.6f},{v:.6f}" for i, v in enumerate(SIGNAL))
    (tmp_path / "x.csv").write_text("time,I\n" + rows)
    assert read(tmp_path / "x.csv").fs == pytest.approx(250, rel=1e-4)


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
    ("x.edf", "no edf", {}, "is not an EDF file"),
    ("x.csv", "", {"fs": 100}, "not a table"),
    ("x.csv", "some words\nand more\n", {"fs": 100}, "not a table"),
    ("x.csv", "1\n2\n3\n", {}, "does not say its rate"),
    ("x.csv", "time,I\n0,1\n0,2\n0,3\n", {}, "does not rise"),
    ("x.csv", "I,II\n1,2\n3,4\n", {"fs": 100, "lead": "V9"}, "no lead 'V9'; it has I, II"),
    ("x.csv", "1\n2\n3\n", {"fs": 100, "start_s": 9.0}, "nothing is left"),
    ("x.hea", "garbage", {"as": "x"}, "is not a WFDB header|cannot be read"),
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


def test_no_beats_make_an_empty_annotation_file(tmp_path: Path) -> None:
    path = write_annotations(tmp_path, "rec", [], 250)
    assert path.read_bytes() == b"\0\0"


@pytest.mark.parametrize("annotator", ["e-1", "", "dat", "hea", "atr"])
def test_an_annotator_that_would_break_a_record_is_refused(tmp_path: Path, annotator: str
                                                           ) -> None:
    with pytest.raises(RecordError, match="letters only, and none of hea, dat, atr"):
        write_annotations(tmp_path, "rec", BEATS, 250, annotator=annotator)


def test_csv_of_beats(tmp_path: Path) -> None:
    lines = write_csv(tmp_path / "a" / "x.csv", BEATS).read_text().splitlines()
    assert lines == ["time,label,score", "0.5000,N,0.9000", "1.2500,V,0.8000"]
