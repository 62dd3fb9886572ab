"""From beats and seconds to rhythm: labels in the light of the patient, and events."""

from __future__ import annotations

from .artefact import ArtefactLimits
from .baseline import BaselineLimits
from .events import FAMILIES, closed, kinds, rules
from .events.rates import RATE_INTERVALS, heart_rate
from .model import RhythmModel
from .ordinary import follow_together
from .policy import RhythmPolicy, Section
from .seconds import take_together
from .template import TemplateLimits
from .tracker import RhythmTracker
from .tracker_state import schema

__all__ = [
    "RATE_INTERVALS",
    "RhythmModel",
    "RhythmPolicy",
    "RhythmTracker",
    "closed",
    "follow_together",
    "heart_rate",
    "kinds",
    "rules",
    "schema",
    "sections",
    "take_together",
]


def sections() -> tuple[type[Section], ...]:
    """The sections of a rhythm policy: those of the families, and of what decides on labels."""
    return (
        TemplateLimits,
        BaselineLimits,
        *(family.Limits for family in FAMILIES if family.Limits is not None),
        ArtefactLimits,
    )
