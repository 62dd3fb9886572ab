"""Rows that are packets, times of packets, sensors of several rates, leads one after another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import RecordError
from runtime.records import read

FS = 250
PACKET = 50


def write(folder: Path, *lines: str) -> Path:
    path = folder / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["ecg_{}", "s{}"])
def test_a_row_may_be_a_packet(tmp_path: Path, signal: NDArray[np.float64], name: str) -> None:
    lost = 40  # its number
    rows = [
        f"{i * PACKET / FS:.3f}," + ",".join(f"{value:.5f}" for value in packet)
        for i, packet in enumerate(signal.reshape(-1, PACKET))
        if i != lost
    ]
    header = ",".join(["time", *(name.format(i) for i in range(PACKET))])
    record = read(write(tmp_path, header, *rows))
    expected = signal.copy()
    expected[lost * PACKET : (lost + 1) * PACKET] = np.nan
    assert (record.lead, record.fs) == ({"ecg_{}": "ecg"}.get(name, "samples"), FS)
    np.testing.assert_allclose(record.signal, expected, atol=1e-5)


def test_numbers_of_one_lead_may_go_on_from_line_to_line(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    rows = [" ".join(f"{value:.5f}" for value in ten) for ten in signal.reshape(-1, 10)]
    np.testing.assert_allclose(read(write(tmp_path, *rows), fs=FS).signal, signal, atol=1e-5)


def test_leads_beside_each_other_are_no_packets(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    leads = np.stack([signal * gain for gain in (1, -0.7, 0.4, -0.2, 0.8, 0.1)], axis=1)
    rows = [",".join(f"{value:.5f}" for value in row) for row in leads]
    record = read(write(tmp_path, *rows), fs=FS)
    assert len(record.leads) == 6
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


@pytest.mark.parametrize("stated", [0, PACKET - 1])
@pytest.mark.parametrize("iso", [False, True])
def test_a_time_may_stand_in_one_row_of_a_packet(
    tmp_path: Path, signal: NDArray[np.float64], stated: int, iso: bool
) -> None:
    form = "2024-01-05T10:00:{:06.3f}Z" if iso else "{:.3f}"
    rows = [
        f"{form.format(i / FS) if i % PACKET == stated else ''},{value:.5f}"
        for i, value in enumerate(signal)
    ]
    record = read(write(tmp_path, "time,ECG", *rows))
    assert record.fs == FS
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


@pytest.mark.parametrize("lost", [slice(1050, 1175), slice(1000, 1500), slice(1100, 1600)])
def test_samples_lost_within_seconds_of_a_clock_are_counted(
    tmp_path: Path, signal: NDArray[np.float64], lost: slice
) -> None:
    gone = set(range(*lost.indices(len(signal))))
    rows = [f"10:00:{i // FS:02d},{v:.5f}" for i, v in enumerate(signal) if i not in gone]
    record = read(write(tmp_path, "time,ECG", *rows))
    assert (record.fs, len(record.signal)) == (FS, len(signal))
    assert np.isnan(record.signal).sum() == len(gone)
    np.testing.assert_allclose(record.signal[:1000], signal[:1000], atol=1e-5)
    np.testing.assert_allclose(record.signal[1750:], signal[1750:], atol=1e-5)


@pytest.mark.parametrize("first", [0, 1])
def test_a_sensor_of_half_the_rate_is_no_half_of_a_signal(
    tmp_path: Path, signal: NDArray[np.float64], first: int
) -> None:
    rows = [
        f"{i / (2 * FS):.3f},{i % 9},{f'{signal[i // 2]:.5f}' if i % 2 == first else ''}"
        for i in range(2 * len(signal))
    ]
    record = read(write(tmp_path, "time,acc,ECG", *rows))
    assert (record.lead, record.fs, record.gaps) == ("ECG", FS, 0)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


@pytest.mark.parametrize("blocks", [False, True])
def test_leads_one_after_another_are_refused(
    tmp_path: Path, signal: NDArray[np.float64], blocks: bool
) -> None:
    leads = {"I": -signal, "II": signal}
    rows = [f"{name},{value:.5f}" for name, values in leads.items() for value in values]
    if not blocks:
        rows = [
            row
            for pair in zip(rows[: len(signal)], rows[len(signal) :], strict=True)
            for row in pair
        ]
    with pytest.raises(RecordError, match=r"rows of several leads \(I, II\) one after another"):
        read(write(tmp_path, "lead,value", *rows), fs=FS)


def test_leads_one_after_another_are_refused_in_other_forms(
    tmp_path: Path, signal: NDArray[np.float64]
) -> None:
    pandas = pytest.importorskip("pandas", reason="no pandas (pip install pandas)")
    frame = pandas.DataFrame({"lead": ["I", "II"] * len(signal), "value": np.repeat(signal, 2)})
    frame.to_json(tmp_path / "x.json", orient="records")
    sources = [frame, tmp_path / "x.json"]
    try:
        frame.to_parquet(tmp_path / "x.parquet")
        frame.astype({"lead": "category"}).to_parquet(tmp_path / "y.parquet")
        sources += [tmp_path / "x.parquet", tmp_path / "y.parquet"]
    except ImportError:
        pass
    for source in sources:
        with pytest.raises(RecordError, match="rows of several leads"):
            read(source, fs=FS)


def test_words_beside_the_samples_are_left_out(tmp_path: Path, signal: NDArray[np.float64]) -> None:
    rows = [f"{v:.5f},{'V' if i % 250 == 0 else 'N'}" for i, v in enumerate(signal)]
    np.testing.assert_allclose(
        read(write(tmp_path, "ECG,label", *rows), fs=FS).signal, signal, atol=1e-5
    )


def test_a_lead_without_samples_gives_way(tmp_path: Path, signal: NDArray[np.float64]) -> None:
    record = read(write(tmp_path, "ECG1,ECG2", *(f",{value:.5f}" for value in signal)), fs=FS)
    assert (record.lead, record.choice) == ("ECG2", "as ECG1 is missing")
