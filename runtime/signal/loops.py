"""The innermost loops in C, if they were built; without them arrays do the same.

An installation with a C compiler builds them, and so does ``make loops`` in a checkout. With
``EKG_COMPILED=0`` in the environment they are left out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from typing import Any

loops: Any = None
window_loops: Any = None  # of features
if os.environ.get("EKG_COMPILED") != "0":
    with suppress(ImportError):  # not built, or for another machine
        loops = import_module(".compiled", __package__)
        window_loops = import_module(".windows", __package__)
