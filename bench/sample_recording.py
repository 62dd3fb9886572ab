"""The recording that `bench.sample_files` writes in every format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.records import read

START = datetime(2024, 2, 29, 23, 59, 30)
GAP_S = (10.0, 12.5)
SECONDS = 30


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


def cut(made: Recording, seconds: float) -> Recording:
    """Return the first seconds of a recording."""
    size = round(seconds * made.fs)
    return replace(made, leads={name: values[:size] for name, values in made.leads.items()})
