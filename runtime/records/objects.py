"""Recordings that other programs hold in memory: wfdb, MNE, NeuroKit, pandas, plain numbers.

None of these packages is imported: an object is known by what it has, so that a version of a
package, or a class made in its image, is read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dates import seconds_of
from .layout import Column
from .leads import Lead, check_not_mixed
from .preambles import Facts
from .reader import Options
from .tables import Table, named_column, table_leads
from .times import counts

EXPECTED = (
    "expected a path, a wfdb Record, an MNE Raw, a pandas DataFrame or Series, a dict of leads, or "
    "numbers [samples] or [samples, leads]"
)
IN_VOLTS = frozenset("ecg eeg eog emg bio ecog seeg dbs".split())  # types of MNE's channels
NO_VOLTAGE = "n/a"
RATES = ("sampling_rate", "fs", "sfreq")  # as NeuroKit and others name it beside a table
MAX_LEADS = 256
LOOKED_AT = 10_000  # words beside samples


def leads_of(source: Any, options: Options, lead: str | None) -> tuple[Path, list[Lead]]:
    """List the leads of an object.

    Parameters
    ----------
    source : what `runtime.records.read` takes beside paths
    lead : the one that is asked for, by name

    Returns
    -------
    a name for the recording, as sentences about it have it, and its leads

    Raises
    ------
    InputError
        It is nothing that holds an ECG, or its rate is missing.
    """
    if hasattr(source, "sig_name") and hasattr(source, "p_signal"):
        return _of_wfdb(source, options)
    if hasattr(source, "ch_names") and hasattr(source, "get_data"):
        return _of_mne(source, options, lead)
    if _is_pair(source) and isinstance(source[1], Mapping) and "sig_name" in source[1]:
        return _of_samples(source[0], source[1], options)
    if _is_pair(source) and hasattr(source[0], "columns"):
        return _of_frame(source[0], options, _rate_beside(source[1]))
    if hasattr(source, "to_frame") and hasattr(source, "index"):  # a Series
        return _of_frame(source.to_frame(), options)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return _of_frame(source, options)
    if isinstance(source, Mapping):
        return _of_mapping(source, options)
    return _of_numbers(source, options)


def _is_pair(source: Any) -> bool:
    return isinstance(source, tuple) and len(source) == 2


def _of_wfdb(source: Any, options: Options) -> tuple[Path, list[Lead]]:
    name = str(source.record_name or "record")
    frames = list(source.samps_per_frame or [1] * len(source.sig_name or ()))
    held = (source.p_signal, source.d_signal, source.e_p_signal, source.e_d_signal)
    if not source.sig_name or all(signal is None for signal in held):
        raise InputError(f"the wfdb Record {name} holds no signal; expected one that was read.")

    def load(channel: int) -> NDArray[np.float64]:
        if source.p_signal is not None:
            return np.asarray(source.p_signal[:, channel], dtype=np.float64)
        if source.e_p_signal is not None:
            return np.asarray(source.e_p_signal[channel], dtype=np.float64)
        if source.d_signal is not None:
            return np.asarray(source.dac()[:, channel], dtype=np.float64)
        return np.asarray(source.dac(expanded=True)[channel], dtype=np.float64)

    single = source.p_signal is not None or (
        source.e_p_signal is None and source.d_signal is not None
    )  # then all leads have the record's rate
    if source.base_time is not None:
        options.start = datetime.combine(source.base_date or date.min, source.base_time)
    return Path(name), [
        Lead(
            str(lead or place),
            float(source.fs) * (1 if single else frames[place]),
            (source.units or [""] * len(frames))[place] or "",
            partial(load, place),
        )
        for place, lead in enumerate(source.sig_name)
    ]


def _of_samples(
    signals: Any, fields: Mapping[str, Any], options: Options
) -> tuple[Path, list[Lead]]:
    """List what ``wfdb.rdsamp`` gives: samples [samples, leads] and a dict of what is known."""
    values, names = np.asarray(signals, dtype=np.float64), list(fields["sig_name"])
    units = list(fields.get("units") or [""] * len(names))
    if values.ndim != 2 or values.shape[1] != len(names) or len(units) != len(names):
        raise InputError(
            f"the samples have the shape {values.shape} and {len(names)} names; expected "
            "[samples, leads] with a name for each lead, as of wfdb.rdsamp."
        )
    if fields.get("base_time") is not None:
        options.start = datetime.combine(fields.get("base_date") or date.min, fields["base_time"])
    fs = float(fields.get("fs") or 0)
    return Path("record"), [
        Lead(str(name), fs, unit or "", partial(values.__getitem__, (slice(None), place)))
        for place, (name, unit) in enumerate(zip(names, units, strict=True))
    ]


def _of_mne(source: Any, options: Options, lead: str | None) -> tuple[Path, list[Lead]]:
    """List the channels; those of type ECG alone, if there are any and none is asked for."""
    types = list(source.get_channel_types())
    files = [file for file in getattr(source, "filenames", ()) or () if file]
    began = source.info.get("meas_date")
    if began is not None:
        options.start = began.replace(tzinfo=None) + timedelta(
            seconds=float(getattr(source, "first_time", 0.0))
        )

    def load(channel: int) -> NDArray[np.float64]:
        # What is marked as bad, and what was not recorded, is missing.
        return np.asarray(
            source.get_data(picks=[channel], reject_by_annotation="NaN", verbose="error")[0],
            dtype=np.float64,
        )

    wanted = {"ecg"} if lead is None and "ecg" in types else set(types)
    return Path(Path(files[0]).stem if files else "Raw"), [
        Lead(
            name,
            float(source.info["sfreq"]),
            "V" if types[place] in IN_VOLTS else NO_VOLTAGE,
            partial(load, place),
        )
        for place, name in enumerate(source.ch_names)
        if types[place] in wanted
    ]


def _of_frame(frame: Any, options: Options, fs: float | None = None) -> tuple[Path, list[Lead]]:
    """List the columns of a DataFrame as those of a table in a file; dates of its index are times.

    A rate that stands beside it, as NeuroKit gives it, is that of a table's preamble.
    """
    name = Path(type(frame).__name__)
    fs = fs or _rate_beside(frame.attrs)
    columns: list[Column] = []
    values: list[NDArray[np.float64]] = []
    if frame.index.dtype.kind in "mM":
        columns.append(named_column(0, "time", "t"))
        values.append(_seconds(frame.index.to_numpy()))
        if frame.index.dtype.kind == "M" and len(frame):
            options.start = frame.index[0].to_pydatetime().replace(tzinfo=None)
    elif frame.index.dtype.kind in "iuf":
        numbers, name_of_index = frame.index.to_numpy(dtype=np.float64), frame.index.name
        steps = np.diff(numbers)
        # Times, or numbers of rows of which some were left out.
        fractions = bool((numbers % 1 != 0).any())
        if (steps != 1).any() and (
            fractions or counts(numbers) or (name_of_index is not None and (steps >= 0).all())
        ):
            standard = "time" if fractions else "index"
            columns.append(named_column(0, str(name_of_index or standard)))
            values.append(numbers)
    for place, column in enumerate(frame.columns):
        found, kind = _column(frame.iloc[:, place])
        if kind == "w":
            words = frame.iloc[:LOOKED_AT, place]
            check_not_mixed(name, {word for word in words if isinstance(word, str)})
        columns.append(named_column(place, str(column), kind))
        values.append(found)
    if not values or not len(frame):
        raise InputError(f"the {name} is empty; expected a column for each lead.")
    named = not all(isinstance(column, int) for column in frame.columns)
    table = Table(tuple(columns), np.stack(values, axis=1), Facts(fs), named)
    return name, table_leads(name, table, options)


def _column(series: Any) -> tuple[NDArray[np.float64], str]:
    """Return a column's numbers, and its kind as `Column` has it."""
    if series.dtype.kind in "mM":
        return _seconds(series.to_numpy()), "t"
    if series.dtype.kind in "iuf":
        return series.to_numpy(dtype=np.float64, na_value=np.nan), "n"
    times = [seconds_of(cell) if isinstance(cell, str) else None for cell in series]
    if None not in times:
        return np.array(times, dtype=np.float64), "t"
    return np.full(len(series), np.nan), "w"


def _seconds(moments: NDArray[Any]) -> NDArray[np.float64]:
    """Return dates and durations as s, NaN for none; from the first on, which keeps them exact."""
    if moments.dtype.kind == "O":  # dates with a zone
        moments = np.array([np.datetime64(m.tz_convert(None)) for m in moments])
    missing = np.isnat(moments)
    first = moments[~missing][0] if not missing.all() else moments[0]
    since = (moments - first).astype("timedelta64[ns]").astype(np.float64) / 1e9
    return np.where(missing, np.nan, since)


def _rate_beside(given: Any) -> float | None:
    """Return the rate that stands beside a table: a number, or one in a dict."""
    if isinstance(given, Mapping):
        given = next((given[key] for key in RATES if key in given), None)
    return float(given) if isinstance(given, Real) else None


def _of_mapping(source: Mapping[Any, Any], options: Options) -> tuple[Path, list[Lead]]:
    name = Path(type(source).__name__)
    if not source:
        raise InputError("the dict is empty; expected the samples of each lead by its name.")
    leads = {str(lead): _numbers(samples) for lead, samples in source.items()}
    for lead, samples in leads.items():
        if samples.ndim != 1:
            raise InputError(f"lead {lead} is {samples.shape}; expected [samples].")
    if len(leads) > 1 and len({len(samples) for samples in leads.values()}) == 1:
        columns = tuple(named_column(place, lead) for place, lead in enumerate(leads))
        table = Table(columns, np.stack([*leads.values()], axis=1), Facts(), named=True)
        return name, table_leads(name, table, options)
    return name, [_held(lead, samples, options) for lead, samples in leads.items()]


def _of_numbers(source: Any, options: Options) -> tuple[Path, list[Lead]]:
    """List the leads of plain numbers; of two axes the longer is time."""
    numbers = _numbers(source)
    name = Path("array")
    if numbers.ndim == 1:
        return name, [_held("ECG", numbers, options)]
    if numbers.ndim != 2 or numbers.shape[0] == numbers.shape[1]:
        raise InputError(f"numbers {numbers.shape}; expected [samples] or [samples, leads].")
    columns = numbers if numbers.shape[0] > numbers.shape[1] else numbers.T
    if columns.shape[1] > MAX_LEADS:
        raise InputError(f"numbers {numbers.shape}; expected up to {MAX_LEADS} leads.")
    return name, [_held(str(i), columns[:, i], options) for i in range(columns.shape[1])]


def _numbers(source: Any) -> NDArray[np.float64]:
    try:
        if np.iscomplexobj(source):
            raise TypeError("complex")
        numbers = np.ma.filled(np.ma.asanyarray(source, dtype=np.float64), np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a {type(source).__name__} cannot be read as an ECG; {EXPECTED}."
        ) from error
    if not numbers.ndim or not numbers.size:
        raise InputError(f"a {type(source).__name__} without samples; {EXPECTED}.")
    return numbers


def _held(name: str, samples: NDArray[np.float64], options: Options) -> Lead:
    if options.fs is None:
        raise InputError("numbers without a rate; give fs in Hz.")
    load: Callable[[], NDArray[np.float64]] = lambda: samples  # noqa: E731
    return Lead(name, options.fs, "", load)
