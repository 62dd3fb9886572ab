"""The quality of a signal by the shipped limits, or by others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime.detector import load_rhythm
from runtime.findings import Quality
from runtime.rhythm import RhythmModel
from runtime.signal.quality import assess

Assess = Callable[[np.ndarray, float], Quality]


@pytest.fixture(scope="session")
def shipped() -> RhythmModel:
    """The rhythm of ``artifacts/``, with the limits of quality and the model of noise."""
    return load_rhythm()


@pytest.fixture(scope="session")
def judge(shipped: RhythmModel) -> Assess:
    """Give the quality of a signal at a rate, by the shipped limits."""
    return lambda ecg, fs: assess(ecg, fs, shipped.quality, shipped.noise)
