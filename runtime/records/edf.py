"""Recordings in EDF and EDF+; needs the package ``edfio``."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import MILLIVOLTS, Lead
from .packages import explained, need
from .reader import Reader


class EdfReader(Reader):
    """Reads continuous EDF and EDF+ files; each lead has a rate of its own."""

    name = "EDF"
    extensions = (".edf",)

    def leads(self, path: Path, fs: float | None) -> list[Lead]:
        """List a file's signals."""
        edfio = need("edfio", "to read EDF files")
        with explained(path, "is not a whole EDF file"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # edfio only warns of a file that is cut off, and returns the rest.
                warnings.filterwarnings(
                    "error", r"Incomplete data record|.* header indicates \d+ data"
                )
                edf = edfio.read_edf(path, header_encoding="latin-1")  # ASCII, but for a µ
            discontinuous = edf.reserved.startswith("EDF+D")
            leads = [
                Lead(
                    signal.label or str(i),
                    float(signal.sampling_frequency),
                    signal.physical_dimension,
                    partial(_millivolts, signal),
                )
                for i, signal in enumerate(edf.signals)
            ]
        if discontinuous:
            raise RecordError(
                f"{path} is a discontinuous recording (EDF+D); expected a continuous one."
            )
        if not leads:
            raise RecordError(f"{path} holds no signals.")
        return leads


def _millivolts(signal: Any) -> NDArray[np.float64]:
    if signal.physical_min == signal.physical_max or signal.digital_min == signal.digital_max:
        raise ValueError("it has no calibration")  # edfio would return the digital values
    return signal.data * MILLIVOLTS[signal.physical_dimension]
