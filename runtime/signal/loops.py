"""The innermost loops in C, if they were built; without them arrays do the same.

An installation with a C compiler builds them; with ``EKG_COMPILED=0`` in the environment they are
left out.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def compiled(name: str, package: str) -> Any:
    """Import a module that was compiled; None if it was not, or for another machine."""
    if os.environ.get("EKG_COMPILED") == "0":
        return None
    try:
        return import_module(f".{name}", package)
    except ImportError:
        return None


loops = compiled("compiled", __package__)
