"""The ledger of events: begun, confirmed, reported and closed in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ...findings import Event
from ...model.contract import FS
from ..state import Flag, Moment, Number, Row, Rows, Whole, saved

MAX_OPEN = 64  # kinds of events that can last at the same time


@dataclass
class OpenEvent:
    """An event that lasts.

    Attributes
    ----------
    start : sample where it began
    total, count : sum and number of the confidences that confirmed it
    reported : False as long as it may be over too soon to count
    last : sample up to which it was last confirmed
    """

    start: int
    total: float
    count: int
    reported: bool
    last: int = 0

    @property
    def confidence(self) -> float:
        """Mean of what confirmed it, 0 to 1."""
        return self.total / max(1, self.count)


class _Row(NamedTuple):
    """An open event as it is saved."""

    kind: int
    start: int
    total: float
    times: int
    reported: bool
    last: int


@dataclass
class LedgerState:
    """The open events, as they are saved."""

    rows: list[_Row] = saved(
        Rows(
            Row(
                _Row, (Whole(0, MAX_OPEN), Moment(), Number(0), Whole(0, 1 << 24), Flag(), Moment())
            ),
            MAX_OPEN,
        ),
        make=list,
    )


class Ledger:
    """Events that last, and those to be handed out.

    Parameters
    ----------
    rules : kind -> the rule in words, of every kind; in order of gravity
    min_s : kind -> s that an event must last before it is reported

    Attributes
    ----------
    open : kind -> the event that lasts; only the ledger changes it
    """

    def __init__(self, rules: Mapping[str, str], min_s: Mapping[str, float]):
        self._rules, self._kinds = rules, tuple(rules)
        self._min_samples = {kind: seconds * FS for kind, seconds in min_s.items()}
        self.open: dict[str, OpenEvent] = {}
        self._events: list[Event] = []

    @property
    def gravest(self) -> str | None:
        """The gravest kind that lasts."""
        return next((kind for kind in self._kinds if kind in self.open), None)

    def begin(self, kind: str, start: int, confidence: float, *, last: int = 0) -> None:
        """An event begins at this sample; it is reported now, or once it has lasted long enough."""
        reported = kind not in self._min_samples
        self.open[kind] = OpenEvent(start, confidence, 1, reported, last)
        if reported:
            self._emit(kind, start, None, confidence)

    def confirm(self, kind: str, confidence: float, *, last: int | None = None) -> None:
        """An event goes on."""
        event = self.open[kind]
        event.total, event.count = event.total + confidence, event.count + 1
        if last is not None:
            event.last = last

    def lasted(self, kind: str, until: int) -> None:
        """Report an event that is known to have lasted up to here, if that is long enough."""
        event = self.open[kind]
        if not event.reported and until - event.start >= self._min_samples[kind]:
            event.reported = True
            self._emit(kind, event.start, None, event.confidence)

    def close(self, kind: str, end: int) -> None:
        """An event is over; one that was too short to be reported leaves no trace."""
        self.lasted(kind, end)
        event = self.open.pop(kind)
        if event.reported:
            self._emit(kind, event.start, max(end, event.start), event.confidence)

    def note(self, kind: str, start: int, end: int, confidence: float) -> None:
        """Report an event that is over already."""
        self._emit(kind, start, end, confidence)

    def drain(self) -> list[Event]:
        """The events to be handed out, each once."""
        events, self._events = self._events, []
        return events

    def save(self) -> LedgerState:
        """The open events as values."""
        return LedgerState(
            [
                _Row(
                    self._kinds.index(kind),
                    event.start,
                    event.total,
                    event.count,
                    event.reported,
                    event.last,
                )
                for kind, event in self.open.items()
            ]
        )

    def restore(self, state: LedgerState) -> None:
        """Take the open events that `save` gave; raises ValueError if a kind is unknown."""
        if any(row.kind >= len(self._kinds) for row in state.rows):
            raise ValueError("an event's kind is unknown")
        self.open = {self._kinds[row.kind]: OpenEvent(*row[1:]) for row in state.rows}

    def _emit(self, kind: str, start: int, end: int | None, confidence: float) -> None:
        self._events.append(
            Event(
                kind,
                start / FS,
                None if end is None else end / FS,
                round(confidence, 4),
                self._rules[kind],
            )
        )
