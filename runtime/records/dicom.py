"""ECG waveforms in DICOM; needs the package ``pydicom``.

PS3.3 C.10.9 says how samples become physical values, PS3.16 CID 3001 the codes of leads.
"""

from __future__ import annotations

import re
import warnings
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import Lead
from .packages import explained, need
from .reader import Options, Reader

PREAMBLE, MAGIC = 128, b"DICM"
# The last number of a lead's code, the same in SCP-ECG (5.6.3-9-1) and IEEE 11073 (2:1).
LEAD_CODE = re.compile(r"(?:5\.6\.3-9-|2:)(\d+)")
LEAD_NAMES = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"} | {
    2 + i: f"V{i}" for i in range(1, 7)
}
MOMENT = re.compile(r"(\d{8})(\d{6})?(?:\.(\d{1,6}))?")
PADDING = {"SB": "<i1", "UB": "<u1", "SS": "<i2", "US": "<u2", "SL": "<i4", "UL": "<u4"}
MAX_OFFSET_S = 86_400.0


class DicomReader(Reader):
    """Reads the waveforms of a DICOM object; what is derived, as median beats, is left out."""

    name = "DICOM"
    extensions = (".dcm", ".dicom")

    def recognises(self, path: Path) -> bool:
        """Return True if the mark of DICOM stands behind the preamble."""
        with path.open("rb") as file:
            return file.read(PREAMBLE + 4)[PREAMBLE:] == MAGIC

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the channels of all multiplex groups."""
        pydicom = need("pydicom", "to read DICOM files")
        with explained(path, "is no whole DICOM file"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that break a rule but are read
            dataset = pydicom.dcmread(path)
            groups = list(dataset.get("WaveformSequence") or [])
            if not groups:
                raise RecordError(
                    f"{path} is a DICOM file without a waveform; expected an ECG object."
                )
            original = [i for i, g in enumerate(groups) if _original(g)] or list(range(len(groups)))
            if len(original) < len(groups):
                options.notes.append("derived waveforms, as median beats, were left out")
            options.start = _start(dataset)
            leads: list[Lead] = []
            for i in original:
                leads += _group_leads(pydicom, dataset, i, {lead.name for lead in leads})
        if not leads:
            raise RecordError(f"{path} is a DICOM file whose waveforms have no channel.")
        return leads


def _group_leads(pydicom: Any, dataset: Any, index: int, taken: set[str]) -> list[Lead]:
    """List the channels of a multiplex group; its name follows theirs if they are taken."""
    group = dataset.WaveformSequence[index]
    fs = float(group.SamplingFrequency)
    if not 0 < fs < np.inf:
        raise ValueError(f"its rate is {fs:g} Hz")
    offset_s = float(group.get("MultiplexGroupTimeOffset") or 0.0) / 1000
    if not 0 <= offset_s <= MAX_OFFSET_S:
        raise ValueError(f"its waveform begins {offset_s:g} s after the start")
    channels, samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
    promised = channels * samples * int(group.WaveformBitsAllocated) // 8
    if channels != len(group.ChannelDefinitionSequence):
        raise ValueError(
            f"it has {channels} channels and describes {len(group.ChannelDefinitionSequence)}"
        )
    if not 0 <= len(group.WaveformData) - promised <= 1:  # of an odd number one byte more
        raise ValueError(f"its waveform has {len(group.WaveformData)} bytes, promised {promised}")
    label = str(group.get("MultiplexGroupLabel") or index + 1)
    found = []
    for place, channel in enumerate(group.ChannelDefinitionSequence):
        name = _lead_name(channel, place)
        unit = channel.get("ChannelSensitivityUnitsSequence")
        found.append(
            Lead(
                f"{name} [{label}]" if name in taken else name,
                fs,
                str(unit[0].CodeValue) if unit else "",
                partial(_load, pydicom, dataset, index, place, round(offset_s * fs)),
            )
        )
    return found


def _load(pydicom: Any, dataset: Any, index: int, place: int, offset: int) -> NDArray[np.float64]:
    """Return a channel in its own unit, NaN where it is padded and before its group begins."""
    group = dataset.WaveformSequence[index]
    channel = group.ChannelDefinitionSequence[place]
    raw = pydicom.waveforms.multiplex_array(dataset, index, as_raw=True)[:, place]
    values = raw.astype(np.float64)
    if channel.get("ChannelSensitivity") is not None:
        correction = channel.get("ChannelSensitivityCorrectionFactor")
        gain = float(channel.ChannelSensitivity) * float(1 if correction is None else correction)
        baseline = float(channel.get("ChannelBaseline") or 0.0)
        if not (gain and np.isfinite(gain) and np.isfinite(baseline)):
            raise ValueError(f"its sensitivity is {gain:g}, its baseline {baseline:g}")
        values = gain * values + baseline
    padding, kind = group.get("WaveformPaddingValue"), group.get("WaveformSampleInterpretation")
    if isinstance(padding, bytes) and kind in PADDING:
        width = np.dtype(PADDING[kind]).itemsize
        if len(padding) >= width:
            values[raw == np.frombuffer(padding[:width], PADDING[kind])[0]] = np.nan
    return np.concatenate([np.full(offset, np.nan), values]) if offset else values


def _original(group: Any) -> bool:
    return str(group.get("WaveformOriginality", "ORIGINAL")).strip().upper() != "DERIVED"


def _lead_name(channel: Any, place: int) -> str:
    """Return the usual name of a lead, else its meaning in words, its label or its place."""
    source = channel.get("ChannelSourceSequence")
    if source:
        match = LEAD_CODE.fullmatch(str(source[0].get("CodeValue") or ""))
        if match and int(match[1]) in LEAD_NAMES:
            return LEAD_NAMES[int(match[1])]
        if source[0].get("CodeMeaning"):
            return str(source[0].CodeMeaning)
    return str(channel.get("ChannelLabel") or place)


def _start(dataset: Any) -> datetime | None:
    """Return when the waveform was acquired; else when the content was made."""
    for stated in (
        str(dataset.get("AcquisitionDateTime") or ""),
        *(
            f"{dataset.get(f'{what}Date') or ''}{dataset.get(f'{what}Time') or ''}"
            for what in ("Acquisition", "Content", "Study")
        ),
    ):
        match = MOMENT.match(stated)
        if match:
            try:
                whole = datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S")
            except ValueError:
                continue
            return whole.replace(microsecond=int((match[3] or "0").ljust(6, "0")))
    return None
