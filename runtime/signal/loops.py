"""The innermost loops in C, if they were built: `compiled.c`.

An installation with a C compiler builds them. Without them, or with ``EKG_COMPILED=0`` in the
environment, arrays do the same: ``loops`` is None.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

loops: Any = None
if os.environ.get("EKG_COMPILED") != "0":
    try:
        loops = import_module(".compiled", __package__)
    except ImportError:  # not built, or for another machine
        loops = None
