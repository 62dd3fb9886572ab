"""Missing samples and pops in the graphs that give beats: as in the runtime, however cut."""

from __future__ import annotations

import numpy as np
import pytest
from beats_driver import cut, flaws_of_row, followed, same
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from export.embedded import Graphs
from runtime import Detector
from runtime.findings import Flaw
from runtime.model.contract import FS, HOP
from runtime.model.embedded import CHECKED, OUTPUTS, PAST_END
from runtime.simulate import simulate


def flawed(rng: np.random.Generator, seconds: int) -> NDArray[np.float64]:
    """A patient whose electrodes and cables are not what they should be, mV."""
    ecg = simulate(seconds, seed=int(rng.integers(1 << 30)), ectopic=0.2).signal.astype(np.float64)
    ecg += rng.normal()
    for _ in range(int(rng.integers(1, 8))):
        start = int(rng.choice([0, *rng.integers(len(ecg), size=4)]))
        part = ecg[start : start + int(rng.choice([1, 2, 5, 20, 30, 100, 200, 400, 1500]))]
        kind = rng.integers(0, 6)
        if kind == 0:
            part[:] = rng.choice([np.nan, np.inf, -999.0, 32768.0, 1e300])
        elif kind == 1:
            part += rng.choice([-30, -8, 4, 8, 15, 40])
        elif kind == 2:
            ecg[start:] += rng.choice([-30, -4, 4, 15, 100])
        elif kind == 3:
            part[:] = rng.choice([0.0, part[0]])
        else:  # an electrode pops
            moments = np.arange(-60, 60) / rng.choice([6, 10, 20])
            part = ecg[max(0, start - 60) : start + 60]
            part += (rng.choice([6, 12, 20, 30]) * np.exp(-(moments**2) / 2))[-len(part) :]
    return ecg


def given_raw(
    ecg: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Signals as they come, and after their end nothing, as ``ecg`` and ``missing``."""
    samples = ecg.shape[1]
    size = (samples + 540 + HOP) // HOP * HOP
    raw, code = np.full((len(ecg), size), np.nan), np.full((len(ecg), size), PAST_END, np.uint8)
    raw[:, :samples], code[:, :samples] = ecg, 0
    return raw, code


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([5, 40, 5000]))
def test_flawed_signals_give_the_beats_of_the_runtime(
    detector: Detector, graphs: Graphs, seed: int, batch: int, most: int
) -> None:
    """Steps, spikes, sentinels, repeated values, other levels and pops, as they come."""
    rng = np.random.default_rng(seed)
    seconds = int(rng.integers(6, 45))
    ecg = np.stack([flawed(rng, seconds) for _ in range(batch)])
    raw, past_end = given_raw(ecg)
    slots = graphs.whole(raw, cut(raw.shape[1] // HOP, seed, most), past_end)
    for row in range(batch):
        beats, flaws, _ = followed(detector, ecg[row], ends=True)
        # Of signals of 100 mV the network's frames differ more with the size of its batch.
        same(slots, row, beats, atol=1e-3)
        assert flaws.items() <= flaws_of_row(slots, row).items()


def popping(seed: int) -> NDArray[np.float64]:
    """A minute of beats in which an electrode pops four times."""
    rng = np.random.default_rng(seed)
    ecg = simulate(60.0, seed=seed, ectopic=0.1).signal.astype(np.float64)
    for second in (20, 31, 44, 53):
        at = int(FS * (second + rng.random()))
        moments = np.arange(-120, 120) / float(rng.choice([8, 14, 20]))
        ecg[at - 120 : at + 120] += rng.choice([-1, 1]) * 14 * np.exp(-(moments**2) / 2)
    return ecg


@pytest.mark.parametrize("sizes", [[18] * 1200, [FS] * 60, [21600]], ids=["hops", "s", "whole"])
def test_pops_of_an_electrode_are_no_beats(
    detector: Detector, graphs: Graphs, sizes: list[int]
) -> None:
    """Nor are they read as such by atrial fibrillation; their seconds are missing."""
    ecg = np.stack([popping(seed) for seed in range(3)])
    slots = graphs.whole(ecg, sizes)
    for row, signal in enumerate(ecg):
        beats, flaws, too_high = followed(detector, signal)
        same(slots, row, beats)
        found = flaws_of_row(slots, row)
        assert flaws == {second: found[second] for second in range(2, max(found) + 1)}
        assert len(too_high) >= 2
        for time in too_high:
            assert found[int(time)] & Flaw.MISSING


def test_a_signal_that_the_caller_has_bridged_is_taken_as_it_is(
    detector: Detector, graphs: Graphs
) -> None:
    """Steps that the runtime would take for missing samples, too."""
    ecg = simulate(20.0, seed=4).signal.astype(np.float64)
    ecg[3000:3005] += 4.0
    code = np.full((1, len(ecg)), CHECKED, dtype=np.uint8)
    found = graphs.whole(ecg[None], [FS] * 20, code)
    marked = graphs.beats(ecg[None], [FS] * 20)
    for name in OUTPUTS:
        np.testing.assert_allclose(found[name], marked[name], atol=1e-5)
