"""Beats in sequence: what marks give, what is heard, what is held back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.simulate import simulate
from training import beat_sequences, download
from training.beat_sequences import UNKNOWN, Beats, heard, marked


def test_intervals_classes_and_rhythm_of_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wfdb = pytest.importorskip("wfdb")
    folder = tmp_path / "ltafdb"
    folder.mkdir()
    wfdb.wrsamp(
        "00",
        fs=128,
        units=["mV"],
        sig_name=["ECG"],
        p_signal=np.zeros((1280, 1)),
        write_dir=str(folder),
        fmt=["16"],
    )
    wfdb.wrann(
        "00",
        "atr",
        sample=np.array([0, 64, 192, 320, 330, 448, 500]),
        symbol=["+", "N", "N", "V", "+", "A", "+"],
        aux_note=["(N", "", "", "", "(AFIB", "", "(AFL"],
        write_dir=str(folder),
    )
    (folder / "RECORDS").write_text("00\n")
    monkeypatch.setattr(download, "data_folder", lambda: tmp_path)
    monkeypatch.setattr("training.weak.data_folder", lambda: tmp_path)
    (one,) = marked("ltafdb")
    assert (one.source, one.person, one.fold) == ("ltafdb", "00", -1)
    assert one.rows[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert one.rows[:, 1].tolist() == [1, 1, 0, 1]
    assert not one.rows[:, 2:].any()
    assert one.fibrillating.tolist() == [0, 0, 0, 1]


def test_marks_of_surgery_that_are_noise_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "vitaldb"
    folder.mkdir()
    (folder / "metadata.csv").write_text("case_id\n7\n")
    (folder / "Annotation_file_7.csv").write_text(
        "\ufefftime_second,beat_type,rhythm_label,bad_signal_quality,bad_signal_quality_label\n"
        "10.0,N,N,False,\n11.0,S,AFIB/AFL,False,\n12.5,V,AFIB/AFL,True,x\n13.0,U,Noise,False,\n"
    )
    monkeypatch.setattr(beat_sequences, "data_folder", lambda: tmp_path)
    (one,) = marked("vitaldb")
    assert one.person == "7"
    assert one.rows[:, 0].tolist() == [0.0, 1.0, 1.5, 0.5]
    assert one.rows[:, 1].tolist() == [1, 1, 0, 0]
    assert one.fibrillating.tolist() == [0, 1, UNKNOWN, UNKNOWN]


def test_what_is_heard_is_what_the_runtime_gives_its_second_network() -> None:
    ecg = simulate(40.0, seed=3, ectopic=0.0)
    rows, seconds = heard(Detector.load(provider="cpu"), ecg.signal, 360)
    intervals = np.diff(ecg.times)
    assert len(rows) == len(seconds) == pytest.approx(len(ecg.times), abs=2)
    assert np.median(rows[1:, 0]) == pytest.approx(np.median(intervals), abs=0.01)
    assert rows[0, 0] == 0  # no beat was before
    assert rows[:, 1].mean() > 0.9
    assert rows[30:, 4].tolist() == [24.0] * len(rows[30:])
    assert (rows[30:, 2] > -1.5).all()  # sinus beats have a P wave
    assert (np.diff(seconds) >= 0).all()
    assert (np.abs(seconds[5:20] - ecg.times[5:20]) < 2).all()


def test_a_fifth_of_the_people_is_held_back_and_no_holter_patient() -> None:
    def one(source: str, person: str, fold: int = -1) -> Beats:
        empty = np.zeros(0, dtype=np.float32)
        return Beats(source, person, fold, empty.reshape(0, 5), empty, empty.astype(np.int8))

    held = [one("ltafdb", str(i)).held_back for i in range(1000)]
    assert 150 < sum(held) < 250
    assert one("afdb", "04015").held_back
    assert not any(one("svdb", str(i), 3).held_back for i in range(100))
