"""A stand-in for hypothesis where only the runtime's requirements and pytest are installed.

Tests of properties skip there with a reason, the others of their files run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest


def stand_in() -> None:
    """Make ``import hypothesis`` succeed; what is tested with it skips."""
    made: Any = ModuleType("hypothesis")
    made.given = lambda *_, **__: pytest.mark.skip(reason="no hypothesis (pip install hypothesis)")
    made.settings = _Settings
    made.strategies = MagicMock()
    for name in ("assume", "example", "HealthCheck"):
        setattr(made, name, MagicMock())
    sys.modules["hypothesis"] = made
    sys.modules["hypothesis.strategies"] = made.strategies


class _Settings:
    """``settings(...)``, which changes nothing."""

    def __init__(self, **_: Any): ...

    def __call__(self, test: Callable[..., None]) -> Callable[..., None]:
        return test

    register_profile = load_profile = staticmethod(lambda *_, **__: None)
