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
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..errors import InputError

SLOWEST, FASTEST = 100.0, 1000.0  # Hz
FASTEST_WHOLE = 20_000.0  # Hz, of signals that are there as a whole: see `thinned`
LOBES = 8  # zero crossings of the sinc to either side; 80 ms at 100 Hz, less at higher rates
MATRIX = 72  # phases up to which one matrix makes a period: the usual rates
TABLE = 720  # phases kept in a table: every whole or half rate
FINE = 8192  # phases kept of any other rate, with lines between: wrong by 1e-7, as float32 is
KAISER_BETA = 6.0  # 60 dB: below the noise of any ECG


def resampler(fs: float, model_fs: int) -> Resampler:
    """From this rate to the model's; made once for each.

    Raises
    ------
    InputError
        The rate is no number from 100 to 1000 Hz.
    """
    _check_rate(fs, FASTEST, " for a stream")
    return _resampler(float(fs), model_fs)


def rates(fastest: float) -> str:
    """The rates that are taken, as a sentence has them."""
    return f"{SLOWEST:g} to {fastest:g}" if fastest < 10_000 else f"{SLOWEST:g} to {fastest:,g}"


def _check_rate(fs: float, fastest: float, of_what: str = "") -> None:
    if isinstance(fs, bool) or not isinstance(fs, int | float | np.integer | np.floating):
        raise InputError(
            f"fs is {fs!r}; expected the sampling rate in Hz, a number from "
            f"{rates(fastest)}{of_what}."
        )
    if not SLOWEST <= fs <= fastest:
        raise InputError(
            f"fs is {fs:g} Hz; expected a sampling rate from {rates(fastest)} Hz{of_what}."
        )


@lru_cache(maxsize=64)
def _resampler(fs: float, model_fs: int) -> Resampler:
    return Resampler(Fraction(fs).limit_denominator(1000), model_fs)


def together(fs: float) -> int:
    """How many samples of a whole signal are read as their mean, so that a stream takes the rate.

    1 for a rate that a stream takes.

    Raises
    ------
    InputError
        The rate is no number from 100 to 20,000 Hz.
    """
    _check_rate(fs, FASTEST_WHOLE)
    return max(1, math.ceil(fs / FASTEST))


def thinned(ecg: NDArray[np.float64], fs: float) -> tuple[NDArray[np.float64], float]:
    """Signal of research recordings at a rate that a stream takes: see `together`.

    Parameters
    ----------
    ecg : [..., samples], NaN if one is missing; so is a mean of which one is
    fs : Hz

    Returns
    -------
    the signal, without what is left over at its end, and its rate

    Raises
    ------
    InputError
        The rate is no number from 100 to 20,000 Hz.
    """
    size = together(fs)
    if size == 1:
        return ecg, fs
    ecg = np.asarray(ecg)  # of codes, too
    samples = ecg.shape[-1] // size * size
    parts = ecg[..., :samples].reshape(*ecg.shape[:-1], -1, size)
    # Of the first and the changes, so that equal samples have exactly their own mean.
    return parts[..., 0] + (parts - parts[..., :1]).mean(axis=-1), fs / size


def of_each(marks: NDArray[np.bool_], fs: float, samples: int) -> NDArray[np.bool_]:
    """Marks of `thinned` signal, for each sample that there was; those left over as the last.

    Parameters
    ----------
    marks : bool [means]
    fs : Hz, before thinning
    samples : before thinning
    """
    if (size := together(fs)) == 1:
        return marks
    every = np.repeat(marks, size)
    return np.pad(every, (0, samples - len(every)), mode="edge")


class Resampler:
    """From one rate to another. Keeps nothing of a signal: its state is handed in and given back.

    Attributes
    ----------
    fs : Hz, of the input
    step : output samples for one input sample, ``up / down`` in lowest terms
    half : input samples that interpolation looks ahead
    """

    def __init__(self, fs: Fraction, model_fs: int):
        self.fs, self.step = float(fs), model_fs / fs
        self.up, self.down = self.step.numerator, self.step.denominator
        self.half = 0 if fs == model_fs else math.ceil(LOBES * max(Fraction(1), 1 / self.step))

    def push(
        self, tail: NDArray[np.float32], chunk: NDArray[np.float32], taken: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The output samples that a chunk completes, of many signals that are equally far.

        Before the first sample a signal counts as zero (the caller has subtracted the first).

        Parameters
        ----------
        tail : float32 [signals, kept], the last input samples as this gave them; none at first
        chunk : float32 [signals, samples], the next ones
        taken : input samples before the chunk

        Returns
        -------
        output : float32 [signals, samples]; it lags the input by ``half`` samples
        tail : to hand in with the next chunk
        """
        if not self.half:
            return chunk, tail
        held = np.concatenate([tail, chunk], axis=1)
        end = taken + chunk.shape[1]
        origin = end - held.shape[1]  # input index of held[:, 0]
        first, last = self.complete(taken), self.complete(end)
        output = self._interpolate(held, origin, first, last)
        return output, held[:, held.shape[1] - self.kept(end) :].copy()

    def complete(self, taken: int) -> int:
        """Number of output samples that so many input samples complete."""
        if not self.half:
            return taken
        # Output n lies at input position n * down / up and needs `half` samples beyond.
        return max(0, ((taken - self.half) * self.up - 1) // self.down + 1)

    def kept(self, taken: int) -> int:
        """Number of input samples, of so many, that are needed again: the length of ``tail``."""
        if not self.half:
            return 0
        needed = self.complete(taken) * self.down // self.up + 1 - self.half
        return taken - max(needed, 0)

    def _interpolate(
        self, held: NDArray[np.float32], origin: int, first: int, last: int
    ) -> NDArray[np.float32]:
        """Outputs from first to last, without it; the inputs begin at number `origin`."""
        signals, up, down, reach = len(held), self.up, self.down, 2 * self.half
        if first == last:
            return np.zeros((signals, 0), dtype=np.float32)
        # The weights come again every `up` outputs: whole periods are computed, and cut.
        start, periods = first // up, -(-last // up) - first // up
        ecg = np.zeros((signals, periods * down + reach - 1))
        before = origin - (start * down + 1 - self.half)
        ecg[:, before : before + held.shape[1]] = held
        first, last = first - start * up, last - start * up
        if up <= MATRIX:
            # A period is one product of all its inputs with a matrix; BLAS makes up many times
            # for the zeros in it.
            width = down + reach - 1
            rows = as_strided(
                ecg, (signals, periods, width), (ecg.strides[0], 8 * down, 8)
            ).reshape(-1, width)
            output = (rows @ _matrix(up, down, self.half)).reshape(signals, -1)[:, first:last]
        else:
            positions, phases = np.divmod(np.arange(first, last) * down, up)
            output = np.einsum(
                "nij,ij->ni",
                ecg[:, positions[:, None] + np.arange(reach)],
                _weights(phases, up, down, self.half),
            )
        return output.astype(np.float32)


def _weights(phases: NDArray[np.int64], up: int, down: int, half: int) -> NDArray[np.float64]:
    """Weights of the 2 * half samples around each position: [phases, 2 * half]."""
    if up <= TABLE:
        return _table(up, up, down, half)[phases]
    table = _table(FINE, up, down, half)
    low, share = np.divmod(phases * FINE / up, 1)
    below = table[low.astype(np.int64)]
    return below + share[:, None] * (table[low.astype(np.int64) + 1] - below)


@lru_cache(maxsize=32)
def _matrix(up: int, down: int, half: int) -> NDArray[np.float64]:
    """The weights of a period's inputs in its outputs, [down + 2 * half - 1, up]."""
    matrix = np.zeros((down + 2 * half - 1, up))
    for output, weights in enumerate(_table(up, up, down, half)[np.arange(up) * down % up]):
        position = output * down // up
        matrix[position : position + 2 * half, output] = weights
    return matrix


@lru_cache(maxsize=32)
def _table(phases: int, up: int, down: int, half: int) -> NDArray[np.float64]:
    """The weights at so many phases, evenly from 0 to 1: [phases + 1, 2 * half]."""
    cutoff = min(1.0, up / down)  # of the input's Nyquist frequency
    distance = np.arange(1 - half, half + 1) - np.arange(phases + 1)[:, None] / phases
    inside = np.sqrt(np.clip(1.0 - (distance / half) ** 2, 0.0, None))
    weights = np.sinc(cutoff * distance) * np.i0(KAISER_BETA * inside)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
