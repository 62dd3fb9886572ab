"""From a file of any format to one lead in mV."""

from __future__ import annotations

import math
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, RecordError
from ..findings import Record
from .digital import AT_ONCE, Coded, Signal, each
from .leads import Lead, choose, is_ecg
from .objects import leads_of
from .packages import explained
from .reader import Options
from .registry import find, locate
from .remote import urls_too
from .shape import (
    LARGEST_ECG_MV,
    LARGEST_OFFSET_MV,
    SMALLEST_ECG_MV,
    doubt,
    ecg_range,
    level,
    usual_range,
)
from .targets import name_of
from .units import check_units, millivolts

RATES_HZ = 1.0, 1e6  # wider than any recorder's: of others a header is damaged
FARTHEST_MV = 1e7  # beyond what converters of 32 bits count in uV
LOOKED_AT = 100_000  # samples of a signal, to see where it lies
LIKELY = {  # and the option that says so
    "uV": ("uV", "--units uV, or for a converter's counts how many make a mV, as in 200/mV"),
    "V": ("V", "--units V"),
    "counts": ("counts of a converter", "--units with how many make a mV, as in 200/mV"),
}


@urls_too
def read(
    source: str | os.PathLike[str] | Any,
    *,
    lead: str | None = None,
    fs: float | None = None,
    units: str | None = None,
    partial: bool = False,
    start_s: float = 0.0,
    seconds: float | None = None,
    compact: bool = False,
) -> Record:
    """Read one lead.

    Parameters
    ----------
    source : the path of a WFDB record, a file of another format, or a table of numbers as text,
        perhaps packed as ``.gz`` or ``.zip``, or a URL of one (docs/formats.md lists the formats,
        docs/contracts.md says what tables may look like); or what
        other programs hold in memory: a ``wfdb.Record``, an MNE ``Raw``, a pandas ``DataFrame`` or
        ``Series``, NeuroKit's pair of a table and its rate, a dict of leads, or numbers [samples]
        or [samples, leads] with ``fs``. A `Record` is returned as it is.
    lead : by name; without it the ECG: by its name (MLII before others), then by its unit, then
        the lead with the clearest beats in its first minute
    fs : Hz, needed for a file that does not state it, refused if it contradicts the file
    units : of the numbers, whatever the file says: mV, uV, V, or a gain, ``200/mV``
    partial : read the whole part of a file that is cut off
    start_s, seconds : the part to read; all of it by default
    compact : keep a signal that the file has as whole numbers, or with few digits, as such, a
        quarter or half of its size: the record's is `Coded` then, for what cuts pieces out of it

    Raises
    ------
    RecordError
        The file is missing, damaged, has no such lead or no ECG, or numbers that are not in mV.
    InputError
        No recording has such a start, length, rate or unit.
    MissingPackageError
        Names the package to install.
    """
    _check(fs, start_s, seconds)
    scale = check_units(units)
    if isinstance(source, Record):
        if (lead, fs, units, start_s, seconds) != (None, None, None, 0.0, None):
            raise InputError("a Record is one lead in mV already; expected no lead, fs or units.")
        return source
    options = Options(fs, partial)
    if isinstance(source, str | os.PathLike):
        try:
            path = locate(Path(source))
            leads = find(path).leads(path, options)
        except OSError as error:
            raise RecordError(f"{source} cannot be read ({error.strerror}).") from error
    else:
        path, leads = leads_of(source, options, lead)
    chosen, reason = choose(path, leads, lead, any_unit=scale is not None)
    signal = _loaded(path, chosen, fs, compact=compact)
    preferred, left = (chosen, reason, signal), list(leads)
    while lead is None and (
        fault := _fault(signal)
    ):  # an electrode is off, or a channel is not used
        left = [each for each in left if each is not chosen]
        if not any(is_ecg(each.name) for each in left):
            chosen, reason, signal = preferred  # all are
            break
        chosen, _ = choose(path, left, None, any_unit=scale is not None)
        reason = f"as {preferred[0].name} is {fault}"
        signal = _loaded(path, chosen, fs, compact=compact)
    rate = float(chosen.fs)
    stated = millivolts(chosen.unit) if scale is None else None
    if scale is None and stated is None:
        _check_size(path, chosen, signal)
    signal = _in_millivolts(path, chosen, signal, scale or stated or 1.0, options)
    if stated is not None:
        _check_stated(path, chosen, signal)
    first = round(min(start_s * rate, len(signal)))
    last = len(signal) if seconds is None else first + round(min(seconds * rate, len(signal)))
    part = signal.part(first, last) if isinstance(signal, Coded) else signal[first:last]
    if not len(part):
        raise RecordError(
            f"{path} has {len(signal) / rate:.3g} s of signal; nothing is left "
            f"from {start_s:g} s on."
        )
    missing = sum(
        int(np.count_nonzero(~np.isfinite(part[at : at + AT_ONCE])))
        for at in range(0, len(part), AT_ONCE)
    )
    if missing == len(part):
        raise RecordError(
            f"{path}: lead {chosen.name} has no sample in the part that was asked "
            "for; expected numbers."
        )
    gaps = missing / len(part)
    if gaps:
        part = each(part, _without_infinities)
    start = options.start and options.start + timedelta(seconds=first / rate)
    return Record(
        name_of(path),
        chosen.name,
        rate,
        cast("NDArray[np.float64]", part),  # codes only for who asked for them
        gaps,
        reason,
        tuple(options.notes),
        start,
        options.header,
        tuple(each.name for each in leads),
    )


def _loaded(path: Path, lead: Lead, fs: float | None, *, compact: bool) -> Signal:
    """Load a lead, if its rate can be that of an ECG and is the one that is given."""
    rate = float(lead.fs)
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise RecordError(
            f"{path} is damaged: its rate is {rate:g} Hz; expected an ECG's, 100 to 20,000 Hz."
        )
    if fs is not None and abs(fs - rate) > 1e-6 * rate:
        raise RecordError(f"{path} is sampled at {rate:g} Hz; --fs {fs:g} contradicts it.")
    with explained(path, "is damaged: its signal cannot be read"):
        signal = lead.load()
        if compact and isinstance(signal, Coded):
            return signal
        return np.asarray(signal, dtype=np.float64)


def _fault(signal: Signal) -> str:
    """Say that a signal has one value only, or none; nearly always the first piece has two."""
    values = np.empty(0)
    for at in range(0, len(signal), AT_ONCE):
        some = signal[at : at + AT_ONCE]
        values = np.append(values[:1], some[np.isfinite(some)])
        if (values != values[:1]).any():
            return ""
    return "flat" if len(values) else "missing"


def _without_infinities(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return NaN for them; nearly always it is there already, and a day needs no copy."""
    infinite = np.isinf(signal)
    return np.where(infinite, np.nan, signal) if infinite.any() else signal


def _check_size(path: Path, lead: Lead, signal: Signal) -> None:
    """Refuse numbers without a unit that cannot be an ECG in mV."""
    likely = doubt(signal, lead.fs)
    if likely is not None:
        what, option = LIKELY[likely]
        raise RecordError(
            f"{path}: lead {lead.name} has no unit, and its numbers span "
            f"{usual_range(signal, lead.fs):.3g} in two seconds, as no ECG in mV does; they are "
            f"likely {what}: give {option} (--units mV if they are mV after all)."
        )


def _in_millivolts(
    path: Path, lead: Lead, signal: Signal, scale: float, options: Options
) -> Signal:
    """Return the signal in mV, less an offset that no electrodes have: half a supply's voltage."""
    if scale != 1.0:
        signal = each(signal, lambda values: values * scale)
    offset = level(signal)
    some = signal[:: max(1, len(signal) // LOOKED_AT)]
    some = some[np.isfinite(some)]
    if len(some) and np.abs(some).min() > FARTHEST_MV:
        raise RecordError(
            f"{path} is damaged: lead {lead.name} lies at {np.median(some):.3g} mV; expected "
            "another gain, offset or unit."
        )
    if abs(offset) <= LARGEST_OFFSET_MV or usual_range(signal, lead.fs) > LARGEST_ECG_MV:
        return signal
    options.notes.append(f"an offset of {offset:.4g} mV was taken off")
    return each(signal, lambda values: values - offset)


def _check_stated(path: Path, lead: Lead, signal: Signal) -> None:
    """Refuse numbers that cannot be an ECG in the unit that the file states."""
    size = ecg_range(signal, lead.fs)
    if size < SMALLEST_ECG_MV and doubt(signal, lead.fs):
        raise RecordError(
            f"{path}: lead {lead.name} is said to be in {lead.unit}, and its beats are within "
            f"{size:.3g} mV, as those of no ECG are; --units says what its numbers are, as in "
            "200/mV."
        )
    if size > LARGEST_ECG_MV:
        raise RecordError(
            f"{path}: lead {lead.name} is said to be in {lead.unit}, and spans {size:.3g} mV in "
            "two seconds, as no ECG does; --units says what its numbers are, as in 200/mV "
            f"(--units {lead.unit} if that is right)."
        )


def _check(fs: float | None, start_s: float, seconds: float | None) -> None:
    if not 0 <= start_s < math.inf:
        raise InputError(f"a start of {start_s:g} s: expected a finite one from 0 on.")
    for what, value, unit in (("a length", seconds, "s"), ("a rate", fs, "Hz")):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{what} of {value:g} {unit}: expected a finite one above 0.")
