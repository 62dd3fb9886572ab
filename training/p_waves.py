"""P waves of made-up patients, for beats of which marks alone are known.

What is made up is the signal before each beat, and the runtime's own means are taken of it, so
they forget sinus rhythm after fibrillation has begun as slowly as a stream's do: the less there is
in fibrillation beside the fading P wave, the longer it is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.rhythm.events.atrial import P_WAVE, P_WAVE_BEATS, AtrialState
from runtime.signal.features import RATE

TIMES = np.array(P_WAVE) / RATE  # s after the R peak, all before it
T_WAVE_MV, T_WAVE_WIDTH_S, QT_S = 0.25, 0.045, 0.30  # QT to the wave's peak, at 60 beats a minute


def with_p_waves(
    rng: np.random.Generator, rows: NDArray[np.float32], rhythm: NDArray[np.int8]
) -> NDArray[np.float32]:
    """A crop of which marks alone are known, with the P waves of a patient drawn for it.

    Sinus beats have the same P wave, fibrillation has waves at any moment before the R peak; both
    lie in noise, and at high rates the T wave of the beat before lies there too.

    Parameters
    ----------
    rows : float32 [beats, 5], `training.beat_sequences.COLUMNS`
    rhythm : int8 [beats], 1 in atrial fibrillation
    """
    rows, state = rows.copy(), AtrialState()
    earlier = int(rng.integers(P_WAVE_BEATS[0] + 1))  # beats before the crop, in its first rhythm
    intervals = np.concatenate([np.full(earlier, rows[1:2, 0].sum()), rows[:, 0]])
    fibrillating = np.concatenate([np.repeat(rhythm[:1], earlier), rhythm]) == 1
    before = _before_beats(rng, intervals.astype(np.float64), fibrillating)
    for wave in before[:earlier]:
        state.take_p_wave(wave)
    for row, wave in zip(rows, before[earlier:], strict=True):
        if row[1]:
            state.take_p_wave(wave)
        if state.p_wave_beats:
            row[2:] = *state.p_wave(), state.p_wave_beats
    return rows


def _before_beats(
    rng: np.random.Generator, intervals: NDArray[np.float64], fibrillating: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The signal before each beat, float32 [beats, len(P_WAVE)], mV at 60 Hz."""
    count = len(intervals)
    noise = np.exp(rng.uniform(np.log(0.004), np.log(0.15)))
    signal = noise * rng.standard_normal((count, len(TIMES)))
    centre = rng.uniform(-0.2, -0.12) + rng.normal(0.0, 0.005, count)
    sinus = np.exp(-0.5 * ((TIMES - centre[:, None]) / rng.uniform(0.02, 0.035)) ** 2)
    sinus *= 0.08 * np.exp(rng.normal(0.0, 0.6)) * np.exp(rng.normal(0.0, 0.1, count))[:, None]
    phase = rng.uniform(0.0, 1.0, count)[:, None]
    waves = np.sin(2 * np.pi * (rng.uniform(4.0, 9.0) * TIMES + phase))
    waves *= 0.04 * np.exp(rng.normal(0.0, 0.8))
    signal += np.where(fibrillating[:, None], waves, sinus)
    known = intervals > 0
    peak = QT_S * np.sqrt(intervals) - intervals
    t_wave = np.exp(-0.5 * ((TIMES - peak[:, None]) / T_WAVE_WIDTH_S) ** 2)
    signal += T_WAVE_MV * np.exp(rng.normal(0.0, 0.6)) * t_wave * known[:, None]
    return signal.astype(np.float32)
