"""A rate that changes for good ends as tachycardia, whether it changed at once or slowly."""

from __future__ import annotations

import numpy as np
import pytest

from runtime import Detector
from runtime.findings import Beat, Event
from runtime.rhythm import closed
from runtime.rhythm.baseline import BaselineLimits
from runtime.simulate import draw_ecg

CALM_BPM, CALM_S, FAST_S, CHANGE_S = 70, 90, 150, 40


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(provider="cpu")


def found_in(
    detector: Detector, bpm: float, *, abrupt: bool
) -> tuple[list[Beat], list[Event], float]:
    """Beats and events of a patient whose heart becomes so fast, and when it has."""
    rng, times, at = np.random.default_rng(4), [], 0.3
    changed = CALM_S if abrupt else CALM_S + CHANGE_S
    while at < changed + FAST_S:
        times.append(at)
        rate = np.interp(at, [CALM_S, max(changed, CALM_S + 1e-6)], [CALM_BPM, bpm])
        breath = 1 + 0.05 * np.sin(2 * np.pi * 0.23 * at) + rng.normal(0.0, 0.01)
        at += 60 / rate * breath
    ecg = draw_ecg(rng, np.array(times), ["N"] * len(times), changed + FAST_S)
    stream = detector.stream(360, events=True)
    beats = stream.push(ecg) + stream.finish()
    return beats, closed(stream.events()), changed


@pytest.mark.parametrize("bpm", [100, 125, 140, 170])
@pytest.mark.parametrize("abrupt", [True, False])
def test_a_lasting_change_of_rate_ends_as_tachycardia(
    detector: Detector, bpm: float, abrupt: bool
) -> None:
    beats, events, changed = found_in(detector, bpm, abrupt=abrupt)
    limits = detector.rhythm_policy.of(BaselineLimits)
    settled = changed + limits.lasting_s + 5
    assert {beat.label for beat in beats if beat.time > settled} == {"N"}
    assert all(e.end <= settled for e in events if e.kind == "supraventricular_run")
    fast = [e for e in events if e.kind == "tachycardia"]
    assert bool(fast) == (bpm > detector.rhythm_policy.tachycardia_bpm)
    if fast:
        assert fast[-1].end > changed + FAST_S - 2
