"""The next chunk of each of many patients: through the network, then through the rhythm."""

from __future__ import annotations

from .patient import Engine, Patient, Rows
from .push import push, push_one, push_whole
from .seam import NO_SEAM, RECENT_S, Seam, moved

__all__ = [
    "NO_SEAM",
    "RECENT_S",
    "Engine",
    "Patient",
    "Rows",
    "Seam",
    "moved",
    "push",
    "push_one",
    "push_whole",
]
