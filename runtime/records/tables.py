"""Recordings as tables of numbers in text, as loggers, watches and other programs write them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .dates import DAY_S
from .digital import AT_ONCE, Signal, each
from .layout import Column, Layout, recognise
from .leads import Lead, is_ecg, is_lead_name
from .long_tables import read_long
from .packages import explained
from .packets import are_packets, filled, own_stride
from .preambles import Facts
from .reader import Options, Reader
from .rows import read_leads_as_rows, read_rows
from .text import is_zip, open_text
from .times import (
    UnusableTimesError,
    counts,
    digits_of_clock,
    in_order,
    in_seconds,
    likely_scale,
    moment_of,
    past_midnight,
    place_counted,
    place_rows,
    with_months_first,
)
from .units import long_seconds, seconds, split_unit

LINES_LOOKED_AT = 400
LONG_BYTES = 16 << 20  # a table may not fit into memory as float64
TIME_WORDS = re.compile(
    r"t|ts|time\w*|\w*timestamp\w*|datetime|date|clock|seconds?|secs?|s|ms|msec|us|ns|elapsed|"
    r"zeit\w*|uhrzeit|temps|tiempo|tempo|hora|ora|heure|tijd|tid|czas|čas|время|时间\w*|時間|시간|"
    r"unix\w*|epoch\w*|millis|micros|ticks?|minutes?|hours?"
)
NO_TIME_WORDS = re.compile(r"rr|ibi|interval|duration|pr|qrs|qt|offset|zone")
MAX_CLOCK_S = 100 * 3600.0  # a time of day or since a start, no date
MAX_DISAGREEMENT = 0.05  # of a stated rate with that of the times; clocks and nominal rates differ
KNOWN = (".csv", ".txt", ".tsv", ".tab", ".asc")


@dataclass(frozen=True)
class Table:
    """A table that was read: its columns and their numbers, float64 [rows, columns]."""

    columns: tuple[Column, ...]
    values: NDArray[np.float64]
    facts: Facts
    named: bool


class TableReader(Reader):
    """Reads tables with a column for each lead, or a row, and perhaps columns of times."""

    name = "CSV"
    extensions = KNOWN

    def recognises(self, path: Path) -> bool:
        """Return True if the file is text with rows of numbers."""
        try:
            with open_text(path) as file:
                return _recognise(file)[0] is not None
        except RecordError:
            return is_zip(path)  # `leads` says what is wrong with it
        except OSError:
            return False

    def matches(self, path: Path) -> bool:
        """Return True if the name ends as a table's does, packed or not."""
        if path.suffix.lower() in (".gz", ".zip"):
            path = path.with_suffix("")
        return path.suffix.lower() in KNOWN

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List a table's columns; a rate is needed if there is none of times."""
        if path.is_file() and path.stat().st_size >= LONG_BYTES:
            with explained(path, "is not a table of numbers"), open_text(path) as file:
                layout, lines = _recognise(file)
                times = _named_times(layout.columns) if layout else ()
                found = layout and read_long(path, lines, file, layout, times, options)
            if layout and found:
                return _leads(path, layout.columns, layout.facts, found.leads, found.fs, options)
        return table_leads(path, read_table(path), options)


def table_leads(path: Path, table: Table, options: Options) -> list[Lead]:
    """List the leads of a table that was read: its columns of numbers, but for times.

    Raises
    ------
    RecordError
        It has no lead, or neither a rate nor times of which one can be derived.
    """
    if len(table.values) < 2:
        raise RecordError(f"{path} holds {len(table.values)} samples of a lead; expected a signal.")
    times = list(_times(table))
    others = [
        i
        for i, column in enumerate(table.columns)
        if column.kind == "n" and i not in [at for at, _ in times]
    ]
    counters = [i for i in others if _is_counter(table.columns[i], table.values[:, i])]
    others = [i for i in others if i not in counters] or others
    names = [table.columns[i].name for i in others]
    alike = len(set(map(_stem, names))) == 1 or not any(map(is_lead_name, names))
    if alike and are_packets(table.values[:, others]):
        return table_leads(path, _unpacked(table, [at for at, _ in times], others), options)
    options.start = table.facts.start or options.start  # that of a frame is known already
    fs, values = _placed(path, table, times, others, options)
    if not others:
        raise RecordError(f"{path} has times but no lead.")
    if fs is None and counters:
        values = place_counted(path, table.values[:, counters[0]], values)
    signals: dict[int, Signal] = {i: values[:, place] for place, i in enumerate(others)}
    return _leads(path, table.columns, table.facts, signals, fs, options)


def _leads(
    path: Path,
    columns: Sequence[Column],
    facts: Facts,
    signals: Mapping[int, Signal],
    fs: float | None,
    options: Options,
) -> list[Lead]:
    """Leads of the columns, by their place, at the rate that times give or, without, at another."""
    if fs is None:
        fs = facts.fs or options.fs  # `read` tells if they contradict
    elif options.fs is None and not _agree(fs, facts.fs):
        raise RecordError(
            f"{path} is said to have {facts.fs:g} Hz, and its times rise as those of {fs:g} Hz do; "
            f"--fs {fs:g} says that the times are right."
        )
    if fs is None:
        raise RecordError(
            f"{path} does not say its rate; give --fs in Hz, or a first column 'time' in s."
        )
    lone = len(signals) == 1
    leads = []
    for column, samples in ((columns[i], signal) for i, signal in signals.items()):
        stride, rate = 1, fs
        if isinstance(samples, np.ndarray) and options.fs is None:  # codes are of every row
            stride = own_stride(samples)
            rate, first = fs / stride, int(np.isfinite(samples).argmax()) % stride
            samples = samples[first::stride]
        name = _lead_name(column, facts, lone)
        unit = column.unit or (facts.unit if lone or is_ecg(column.name) else "")
        leads.append(Lead(name, rate, unit, partial(_load, path, column, rate, samples)))
    return leads


def read_table(path: Path) -> Table:
    """Read a table.

    Raises
    ------
    RecordError
        It is none, or a row of it is not like the others.
    """
    with explained(path, "is not a table of numbers"), open_text(path) as file:
        layout, lines = _recognise(file)
        if layout is None:
            raise RecordError(
                f"{path} is not a table of numbers: expected at least two rows of as many cells, "
                "with a column for each lead."
            )
        if layout.leads_are_rows:
            rest = itertools.chain(lines[layout.first :], file)
            names, values = read_leads_as_rows(path, rest, layout)
            columns = tuple(named_column(i, name) for i, name in enumerate(names))
            return Table(columns, values, layout.facts, any(names))
        values = read_rows(path, lines[layout.first :], file, layout)
    if len(values) < 2 or np.isnan(values).all():
        raise RecordError(f"{path} is not a table of numbers with at least two rows.")
    return Table(layout.columns, values, layout.facts, layout.named)


def _recognise(file: Iterator[str]) -> tuple[Layout | None, list[str]]:
    lines = list(itertools.islice(file, LINES_LOOKED_AT))
    return recognise(lines, all_lines=len(lines) < LINES_LOOKED_AT), lines


def named_column(place: int, name: str, kind: str = "n") -> Column:
    """Return a column of this name, which may have a unit behind it; numbered if it is empty."""
    bare, unit = split_unit(name)
    return Column(bare or str(place), unit, kind)


def _lead_name(column: Column, facts: Facts, lone: bool) -> str:
    return facts.lead if lone and facts.lead and not is_ecg(column.name) else column.name


def _times(table: Table) -> Iterator[tuple[int, float | None]]:
    """Columns of times, those to be preferred first, and the seconds of their unit if stated."""
    clocks = [(i, 1.0) for i, column in enumerate(table.columns) if column.kind == "t"]
    numbers = _named_times(table.columns)
    if not (numbers or clocks) and not table.named and _rises_evenly(table):
        numbers.append((0, None))
    # A date beside a clock only says which day it is.
    clocks.sort(key=lambda time: bool((table.values[:, time[0]] % DAY_S == 0).all()))
    yield from (*numbers, *clocks)


def _named_times(columns: Sequence[Column]) -> list[tuple[int, float | None]]:
    """Columns of numbers that are times by their names or units, as `_times` gives them."""
    stated: list[tuple[int, float | None]] = []
    unstated: list[tuple[int, float | None]] = []
    for i, column in enumerate(columns):
        words = [word for word in re.split(r"[\W_]+", column.name.lower()) if word]
        if column.kind != "n" or any(NO_TIME_WORDS.fullmatch(word) for word in words):
            continue
        scale = seconds(column.unit) if column.unit else None
        named = any(TIME_WORDS.fullmatch(word) for word in words) and is_ecg(column.name) is None
        if scale is not None:
            stated.append((i, scale))
        elif named and column.unit:
            unstated.append((i, long_seconds(column.unit) or np.nan))
        elif named:
            unstated.append((i, None))
    return stated + unstated


def _rises_evenly(table: Table) -> bool:
    """True if the first of several columns without names can only be times in s."""
    first = table.values[:, 0]
    steps = np.diff(first)
    if table.values.shape[1] < 2 or not (steps > 0).all() or (steps == 1).all():
        return False
    return likely_scale(first) == 1.0 and 20 <= 1 / float(np.median(steps)) <= 10_000


def _placed(
    path: Path,
    table: Table,
    times: list[tuple[int, float | None]],
    others: list[int],
    options: Options,
) -> tuple[float | None, NDArray[np.float64]]:
    """The rate that the times give, or None, and the values at their places."""
    values = table.values[:, others]
    failed: RecordError | None = None
    for at, scale in times:
        column = table.columns[at]
        raw = filled(table.values[:, at])
        if scale is not None and np.isnan(scale):
            failed = failed or RecordError(
                f"{path}: the column {column.name!r} is in {column.unit!r}; expected s, ms, us, "
                "ns or hh:mm:ss."
            )
            continue
        if column.kind == "t":
            raw = past_midnight(raw) if np.nanmax(raw) < MAX_CLOCK_S else _plausible(raw)
        if scale is None:
            raw = digits_of_clock(raw)
            scale = likely_scale(raw)
        in_s, rows, done = in_order(in_seconds(raw, scale), values)
        try:
            placed = place_rows(path, column.name, in_s, rows, options.fs or table.facts.fs)
        except UnusableTimesError as error:
            failed = failed or error
        else:
            options.start = moment_of(in_s[0]) or options.start
            options.notes += [done] if done else []
            return placed
    if failed is not None and (options.fs or table.facts.fs) is None:
        raise failed
    if failed is not None:
        options.notes.append("its times were left out, as they do not rise evenly")
    return None, values


def _unpacked(table: Table, times: list[int], others: list[int]) -> Table:
    """Return a table of packets as rows with a row for each sample."""
    first = table.columns[others[0]]
    stem = _stem(first.name)
    column = Column(stem if is_ecg(stem) else "samples", first.unit, "n", first.offset, first.scale)
    clocks = np.repeat(table.values[:, times], len(others), axis=0)
    values = np.column_stack([clocks, table.values[:, others].ravel()])
    return Table((*(table.columns[i] for i in times), column), values, table.facts, table.named)


def _stem(name: str) -> str:
    return re.sub(r"[\W_]*\d+$", "", name)


def _is_counter(column: Column, numbers: NDArray[np.float64]) -> bool:
    """True for a column that numbers the rows; one with the name of a lead never starts anew."""
    return counts(numbers) and (not is_ecg(column.name) or bool((np.diff(numbers) > 0).all()))


def _agree(fs: float, stated: float | None) -> bool:
    return stated is None or abs(fs - stated) <= MAX_DISAGREEMENT * stated


def _plausible(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moments with their dates read the other way if midnight is a month long otherwise."""
    if np.abs(np.diff(times)).max(initial=0.0) < DAY_S:
        return times
    swapped = with_months_first(times)
    return swapped if np.ptp(swapped) < np.ptp(times) else times


def _load(path: Path, column: Column, fs: float, values: Signal) -> Signal:
    """Return a column; refuse one that only rises, which is a clock or a count and no ECG."""
    if len(values) >= fs and _only_rises(values):
        raise RecordError(
            f"{path}: the column {column.name!r} never falls, as times or a count do not; "
            "expected ECG (a column of times is called 'time', and --lead names "
            "another lead)."
        )
    if column.scale == 1:
        return values
    return each(values, lambda some: (some - column.offset) * column.scale)


def _only_rises(values: Signal) -> bool:
    ends = []
    for at in range(0, len(values), AT_ONCE):
        piece = values[at : at + AT_ONCE + 1]  # with the next one's first
        if not (piece[1:] >= piece[:-1]).all():
            return False
        ends += [piece[0], piece[-1]]
    return bool(ends[-1] > ends[0])
