"""Live feeds: lines of numbers from standard input or a device, read on while the taker is busy."""

from __future__ import annotations

import io
import math
import queue
import re
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import InputError, RecordError
from ..records.cells import is_missing, number, split
from ..records.leads import Lead, choose, is_ecg
from ..records.rows import EmptyLines
from ..records.shape import doubt
from ..records.units import check_units, millivolts, split_unit
from ..signal.missing import LARGEST_MV
from .feed_fields import fields_of, is_json, named_alike
from .feed_times import LostSamples, sample_step

MAX_CATCH_UP = 100_000  # samples in one chunk after an outage
CHECKED_S = 6.0  # of a feed without a unit, before its numbers are believed to be mV
MAX_WORDS_S = 10.0  # lines of words before the first number
DELIMITERS = ("\t", ";", ",", " ")
LOOKED_AT = 12  # lines that show which column without a name is the time
COMMA = re.compile(r"([+-]?\d+),(\d+)")  # a number with a decimal comma, or two whole ones


def is_feed(source: str) -> bool:
    """Return whether this is no recording but gives numbers line by line, as a device does."""
    path = Path(source)
    return source == "-" or path.is_fifo() or path.is_char_device()


def feed_name(source: str) -> str:
    """Return a feed's name for people."""
    return "standard input" if source == "-" else source


def read_feed(
    source: str,
    fs: float,
    *,
    units: str | None = None,
    lead: str | None = None,
    opened: IO[str] | None = None,
) -> Iterator[list[float]]:
    """Read numbers from a feed, one a line, a quarter of a second at a time, in mV.

    Lines of words at the start are a greeting or names of columns: then the ECG among them is read,
    in the unit behind its name. A line may also be a JSON object, the columns by their names. Of
    two columns without names the first is left out if it counts or rises by a sample's time. Commas
    are decimal between semicolons or tabs, below the name of an ECG, and in ``-0,12``. Later, a
    line that is no finite number is a missing sample, NaN, and so is an empty one between numbers,
    unless there is one after each.

    Parameters
    ----------
    fs : Hz
    units : of the numbers; those behind the name by default, else mV
    lead : name of the column
    opened : the feed, if it is not to be opened here; then the source only names it

    Raises
    ------
    InputError
        The feed cannot be read, has no number, or numbers that are likely not mV.
    """
    lines = _Lines(feed_name(source), fs, units, lead)
    chunk: list[float] = []
    with opened or _opened(source) as feed:
        lines.ahead = ahead = _Ahead(feed)
        for line_number, line in enumerate(ahead, 1):
            if not lines.is_sample(line):
                continue
            value = lines.read(line_number, line)
            if value is None:
                if line_number > MAX_WORDS_S * fs:
                    raise InputError(lines.nothing_read(line))
                continue
            chunk += [math.nan] * lines.lost
            chunk.append(value)
            if len(chunk) >= fs / 4:
                if len(lines.unchecked) >= CHECKED_S * fs:
                    lines.check_size()
                yield chunk
                chunk = []
    lines.check_size()
    if lines.scale is None:
        raise InputError(lines.nothing_read(lines.last_words))
    yield chunk


def _opened(source: str) -> IO[str]:
    try:
        if source == "-" and sys.stdin is None:
            raise InputError("standard input is closed; expected numbers, one a line.")
        # A serial device may begin with bytes that are no text: a greeting like any other.
        feed = sys.stdin if source == "-" else open(source, errors="replace")  # noqa: SIM115
        if isinstance(feed, io.TextIOWrapper):
            feed.reconfigure(errors="replace")
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}).") from error
    return feed


class _Ahead:
    """Lines of a feed, some of which may be looked at before their turn."""

    def __init__(self, feed: IO[str]):
        self._feed, self._waiting = iter(feed), deque[str]()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self._waiting.popleft() if self._waiting else next(self._feed)

    def look(self, count: int) -> Sequence[str]:
        """Return the next lines, fewer at the end; they still come."""
        self._waiting.extend(islice(self._feed, max(0, count - len(self._waiting))))
        return [*islice(self._waiting, count)]


class _Lines:
    """From lines to samples in mV.

    Attributes
    ----------
    scale : mV of the numbers' unit; None before the first number
    unchecked : numbers whose unit nobody says, until they are believed to be mV
    lost : samples that are missing before the last line, by its time
    last_words : the last line in front of the first number
    ahead : the lines that come
    """

    ahead: _Ahead

    def __init__(self, name: str, fs: float, units: str | None, lead: str | None):
        self.name, self.fs = name, fs
        self.lead = lead
        self.given = check_units(units)
        self.scale: float | None = None
        self.unchecked: list[float] = []
        self.lost = 0
        self.last_words = ""
        self._delimiter: str | None = None
        self._decimal = "."
        self._keys: list[str] | None = None  # of JSON
        self._columns = 1
        self._column = 0
        self._checked = units is not None
        self._time_column = 0
        self._times: LostSamples | None = None
        self._warned = self._lost_before = False
        self._spacing = EmptyLines()

    def is_sample(self, line: str) -> bool:
        """Return False for lines that are skipped: empty ones, unless they stand for a sample."""
        line = line.strip()
        if self._columns > 1 or (self.scale is None and not line):
            return bool(line)
        return self._spacing.is_sample(line)

    def read(self, line_number: int, line: str) -> float | None:
        """Return a line's sample, mV; None in front of the first."""
        line = line.strip().lstrip("\ufeff")
        if self.scale is None and not self._begin(line_number, line):
            self.last_words = line
            return None
        assert self.scale is not None
        cells = self._cells(line)
        while len(cells) > self._columns and not cells[-1]:
            cells.pop()
        whole = len(cells) == self._columns
        value = number(cells[self._column], self._decimal) if whole else None
        self._count_lost(line_number, cells[self._time_column] if whole else "")
        if not self._checked:
            self.unchecked.append(math.nan if value is None else self.scale * value)
        if value is not None and abs(self.scale * value) <= LARGEST_MV:
            return self.scale * value
        if not self._warned:
            self._warned = True
            why = "" if value is None else f", beyond ±{LARGEST_MV:g} mV (are the units right?)"
            print(
                f"warning: line {line_number} of {self.name} is {line[:40]!r}{why}; "
                "such a sample is missing.",
                file=sys.stderr,
            )
        return math.nan

    def check_size(self) -> None:
        """Refuse numbers without a unit that cannot be an ECG in mV; of the others forget them."""
        samples, self.unchecked, self._checked = np.array(self.unchecked), [], True
        beyond = np.abs(samples) > LARGEST_MV
        if len(samples) and beyond.mean() < 0.5:  # more are no spikes, but counts of a converter
            samples = samples[~beyond]
        likely = doubt(samples, self.fs) if len(samples) else None
        if likely is not None:
            option = "200/mV (how many counts make a mV)" if likely == "counts" else likely
            raise InputError(
                f"the numbers of {self.name} have no unit and cannot be an ECG in mV: they span "
                f"{np.nanmax(samples) - np.nanmin(samples):.3g}; give --units, likely {option}, or "
                "--units mV."
            )

    def _count_lost(self, line_number: int, time: str) -> None:
        """Count the samples that are missing before a line with this time."""
        if self._times is None:
            return
        self.lost = self._times.before(time)
        if self.lost and not self._lost_before:
            self._lost_before = True
            print(
                f"warning: {self.lost} samples are missing before line {line_number} of "
                f"{self.name}, by its times; such are gaps.",
                file=sys.stderr,
            )

    def nothing_read(self, line: str) -> str:
        """Return the sentence for a feed in which no number came."""
        words = f", such as {line.strip()[:40]!r}" if line.strip() else ""
        return f"{self.name} has no line that is a number{words}; expected one number a line."

    def _cells(self, line: str) -> list[str]:
        if self._keys is not None:
            fields = fields_of(line)
            return [str(fields.get(key, "")) for key in self._keys] if fields else []
        return [line.rstrip(";")] if self._delimiter is None else _split(line, self._delimiter)

    def _begin(self, line_number: int, line: str) -> bool:
        """Return True if this is the first line of numbers; learn the columns."""
        fields = fields_of(line)
        if fields and (line.startswith("{") or named_alike([line, *self.ahead.look(3)])):
            names = self._keys = [*fields]
            cells = self._cells(line)
        elif line.startswith(("[", "{")) and any(map(str.isdigit, line)) and is_json(line):
            raise InputError(
                f"line {line_number} of {self.name} is {line[:40]!r}; expected one number a line, "
                'or an object of numbers, {"ecg": 0.12}, a line for each sample.'
            )
        else:
            delimiter = next((d for d in DELIMITERS if len(_split(line.rstrip(d), d)) > 1), None)
            if delimiter == " " and None in [number(cell) for cell in line.split()]:
                delimiter = None  # a greeting
            if delimiter == "," and self._is_decimal_comma(line_number, line):
                delimiter, self._decimal = None, ","
            cells = _split(line.rstrip(delimiter), delimiter) if delimiter else [line.rstrip(";")]
            if delimiter in (";", "\t") and any(map(COMMA.fullmatch, cells)):
                self._decimal = ","
            if not any(number(cell, self._decimal) is not None or _is_gap(cell) for cell in cells):
                self._decimal = "."
                return False
            words = self.last_words
            names = _split(words.lstrip("#% "), delimiter) if delimiter else [words]
            self._delimiter = delimiter
        self._columns = len(cells)
        if len(cells) > 1 and len(names) != len(cells):
            self._column = 1
            self._follow_times(line)
            if not (len(cells) == 2 and self._times):
                raise InputError(
                    f"line {line_number} of {self.name} is {line[:40]!r}, {len(cells)} values; "
                    "expected one number a line, a line of the columns' names first, or a column "
                    f"of times that rises by 1/{self.fs:g} s."
                )
            self.scale = self.given or 1.0
            return True
        leads = [
            Lead(*_name_and_unit(name, i), lambda: np.zeros(0)) for i, name in enumerate(names)
        ]
        chosen = leads[0]
        if len(leads) > 1 or self._keys is not None:
            try:
                chosen, reason = choose(
                    Path(self.name), leads, self.lead, any_unit=self.given is not None
                )
            except RecordError as error:
                raise InputError(str(error)) from error
            if reason.startswith("the first"):  # nothing of the signal is known yet
                raise InputError(
                    f"none of the columns of {self.name} ({', '.join(names)}) is called ECG, nor "
                    "is one alone in volts; --lead names the one that is."
                )
        self._column = leads.index(chosen)
        stated = millivolts(chosen.unit)
        if chosen.unit and stated is None and self.given is None and is_ecg(chosen.name):
            raise InputError(
                f"{chosen.name} of {self.name} is in {chosen.unit!r}; expected mV, uV or V "
                "(--units says what its numbers are)."
            )
        self._checked = self._checked or stated is not None
        self.scale = self.given or stated or 1.0
        self._follow_times(line)
        return True

    def _is_decimal_comma(self, line_number: int, line: str) -> bool:
        """Return True for a number with a decimal comma, False for columns; refuse either-or."""
        parts = COMMA.fullmatch(line)
        if parts is None or "," in self.last_words:
            return False
        if self._is_time(line, ","):
            return False
        name, unit = split_unit(self.last_words)
        if parts[1] in ("-0", "+0") or is_ecg(name) or millivolts(unit) is not None:
            return True
        raise InputError(
            f"line {line_number} of {self.name} is {line[:40]!r}, which may be a number with a "
            "decimal comma or two columns; expected decimal points, or a line with the name of the "
            "column, or the names, first."
        )

    def _is_time(self, line: str, delimiter: str) -> bool:
        """Return True if the first column counts, or rises by a sample's time, s, ms, us or ns."""
        rows = [line, *self.ahead.look(LOOKED_AT)]
        first = [_split(row.strip(), delimiter)[0] for row in rows if row.strip()]
        return sample_step(first, self.fs) is not None

    def _follow_times(self, line: str) -> None:
        """Find the column of times or counts, by which samples are known to be missing."""
        rows = [
            self._cells(row.strip()) for row in (line, *self.ahead.look(LOOKED_AT)) if row.strip()
        ]
        for place in range(self._columns):
            if place == self._column:
                continue
            cells = [row[place] if place < len(row) else "" for row in rows]
            step = sample_step(cells, self.fs, self._decimal)
            if step is not None:
                self._times = LostSamples(step, self.fs, self._decimal)
                self._time_column = place
                return


def _name_and_unit(name: str, place: int) -> tuple[str, float, str]:
    bare, unit = split_unit(name)
    return bare or str(place), 1.0, unit


def _split(line: str, delimiter: str) -> list[str]:
    return split(" ".join(line.split()) if delimiter == " " else line, delimiter)


def _is_gap(cell: str) -> bool:
    return bool(cell) and cell not in "-?" and is_missing(cell)


def read_ahead(chunks: Iterator[list[float]]) -> Iterator[list[float]]:
    """Give the same samples, read on while the taker is busy: a device does not wait.

    Those that came in meanwhile are one chunk.
    """
    waiting: queue.SimpleQueue[list[float] | BaseException | None] = queue.SimpleQueue()

    def fill() -> None:
        try:
            for chunk in chunks:
                waiting.put(chunk)
            waiting.put(None)
        except BaseException as error:  # for the taker, with everything that came before
            waiting.put(error)

    threading.Thread(target=fill, daemon=True).start()
    while True:
        item, gathered = waiting.get(), []
        while isinstance(item, list):
            gathered += item
            if waiting.empty() or len(gathered) > MAX_CATCH_UP:
                break
            item = waiting.get()
        if gathered:
            yield gathered
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return
