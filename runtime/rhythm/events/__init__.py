"""The rules that make events, one file a family; `FAMILIES` is their registry."""

from __future__ import annotations

from collections.abc import Iterable

from ...findings import Event
from ..policy import RhythmPolicy
from .atrial import Atrial
from .family import Family, Kind
from .ledger import Ledger
from .patterns import Patterns
from .rates import Rates
from .runs import Runs
from .silence import Silence
from .ventricular import Ventricular

__all__ = ["FAMILIES", "Family", "Kind", "Ledger", "closed", "kinds", "rules"]

# A new family of rules is one file here and one name in this list. Beats go through it in this
# order: what comes later may ask the ledger about what came before.
FAMILIES: list[type[Family]] = [Ventricular, Silence, Rates, Atrial, Runs, Patterns]


def kinds() -> tuple[Kind, ...]:
    """Every kind of event, from the gravest to the mildest."""
    return tuple(
        sorted(
            (kind for family in FAMILIES for kind in family.kinds), key=lambda kind: -kind.gravity
        )
    )


def rules(policy: RhythmPolicy) -> dict[str, str]:
    """Kind -> its rule in words, with the limits of a policy; from the gravest to the mildest."""
    words = {kind: rule for family in FAMILIES for kind, rule in family.rules(policy).items()}
    return {kind.name: words[kind.name] for kind in kinds()}


def closed(events: Iterable[Event]) -> list[Event]:
    """Only the events that have ended, in order of their start, the gravest first.

    Those that were taken back, which ended where they began, are left out.
    """
    order = [kind.name for kind in kinds()]
    return sorted(
        (event for event in events if event.end is not None and event.end > event.start),
        key=lambda event: (event.start, order.index(event.kind)),
    )
