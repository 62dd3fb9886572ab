"""Signals, and the answers of the CPU that every way through CUDA must give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.simulate import simulate

ARTIFACTS = Path(__file__).resolve().parents[3] / "artifacts"


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    rows = np.stack([simulate(6.0, seed=seed, ectopic=0.3).signal for seed in range(3)])
    return np.asarray(rows - rows[:, :1])


@pytest.fixture(scope="module")
def expected(ecg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = Detector.load(ARTIFACTS, provider="cpu").session
    size = int(session.metadata["carry_size"])
    return session.run(ecg, np.zeros((len(ecg), size), dtype=np.float32))
