"""Recordings as named arrays, as NumPy and MATLAB keep them: a signal, and perhaps its rate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import Lead, check_not_mixed, is_lead_name
from .preambles import Facts, hertz
from .reader import Options
from .tables import Table, named_column, table_leads
from .times import moment_of

# Names of what describes a signal, without case and signs between.
RATES = frozenset(
    "fs sr srate samplingrate samplerate samplingfrequency samplefrequency samplingfreq samplefreq "
    "sfreq freq hz fshz samplingratehz sampleratehz samplingfrequencyhz".split()
)
UNITS = frozenset("unit units sigunits".split())
LEADS = frozenset(
    "lead leads leadname leadnames signame signames channel channels channelnames names".split()
)
STARTS = frozenset("start starttime startdatetime begin recordedat basedatetime".split())
SIGNALS = frozenset("signal signals ecg ekg val psignal data x samples sig".split())
MAX_LEADS = 256
LARGEST_BYTES, MAX_EXPANSION = 1 << 30, 64  # of arrays that a packed file unfolds to


def check_unfolded(path: Path, unfolded: int) -> None:
    """Refuse a file that unfolds to more than any recording of its size; raises `RecordError`."""
    if unfolded > max(LARGEST_BYTES, MAX_EXPANSION * path.stat().st_size):
        raise RecordError(
            f"{path} of {path.stat().st_size} bytes unfolds to {unfolded}; expected a recording."
        )


def alone(path: Path, arrays: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return arrays by their names.

    Raises
    ------
    RecordError
        Two have one name, and it is not known which is meant: rates, units, or leads.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, array in arrays:
        matters = array.dtype.kind in "iufU" and (key_of(name) in RATES | UNITS or array.size > 1)
        if matters and name in found and not np.array_equal(found[name], array):
            raise RecordError(
                f"{path} holds {name!r} several times, with other values; expected one recording "
                "of one rate."
            )
        found[name] = array
    return found


def array_leads(path: Path, arrays: Mapping[str, NDArray[Any]], options: Options) -> list[Lead]:
    """List the leads of a file of named arrays.

    A two-dimensional array holds the leads, the longer of its axes being time. Of one dimension,
    those of the most samples are leads and times, by their names. A field of an array is a column.

    Raises
    ------
    RecordError
        There is no array of numbers, or no rate.
    """
    facts = _Described(path, arrays)
    for words in arrays.values():
        if words.dtype.kind == "U" and words.size > MAX_LEADS:
            check_not_mixed(path, words.ravel().tolist())
    columns = _columns(path, arrays, facts)
    bare = [named_column(i, name) for i, (name, _) in enumerate(columns)]
    table = Table(
        tuple(replace(column, unit=facts.unit(i) or column.unit) for i, column in enumerate(bare)),
        np.stack([values for _, values in columns], axis=1),
        Facts(facts.fs, start=facts.start),
        any(name for name, _ in columns),
    )
    return table_leads(path, table, options)


class _Described:
    """What the small arrays of a file say of its signal."""

    def __init__(self, path: Path, arrays: Mapping[str, NDArray[Any]]):
        self.fs: float | None = None
        self.names: list[str] = []
        self.start: datetime | None = None
        self._units: list[str] = []
        for name, array in arrays.items():
            key = key_of(name)
            if key in RATES and array.size == 1 and array.dtype.kind in "iufU":
                given = array.ravel()[0]
                stated = hertz(given) if array.dtype.kind == "U" else float(given)
                self.fs = np.nan if stated is None else stated
                if not 0 < self.fs < np.inf:
                    raise RecordError(f"{path} is damaged: its rate {name!r} is {given} Hz.")
            elif key in UNITS:
                self._units = _words(array)
            elif key in LEADS:
                self.names = _words(array)
            elif key in STARTS:
                self.start = _moment(array)

    def unit(self, place: int) -> str:
        """Return a column's unit, empty if it is not stated; one is that of all columns."""
        units = self._units * MAX_LEADS if len(self._units) == 1 else self._units
        return units[place] if place < len(units) else ""


def _columns(
    path: Path, arrays: Mapping[str, NDArray[Any]], facts: _Described
) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the columns of the signal, [samples] each, and their names, which may be empty."""
    signals = {name: a for name, a in arrays.items() if a.size > 1 and _is_signal(a)}
    known = {name: a for name, a in signals.items() if key_of(name) in SIGNALS}
    longest = max((max(a.shape) for a in signals.values()), default=0)
    wide = [a for a in (known or signals).values() if a.ndim == 2 and min(a.shape) > 1]
    if wide:
        if len(wide) > 1:
            names = ", ".join(known or signals)
            raise RecordError(f"{path} holds several arrays ({names}); expected one of leads.")
        array = wide[0] if wide[0].shape[0] >= wide[0].shape[1] else wide[0].T
        if array.shape[1] > MAX_LEADS:
            raise RecordError(
                f"{path} holds an array {wide[0].shape}; expected up to {MAX_LEADS} leads."
            )
        labels = facts.names if len(facts.names) == array.shape[1] else [""] * array.shape[1]
        return [(label, _numbers(array[:, i])) for i, label in enumerate(labels)]
    ecg = {name: max(a.shape) for name, a in signals.items() if is_lead_name(name)}
    if ecg and max(ecg.values()) < longest:
        name, size = next(iter(ecg.items()))
        raise RecordError(
            f"{path} holds {name!r} of {size} samples beside others of {longest}; expected one "
            "rate, or the ECG alone."
        )
    found: list[tuple[str, NDArray[np.float64]]] = []
    for name, array in signals.items():
        if max(array.shape) != longest:
            continue
        flat = array.ravel()
        if flat.dtype.names:
            found += [(str(field), _numbers(flat[field])) for field in flat.dtype.names]
        else:
            found.append((name, _numbers(flat)))
    if not found:
        raise RecordError(
            f"{path} holds no array of numbers; expected [samples] or [samples, leads]."
        )
    if len(found) == 1 and key_of(found[0][0]) in SIGNALS - {"ecg", "ekg"}:
        found = [(facts.names[0] if len(facts.names) == 1 else "", found[0][1])]
    return found


def _is_signal(array: NDArray[Any]) -> bool:
    if array.ndim not in (1, 2):
        return False
    if array.dtype.names:  # fields, as of a table
        return min(array.shape) == 1 or array.ndim == 1
    return array.dtype.kind in "iufM" and array.size >= 2


def _numbers(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers as float64, dates as seconds since 1970, NaN for what is neither."""
    if array.dtype.kind == "M":
        seconds = array.astype("datetime64[us]").astype(np.float64) / 1e6
        return np.where(np.isnat(array), np.nan, seconds)
    if array.dtype.kind not in "iuf":
        return np.full(len(array), np.nan)
    return np.asarray(array, dtype=np.float64)


def _words(array: NDArray[Any]) -> list[str]:
    """Return the words of an array: MATLAB keeps each in an array of its own."""
    words = []
    for item in array.ravel():
        while isinstance(item, np.ndarray) and item.size == 1:
            item = item.ravel()[0]
        words.append(item.decode("latin-1") if isinstance(item, bytes) else str(item))
    return [word.strip() for word in words]


def _moment(array: NDArray[Any]) -> datetime | None:
    if array.size != 1:
        return None
    if array.dtype.kind == "M":
        return moment_of(float(_numbers(array.ravel())[0]))
    try:
        return datetime.fromisoformat(_words(array)[0]).replace(tzinfo=None)
    except ValueError:
        return None


def key_of(name: str) -> str:
    """Return a name without case and signs, as those of `RATES` and others are."""
    return re.sub(r"[\W_]+", "", name.lower())
