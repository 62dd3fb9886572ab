"""Good files of each kind, one field of the header made absurd: each is refused in one sentence."""

from __future__ import annotations

import io
import json
import re
import struct
from binascii import crc_hqx
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from bench.sample_files import WRITERS, cut, recording
from runtime.errors import EkgError
from runtime.records import read

ISHNE_HEADER, ISHNE_LEADS = 10, 10 + struct.calcsize("<4i h 40x40x20x h h 3h3h3h3h")
EDF_SIGNALS = 2
# Of a field of the header its first and last byte but one, in files of two signals.
EDF_FIELDS = {
    "data records": (236, 244),
    "duration": (244, 252),
    "signals": (252, 256),
    "physical minimum": (256 + 104 * EDF_SIGNALS, 264 + 104 * EDF_SIGNALS),
    "physical maximum": (256 + 112 * EDF_SIGNALS, 264 + 112 * EDF_SIGNALS),
    "digital minimum": (256 + 120 * EDF_SIGNALS, 264 + 120 * EDF_SIGNALS),
    "samples": (256 + 216 * EDF_SIGNALS, 264 + 216 * EDF_SIGNALS),
}
EDF_ABSURD = {
    "data records": ("0", "-5", "99999999", "nan", "abc"),
    "duration": ("0", "-1", "1e-30", "99999999", "1e30", "inf", "nan"),
    "signals": ("0", "-1", "9999"),
    "physical minimum": ("nan", "inf", "-1e30", "abc"),
    "physical maximum": ("nan", "1e30", ""),
    "digital minimum": ("1e9", "nan"),
    "samples": ("0", "-5", "99999999", "nan"),
}
ISHNE_ABSURD = {
    "samples": (ISHNE_HEADER + 4, "<i", (-1, 2**31 - 1)),
    "first byte of data": (ISHNE_HEADER + 12, "<i", (0, -1, 2**31 - 1)),
    "leads": (ISHNE_LEADS, "<h", (0, -1, 13, 32767)),
    "resolution": (ISHNE_LEADS + 2 + 48, "<h", (0, -1)),
    "rate": (ISHNE_LEADS + 2 + 72 + 42, "<h", (0, -1)),
}
DICOM_ABSURD: dict[str, tuple[object, ...]] = {
    "NumberOfWaveformChannels": (0, 1, 65535),
    "NumberOfWaveformSamples": (0, 1, 4294967295),
    "SamplingFrequency": (0, -1, 4294967295, "1e30", "1e-30"),
    "MultiplexGroupTimeOffset": (-1, "1e30"),
    "ChannelSensitivity": (0, "1e30", "1e-30"),
    "ChannelSensitivityCorrectionFactor": (0, "1e30"),
    "ChannelBaseline": ("1e30",),
    "WaveformBitsAllocated": (0, 1, 64),
    "WaveformSampleInterpretation": ("XX",),
}
AECG_ABSURD = {
    "increment": ("0", "-1", "1e-30", "1e30", "nan", "inf", "abc", ""),
    "scale": ("0", "1e-30", "1e30", "nan", "inf", "abc", ""),
    "origin": ("1e30", "nan", "inf", "abc"),
}
RATES: tuple[Any, ...] = (0, -360, 1e-30, 1e30, float("nan"), float("inf"), "abc", [])


@lru_cache(maxsize=20)
def good(kind: str) -> tuple[str, bytes]:
    """Name and content of a good file, ten seconds long."""
    with TemporaryDirectory() as folder:
        path = WRITERS[kind](Path(folder), cut(recording(), 10.0))
        return path.name, path.read_bytes()


def refuse(folder: Path, kind: str, content: bytes) -> str:
    """Return the sentence with which a file is refused."""
    path = folder / good(kind)[0]
    path.write_bytes(content)
    with pytest.raises(EkgError) as caught:
        read(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert path.name in sentence
    return sentence


@pytest.mark.parametrize("kind", WRITERS)
def test_the_good_files_are_read(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, cut(recording(), 10.0))
    assert 9.0 < read(path).seconds < 11.0


@pytest.mark.parametrize("kind", ["EDF", "BDF"])
@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in EDF_ABSURD for value in EDF_ABSURD[field]]
)
def test_edf_and_bdf(kind: str, field: str, value: str, tmp_path: Path) -> None:
    pytest.importorskip("edfio")
    content, (first, last) = good(kind)[1], EDF_FIELDS[field]
    damaged = content[:first] + value.encode().ljust(last - first) + content[last:]
    refuse(tmp_path, kind, damaged)


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, v) for field, (_, _, values) in ISHNE_ABSURD.items() for v in values],
)
def test_ishne(field: str, value: int, tmp_path: Path) -> None:
    at, form, _ = ISHNE_ABSURD[field]
    damaged = bytearray(good("ISHNE")[1])
    struct.pack_into(form, damaged, at, value)
    struct.pack_into("<H", damaged, 8, crc_hqx(bytes(damaged[10:522]), 0xFFFF))
    refuse(tmp_path, "ISHNE", bytes(damaged))


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is written here
@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in DICOM_ABSURD for value in DICOM_ABSURD[field]]
)
def test_dicom(field: str, value: object, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(io.BytesIO(good("DICOM")[1]))
    group = dataset.WaveformSequence[0]
    for item in group.ChannelDefinitionSequence if field.startswith("Channel") else [group]:
        setattr(item, field, value)
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    refuse(tmp_path, "DICOM", written.getvalue())


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in AECG_ABSURD for value in AECG_ABSURD[field]]
)
def test_aecg(field: str, value: str, tmp_path: Path) -> None:
    text = good("aECG")[1].decode()
    damaged = re.sub(rf'<{field} value="[^"]*"', f'<{field} value="{value}"', text)
    assert damaged != text
    refuse(tmp_path, "aECG", damaged.encode())


@pytest.mark.parametrize("fs", RATES, ids=str)
@pytest.mark.parametrize("kind", ["NumPy, .npz", "MATLAB"])
def test_rates_of_numpy_and_matlab(kind: str, fs: Any, tmp_path: Path) -> None:
    path = tmp_path / good(kind)[0]
    signal = cut(recording(), 10.0).table
    if kind == "MATLAB":
        pytest.importorskip("scipy.io").savemat(path, {"signal": signal, "fs": fs})
    else:
        np.savez(path, signal=signal, fs=np.array(fs))
    refuse(tmp_path, kind, path.read_bytes())


@pytest.mark.parametrize("shape", ["(9223372036854775807,)", "(-1,)", "(0,)", "(3600, 0)", "()"])
def test_lengths_of_numpy(shape: str, tmp_path: Path) -> None:
    written = io.BytesIO()
    np.save(written, np.zeros(3600))
    damaged = written.getvalue().replace(b"(3600,), }".ljust(40), f"{shape}, }}".encode().ljust(40))
    assert damaged != written.getvalue()
    refuse(tmp_path, "NumPy, .npy", damaged)


@pytest.mark.parametrize(
    ("field", "at", "value"),
    [
        ("length of the first block", 12 + 4, 2**32 - 1),
        ("length of the first block", 12 + 4, 0),
        ("length of the first block", 12 + 4, 2**31),
    ],
)
def test_lengths_of_kardia(field: str, at: int, value: int, tmp_path: Path) -> None:
    damaged = bytearray(good("Kardia")[1])
    struct.pack_into("<I", damaged, at, value)
    refuse(tmp_path, "Kardia", bytes(damaged))


@pytest.mark.parametrize("change", [(0, 500), (360, 0)], ids=["rate 0", "gain 0"])
def test_rate_and_gain_of_kardia(change: tuple[int, int], tmp_path: Path) -> None:
    content = good("Kardia")[1]
    at = content.index(b"fmt ")
    fmt = content[at : at + 8] + struct.pack("<BHHBH", 1, *change, 0, 0)
    damaged = content[:at] + fmt + struct.pack("<I", sum(fmt)) + content[at + len(fmt) + 4 :]
    refuse(tmp_path, "Kardia", damaged)


@pytest.mark.parametrize("value", [0, -1, 1e30, None, "abc"])
@pytest.mark.parametrize("field", ["frequency", "amplitudeResolution"])
def test_kardia_json(field: str, value: object, tmp_path: Path) -> None:
    pytest.importorskip("ecgdatakit")
    content = json.loads(good("Kardia JSON")[1])
    content["data"]["raw"][field] = value
    refuse(tmp_path, "Kardia JSON", json.dumps(content).encode())


@pytest.mark.parametrize("damage", ["cut", "longer", "no samples"])
def test_lengths_of_contec(damage: str, tmp_path: Path) -> None:
    content = good("Contec")[1]
    changed = {
        "cut": content[: len(content) // 2 + 1],
        "longer": content + b"\1",
        "no samples": content[:43] + bytes(37),
    }
    refuse(tmp_path, "Contec", changed[damage])


SCP_CHANGES: dict[str, Callable[[bytearray, int], None]] = {
    "gain 0": lambda section, at: struct.pack_into("<H", section, at, 0),
    "time of a sample 0": lambda section, at: struct.pack_into("<H", section, at + 2, 0),
    "length 65535": lambda section, at: struct.pack_into("<H", section, at + 6, 65535),
    "length 0": lambda section, at: struct.pack_into("<HH", section, at + 6, 0, 0),
}


@pytest.mark.parametrize("change", SCP_CHANGES)
def test_scp(change: str, tmp_path: Path) -> None:
    pytest.importorskip("ecgdatakit")
    damaged = bytearray(good("SCP-ECG")[1])
    pointer = 6 + 16 + 10 * 6  # of section 6
    number, size, at = struct.unpack_from("<HII", damaged, pointer)
    if number != 6:
        (pointer,) = (6 + 16 + 10 * i for i in range(12) if damaged[6 + 16 + 10 * i] == 6)
        number, size, at = struct.unpack_from("<HII", damaged, pointer)
    SCP_CHANGES[change](damaged, at - 1 + 16)
    section = bytes(damaged[at + 1 : at - 1 + size])
    struct.pack_into("<H", damaged, at - 1, crc_hqx(section, 0xFFFF))
    struct.pack_into("<H", damaged, 0, crc_hqx(bytes(damaged[2:]), 0xFFFF))
    refuse(tmp_path, "SCP-ECG", bytes(damaged))
