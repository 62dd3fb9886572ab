"""Resting ECGs in SCP-ECG (EN 1064, ISO 11073-91064); needs the package ``ecgdatakit``."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import Lead
from .packages import explained, need
from .reader import Options, Reader

MAGIC, MAGIC_AT = b"SCPECG", 16  # in the header of the first section


class ScpReader(Reader):
    """Reads the rhythm leads of a record; a wrong checksum is refused."""

    name = "SCP-ECG"
    extensions = (".scp",)

    def recognises(self, path: Path) -> bool:
        """Return True if the header of the first section has SCP-ECG's mark."""
        with path.open("rb") as file:
            return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads, decompressed."""
        kit = need("ecgdatakit", "to read SCP-ECG files")
        if not path.is_file():
            raise RecordError(f"{path} does not exist.")
        with explained(path, "is no whole SCP-ECG file"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", kit.ChecksumWarning)
            found = kit.FileParser().parse(path)
            record = found[0] if isinstance(found, list) else found
            start = record.recording.date
            options.start = start and start.replace(tzinfo=None)
            leads = [_lead(lead) for lead in record.leads]
        if not leads:
            raise RecordError(f"{path} is an SCP-ECG record without rhythm leads.")
        return leads


def _lead(lead: Any) -> Lead:
    physical = lead.to_physical() if lead.is_raw else lead
    unit = physical.units or physical.resolution_unit
    return Lead(lead.label, float(lead.sampling_rate), unit, partial(_samples, physical))


def _samples(lead: Any) -> NDArray[np.float64]:
    return np.asarray(lead.samples, dtype=np.float64)
