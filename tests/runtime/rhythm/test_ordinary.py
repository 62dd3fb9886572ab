"""Ordinary seconds by the compiled loops: to the last bit what the rules give."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime import Detector
from runtime.model.contract import FS
from runtime.rhythm import ordinary
from runtime.signal.loops import second_loops
from runtime.simulate import simulate

pytestmark = pytest.mark.skipif(second_loops is None, reason="the loops in C were not built")
SECONDS, PATIENTS = 45, 3
RNG = st.integers(0, 2**32 - 1).map(np.random.default_rng)


class Counted:
    """The loops, and how often they followed a patient, and left the rest to the rules."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def follow(self, *given: Any) -> Any:
        found, rest = second_loops.follow(*given)
        self.found["left"] += len(rest)
        self.found["no"] += found.count(None)
        self.found["yes"] += len(found) - found.count(None) - len(rest)
        return found, rest


def troubled(rng: np.random.Generator) -> NDArray[np.float64]:
    """ECG of which a part may be missing, flat, noisy, faster, flutter or an electrode's pop."""
    ecg = simulate(SECONDS, fs=FS, seed=int(rng.integers(1000))).signal[: SECONDS * FS].copy()
    size = int(rng.integers(30, 5 * FS))
    part = slice(first := int(rng.integers(FS, len(ecg) - size)), first + size)
    match rng.integers(7):
        case 0:
            ecg[part] = np.nan
        case 1:
            ecg[part] = ecg[first]
        case 2:
            ecg[part] += rng.normal(0, 0.5, size)
        case 3:
            faster = np.tile(ecg[::3], 3)[: len(ecg)]
            ecg[first:] = faster[first:]
        case 4:
            ecg[part] += 25 * np.hanning(size)
        case 5:
            ecg[part] = 0.5 * np.sin(2 * np.pi * 4.5 * np.arange(size) / FS)
    return np.asarray(ecg)


def followed(
    detector: Detector, signals: list[NDArray[np.float64]], cuts: list[int], loops: Any
) -> Any:
    """Beats, events and tokens of patients who are pushed together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordinary, "second_loops", loops)
        streams = [detector.stream(FS, events=True) for _ in signals]
        found: list[Any] = []
        for first, last in pairwise(cuts):
            found.append(detector.push(streams, [one[first:last] for one in signals]))
            found.append([(stream.events(), stream.tracker.current) for stream in streams])  # type: ignore[union-attr]
        found.append([stream.save() for stream in streams])
        found.append([(stream.finish(), stream.events()) for stream in streams])
    return found


@settings(max_examples=12)
@given(RNG, st.booleans())
def test_the_rules_give_the_same(rng: np.random.Generator, by_seconds: bool) -> None:
    detector = Detector.load(provider="cpu")
    # Known after some beats, so that there are ordinary seconds in a short signal.
    detector.rhythm_policy = detector.rhythm_policy.replace(template_beats=6.0)
    signals = [troubled(rng) for _ in range(PATIENTS)]
    inside = (
        range(0, SECONDS * FS, FS)
        if by_seconds
        else np.sort(rng.integers(0, SECONDS * FS, 60)).tolist()
    )
    cuts = [0, *inside, SECONDS * FS]
    expected = followed(detector, signals, cuts, None)
    assert followed(detector, signals, cuts, second_loops) == expected


def test_nearly_all_seconds_are_ordinary(detector: Detector) -> None:
    counted = Counted()
    ecg = np.tile(simulate(60, fs=FS, seed=5, ectopic=0.0).signal, 3)
    followed(detector, [ecg], list(range(0, len(ecg) + 1, FS)), counted)
    assert counted.found["yes"] > 120
    assert counted.found["no"] > 20  # at first nothing is known of the patient


def test_other_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 17 arguments"):
        second_loops.follow(1)
