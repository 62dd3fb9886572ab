"""What the tests of the graphs that give beats share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.embedded import Slots
from runtime.findings import CLASSES, Beat
from runtime.model.contract import FS, HOP


def of_row(slots: Slots, row: int) -> list[tuple[int, int]]:
    """R peak and label of a signal's beats."""
    valid = slots["valid"][row]
    peaks, labels = slots["r_peaks"][row][valid], slots["labels"][row][valid]
    return list(zip(peaks.tolist(), labels.tolist(), strict=True))


def of_beats(beats: Sequence[Beat]) -> list[tuple[int, int]]:
    return [(round(beat.time * FS), CLASSES.index(beat.label)) for beat in beats]


def same(slots: Slots, row: int, beats: Sequence[Beat], *, atol: float = 2e-5) -> None:
    """Beat for beat, and their probabilities."""
    assert of_row(slots, row) == of_beats(beats)
    found = slots["class_probabilities"][row][slots["valid"][row]].reshape(-1, 5)
    expected = np.reshape([beat.probabilities for beat in beats], (-1, 5))
    np.testing.assert_allclose(found, expected, atol=atol)


def cut(count: int, seed: int, most: int) -> list[int]:
    """Sizes of chunks that are so many hops in all."""
    rng, sizes = np.random.default_rng(seed), []
    while count:
        sizes.append(min(int(rng.integers(1, most + 1)), count))
        count -= sizes[-1]
    return [hops * HOP for hops in sizes]
