"""All leads of a recording, as they are converted from one format to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import RecordError
from ..leads import Lead, is_ecg, named
from ..packages import explained
from ..reader import Options
from ..registry import find, locate
from ..remote import urls_too
from ..shape import doubt
from ..targets import name_of
from ..units import check_units


@dataclass(frozen=True)
class Signal:
    """A lead.

    Attributes
    ----------
    name : as the file gave it
    fs : Hz
    unit : as the file gave it; mV if it gave none and the numbers allow it, or empty
    samples : float64 [samples] in that unit, NaN if one is missing
    """

    name: str
    fs: float
    unit: str
    samples: NDArray[np.float64]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """First sample of each gap, and the first behind it."""
        missing = np.concatenate([[False], np.isnan(self.samples), [False]])
        edges = np.flatnonzero(np.diff(missing))
        return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


@dataclass(frozen=True)
class Recording:
    """A recording of one or several leads.

    Attributes
    ----------
    name : of the recording
    signals : at least one, of the same length in s but for less than a sample
    start : without a zone; None if it is not known
    notes : what a reader of the file should know, a clause each
    """

    name: str
    signals: tuple[Signal, ...]
    start: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Length of the longest lead, s."""
        return max(len(signal.samples) / signal.fs for signal in self.signals)

    def common_rate(self, format_name: str) -> float:
        """Return the rate of all leads, Hz; raises `RecordError` if they differ."""
        rates = sorted({signal.fs for signal in self.signals})
        if len(rates) > 1:
            raise RecordError(
                f"{self.name} has leads of {', '.join(f'{fs:g}' for fs in rates)} Hz, and "
                f"{format_name} holds one rate; choose leads of one with --lead, or convert to EDF."
            )
        return rates[0]

    def table(self) -> NDArray[np.float64]:
        """All leads of one rate, [samples, leads], NaN behind the end of a shorter one."""
        size = max(len(signal.samples) for signal in self.signals)
        columns = [
            np.pad(s.samples, (0, size - len(s.samples)), constant_values=np.nan)
            for s in self.signals
        ]
        return np.stack(columns, axis=1)


@urls_too
def read_recording(
    path: str | Path,
    *,
    leads: Sequence[str] = (),
    fs: float | None = None,
    units: str | None = None,
    partial: bool = False,
) -> Recording:
    """Read all leads of a recording, or those that are named.

    Parameters
    ----------
    leads : names; none for all
    fs, units, partial : as `runtime.records.read` takes them

    Raises
    ------
    RecordError
        The file is missing or damaged, has no such lead, or an ECG whose numbers are not in mV.
    InputError
        No recording has such a rate or unit.
    """
    scale = check_units(units)
    options = Options(fs, partial)
    path = locate(Path(path))
    listed = find(path).leads(path, options)
    chosen = [named(path, listed, name) for name in leads] or listed
    signals = tuple(_loaded(path, lead, options, scale) for lead in chosen)
    return Recording(name_of(path), signals, options.start, tuple(options.notes))


def _loaded(path: Path, lead: Lead, options: Options, scale: float | None) -> Signal:
    rate = float(lead.fs)
    if not 0 < rate < math.inf:
        raise RecordError(f"{path} is damaged: the rate of lead {lead.name} is {rate:g} Hz.")
    if options.fs is not None and abs(options.fs - rate) > 1e-6 * rate:
        raise RecordError(f"{path} is sampled at {rate:g} Hz; --fs {options.fs:g} contradicts it.")
    with explained(path, f"is damaged: its lead {lead.name} cannot be read"):
        samples = np.array(lead.load(), dtype=np.float64)
    samples[~np.isfinite(samples)] = np.nan
    unit = lead.unit.strip()
    ecg = is_ecg(lead.name) is not False
    if scale is not None and ecg:
        return Signal(lead.name, rate, "mV", samples * scale)
    if not unit and ecg:
        likely = doubt(samples, rate)
        if likely is not None:
            raise RecordError(
                f"{path}: lead {lead.name} has no unit, and its numbers cannot be mV (likely "
                f"{likely}); give --units, as uV or 200/mV, or leave the lead out with --lead."
            )
        unit = "mV"
    return Signal(lead.name, rate, unit, samples)
