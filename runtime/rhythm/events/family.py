"""The protocol of all rules: a second, a beat, a gap come in; events go through the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ...beats import NO_BEAT
from ...model.rhythm_network import RhythmNetwork
from ..policy import RhythmPolicy, Section
from ..state import Flag, Maybe, Moment, Number, Row, Rows, Whole, saved
from .ledger import Ledger

CRITICAL_GRAVITY = 100
MAX_BEATS = 100  # that a limit may count: a stream's state holds as many intervals


class Kind(NamedTuple):
    """A kind of event.

    Attributes
    ----------
    name : as answers, files and metadata have it
    gravity : the larger the graver; a rhythm is named after the gravest event that lasts
    wfdb : the rhythm's code in WFDB's annotations; None: it is written as a comment
    made_of : class of the beats that it consists of, a letter; None if of none, or of any
    """

    name: str
    gravity: int
    wfdb: str | None = None
    made_of: str | None = None

    @property
    def critical(self) -> bool:
        """True if people are interrupted for it: no heart lives long with it."""
        return self.gravity >= CRITICAL_GRAVITY

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ").capitalize()


class TrackedBeat(NamedTuple):
    """A beat as the rules see it.

    Attributes
    ----------
    sample : of its R peak
    label : index into `CLASSES`; while it waits for its second, also `NO_BEAT`
    score : probability of the label
    atrial : True if it is certainly N or S
    """

    sample: int
    label: int
    score: float
    atrial: bool


BEAT = Row(TrackedBeat, (Moment(), Whole(0, NO_BEAT), Number(0.0, 1.001), Flag()))


class Second(NamedTuple):
    """A second of signal, everything about it being known.

    Attributes
    ----------
    start, end : samples; the last second of a recording may be shorter
    flaws : bits of `Flaw`
    readable : True if the five seconds around it can be read
    fibrillation : log-odds of ventricular fibrillation in these five seconds
    """

    start: int
    end: int
    flaws: int
    readable: bool
    fibrillation: float


@dataclass(slots=True)
class History:
    """The beats so far, as all rules may read them.

    Attributes
    ----------
    previous : the last beat; None if a gap followed
    seen : its sample, whatever followed
    clear : since this sample there was neither a beat nor a flaw
    intervals : the last RR intervals without a gap, samples
    """

    previous: TrackedBeat | None = saved(Maybe(BEAT))
    seen: int = saved(Moment(), 0)
    clear: int = saved(Moment(), 0)
    intervals: list[int] = saved(Rows(Whole(1, 1 << 24), MAX_BEATS), make=list)


class Signal(Protocol):
    """The signal around the second that is being closed."""

    def before(self, sample: int) -> NDArray[np.float32] | None:
        """The samples at 60 Hz that precede a beat; None if they are not at hand."""


@dataclass(slots=True)
class NoState:
    """The state of a family that keeps nothing but what the ledger holds."""


class Family:
    """A family of rules that share their evidence: the base of every file beside this one.

    A family overrides the hooks that it needs. They are called in the order of time: each second
    first as signal, then its beats; or, if the second cannot be read, as a gap.

    Attributes
    ----------
    name : of its part in the saved state
    kinds : the events that it can report
    Limits : its section of the policy, if it has one
    State : dataclass of its state between chunks (see `.state`)
    limits, state : those of this patient
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    Limits: ClassVar[type[Section] | None] = None
    State: ClassVar[type] = NoState
    limits: Any
    state: Any

    def __init__(self, policy: RhythmPolicy, ledger: Ledger, network: RhythmNetwork):
        self.ledger, self.network = ledger, network
        self.limits = policy.of(self.Limits) if self.Limits else None
        self.state = self.State()

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        """Kind -> its rule in words, with the limits that are in force."""
        raise NotImplementedError

    @classmethod
    def min_s(cls, policy: RhythmPolicy) -> dict[str, float]:
        """Kind -> s that an event must last before it is reported; others are reported at once."""
        return {}

    @classmethod
    def intervals_needed(cls, policy: RhythmPolicy) -> int:
        """RR intervals that the history must hold."""
        return 0

    @property
    def hides_beats(self) -> bool:
        """True if beats and their absence mean nothing at the moment."""
        return False

    def on_second(self, second: Second) -> None:
        """Take the next second of signal."""

    def is_standstill(self, now: int, second: Second, history: History) -> bool:
        """True if the heart stands still at this sample: events that are made of beats end.

        It is not asked before the shorter time of `SilenceLimits` has gone by without a beat.
        """
        return False

    def on_standstill(self, history: History) -> None:
        """End the events that are made of beats."""

    def on_beats(self, beats: Sequence[TrackedBeat], signal: Signal) -> None:
        """Take beats that come together, before each comes by itself.

        They are those of one second, or of the part of it between gaps.
        """

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        """Take the next beat.

        Parameters
        ----------
        interval : samples since the beat before; None after a gap
        history : up to the beat before, but ``intervals`` has this one already
        """

    def on_gap(self, start: int, end: int, history: History) -> None:
        """Take a second in which nothing about beats is known."""

    def on_end(self, end: int) -> None:
        """End with the recording, at this sample."""
        self.close(end)

    def check(self) -> None:
        """Raise ValueError if the restored state is one that these rules cannot have left."""

    def confirm(self, score: float) -> None:
        """Confirm every event of this family that lasts."""
        for kind in self.kinds:
            if kind.name in self.ledger.open:
                self.ledger.confirm(kind.name, score)

    def close(self, end: int) -> None:
        """Close every event of this family that lasts."""
        if self.ledger.open:
            for kind in self.kinds:
                if kind.name in self.ledger.open:
                    self.ledger.close(kind.name, end)
