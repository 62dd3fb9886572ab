"""Files of single devices: Kardia, Movesense, Contec."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from bench.sample_devices import write_contec, write_kardia, write_movesense
from bench.sample_recording import recording
from runtime import RecordError
from runtime.records import read


def test_kardia_blocks_are_sealed_by_crc_32_or_by_the_sum_of_their_bytes(tmp_path: Path) -> None:
    path = write_kardia(tmp_path, recording())
    expected = read(path).signal
    content = bytearray(path.read_bytes())
    at = 12
    while at < len(content):
        end = at + 8 + struct.unpack_from("<I", content, at + 4)[0]
        struct.pack_into("<I", content, end, zlib.crc32(content[at:end]))
        at = end + 4
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path).signal, expected)
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"rec\.atc is damaged: the checksum of its block 'ecg2'"):
        read(path)


def test_kardia_file_without_its_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.atc").write_bytes(b"ALIVE\0\0\0" + struct.pack("<I", 2))
    with pytest.raises(RecordError, match="it has no block 'fmt '"):
        read(tmp_path / "x.atc")


@pytest.mark.parametrize("form", ["Android logger", "flash memory", "app", "flash memory, mV"])
def test_movesense_packets_are_found_where_its_programs_write_them(
    tmp_path: Path, form: str
) -> None:
    signal = recording(fs=250).leads["II"]
    counts = signal if form.endswith("mV") else np.rint(signal * 1000 / 0.381469726563)
    packets = [
        {"Timestamp": 5000 + 4 * at, "Samples": counts[at : at + 10].tolist()}
        for at in range(0, len(counts), 10)
    ]
    content: object = {
        "Android logger": {"Meas": {"ECG": packets, "IMU9": []}},
        "flash memory": {"Samples": [{"MeasECG": packet} for packet in packets]},
        "flash memory, mV": {"Samples": [{"MeasECGmV": packet} for packet in packets]},
        "app": {"data": [{"ecg": packet} for packet in packets]},
    }[form]
    (tmp_path / "x.json").write_text(json.dumps(content))
    record = read(tmp_path / "x.json")
    assert (record.fs, record.gaps, record.lead) == (250, 0, "ECG")
    np.testing.assert_allclose(record.signal, signal, atol=2e-4)


def test_movesense_packet_that_is_lost_is_a_gap(tmp_path: Path) -> None:
    path = write_movesense(tmp_path, recording())
    whole = read(path)
    content = json.loads(path.read_text())
    del content["Samples"][301]
    path.write_text(json.dumps(content))
    record = read(path)
    assert record.gaps == pytest.approx(16 / 10_800)
    np.testing.assert_array_equal(record.signal[4816:], whole.signal[4816:])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"ecg": [], "samples": 3, "timestamp": 1}', "JSON without packets of ECG"),
        ('{"ecg": {"Timestamp": 1, "Samples": [1, 2', "is no whole JSON file"),
        ('{"ecg": [], "samples": 3}', "holds no array of numbers"),
        ('{"ecg": {"Timestamp": 1, "Samples": ["a"]}}', "holds 1 samples of a lead"),
        ("[" * 5000 + '"ecg samples"', "is of no format|no whole JSON"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(RecordError, match=reason):
        read(tmp_path / "x.json")


def test_contec_says_whose_reading_it_is(tmp_path: Path) -> None:
    record = read(write_contec(tmp_path, recording(fs=800)))
    assert "Contec publishes none" in record.notes[0]
    assert read(tmp_path / "0000001.ECG", lead="V6").lead == "V6"


def test_contec_of_another_length_is_refused(tmp_path: Path) -> None:
    path = write_contec(tmp_path, recording(fs=800))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RecordError, match="expected a multiple of 16"):
        read(path)
