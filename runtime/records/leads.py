"""Leads of a file that is not read yet, and the choice of one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from ..signal import units

PREFERRED_LEAD = "MLII"  # the model was trained on it most
MILLIVOLTS = units.MILLIVOLTS | {"\u03bcV": 1e-3}  # with the Greek letter, as some files have it


@dataclass(frozen=True)
class Lead:
    """A lead of a file, not read yet.

    Attributes
    ----------
    name : as the file gives it
    fs : Hz
    unit : as the file gives it
    load : returns the signal, float64 [samples], mV, NaN where a sample is missing; called only
        if `MILLIVOLTS` has the unit
    """

    name: str
    fs: float
    unit: str
    load: Callable[[], NDArray[np.float64]]


def choose(path: Path, leads: Sequence[Lead], name: str | None) -> Lead:
    """Choose the lead of this name; without a name MLII if there is one, else the first in volts.

    Raises
    ------
    RecordError
        The file has no such lead, or the lead is not a voltage.
    """
    wanted = PREFERRED_LEAD if name is None else name
    matches = [lead for lead in leads if lead.name == wanted]
    if not matches and name is None:
        matches = [lead for lead in leads if lead.unit in MILLIVOLTS] or [leads[0]]
    if not matches:
        raise RecordError(
            f"{path} has no lead {name!r}; it has {', '.join(lead.name for lead in leads)}."
        )
    if matches[0].unit not in MILLIVOLTS:
        raise RecordError(
            f"{path}: lead {matches[0].name} is in {matches[0].unit!r}; expected mV, uV or V."
        )
    return matches[0]
