"""Formats that the package ``ecgdatakit`` decodes."""

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
from .reader import Options


def kit_leads(path: Path, name: str, options: Options) -> list[Lead]:
    """List the leads that ecgdatakit finds in a file of a format of this name.

    Raises
    ------
    RecordError
        The file is missing or damaged, or a checksum in it is wrong.
    MissingPackageError
        There is no package ``ecgdatakit``.
    """
    kit = need("ecgdatakit", f"to read {name} files")
    if not path.is_file():
        raise RecordError(f"{path} does not exist.")
    with explained(path, f"is no whole {name} file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", kit.ChecksumWarning)
        found = kit.FileParser().parse(path)
        record = found[0] if isinstance(found, list) else found
        start = record.recording.date
        options.start = start and start.replace(tzinfo=None)
        leads = [_lead(lead) for lead in record.leads]
    if not leads:
        raise RecordError(f"{path} is {name} without rhythm leads.")
    return leads


def _lead(lead: Any) -> Lead:
    physical = lead.to_physical() if lead.is_raw else lead
    unit = physical.units or physical.resolution_unit
    return Lead(lead.label, float(lead.sampling_rate), unit, partial(_samples, physical))


def _samples(lead: Any) -> NDArray[np.float64]:
    return np.asarray(lead.samples, dtype=np.float64)
