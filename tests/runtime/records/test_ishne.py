"""ISHNE Holter files: the checksum, the length in its two meanings, and what is no such file."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from pathlib import Path

import numpy as np
import pytest

from bench.sample_devices import write_ishne
from bench.sample_recording import recording
from runtime import RecordError
from runtime.records import read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_ishne(tmp_path, recording())


def change(path: Path, at: int, value: bytes, *, sealed: bool = True) -> Path:
    """Write bytes into the header, and its checksum again."""
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    if sealed:
        content[8:10] = struct.pack("<H", crc_hqx(bytes(content[10:522]), 0xFFFF))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("at", [10, 100, 157, 272, 521])
def test_changed_header_is_refused_by_its_checksum(path: Path, at: int) -> None:
    before = path.read_bytes()[at]
    with pytest.raises(RecordError, match=r"holter\.ecg is damaged: the checksum of its header"):
        read(change(path, at, bytes([before ^ 4]), sealed=False))


def test_length_may_be_that_of_one_lead(path: Path) -> None:
    expected = read(path).signal
    np.testing.assert_array_equal(
        read(change(path, 14, struct.pack("<i", 10_800))).signal, expected
    )


def test_file_that_is_cut_off_is_read_on_request(path: Path) -> None:
    whole = read(path).signal
    path.write_bytes(path.read_bytes()[:-4003])
    with pytest.raises(RecordError, match="promises 21600 samples, and it holds 9799 of each of 2"):
        read(path)
    record = read(path, partial=True)
    np.testing.assert_array_equal(record.signal, whole[:9799])
    assert record.notes == ("cut off: the 9799 samples of each lead were read",)


def test_resolution_of_each_lead_is_applied(path: Path) -> None:
    before = read(path).signal
    np.testing.assert_allclose(read(change(path, 206, struct.pack("<h", 5000))).signal, 2 * before)


def test_header_of_variable_length_is_skipped_and_checked(path: Path) -> None:
    expected = read(path).signal
    content = path.read_bytes()
    head = bytearray(content[:522])
    head[10:14], head[22:26] = struct.pack("<i", 40), struct.pack("<i", 562)
    head += b"any words of the maker".ljust(40, b"\0")
    head[8:10] = struct.pack("<H", crc_hqx(bytes(head[10:]), 0xFFFF))
    path.write_bytes(bytes(head) + content[522:])
    np.testing.assert_array_equal(read(path).signal, expected)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (156, struct.pack("<h", 0), "0 leads at 360 Hz"),
        (156, struct.pack("<h", 13), "13 leads at 360 Hz"),
        (272, struct.pack("<h", -1), "2 leads at -1 Hz"),
        (206, struct.pack("<h", 0), r"with \[0, 2500\] nV a count"),
        (22, struct.pack("<i", 10**9), "its samples begin at byte 1000000000"),
    ],
)
def test_impossible_fields_are_named(path: Path, at: int, value: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read(change(path, at, value))


def test_other_file_of_this_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ecg").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(RecordError, match=r"x\.ecg is no ISHNE file: it begins with"):
        read(tmp_path / "x.ecg")
