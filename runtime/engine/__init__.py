"""The next chunk of each of many patients: through the network, then through the rhythm."""

from __future__ import annotations

from .patient import Engine, Patient, Rows
from .push import push, push_one, push_whole

__all__ = ["Engine", "Patient", "Rows", "push", "push_one", "push_whole"]
