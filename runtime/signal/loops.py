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

loops: Any = None  # over samples
window_loops: Any = None  # over five seconds: features
beat_loops: Any = None
interval_loops: Any = None  # over beats and the intervals between them
second_loops: Any = None  # over a second in which nothing begins
if os.environ.get("EKG_COMPILED") != "0":
    with suppress(ImportError):  # not built, or for another machine
        loops, window_loops, beat_loops, interval_loops, second_loops = (
            import_module(f".{name}", __package__)
            for name in ("compiled", "windows", "beats", "intervals", "ordinary")
        )


def _single(value: float) -> float:
    """The nearest number of float32."""
    return float(np.float32(value))


single: Callable[[float], float] = _single if loops is None else loops.single
