"""From a file of any format to one lead in mV."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..errors import InputError, RecordError
from ..findings import Record
from .gaps import hold
from .leads import choose
from .packages import explained
from .registry import find
from .targets import name_of


def read(
    path: str | Path,
    *,
    lead: str | None = None,
    fs: float | None = None,
    start_s: float = 0.0,
    seconds: float | None = None,
) -> Record:
    """Read one lead.

    Parameters
    ----------
    path : a WFDB record without its extension, an ``.edf`` or a ``.csv`` file (a column for
        each lead in mV, a header of names; a first column ``time`` in s, or as a clock shows it
        (``1:02:03.456``), gives the rate; another unit stands after a name: ``ECG (uV)``,
        ``time (ms)``; or a row of units follows, as PhysioNet's ``rdsamp`` writes it)
    lead : by name; without it MLII if there is one, else the first in volts
    fs : Hz, needed for a CSV file without times, refused if it contradicts the file
    start_s, seconds : the part to read; all of it by default

    Raises
    ------
    RecordError
        The file is missing, damaged, or has no such lead.
    InputError
        No recording has such a start, length or rate.
    MissingPackageError
        Names the package to install.
    """
    path = Path(path)
    _check(fs, start_s, seconds)
    chosen = choose(path, find(path).leads(path, fs), lead)
    rate = float(chosen.fs)
    if not 0 < rate < math.inf:
        raise RecordError(f"{path} is damaged: its rate is {rate:g} Hz.")
    if fs is not None and abs(fs - rate) > 1e-6 * rate:
        raise RecordError(f"{path} is sampled at {rate:g} Hz; --fs {fs:g} contradicts it.")
    with explained(path, "is damaged: its signal cannot be read"):
        signal = np.asarray(chosen.load(), dtype=np.float64)
    first = round(min(start_s * rate, len(signal)))
    last = len(signal) if seconds is None else first + round(min(seconds * rate, len(signal)))
    part = signal[first:last]
    if not len(part):
        raise RecordError(
            f"{path} has {len(signal) / rate:.3g} s of signal; nothing is left "
            f"from {start_s:g} s on."
        )
    missing = ~np.isfinite(part)
    if missing.all():
        raise RecordError(
            f"{path}: lead {chosen.name} has no sample in the part that was asked "
            "for; expected numbers."
        )
    return Record(name_of(path), chosen.name, rate, hold(part, missing), float(missing.mean()))


def _check(fs: float | None, start_s: float, seconds: float | None) -> None:
    if not 0 <= start_s < math.inf:
        raise InputError(f"a start of {start_s:g} s: expected a finite one from 0 on.")
    for what, value, unit in (("a length", seconds, "s"), ("a rate", fs, "Hz")):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{what} of {value:g} {unit}: expected a finite one above 0.")
