"""What the tests of the graphs that give beats share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.embedded import Slots
from runtime import Detector
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


def followed(
    detector: Detector, ecg: NDArray[np.float64], *, ends: bool = False
) -> tuple[list[Beat], dict[int, int], list[float]]:
    """The runtime's beats, the flaws of each second from the third on, and what was too high."""
    stream, beats, flaws = detector.stream(FS, events=True), [], {}
    for at in range(0, len(ecg), FS // 2):
        beats += stream.push(ecg[at : at + FS // 2])
        assert stream.tracker is not None
        flaws[stream.tracker.seconds.next - 1] = int(stream.tracker.flaws)
    too_high = list(stream.left_out)
    # The first three are closed together.
    flaws = {second: found for second, found in flaws.items() if second >= 2}
    return beats + (stream.finish() if ends else []), flaws, too_high


def flaws_of_row(slots: Slots, row: int) -> dict[int, int]:
    """The flaws of each second that was closed."""
    used = slots["seconds"][row] >= 0
    return dict(
        zip(slots["seconds"][row][used].tolist(), slots["flaws"][row][used].tolist(), strict=True)
    )
