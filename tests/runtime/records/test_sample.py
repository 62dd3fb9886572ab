"""The record ``sample``: real ECG that is there without a file or a package."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import Detector, RecordError
from runtime.records import check_kept, read, sample
from runtime.rhythm import closed

ROOT = Path(__file__).resolve().parents[3]


def test_the_sample_is_half_a_minute_of_mlii() -> None:
    record = read("sample")
    assert (record.name, record.lead, record.fs, record.gaps) == ("sample", "MLII", 360.0, 0.0)
    assert len(record.signal) == 10_863
    assert 4 < record.signal.max() - record.signal.min() < 5  # mV


def test_a_file_named_sample_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample.hea").write_text("no header")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError, match=r"sample\.hea"):
        read("sample")


def test_a_path_that_ends_in_sample_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="does not exist"):
        read(tmp_path / "sample")


def test_another_rate_contradicts_the_sample() -> None:
    with pytest.raises(RecordError, match="sampled at 360 Hz; --fs 250 contradicts it"):
        read("sample", fs=250)


def test_results_of_the_sample_replace_no_file_of_a_user(tmp_path: Path) -> None:
    check_kept(["sample"], [tmp_path / "sample.ekg"])


def test_the_detector_reads_the_sample_as_the_reference_does(detector: Detector) -> None:
    record, reference = read("sample"), sample.reference_beats()
    stream = detector.stream(record.fs, events=True)
    beats = stream.push(record.signal) + stream.finish()
    assert [beat.label for beat in beats] == [label for _, label in reference]
    assert (
        max(abs(beat.time - time) for beat, (time, _) in zip(beats, reference, strict=True)) < 0.05
    )
    (couplet,) = closed(stream.events())
    pair = [beat for beat in beats if couplet.start <= beat.time <= (couplet.end or 0.0)]
    assert (couplet.kind, [beat.label for beat in pair]) == ("couplet", ["V", "V"])


def test_the_sample_is_the_database_s_own(data: Path) -> None:
    wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    first, path = 384_106, str(data / "mitdb" / "233")
    signal, _ = wfdb.rdsamp(path, sampfrom=first, sampto=first + 10_863, channel_names=["MLII"])
    assert (read("sample").signal.round(6) == signal[:, 0].round(6)).all()
    marks = wfdb.rdann(path, "atr", sampfrom=first, sampto=first + 10_862, shift_samps=True)
    classes = {"N": "N", "A": "S", "V": "V"}
    assert sample.reference_beats() == [
        (round(at / 360, 3), classes[symbol])
        for at, symbol in zip(marks.sample, marks.symbol, strict=True)
    ]


def test_the_licence_counts_what_the_files_hold() -> None:
    text = (sample.FOLDER / "LICENSE.md").read_text()
    with (sample.FOLDER / "sample.csv").open() as file:
        assert f"{sum(1 for _ in csv.reader(file)) - 1:,} samples at 360 Hz" in text
    labels = [label for _, label in sample.reference_beats()]
    assert f"the {len(labels)} beats" in text
    assert ": " + ", ".join(f"{labels.count(label)} {label}" for label in "NVS") in text


def test_the_sample_needs_no_package_of_others() -> None:
    program = (
        "import sys; sys.modules.update(wfdb=None, edfio=None)\n"
        "from runtime.cli.main import main; sys.exit(main(['predict', 'sample']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"record": "sample"' in done.stdout
