"""EDF files: units, a rate for each lead, and files that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import MissingPackageError, RecordError
from runtime.records import read


def overwrite(path: Path, at: int, content: bytes) -> None:
    path.write_bytes(path.read_bytes()[:at] + content + path.read_bytes()[at + len(content) :])


def test_each_lead_has_its_unit_and_rate(
    tmp_path: Path, signal: np.ndarray, write_edf: Callable[..., None]
) -> None:
    write_edf(
        tmp_path / "x.edf",
        ("SpO2", 1, np.linspace(0, 1, 20), "%"),
        ("II", 250, signal * 1000, "uV"),
        ("V1", 125, signal[::2], "mV"),
        ("V2", 250, signal * 1000, "uV"),
    )
    overwrite(tmp_path / "x.edf", 256 + 4 * 96 + 3 * 8, "µV".encode("latin-1"))
    record = read(tmp_path / "x.edf", fs=250)
    assert (record.name, record.lead, record.fs) == ("x", "II", 250)
    np.testing.assert_allclose(record.signal, signal, atol=1e-3)
    np.testing.assert_allclose(read(tmp_path / "x.edf", lead="V2").signal, signal, atol=1e-3)
    other = read(tmp_path / "x.edf", lead="V1")
    assert (other.fs, len(other.signal)) == (125, len(signal) / 2)


@pytest.mark.parametrize(
    ("at", "content", "sentence"),
    [
        (192, b"EDF+D", r"is a discontinuous recording \(EDF\+D\) without the times"),
        (236, b"many    ", "number of data records in its header is 'many'; expected a number"),
        (244, b"0       ", "its data records last 0 s; expected more than 0"),
        (244, b"-1      ", "its data records last -1 s"),
        (252, b"x   ", "the number of signals in its header is 'x'"),
        (252, b"99  ", "its header of 99 signals takes 25600 bytes"),
        (256 + 216, b"none    ", "the samples a record of signal 1 in its header is 'none'"),
        (256 + 16 + 80 + 8, b"x       ", "its signal cannot be read"),  # physical minimum
        (256 + 16 + 80 + 8, b"1       1       ", "it has no calibration"),  # and maximum
    ],
)
def test_damaged_file_is_refused_with_the_reason(
    tmp_path: Path,
    signal: np.ndarray,
    write_edf: Callable[..., None],
    at: int,
    content: bytes,
    sentence: str,
) -> None:
    write_edf(tmp_path / "x.edf", ("II", 250, signal, "mV"))
    overwrite(tmp_path / "x.edf", at, content)
    with pytest.raises(RecordError, match=sentence):
        read(tmp_path / "x.edf")


def test_text_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
    (tmp_path / "x.edf").write_text("no edf")
    with pytest.raises(RecordError, match="is not a whole EDF file"):
        read(tmp_path / "x.edf")


def test_cut_off_file_is_refused(
    tmp_path: Path, signal: np.ndarray, write_edf: Callable[..., None]
) -> None:
    write_edf(tmp_path / "x.edf", ("II", 250, signal, "mV"))
    whole = (tmp_path / "x.edf").read_bytes()
    overwrite(tmp_path / "x.edf", 236, b"-1      ")  # of a recording that goes on
    assert len(read(tmp_path / "x.edf").signal) == len(signal)
    for size in (len(whole) // 2, len(whole) - 10):
        (tmp_path / "x.edf").write_bytes(whole[:size])
        with pytest.raises(RecordError, match="is not a whole EDF file"):
            read(tmp_path / "x.edf")


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(MissingPackageError, match="`pip install edfio`"):
        read(tmp_path / "x.edf")
