"""A study made up for a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.findings import Beat, Event, Record
from runtime.report import Study
from runtime.simulate import simulate

ALONE = {label: tuple(float(label == other) for other in "NSVFQ") for label in "NSVFQ"}


@pytest.fixture(scope="session")
def beat() -> Callable[..., Beat]:
    """A beat of a time in s and a label."""
    return lambda time, label="N", score=0.9: Beat(
        float(time), str(label), score, ALONE[str(label)]
    )


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    def make(
        seconds: float,
        beats: Sequence[Beat] = (),
        events: Sequence[Event] = (),
        *,
        fs: float = 360,
        signal: NDArray[np.floating] | None = None,
        flaws: NDArray[np.int64] | None = None,
        name: str = "made",
    ) -> Study:
        """Make a study of a record that is good all through, unless flaws are given."""
        if signal is None:
            signal = np.zeros(round(seconds * fs))
        if flaws is None:
            flaws = np.zeros(int(seconds), dtype=np.int64)
        return Study(
            Record(name, "MLII", fs, np.asarray(signal, dtype=np.float64), 0.0),
            beats,
            events,
            flaws,
            "a test",
        )

    return make


@pytest.fixture(scope="session")
def minute() -> NDArray[np.float32]:
    """A minute of a simulated patient at 360 Hz, mV."""
    return simulate(60, seed=5).signal
