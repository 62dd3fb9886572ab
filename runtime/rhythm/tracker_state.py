"""The saved state of a tracker: one schema over the states of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .baseline import BaselineState
from .events import FAMILIES
from .events.family import BEAT, Family, History, TrackedBeat
from .events.ledger import LedgerState
from .seconds import ALL_FLAWS, MAX_PENDING_SECONDS, SecondsState
from .state import Rows, Schema, Whole, saved
from .template import TemplateState

LARGEST_SAVED = 805  # numbers in a saved state, 3.2 kB: real ones have 430 to 700
MAX_WAITING_BEATS = 16 * MAX_PENDING_SECONDS  # beats of seconds that are not closed yet


@dataclass(slots=True)
class TrackerState:
    """State of the tracker itself.

    Attributes
    ----------
    flaws : of the last second that was closed, bits of `Flaw`
    waiting : beats of seconds that are not closed yet
    """

    flaws: int = saved(Whole(0, ALL_FLAWS), 0)
    waiting: list[TrackedBeat] = saved(Rows(BEAT, MAX_WAITING_BEATS), make=list)


def schema() -> Schema:
    """The schema of a tracker's saved state."""
    return _schema(tuple(FAMILIES))


@lru_cache(maxsize=4)
def _schema(families: tuple[type[Family], ...]) -> Schema:
    return Schema(
        {
            "tracker": TrackerState,
            "seconds": SecondsState,
            "history": History,
            "template": TemplateState,
            "rr_baseline": BaselineState,
            "ledger": LedgerState,
        }
        | {one.name: one.State for one in families}
    )
