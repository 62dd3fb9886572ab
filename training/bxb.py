"""The algorithm of PhysioNet's bxb: pairs the beats of two annotators and counts.

`pair_beats` works in samples and counts; `training.ec57` makes statistics of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.recordings import AAMI

BEATS = "NSVFQ"
LABELS = BEATS + "OX"  # O: no beat; X: no beat while that annotator could not read the signal
_O, _X = 5, 6

# Escape beats are S here, N in papers. A flutter wave outside fibrillation is for bxb an event
# that is no beat. Symbols that are not here are skipped.
BXB_CLASS = {symbol: LABELS.index(label) for symbol, label in AAMI.items()} | {
    "e": LABELS.index("S"),
    "j": LABELS.index("S"),
    "!": _O,
}

END_OF_REFERENCE, END_OF_EITHER = -1, 0  # instead of the sample to end at
_NEVER = sys.maxsize  # time of the beat after the last one
_UNREADABLE = 0x30  # both subtype bits of a noise mark: no signal can be read, WFDB's shutdown

Mark: TypeAlias = tuple[int, str, int]  # sample, WFDB symbol, subtype
_Beat: TypeAlias = tuple[int, int | None]  # sample and index into LABELS


def pair_beats(
    reference: Sequence[Mark], test: Sequence[Mark], *, start: int, end: int, window: int
) -> Tally:
    """Pair the beats of two annotators from sample ``start`` on, and count.

    Parameters
    ----------
    reference, test : marks in the order of their files
    end : last sample, or `END_OF_REFERENCE` or `END_OF_EITHER`
    window : largest distance of two annotations of one beat, samples
    """
    walk = _Walk(
        _Annotator(reference, window, shutdown_stays_open=True),
        _Annotator(test, window, shutdown_stays_open=False),
        window,
    )
    walk.start(start)
    while walk.goes_on(end):
        walk.step()
    return walk.tally(end)


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of two annotators' beats, and sums.

    Attributes
    ----------
    counts : int64 [7, 7]; rows are the reference, columns the test, both in the order of `LABELS`
    rr_squared_error : sum of the squared differences of the RR intervals, samples²
    rr_errors : number of differences in that sum
    shutdown : samples that the test annotator marked as unreadable
    """

    counts: NDArray[np.int64]
    rr_squared_error: int
    rr_errors: int
    shutdown: int


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
        """True until the comparison ends."""
        times = self.reference.time, self.test.time
        if end == END_OF_REFERENCE:
            return times[0] != _NEVER
        return _NEVER not in times if end == END_OF_EITHER else min(times) <= end

    def step(self) -> None:
        """Decide upon the earlier of the two current beats."""
        reference, test = self.reference, self.test
        test_is_first = test.time < reference.time
        distance = abs(reference.time - test.time)
        rival = (
            abs(reference.time - test.next_time)
            if test_is_first
            else abs(test.time - reference.next_time)
        )
        rival_has_nearer = abs(reference.next_time - test.next_time) < rival
        if distance <= self.window and (distance < rival or rival_has_nearer):
            self._pair()
        elif test_is_first:
            self._extra()
        else:
            self._missed()

    def tally(self, end: int) -> Tally:
        self.counts[_O:, _O:] = 0  # if neither sees a beat, there is nothing to count
        shutdown = self.test.shutdown
        if self.test.open_shutdown is not None and end > 0:
            shutdown += end - self.test.open_shutdown
        return Tally(self.counts, self.squared_error, self.errors, shutdown)

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


class _Annotator:
    """Steps through one annotator's beats, one beat ahead, as bxb reads its files.

    Only the last two spans of fibrillation and of shutdown that begin before the beat ahead are
    remembered; where they stand decides, as in bxb, what an unmatched beat is counted as.

    Attributes
    ----------
    time, next_time : samples of the current beat and of the one ahead
    label, next_label : their classes; None before the first and after the last beat
    rr : samples of the interval before the current beat; 0 if there is none that counts
    shutdown : samples of terminated shutdown read so far
    open_shutdown : where a shutdown began that never ends. In the reference it lasts; in the
        test it ends, for bxb, where the shutdown before it ended, and lasts only if it is the
        first.
    """

    def __init__(self, marks: Sequence[Mark], window: int, *, shutdown_stays_open: bool) -> None:
        self._marks = marks
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

    def _take(self) -> Mark:
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


@dataclass(frozen=True)
class _Span:
    """Fibrillation or shutdown, in samples; -1 stands for unknown."""

    on: int = -1
    off: int = -1

    def holds(self, time: int) -> bool:
        return self.on != -1 and self.on <= time and (time <= self.off or self.off == -1)


def _is_unreadable(subtype: int) -> bool:
    return subtype & _UNREADABLE == _UNREADABLE
