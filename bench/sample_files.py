"""One recording in every format that can be read, written by other programs where there are any.

The tests read these files, `bench.formats` compares the beats found in them, and `bench.fuzz_files`
damages them. What has no kept library to write it is put together here, byte by byte.
"""

from __future__ import annotations

import json
import struct
from binascii import crc_hqx
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.records import read

START = datetime(2024, 2, 29, 23, 59, 30)
GAP_S = (10.0, 12.5)
SECONDS = 30
DICOM_CODES = {"II": "5.6.3-9-2", "V1": "5.6.3-9-3"}
ISHNE_CODES = {"II": 6, "V1": 11}
SCP_CODES = {"II": 2, "V1": 3}
KARDIA_BLOCKS = {"II": b"ecg2", "V1": b"ecg7"}


@dataclass(frozen=True)
class Recording:
    """What the files hold: lead -> [samples] in mV, NaN in a gap."""

    leads: dict[str, NDArray[np.float64]]
    fs: int
    start: datetime = START

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where there is a gap, [samples]."""
        return np.isnan(next(iter(self.leads.values())))

    @property
    def table(self) -> NDArray[np.float64]:
        """All leads, [samples, leads]."""
        return np.stack(list(self.leads.values()), axis=1)


def recording(
    *, fs: int = 360, gap: bool = False, source: str | Path = "sample", seconds: int = SECONDS
) -> Recording:
    """Return real ECG as II, and a part of it as V1: the half minute that comes along.

    Parameters
    ----------
    gap : leave out the samples of `GAP_S`
    source : another record
    """
    sample = read(source, seconds=seconds + 1.0)
    times = np.arange(min(seconds, int(len(sample.signal) / sample.fs)) * fs) / fs
    ecg = np.interp(times, np.arange(len(sample.signal)) / sample.fs, sample.signal)
    if gap:
        ecg[round(GAP_S[0] * fs) : round(GAP_S[1] * fs)] = np.nan
    return Recording({"II": ecg, "V1": -0.4 * ecg}, fs)


def write_csv(folder: Path, made: Recording) -> Path:
    path = folder / "rec.csv"
    rows = [
        ",".join([f"{i / made.fs:.6f}", *(f"{value:.6f}" for value in row)])
        for i, row in enumerate(made.table)
        if not np.isnan(row).any()
    ]
    path.write_text("\n".join(["time," + ",".join(f"{name} (mV)" for name in made.leads), *rows]))
    return path


def write_npy(folder: Path, made: Recording) -> Path:
    path = folder / "rec.npy"
    columns = {"time": np.arange(len(made.table)) / made.fs, **made.leads}
    fields = np.zeros(len(made.table), [(name, "f8") for name in columns])
    for name, values in columns.items():
        fields[name] = values
    np.save(path, fields)
    return path


def write_npz(folder: Path, made: Recording) -> Path:
    path = folder / "rec.npz"
    np.savez_compressed(
        path,
        signal=made.table,
        fs=np.array(made.fs),
        units=np.array("mV"),
        leads=np.array(list(made.leads)),
        start=np.array(made.start.isoformat()),
    )
    return path


def write_parquet(folder: Path, made: Recording) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "rec.parquet"
    times = [made.start + timedelta(seconds=i / made.fs) for i in range(len(made.table))]
    columns = {
        "time": pa.array(times, pa.timestamp("ns")),
        **{f"{name} (mV)": pa.array(v, from_pandas=True) for name, v in made.leads.items()},
    }
    pq.write_table(pa.table(columns), path, write_page_checksum=True)
    return path


def write_matlab(folder: Path, made: Recording) -> Path:
    from scipy.io import savemat

    path = folder / "rec.mat"
    inside = {
        "signal": made.table.T,
        "fs": float(made.fs),
        "units": "mV",
        "leads": np.array(list(made.leads), dtype=object),
    }
    savemat(path, {"ecg": inside}, do_compression=True)
    return path


def write_challenge(folder: Path, made: Recording) -> Path:
    """A ``.mat`` with a header beside it, as those of PhysioNet's challenges."""
    from scipy.io import savemat

    counts = np.where(np.isnan(made.table), -32768, np.rint(made.table * 1000)).astype(np.int16)
    savemat(folder / "A00001.mat", {"val": counts.T}, format="4")
    lines = [f"A00001 {len(made.leads)} {made.fs} {len(counts)} 23:59:30 29/02/2024"] + [
        f"A00001.mat 16+24 1000/mV 16 0 {counts[0, i]} 0 0 {name}"
        for i, name in enumerate(made.leads)
    ]
    (folder / "A00001.hea").write_text("\n".join(lines) + "\n")
    return folder / "A00001.mat"


def write_wfdb(folder: Path, made: Recording) -> Path:
    import wfdb

    wfdb.wrsamp(
        "rec",
        fs=made.fs,
        units=["mV"] * len(made.leads),
        sig_name=list(made.leads),
        p_signal=made.table,
        fmt=["16"] * len(made.leads),
        base_datetime=made.start,
        write_dir=str(folder),
    )
    return folder / "rec.hea"


def write_edf(folder: Path, made: Recording, *, bdf: bool = False) -> Path:
    import edfio

    path = folder / ("rec.bdf" if bdf else "rec.edf")
    make: Any = edfio.Bdf if bdf else edfio.Edf
    signal: Any = edfio.BdfSignal if bdf else edfio.EdfSignal
    make(
        [
            signal(np.nan_to_num(values), made.fs, label=name, physical_dimension="mV")
            for name, values in made.leads.items()
        ],
        recording=edfio.Recording(startdate=made.start.date()),
        starttime=made.start.time(),
    ).write(path)
    return path


def write_bdf(folder: Path, made: Recording) -> Path:
    return write_edf(folder, made, bdf=True)


def write_dicom(folder: Path, made: Recording) -> Path:
    """A General ECG Waveform of one multiplex group, with 1 uV a count, padded in the gap."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.9.1.2")
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["ekg"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.Modality = "ECG"
    dataset.AcquisitionDateTime = made.start.strftime("%Y%m%d%H%M%S.%f")
    group = Dataset()
    group.MultiplexGroupTimeOffset = 0
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(made.leads)
    group.NumberOfWaveformSamples = len(made.table)
    group.SamplingFrequency = made.fs
    group.ChannelDefinitionSequence = [_dicom_channel(name) for name in made.leads]
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformPaddingValue = struct.pack("<h", -32768)
    counts = np.where(np.isnan(made.table), -32768, np.rint(made.table * 1000)).astype("<i2")
    group.WaveformData = counts.tobytes()
    dataset.WaveformSequence = [group]
    dataset.save_as(folder / "rec.dcm", enforce_file_format=True)
    return folder / "rec.dcm"


def _dicom_channel(name: str) -> Any:
    from pydicom.dataset import Dataset

    def code(value: str, scheme: str, meaning: str) -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return item

    channel = Dataset()
    channel.ChannelSourceSequence = [code(DICOM_CODES[name], "SCPECG", f"Lead {name}")]
    channel.ChannelSensitivity = 1
    channel.ChannelSensitivityUnitsSequence = [code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = 0
    channel.WaveformBitsStored = 16
    return channel


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


WRITERS: dict[str, Callable[[Path, Recording], Path]] = {
    "CSV": write_csv,
    "NumPy, .npy": write_npy,
    "NumPy, .npz": write_npz,
    "Parquet": write_parquet,
    "MATLAB": write_matlab,
    "PhysioNet challenge, .mat": write_challenge,
    "WFDB": write_wfdb,
    "EDF": write_edf,
    "BDF": write_bdf,
    "DICOM": write_dicom,
    "ISHNE": write_ishne,
    "aECG": write_aecg,
    "SCP-ECG": write_scp,
    "Kardia": write_kardia,
    "Movesense": write_movesense,
    "Contec": write_contec,
}
# These cannot mark a missing sample: the files hold zeros there.
WITHOUT_GAPS = ("EDF", "BDF", "ISHNE", "SCP-ECG", "Kardia")


def cut(made: Recording, seconds: float) -> Recording:
    """Return the first seconds of a recording."""
    size = round(seconds * made.fs)
    return replace(made, leads={name: values[:size] for name, values in made.leads.items()})
