"""Any rate from 100 to 1000 Hz to the model's, the same whether streamed or whole.

A library's streaming resampler keeps its state to itself; here a stream's state has to travel
in a token. So this is a plain windowed-sinc interpolation whose only state is the last few
input samples and a count.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

SLOWEST, FASTEST = 100.0, 1000.0  # Hz
LOBES = 8  # zero crossings of the sinc to either side; 80 ms at 100 Hz, less at higher rates
TABLE = 720  # phases kept in a table: every whole or half rate; odder ones are computed each time
KAISER_BETA = 6.0  # 60 dB: below the noise of any ECG


def ratio(fs: float, model_fs: int) -> Fraction:
    """Model samples for one input sample.

    Raises
    ------
    InputError
        Where the rate is no number from 100 to 1000 Hz.
    """
    if isinstance(fs, bool) or not isinstance(fs, int | float | np.integer | np.floating):
        raise InputError(f"fs is {fs!r}; expected the sampling rate in Hz, a number from "
                         f"{SLOWEST:g} to {FASTEST:g}.")
    if not SLOWEST <= fs <= FASTEST:
        raise InputError(f"fs is {fs:g} Hz; expected a sampling rate from {SLOWEST:g} to "
                         f"{FASTEST:g} Hz.")
    return _ratio(float(fs), model_fs)


@lru_cache(maxsize=64)
def _ratio(fs: float, model_fs: int) -> Fraction:
    return model_fs / Fraction(fs).limit_denominator(1000)


class Resampler:
    """Takes chunks at one rate, gives samples at another.

    Attributes
    ----------
    tail : float32 [kept], the last input samples, needed again for the next chunk
    taken, given : input samples seen and output samples produced since the start
    """

    def __init__(self, step: Fraction):
        self.up, self.down = step.numerator, step.denominator
        self.half = 0 if step == 1 else math.ceil(LOBES * max(Fraction(1), 1 / step))
        self.tail = np.zeros(0, dtype=np.float32)
        self.taken = self.given = 0

    def push(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        """Output samples that this chunk completes, float32 [samples].

        The output lags the input by ``half`` samples, because interpolation looks ahead. Before
        the first sample the signal counts as zero (the caller has subtracted the first).
        """
        self.taken += len(chunk)
        if not self.half:
            self.given += len(chunk)
            return chunk
        held = np.concatenate([self.tail, chunk])
        origin = self.taken - len(held)  # input index of held[0]
        outputs = np.arange(self.given, self.complete(self.taken), dtype=np.int64)
        positions, phases = np.divmod(outputs * self.down, self.up)
        around = positions[:, None] + np.arange(1 - self.half, self.half + 1) - origin
        values = np.where(around >= 0, held[around.clip(0)], 0.0) if len(outputs) else \
            np.zeros((0, 2 * self.half))
        self.given += len(outputs)
        first_needed = self.given * self.down // self.up + 1 - self.half
        self.tail = held[max(first_needed - origin, 0):].copy()
        weights = _weights(phases, self.up, self.down, self.half)
        return np.einsum("ij,ij->i", values, weights).astype(np.float32)

    def complete(self, taken: int) -> int:
        """How many output samples so many input samples complete."""
        if not self.half:
            return taken
        # Output n lies at input position n * down / up and needs `half` samples beyond.
        return max(0, ((taken - self.half) * self.up - 1) // self.down + 1)


def _weights(phases: NDArray[np.int64], up: int, down: int, half: int) -> NDArray[np.float64]:
    """Weights of the 2 * half samples around each position: [phases, 2 * half]."""
    if up <= TABLE:
        return _table(up, down, half)[phases]
    return _sinc(phases, up, down, half)


@lru_cache(maxsize=32)
def _table(up: int, down: int, half: int) -> NDArray[np.float64]:
    return _sinc(np.arange(up), up, down, half)


def _sinc(phases: NDArray[np.int64], up: int, down: int, half: int) -> NDArray[np.float64]:
    cutoff = min(1.0, up / down)  # of the input's Nyquist frequency
    distance = np.arange(1 - half, half + 1) - phases[:, None] / up
    inside = np.sqrt(np.clip(1.0 - (distance / half) ** 2, 0.0, None))
    weights = np.sinc(cutoff * distance) * np.i0(KAISER_BETA * inside)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
