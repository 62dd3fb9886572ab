"""SCP-ECG, which ecgdatakit decodes: what is refused."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from pathlib import Path

import pytest

from bench.sample_devices import write_scp
from bench.sample_recording import recording
from runtime import RecordError
from runtime.records import read

pytest.importorskip("ecgdatakit", reason="no ecgdatakit (pip install ecgdatakit)")


@pytest.mark.parametrize("at", [200, 400, 2000])
def test_wrong_checksum_is_refused(tmp_path: Path, at: int) -> None:
    path = write_scp(tmp_path, recording())
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"rec\.scp is no whole SCP-ECG file \("):
        read(path)


def test_record_without_rhythm_is_refused(tmp_path: Path) -> None:
    path = write_scp(tmp_path, recording())
    content = bytearray(path.read_bytes())
    struct.pack_into("<II", content, 22 + 6 * 10 + 2, 0, 0)  # the pointer to section 6
    struct.pack_into("<H", content, 6, crc_hqx(bytes(content[8:142]), 0xFFFF))
    struct.pack_into("<H", content, 0, crc_hqx(bytes(content[2:]), 0xFFFF))
    path.write_bytes(content)
    with pytest.raises(RecordError, match="SCP-ECG"):
        read(path)
