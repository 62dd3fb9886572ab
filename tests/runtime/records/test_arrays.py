"""NumPy's and MATLAB's files: which array is the signal, and what the others say of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read
from runtime.records.reader import Options
from runtime.records.registry import find


def save_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def save_mat(path: Path, **arrays: Any) -> Path:
    scipy_io = pytest.importorskip("scipy.io", reason="no scipy (pip install scipy)")
    scipy_io.savemat(path.with_suffix(".mat"), arrays)
    return path.with_suffix(".mat")


SAVES = pytest.mark.parametrize("save", [save_npz, save_mat])
Save = Callable[..., Path]


@pytest.mark.parametrize("shape", ["samples", "samples, leads", "leads, samples"])
def test_npy_needs_a_rate_and_its_longer_axis_is_time(
    tmp_path: Path, signal: np.ndarray, shape: str
) -> None:
    both = np.stack([signal, np.zeros_like(signal)], axis=1)
    array = {"samples": signal, "samples, leads": both, "leads, samples": both.T}[shape]
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(RecordError, match=r"x\.npy does not say its rate; give --fs"):
        read(tmp_path / "x.npy")
    np.testing.assert_array_equal(read(tmp_path / "x.npy", fs=250).signal, signal)


def test_npy_with_a_column_of_times_has_its_rate_and_gaps(
    tmp_path: Path, signal: np.ndarray
) -> None:
    rows = np.stack([np.arange(len(signal)) / 250, signal], axis=1)
    np.save(tmp_path / "x.npy", np.delete(rows, np.s_[1000:1250], axis=0))
    record = read(tmp_path / "x.npy")
    assert record.fs == 250
    assert record.gaps == pytest.approx(250 / len(signal))
    np.testing.assert_array_equal(record.signal[1250:], signal[1250:])


@SAVES
@pytest.mark.parametrize("rate", ["fs", "Fs", "sampling_rate", "sfreq", "SampleRate"])
def test_rate_is_found_under_its_usual_names(
    tmp_path: Path, signal: np.ndarray, save: Save, rate: str
) -> None:
    record = read(save(tmp_path / "x", ecg=signal, **{rate: 250}))
    assert record.fs == 250
    np.testing.assert_array_equal(record.signal, signal)


@SAVES
def test_arrays_of_one_length_are_leads_by_their_names(
    tmp_path: Path, signal: np.ndarray, save: Save
) -> None:
    rpeaks = np.arange(30)
    path = save(tmp_path / "x", acc=3 * signal, II=signal, V5=-signal, fs=250, r_peaks=rpeaks)
    record = read(path)
    assert (record.lead, record.choice) == ("II", "by its name")
    np.testing.assert_array_equal(record.signal, signal)
    assert read(path, lead="V5").lead == "V5"


@SAVES
def test_unit_and_names_go_with_the_columns(tmp_path: Path, signal: np.ndarray, save: Save) -> None:
    array = np.stack([signal, 1000 * signal], axis=1)
    names = np.array(["RESP", "MLII"], dtype="U4" if save is save_npz else object)
    units = np.array(["mV", "uV"], dtype="U2" if save is save_npz else object)
    record = read(save(tmp_path / "x", signal=array, fs=250, sig_name=names, units=units))
    assert record.lead == "MLII"
    np.testing.assert_allclose(record.signal, signal)


@SAVES
def test_numbers_without_a_unit_that_cannot_be_mv_are_refused(
    tmp_path: Path, signal: np.ndarray, save: Save
) -> None:
    path = save(tmp_path / "x", val=np.rint(signal * 1000).astype(np.int16), fs=250)
    with pytest.raises(RecordError, match=r"has no unit, .* --units uV"):
        read(path)
    np.testing.assert_allclose(read(path, units="1000/mV").signal, signal, atol=6e-4)


def test_start_is_read(tmp_path: Path, signal: np.ndarray) -> None:
    for start in (np.array("2020-01-02T03:04:05"), np.array("2020-01-02T03:04:05", "M8[s]")):
        path, options = save_npz(tmp_path / "x", ecg=signal, fs=250, start=start), Options()
        find(path).leads(path, options)
        assert options.start == datetime(2020, 1, 2, 3, 4, 5)


def test_times_of_numpy_are_times(tmp_path: Path, signal: np.ndarray) -> None:
    times = np.datetime64("2020-01-02T03:04:05") + 4000 * np.arange(len(signal)).astype("m8[us]")
    path, options = save_npz(tmp_path / "x", time=times, ecg=signal), Options()
    (lead,) = find(path).leads(path, options)
    assert (lead.fs, options.start) == (250, datetime(2020, 1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array("words"), "holds no array of numbers"),
        (np.zeros((3, 4, 5)), "holds no array of numbers"),
        (np.zeros((300, 301)), "expected up to 256 leads"),
        (np.array([{"a": 1}, None]), "no whole NumPy file of numbers"),
        (np.zeros(9, complex), "holds no array of numbers"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(RecordError, match=reason):
        read(tmp_path / "x.npy", fs=250)


def test_header_that_promises_more_than_the_file_holds_takes_no_memory(tmp_path: Path) -> None:
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}".ljust(117)
    start = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    (tmp_path / "x.npy").write_bytes(start + head.encode() + b"\n")
    with pytest.raises(RecordError, match=r"x\.npy is no whole NumPy file"):
        read(tmp_path / "x.npy", fs=250)


def test_archive_that_unfolds_beyond_any_recording_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "x.npz", ecg=np.zeros(1 << 20), fs=250)
    monkeypatch.setattr("runtime.records.arrays.LARGEST_BYTES", 1 << 20)
    with pytest.raises(RecordError, match=r"x\.npz of \d+ bytes unfolds to 8\d{6}; expected"):
        read(tmp_path / "x.npz")


def test_version_7_3_of_matlab_says_what_to_save(tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="no scipy (pip install scipy)")
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600))
    with pytest.raises(RecordError, match=r"version 7\.3; expected one saved with -v7"):
        read(tmp_path / "x.mat")


@pytest.mark.needs("scipy")
def test_matlab_of_version_4_is_recognised_under_any_name(
    tmp_path: Path, signal: np.ndarray
) -> None:
    from scipy.io import savemat

    savemat(tmp_path / "x.mat", {"ecg": signal, "fs": 250.0}, format="4")
    renamed = (tmp_path / "x.mat").rename(tmp_path / "x.bin")
    np.testing.assert_array_equal(read(renamed).signal, signal)


def test_mat_of_physionet_with_its_header_is_a_wfdb_record(data: Path) -> None:
    """The same numbers as wfdb reads, though the file alone has neither rate nor unit."""
    import wfdb

    path = data / "cinc2017" / "A00001.mat"
    if not path.is_file():
        pytest.skip("no cinc2017 at hand")
    expected = wfdb.rdrecord(str(path.with_suffix("")))
    record = read(path)
    assert record.fs == expected.fs == 300
    np.testing.assert_array_equal(record.signal, expected.p_signal[:, 0])


@SAVES
def test_an_ecg_beside_longer_signals_is_refused(
    tmp_path: Path, signal: np.ndarray, save: Save
) -> None:
    path = save(tmp_path / "x", ecg=signal, force=np.repeat(signal, 3), fs=250)
    with pytest.raises(RecordError, match="holds 'ecg' of 5000 samples beside others of 15000"):
        read(path)
    marks = save(tmp_path / "x", ecg=signal, r_peaks=np.arange(20), fs=250)
    np.testing.assert_array_equal(read(marks).signal, signal)


def test_structures_with_arrays_of_one_name_are_refused(tmp_path: Path, signal: np.ndarray) -> None:
    path = save_mat(tmp_path / "x", ecg={"data": signal}, resp={"data": -signal}, fs=250.0)
    with pytest.raises(RecordError, match="'data' several times"):
        read(path)
