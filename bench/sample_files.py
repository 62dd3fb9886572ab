"""One recording in every format that can be read, written by other programs where there are any.

The tests read these files, `bench.formats` compares the beats found in them, and `bench.fuzz_files`
damages them. What has no kept library to write it is in `bench.sample_devices`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.sample_devices import (
    write_aecg,
    write_contec,
    write_ishne,
    write_kardia,
    write_kardia_json,
    write_movesense,
    write_scp,
)
from bench.sample_recording import GAP_S, START, Recording, cut, recording

__all__ = ["GAP_S", "START", "WITHOUT_GAPS", "WRITERS", "Recording", "cut", "recording"]

DICOM_CODES = {"II": "5.6.3-9-2", "V1": "5.6.3-9-3"}


def write_csv(folder: Path, made: Recording) -> Path:
    path = folder / "rec.csv"
    rows = [
        ",".join([f"{i / made.fs:.6f}", *(f"{value:.6f}" for value in row)])
        for i, row in enumerate(made.table)
        if not np.isnan(row).any()
    ]
    path.write_text("\n".join(["time," + ",".join(f"{name} (mV)" for name in made.leads), *rows]))
    return path


def write_json(folder: Path, made: Recording) -> Path:
    path = folder / "rec.json"
    leads = {
        name: [None if np.isnan(value) else value for value in np.asarray(values).tolist()]
        for name, values in made.leads.items()
    }
    path.write_text(
        json.dumps({"fs": made.fs, "unit": "mV", "start": made.start.isoformat(), **leads})
    )
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


WRITERS: dict[str, Callable[[Path, Recording], Path]] = {
    "CSV": write_csv,
    "JSON": write_json,
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
    "Kardia JSON": write_kardia_json,
    "Movesense": write_movesense,
    "Contec": write_contec,
}
# These cannot mark a missing sample: the files hold zeros there.
WITHOUT_GAPS = ("EDF", "BDF", "ISHNE", "SCP-ECG", "Kardia", "Kardia JSON")
