"""The beats that the runtime finds in a record, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.detector import Detector
from runtime.findings import CLASSES, Beat
from training.recordings import FS, Record


def find(
    detector: Detector, record: Record, *, events: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The beats of a record's first lead, as `as_arrays` gives them.

    With ``events`` as ``annotate`` and ``/stream`` find them: in the light of the rhythm.
    """
    stream = detector.stream(FS, events=events)
    return as_arrays(stream.push(record.signal[0]) + stream.finish())


def as_arrays(beats: Sequence[Beat]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Beats of the runtime as sample positions at 360 Hz and indices into `CLASSES`."""
    return (
        np.array([round(beat.time * FS) for beat in beats], dtype=np.int64),
        np.array([CLASSES.index(beat.label) for beat in beats], dtype=np.int64),
    )
