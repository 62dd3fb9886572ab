"""The innermost loops in C, if they were built; without them arrays do the same.

An installation with a C compiler builds them, and so does ``make loops`` in a checkout. With
``EKG_COMPILED=0`` in the environment they are left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

loops: Any = None
window_loops: Any = None  # of features
if os.environ.get("EKG_COMPILED") != "0":
    with suppress(ImportError):  # not built, or for another machine
        loops = import_module(".compiled", __package__)
        window_loops = import_module(".windows", __package__)


def _single(value: float) -> float:
    """The nearest number of float32."""
    return float(np.float32(value))


single: Callable[[float], float] = _single if loops is None else loops.single
