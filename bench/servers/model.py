"""The model that every server here answers with: the runtime's own, so that only they differ."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from runtime import Detector
from runtime.inference import DEFAULT_ARTIFACTS
from runtime.wire import result_fields


def load() -> Callable[[ArrayLike, float], dict[str, Any]]:
    """(signal in mV, fs in Hz) -> the fields of the answer to ``POST /predict``."""
    detector = Detector.load(os.environ.get("EKG_ARTIFACTS", DEFAULT_ARTIFACTS),
                             provider=os.environ.get("EKG_PROVIDER", "cpu"))

    def answer(signal: ArrayLike, fs: float) -> dict[str, Any]:
        result = detector.predict(np.asarray(signal, dtype=np.float32), fs)
        assert not isinstance(result, list)
        return {**result_fields(result), "provider": detector.provider}

    return answer
