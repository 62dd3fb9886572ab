"""What stands above a table: its rate as an interval, LabChart's and Biopac's headers, doubts."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import RecordError
from runtime.records import read

FS = 250


def written(folder: Path, above: str, signal: NDArray[np.float64], row: str = "{v:.5f}") -> Path:
    path = folder / "x.txt"
    rows = (row.format(t=i / FS, minutes=i / FS / 60, v=v) for i, v in enumerate(signal))
    path.write_text("\n".join([above, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    "line",
    [
        "Sampling interval: 4 ms",
        "Sample interval (s),0.004",
        "Sampling period (us);4000",
        "sampling interval = 0.004",
        "Interval=\t0.004 s",
        "4 msec/sample",
        "Abtastintervall: 4 ms",
        "Sampling rate: 250\nSamples: 5000\nSample count: 5000",
    ],
)
def test_the_time_between_samples_gives_the_rate(
    tmp_path: Path, signal: NDArray[np.float64], line: str
) -> None:
    record = read(written(tmp_path, f"{line}\nECG", signal))
    assert (record.lead, record.fs) == ("ECG", FS)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


@pytest.mark.parametrize(
    "line", ["Sampling interval: 4", "Sample rate: -250 Hz", "Filter: 0.5-250 Hz", "Notch: 50 Hz"]
)
def test_what_is_no_rate_is_none(tmp_path: Path, signal: NDArray[np.float64], line: str) -> None:
    with pytest.raises(RecordError, match="does not say its rate; give --fs"):
        read(written(tmp_path, f"{line}\nECG", signal))


def test_a_rate_that_the_times_contradict_is_refused(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    path = written(tmp_path, "Sample rate: 500 Hz\ntime,ECG", signal, "{t:.3f},{v:.5f}")
    with pytest.raises(
        RecordError, match="said to have 500 Hz, and its times rise as those of 250"
    ):
        read(path)
    assert read(path, fs=FS).fs == FS
    near = written(tmp_path, "Sample rate: 256 Hz\ntime,ECG", signal, "{t:.3f},{v:.5f}")
    assert read(near).fs == FS  # nominal


def test_the_range_of_labchart_is_no_unit(tmp_path: Path, signal: NDArray[np.float64]) -> None:
    above = "Interval=\t0.004 s\nChannelTitle=\tECG\tResp\nRange=\t10.000 mV\t2.000 V"
    record = read(written(tmp_path, above, signal, "{t:.3f}\t{v:.5f}\t0.1"))
    assert (record.lead, record.fs) == ("ECG", FS)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


def test_a_header_of_biopac(tmp_path: Path, signal: NDArray[np.float64]) -> None:
    above = "rec.acq\n4 msec/sample\n2 channels\nECG\nmV\nRSP\nVolts\nmin\tCH1\tCH2"
    record = read(written(tmp_path, above, signal, "{minutes:.8f}\t{v:.5f}\t0.1"))
    assert (record.lead, record.fs) == ("CH1", FS)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


def test_a_row_of_units_may_hold_one_that_is_not_known(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    above = "time,accel,ECG\nms,m/(s^2),uV"
    path = tmp_path / "x.csv"
    rows = (f"{4 * i},9.81,{1000 * v:.2f}" for i, v in enumerate(signal))
    path.write_text("\n".join([above, *rows]))
    np.testing.assert_allclose(read(path).signal, signal, atol=1e-4)


def test_decimal_commas_in_quotes_between_commas(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    rows = (
        f'"{i / FS:.3f}";"{v:.5f}"'.replace(".", ",").replace(";", ",")
        for i, v in enumerate(signal)
    )
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time,ECG", *rows]))
    record = read(path)
    assert record.fs == FS
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


def test_a_text_beside_a_table_in_an_archive_is_left_out(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(written(tmp_path, "fs = 250\nECG", signal), "ecg.txt")
        archive.writestr("README.txt", "hello")
        archive.writestr("notes.md", "hello")
    assert len(read(tmp_path / "x.zip").signal) == len(signal)
