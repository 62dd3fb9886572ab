"""A short name for everything that decides what a detector finds."""

from __future__ import annotations

import hashlib

from .ekg import Detector


def model_name(detector: Detector) -> str:
    """Return a name of network, rhythm and their limits: 16 hexadecimal digits.

    A stream's token names them, and a fresh stream's holds nothing else.
    """
    return hashlib.sha256(detector.stream(events=True).save()).hexdigest()[:16]
