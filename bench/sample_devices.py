"""Files of formats that no kept library writes, put together by their descriptions."""

from __future__ import annotations

import json
import struct
from binascii import crc_hqx
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.sample_recording import Recording

ISHNE_CODES = {"II": 6, "V1": 11}
SCP_CODES = {"II": 2, "V1": 3}
KARDIA_BLOCKS = {"II": b"ecg2", "V1": b"ecg7"}


def write_ishne(folder: Path, made: Recording) -> Path:
    """By the table of fields in the standard."""
    samples = np.rint(np.nan_to_num(made.table) * 1e6 / 2500).astype("<i2")
    names = [*made.leads]
    unused = [-9] * (12 - len(names))
    day, time = (made.start.day, made.start.month, made.start.year), (23, 59, 30)
    header = (
        struct.pack("<4ih", 0, samples.size, 522, 522, 1)
        + bytes(100)  # first and last name, number
        + struct.pack("<2h", 0, 0)
        + struct.pack("<3h3h3h3h", -9, -9, -9, *day, *day, *time)
        + struct.pack("<h", len(names))
        + struct.pack("<12h", *(ISHNE_CODES[name] for name in names), *unused)
        + struct.pack("<12h", *[0] * len(names), *unused)
        + struct.pack("<12h", *[2500] * len(names), *unused)
        + struct.pack("<h40sh", 0, b"digital", made.fs)
        + bytes(80 + 80 + 88)
    )
    content = b"ISHNE1.0" + struct.pack("<H", crc_hqx(header, 0xFFFF)) + header + samples.tobytes()
    (folder / "holter.ecg").write_bytes(content)
    return folder / "holter.ecg"


def write_aecg(folder: Path, made: Recording) -> Path:
    """Two series with the gap between them, or one if there is none."""
    present = np.flatnonzero(~made.missing)
    parts = np.split(present, np.flatnonzero(np.diff(present) > 1) + 1)
    series = []
    for part in parts:
        head = made.start + timedelta(seconds=int(part[0]) / made.fs)
        leads = "".join(
            f'<component><sequence><code code="MDC_ECG_LEAD_{name}" '
            'codeSystem="2.16.840.1.113883.6.24"/><value xsi:type="SLIST_PQ"><origin value="0" '
            'unit="uV"/><scale value="1" unit="uV"/><digits>'
            f"{' '.join(str(round(1000 * v)) for v in values[part])}"
            "</digits></value></sequence></component>"
            for name, values in made.leads.items()
        )
        series.append(
            "<component><series><component><sequenceSet><component><sequence>"
            '<code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>'
            f'<value xsi:type="GLIST_TS"><head value="{head:%Y%m%d%H%M%S.%f}"/>'
            f'<increment value="{1 / made.fs:.12f}" unit="s"/></value></sequence></component>'
            f"{leads}</sequenceSet></component></series></component>"
        )
    (folder / "rec.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<AnnotatedECG xmlns="urn:hl7-org:v3" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{"".join(series)}</AnnotatedECG>\n'
    )
    return folder / "rec.xml"


def write_kardia(folder: Path, made: Recording) -> Path:
    def block(name: bytes, data: bytes) -> bytes:
        whole = name + struct.pack("<I", len(data)) + data
        return whole + struct.pack("<I", sum(whole))

    info = made.start.isoformat(timespec="milliseconds").encode() + b"+01:00"
    content = b"ALIVE\0\0\0" + struct.pack("<I", 5) + block(b"info", info.ljust(264, b"\0"))
    content += block(b"fmt ", struct.pack("<BHHBH", 1, made.fs, 500, 0, 0))
    for name, values in made.leads.items():
        counts = np.rint(np.nan_to_num(values) * 2000).astype("<i2")
        content += block(KARDIA_BLOCKS[name], counts.tobytes())
    (folder / "rec.atc").write_bytes(content)
    return folder / "rec.atc"


def write_kardia_json(folder: Path, made: Recording) -> Path:
    """As the Kardia API gives a recording of a KardiaMobile 6L, of which V1 stands for lead I."""
    names = {"II": "leadII", "V1": "leadI"}
    samples = {
        names[name]: np.rint(np.nan_to_num(values) * 2000).astype(int).tolist()
        for name, values in made.leads.items()
    }
    raw = {
        "frequency": made.fs,
        "mainsFrequency": 50,
        "amplitudeResolution": 500,
        "samples": samples,
    }
    content = {
        "id": "1",
        "recordedAt": made.start.isoformat() + "+01:00",
        "algorithmDetermination": "normal",
        "data": {"raw": raw},
    }
    (folder / "kardia.json").write_text(json.dumps(content))
    return folder / "kardia.json"


def write_movesense(folder: Path, made: Recording) -> Path:
    """Packets of 16 samples, those with a missing one left out, as after a lost connection."""
    counts = np.nan_to_num(made.leads["II"] * 1000 / 0.381469726563)
    packets = [
        {
            "MeasECG": {
                "Timestamp": 1000 + round(1000 * at / made.fs),
                "Samples": [round(value) for value in counts[at : at + 16]],
            }
        }
        for at in range(0, len(counts) - 15, 16)
        if not made.missing[at : at + 16].any()
    ]
    clock = {"relativeTime": 1000, "utcTime": 1_709_251_170_000_000}
    (folder / "rec.json").write_text(json.dumps({"Samples": [{"TimeDetailed": clock}, *packets]}))
    return folder / "rec.json"


def write_scp(folder: Path, made: Recording) -> Path:
    """Sections 0, 1, 3 and 6, without compression; a lead has 32,000 samples at most."""

    def section(number: int, data: bytes) -> bytes:
        data += bytes(len(data) % 2)
        mark = b"SCPECG" if number == 0 else bytes(6)
        head = struct.pack("<HIBB", number, 16 + len(data), 20, 20) + mark + data
        return struct.pack("<H", crc_hqx(head, 0xFFFF)) + head

    def tag(number: int, value: bytes) -> bytes:
        return struct.pack("<BH", number, len(value)) + value

    table = np.rint(np.nan_to_num(made.table[:32_000]) * 1000 / 2.5).astype("<i2")
    day = struct.pack("<HBB", made.start.year, made.start.month, made.start.day)
    clock = bytes((made.start.hour, made.start.minute, made.start.second))
    patient = tag(25, day) + tag(26, clock) + tag(255, b"")
    leads = struct.pack("<BB", len(made.leads), 4 | len(made.leads) << 3) + b"".join(
        struct.pack("<IIB", 1, len(table), SCP_CODES[name]) for name in made.leads
    )
    rhythm = struct.pack("<HHBB", 2500, round(1e6 / made.fs), 0, 0)
    rhythm += struct.pack("<H", 2 * len(table)) * len(made.leads) + table.T.tobytes()
    sections = {1: section(1, patient), 3: section(3, leads), 6: section(6, rhythm)}
    at = 6 + 16 + 12 * 10
    pointers = struct.pack("<HII", 0, 16 + 12 * 10, 7)
    for number in range(1, 12):
        size = len(sections.get(number, b""))
        pointers += struct.pack("<HII", number, size, at + 1 if size else 0)
        at += size
    body = section(0, pointers) + b"".join(sections.values())
    whole = struct.pack("<I", 6 + len(body)) + body
    (folder / "rec.scp").write_bytes(struct.pack("<H", crc_hqx(whole, 0xFFFF)) + whole)
    return folder / "rec.scp"


def write_contec(folder: Path, made: Recording) -> Path:
    """800 Hz; the leads beside II are a part of it."""
    if made.fs != 800:
        times = np.arange(round(len(made.table) / made.fs * 800)) / 800
        taken = np.arange(len(made.table)) / made.fs
        # NaN next to a missing sample, which may be one more at either end of a gap.
        leads = {name: np.interp(times, taken, values) for name, values in made.leads.items()}
        made = replace(made, leads=leads, fs=800)
    parts = np.array([1.0, 0.2, -0.4, 0.3, 0.5, 0.6, 0.7, 0.8])
    microvolts = made.leads["II"][:, None] * parts * 1000
    counts = np.where(np.isnan(microvolts), 0x6800, np.rint(microvolts / 5) + 2048).astype("<u2")
    head = b"0000001\0\1\0" + f"{made.start:%Y-%m-%d %H:%M:%S}".encode() + b"\0\0\0"
    (folder / "0000001.ECG").write_bytes(head.ljust(43, b"\0") + counts.tobytes() + bytes(37))
    return folder / "0000001.ECG"
