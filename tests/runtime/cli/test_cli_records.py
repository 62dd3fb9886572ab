"""``predict``, ``annotate`` and ``report``: what they print and write of records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.cli.whole_records import annotated
from runtime.findings import Record
from runtime.records import read
from runtime.simulate import simulate

Run = Callable[..., tuple[int, str, str]]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_predict_prints_one_json_object(csv_record: Path, run: Run) -> None:
    status, out, _ = run("predict", csv_record, "--fs", 360, "--start", 2, "--seconds", 5)
    answer = json.loads(out)
    assert status == 0
    assert answer["provider"] == "cpu"
    assert len(answer["beats"]) >= 4


def test_predict_follows_the_rhythm_as_the_server_does(
    tmp_path: Path, run: Run, detector: Detector
) -> None:
    slow = simulate(20, seed=1, heart_rate=40, ectopic=0.0).signal
    (tmp_path / "slow.csv").write_text("\n".join(f"{v:.6f}" for v in slow))
    _, out, _ = run("predict", tmp_path / "slow.csv", "--fs", 360)
    signal = read(tmp_path / "slow.csv", fs=360).signal
    answer, found = json.loads(out), detector.predict(signal, 360, events=True)
    assert [event["kind"] for event in answer["events"]] == ["bradycardia"]
    assert answer == {**answer, **found.to_dict()}  # type: ignore[union-attr]


def test_annotate_writes_what_predict_finds(
    csv_record: Path, tmp_path: Path, run: Run, detector: Detector
) -> None:
    wfdb = pytest.importorskip("wfdb")
    status, out, _ = run("annotate", csv_record, "--fs", 360, "--out", tmp_path / "o", "--csv")
    assert status == 0
    assert "sim.ekg: lead MLII" in out
    recording = read(csv_record, fs=360)
    expected = detector.predict(recording.signal, 360).beats  # type: ignore[union-attr]
    marks = wfdb.rdann(str(tmp_path / "o" / "sim"), "ekg")
    assert marks.sample.tolist() == [round(b.time * 360) for b in expected]
    assert marks.symbol == [b.label for b in expected]
    assert len((tmp_path / "o" / "sim.ekg.csv").read_text().splitlines()) == len(expected) + 1


@pytest.mark.needs("edfio", "pyarrow", "pydicom")
def test_annotate_writes_every_format_that_is_asked_for(
    csv_record: Path, tmp_path: Path, run: Run, detector: Detector
) -> None:
    formats = ("edf", "csv", "parquet", "fhir", "dicom", "ishne")
    asked = [option for name in formats for option in ("--to", name)]
    status, out, _ = run("annotate", csv_record, "--fs", 360, "--out", tmp_path / "o", *asked)
    assert status == 0
    expected = detector.annotate(csv_record, fs=360)
    paths = [path for name in formats for path in expected.write(name, tmp_path / "ours")]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {path.name for path in paths}
    for path in paths:
        assert str(tmp_path / "o" / path.name) in out
        assert (tmp_path / "o" / path.name).read_bytes() == path.read_bytes()


def test_annotate_needs_only_what_the_format_needs(
    csv_record: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("wfdb", "pydicom", "pyarrow"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    assert run("annotate", csv_record, "--fs", 360, "--out", tmp_path, "--to", "fhir")[0] == 0
    status, _, err = run("annotate", csv_record, "--fs", 360, "--to", "ishne", "--to", "dicom")
    assert status == 2
    assert "'pydicom' is needed to write dicom annotations" in err


def test_annotate_replaces_no_recording(csv_record: Path, run: Run) -> None:
    other = csv_record.with_name("sim.ekg.beats.csv")
    other.write_text(csv_record.read_text())
    status, _, err = run(
        "annotate", csv_record, other, "--fs", 360, "--to", "csv", "--out", csv_record.parent
    )
    assert status == 2
    assert "sim.ekg.beats.csv is part of a recording and would be replaced" in err


@pytest.mark.parametrize(
    ("name", "package", "result"),
    [("annotate", "wfdb", "sim.ekg"), ("report", "jinja2", "sim.html")],
)
def test_a_record_that_fails_is_named_and_the_others_are_done(
    name: str, package: str, result: str, csv_record: Path, run: Run
) -> None:
    pytest.importorskip(package)
    slow = csv_record.with_name("slow.csv")
    slow.write_text("time,I\n" + "\n".join(f"{i},0" for i in range(100)))
    csv_record.write_text(
        "time,MLII\n"
        + "\n".join(f"{i / 360:.6f},{v:.5f}" for i, v in enumerate(simulate(10, seed=1).signal))
    )
    status, out, err = run(name, slow, csv_record, "--out", csv_record.parent)
    assert (status, len(out.splitlines())) == (2, 1)
    assert result in out
    assert err == f"error: {slow}: fs is 1 Hz; expected a sampling rate from 100 to 20,000 Hz.\n"


def test_annotate_goes_on_after_the_reader_of_its_output_left(
    csv_record: Path, command: Command
) -> None:
    pytest.importorskip("wfdb")
    names = [csv_record.with_name(f"r{i}.csv") for i in range(3)]
    for name in names:
        name.write_text(csv_record.read_text())
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = command("annotate", *names, "--fs", 360, "--out", csv_record.parent, stdout=write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name.with_suffix(".ekg").is_file() for name in names)


def test_annotate_goes_on_after_a_name_that_the_output_cannot_spell(
    csv_record: Path, command: Command
) -> None:
    pytest.importorskip("wfdb")
    strange = csv_record.with_name("☃.csv")
    strange.write_text(csv_record.read_text())
    done = command(
        "annotate",
        strange,
        csv_record,
        "--fs",
        360,
        "--out",
        csv_record.parent,
        environment={"PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def test_a_table_of_beats_replaces_no_recording(csv_record: Path, run: Run) -> None:
    pytest.importorskip("wfdb")
    other = csv_record.with_name("sim.ekg.csv")
    other.write_text(csv_record.read_text())
    status, _, err = run(
        "annotate", csv_record, other, "--fs", 360, "--csv", "--out", csv_record.parent
    )
    assert status == 2
    assert "sim.ekg.csv is part of a recording and would be replaced" in err
    assert other.read_text() == csv_record.read_text()


def test_marks_of_an_odd_rate_lie_on_its_samples(detector: Detector) -> None:
    """A stream takes the nearest ratio; over a day that is 0.4 s at this rate."""
    signal, fs = simulate(60, fs=100, seed=1, heart_rate=40).signal.astype(float), 100.00049
    assert detector.stream(fs).fs == 100
    at, odd = (annotated(detector, Record("x", "I", rate, signal, 0.0)) for rate in (100.0, fs))
    assert [beat.time * fs for beat in odd.beats] == pytest.approx(
        [beat.time * 100 for beat in at.beats], abs=1e-6
    )
    assert [event.start * fs for event in odd.events] == pytest.approx(
        [event.start * 100 for event in at.events], abs=1e-6
    )
    assert odd.events


def test_annotate_gives_the_figures_of_evaluate(
    data: Path, tmp_path: Path, run: Run, detector: Detector
) -> None:
    wfdb = pytest.importorskip("wfdb")
    pytest.importorskip("scipy", reason="compares with training's evaluation")
    from training.detect import find
    from training.recordings import load
    from training.scores import CLASSES, score_record

    assert run("annotate", data / "mitdb" / "228", "--out", tmp_path)[0] == 0
    marks = wfdb.rdann(str(tmp_path / "228"), "ekg")
    record = load("mitdb", "228", data)
    beats, labels = find(detector, record)
    is_beat = [symbol in CLASSES for symbol in marks.symbol]  # rhythm marks stand between them
    written = score_record(
        record,
        marks.sample[is_beat],
        np.array([CLASSES.index(symbol) for symbol in marks.symbol if symbol in CLASSES]),
    )
    np.testing.assert_array_equal(written.confusion, score_record(record, beats, labels).confusion)
