"""Two annotators compared beat by beat as ANSI/AAMI EC57 asks, exactly as PhysioNet's bxb counts.

`compare` gives the statistics of the WFDB program ``bxb``, EC57's reference implementation, and
`summarise` those of ``sumstats``. `training.ec57_report` writes their texts and is the command;
the papers' convention is in `training.evaluate`; docs/ec57.md holds the two side by side.

Sources: ANSI/AAMI EC57:1998; G. Moody, WFDB Applications Guide, bxb(1) and sumstats(1),
https://physionet.org/physiotools/wag/.

>>> result = compare(Annotations([100, 400, 700], "NVN"), Annotations([105, 395, 900], "NVN"),
...                  fs=360, start_s=0)
>>> result.statistics["QRS sensitivity"]
Ratio(part=2, whole=3)
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.io import AAMI

MATCH_S = 0.150  # annotations this far apart can still be one beat
LEARNING_S = 300.0  # a detector may learn for five minutes before it counts

BEATS = "NSVFQ"
LABELS = BEATS + "OX"  # O: no beat; X: no beat while that annotator could not read the signal
_O, _X = 5, 6

# Escape beats are S here, N in papers. A flutter wave outside fibrillation is for bxb an event
# that is no beat. Symbols that are not here are skipped.
BXB_CLASS = {symbol: LABELS.index(label) for symbol, label in AAMI.items()} | {
    "e": LABELS.index("S"), "j": LABELS.index("S"), "!": _O}


@dataclass(frozen=True, eq=False)
class Annotations:
    """One annotator's marks in the order of its file.

    Attributes
    ----------
    samples : int [marks], sample numbers
    symbols : one WFDB symbol per mark, beats or not: ``[`` and ``]`` bound fibrillation
    subtypes : int [marks]; ``~`` with both bits of 0x30 set begins a shutdown, and without
        subtypes no shutdown is seen
    """

    samples: ArrayLike
    symbols: Sequence[str]
    subtypes: ArrayLike | None = None

    def marks(self) -> list[tuple[int, str, int]]:
        """Sample, symbol and subtype of each mark; ValueError where they do not fit together."""
        samples = np.asarray(self.samples)
        if samples.size and not np.issubdtype(samples.dtype, np.integer):
            raise ValueError(f"Samples of annotations must be integers, got {samples.dtype}.")
        subtypes = np.zeros(samples.shape, int) if self.subtypes is None else self.subtypes
        subtypes = np.asarray(subtypes)
        if samples.ndim != 1 or not len(samples) == len(self.symbols) == len(subtypes):
            raise ValueError(
                "Annotations need one symbol and subtype for each sample, got samples of shape "
                f"{samples.shape}, {len(self.symbols)} symbols and {len(subtypes)} subtypes.")
        return list(zip(samples.tolist(), self.symbols, subtypes.tolist(), strict=True))


@dataclass(frozen=True)
class Ratio:
    """A share that keeps its two counts, because EC57 prints them."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """Per cent; nan where there is nothing to divide by."""
        return 100.0 * self.part / self.whole if self.whole else math.nan


@dataclass(frozen=True, eq=False)
class Comparison:
    """EC57's matrix and what bxb derives from it.

    Attributes
    ----------
    counts : int64 [7, 7]; rows are the reference, columns the test, both in the order of `LABELS`
    rr_squared_error_ms2 : sum of the squared differences of the RR intervals, ms²
    rr_errors : how many differences that sum holds
    shutdown_s : time that the test annotator marked as unreadable, whole seconds
    """

    counts: NDArray[np.int64]
    rr_squared_error_ms2: float = 0.0
    rr_errors: int = 0
    shutdown_s: int = 0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(self.counts + other.counts,
                          self.rr_squared_error_ms2 + other.rr_squared_error_ms2,
                          self.rr_errors + other.rr_errors, self.shutdown_s + other.shutdown_s)

    def count(self, reference: str, test: str = LABELS) -> int:
        """Events that the one calls any of these labels and the other any of those."""
        cells = np.ix_([LABELS.index(label) for label in reference],
                       [LABELS.index(label) for label in test])
        return int(self.counts[cells].sum())

    @property
    def statistics(self) -> dict[str, Ratio]:
        """bxb's statistics by the names it prints; EC57 forgives F and Q called v, Q called s."""
        count = self.count
        found, veb, sveb = count(BEATS, BEATS), count("V", "V"), count("S", "S")
        false_veb = count("NSOX", "V")
        return {
            "QRS sensitivity": Ratio(found, count(BEATS)),
            "QRS positive predictivity": Ratio(found, count(LABELS, BEATS)),
            "VEB sensitivity": Ratio(veb, count("V")),
            "VEB positive predictivity": Ratio(veb, veb + false_veb),
            "VEB false positive rate": Ratio(false_veb, false_veb + count("NSFQOX", "NSFQ")),
            "SVEB sensitivity": Ratio(sveb, count("S")),
            "SVEB positive predictivity": Ratio(sveb, count("NSVFOX", "S")),
        }

    @property
    def missed_in_shutdown(self) -> dict[str, Ratio]:
        """Reference beats lost to shutdown; bxb leaves S out of the part of all beats."""
        return {"Beats": Ratio(self.count("NVFQ", "X"), self.count(BEATS))} | {
            label: Ratio(self.count(label, "X"), self.count(label)) for label in "NSVF"}

    @property
    def rr_error_ms(self) -> float:
        """Root mean square error of the RR intervals, ms; nan where none could be compared."""
        return (math.sqrt(self.rr_squared_error_ms2 / self.rr_errors)
                if self.rr_errors else math.nan)

    def without_sveb(self) -> Comparison:
        """S counted with N, as bxb does where it gives no SVEB statistics."""
        counts = self.counts.copy()
        counts[0] += counts[1]
        counts[:, 0] += counts[:, 1]
        counts[1] = counts[:, 1] = 0
        return replace(self, counts=counts)


def compare(reference: Annotations, test: Annotations, fs: float, *,
            start_s: float = LEARNING_S, stop_s: float | None = None,
            window_s: float = MATCH_S, record_samples: int | None = None) -> Comparison:
    """Compare two annotators exactly as bxb does.

    Parameters
    ----------
    fs : sampling frequency, Hz
    start_s, stop_s : what is compared; ``stop_s=0`` ends with the first annotator that ends,
        None with the record or, where its length is unknown, with the reference
    window_s : largest distance of two annotations of one beat
    record_samples : length of the record as its header states it

    Raises
    ------
    ValueError
        Where annotations do not fit together, ``fs`` is not positive, or the comparison would
        stop before it starts.

    Notes
    -----
    Beats are taken in time order. The earlier of the two current beats is paired with the other
    one if they are within the window and either nearer to each other than the later beat is to
    its next candidate, or that candidate has a nearer partner of its own (the rule of November
    2002). A beat without a partner is missed or extra; extra beats within fibrillation of the
    reference are not counted. The RR interval error is taken at every step, also at missed and
    extra beats, wherever both current intervals are free of fibrillation and shutdown.
    """
    if not fs > 0:
        raise ValueError(f"fs must be positive, got {fs}.")
    start, window = _to_samples(start_s, fs), _to_samples(window_s, fs)
    end = record_samples or _END_OF_REFERENCE if stop_s is None else _to_samples(stop_s, fs)
    if 0 < end < start:
        raise ValueError(f"The comparison would stop at sample {end} before it starts at {start}.")
    walk = _Walk(_Annotator(reference, window, shutdown_stays_open=True),
                 _Annotator(test, window, shutdown_stays_open=False), window)
    walk.start(start)
    while walk.goes_on(end):
        walk.step()
    return walk.result(fs, end)


@dataclass(frozen=True, eq=False)
class Summary:
    """Several records together, as sumstats gives them.

    Attributes
    ----------
    total : the sum of the records
    gross : statistics of that sum
    average : means of the records' statistics where these are defined, in %, and last of the
        RR interval errors as bxb prints them, ms
    """

    records: int
    total: Comparison
    gross: dict[str, Ratio]
    average: dict[str, float]


def summarise(comparisons: Sequence[Comparison]) -> Summary:
    """Sum and average comparisons of several records."""
    total = sum(comparisons, start=Comparison(np.zeros((len(LABELS),) * 2, dtype=np.int64)))
    gross, each = _summed(total), [_summed(c) for c in comparisons]
    average = {name: 100.0 * _mean(r[name].part / r[name].whole for r in each if r[name].whole)
               for name in gross}
    errors = [float(f"{c.rr_error_ms:.2f}") for c in comparisons if c.rr_errors]
    return Summary(len(comparisons), total, gross, average | {"RR interval error": _mean(errors)})


def _summed(comparison: Comparison) -> dict[str, Ratio]:
    """sumstats reads tables where F and Q called s share a column, and so forgives both."""
    right = comparison.count("S", "S")
    return comparison.statistics | {
        "SVEB positive predictivity": Ratio(right, comparison.count("NSVOX", "S"))}


def _mean(values: Iterable[float]) -> float:
    """From a plain sum in order, as in C: a more exact one can round the last digit otherwise."""
    listed = list(values)
    return float(np.cumsum(listed)[-1]) / len(listed) if listed else math.nan


# --- bxb's algorithm ------------------------------------------------------------------------

_NEVER = sys.maxsize  # time of the beat after the last one
_UNREADABLE = 0x30  # both subtype bits of a noise mark: no signal can be read, WFDB's shutdown
_END_OF_REFERENCE, _END_OF_EITHER = -1, 0

_Beat: TypeAlias = tuple[int, int | None]  # sample and index into LABELS


@dataclass(frozen=True)
class _Span:
    """Fibrillation or shutdown, in samples; -1 stands for unknown."""

    on: int = -1
    off: int = -1

    def holds(self, time: int) -> bool:
        return self.on != -1 and self.on <= time and (time <= self.off or self.off == -1)


class _Annotator:
    """Steps through one annotator's beats, one beat ahead, as bxb reads its files.

    Only the last two spans of fibrillation and of shutdown that begin before the beat ahead are
    remembered; where they stand decides, as in bxb, what an unmatched beat is counted as.

    Attributes
    ----------
    time, next_time : samples of the current beat and of the one ahead
    label, next_label : their classes; None before the first and after the last beat
    rr : samples of the interval before the current beat; 0 where there is none that counts
    shutdown : samples of terminated shutdown read so far
    open_shutdown : where a shutdown began that never ends. In the reference it lasts; in the
        test it ends, for bxb, where the shutdown before it ended, and lasts only if it is the
        first.
    """

    def __init__(self, annotations: Annotations, window: int, *, shutdown_stays_open: bool
                 ) -> None:
        self._marks = annotations.marks()
        self._window = window
        self._shutdown_stays_open = shutdown_stays_open
        self._position = 0
        self._fibrillations = self._shutdowns = (_Span(), _Span())
        self.time = self.rr = self.shutdown = 0
        self.label: int | None = None
        self.open_shutdown: int | None = None
        self.next_time, self.next_label = self._read_beat()

    def advance(self) -> None:
        """Make the beat ahead the current one."""
        previous = self.time
        self.time, self.label = self.next_time, self.next_label
        self.rr = self.time - previous if self._is_interval(previous) else 0
        self.next_time, self.next_label = self._read_beat()

    def in_fibrillation(self, time: int) -> bool:
        return any(span.holds(time) for span in self._fibrillations)

    def in_shutdown(self, time: int) -> bool:
        return any(span.holds(time) for span in self._shutdowns)

    def _is_interval(self, previous: int) -> bool:
        if previous == 0 or self.time == _NEVER:
            return False
        spans = self._fibrillations + self._shutdowns
        return not any(previous <= span.on < self.time for span in spans)

    def _read_beat(self) -> _Beat:
        while self._position < len(self._marks):
            time, symbol, subtype = self._take()
            if symbol in BXB_CLASS:
                return time, BXB_CLASS[symbol]
            if symbol == "[":
                self._read_fibrillation(time)
            elif symbol == "~" and _is_unreadable(subtype):
                self._read_shutdown(time)
        return _NEVER, None

    def _take(self) -> tuple[int, str, int]:
        self._position += 1
        return self._marks[self._position - 1]

    def _read_fibrillation(self, on: int) -> None:
        """Skip to its end; without an end, bxb keeps the end of the fibrillation before it."""
        latest, _ = self._fibrillations
        self._fibrillations = (_Span(on, latest.off), latest)
        while self._position < len(self._marks):
            time, symbol, _ = self._take()
            if symbol == "]":
                self._fibrillations = (_Span(on, time), latest)
                return

    def _read_shutdown(self, on: int) -> None:
        latest, _ = self._shutdowns
        if self._position == len(self._marks):
            off = _NEVER if self._shutdown_stays_open else latest.off
            self._shutdowns = (_Span(on, off), latest)
            self.open_shutdown = on
            return
        time, symbol, subtype = self._marks[self._position]
        if symbol == "~" and not _is_unreadable(subtype):
            self._position += 1
            span = _Span(on, time)
        else:
            span = self._span_of_lone_mark(time)
        self._shutdowns = (span, latest)
        self.shutdown += span.off - span.on

    def _span_of_lone_mark(self, following: int) -> _Span:
        """AHA files mark a shutdown once, in its middle: it fills the gap between the beats."""
        off = following - self._window
        on = max(self._fibrillations[0].off, self.time) + self._window
        return _Span(min(on, off), off)


class _Walk:
    """Walks along both annotators and counts pairs, lone beats and RR interval errors."""

    def __init__(self, reference: _Annotator, test: _Annotator, window: int) -> None:
        self.reference, self.test, self.window = reference, test, window
        self.counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
        self.squared_error = self.errors = 0

    def start(self, start: int) -> None:
        """Go to the first beats after the learning period.

        The last test beat before it may belong to the first reference beat after it; a first
        test beat after it may belong to a reference beat before it, and is then passed over.
        """
        reference, test = self.reference, self.test
        while reference.time < start:
            reference.advance()
        while test.next_time < start:
            test.advance()
        distance = reference.time - test.time
        if distance <= self.window and distance < abs(reference.time - test.next_time):
            self._pair()
            return
        test.advance()
        distance = abs(reference.time - test.time)
        if test.time - start <= self.window and abs(reference.time - test.next_time) < distance:
            test.advance()

    def goes_on(self, end: int) -> bool:
        times = self.reference.time, self.test.time
        if end == _END_OF_REFERENCE:
            return times[0] != _NEVER
        return _NEVER not in times if end == _END_OF_EITHER else min(times) <= end

    def step(self) -> None:
        """Decide upon the earlier of the two current beats."""
        reference, test = self.reference, self.test
        test_is_first = test.time < reference.time
        distance = abs(reference.time - test.time)
        rival = (abs(reference.time - test.next_time) if test_is_first
                 else abs(test.time - reference.next_time))
        rival_has_nearer = abs(reference.next_time - test.next_time) < rival
        if distance <= self.window and (distance < rival or rival_has_nearer):
            self._pair()
        elif test_is_first:
            self._extra()
        else:
            self._missed()

    def result(self, fs: float, end: int) -> Comparison:
        self.counts[_O:, _O:] = 0  # where neither sees a beat, there is nothing to count
        second, shutdown = _to_samples(1.0, fs), self.test.shutdown
        if self.test.open_shutdown is not None and end > 0:
            shutdown += end - self.test.open_shutdown
        return Comparison(self.counts, self.squared_error * (1000.0 / second) ** 2, self.errors,
                          int((shutdown + _to_samples(0.5, fs)) / second))

    def _pair(self) -> None:
        self._count(self.reference.label, self.test.label)
        self.reference.advance()
        self.test.advance()

    def _extra(self) -> None:
        absent = _X if self.reference.in_shutdown(self.test.time) else _O
        fibrillation = self.reference.in_fibrillation(self.test.time)
        self._count(None if fibrillation else absent, self.test.label)
        self.test.advance()

    def _missed(self) -> None:
        absent = _X if self.test.in_shutdown(self.reference.time) else _O
        self._count(self.reference.label, absent)
        self.reference.advance()

    def _count(self, reference: int | None, test: int | None) -> None:
        if reference is not None and test is not None:
            self.counts[reference, test] += 1
        if self.reference.rr > 0 and self.test.rr > 0:
            self.squared_error += (self.reference.rr - self.test.rr) ** 2
            self.errors += 1


def _to_samples(seconds: float, fs: float) -> int:
    """Nearest sample, halves up, as the WFDB library converts times."""
    return int(seconds * fs + 0.5)


def _is_unreadable(subtype: int) -> bool:
    return subtype & _UNREADABLE == _UNREADABLE
