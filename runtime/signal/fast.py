"""Hearts that beat faster than all their beats are found; ``docs/rhythm.md`` says how fast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .features import RATE, WINDOW_S, at_rate, repetition, windows
from .missing import bridged_pieces
from .policy import FastLimits, MissingLimits

FAST_S = 2.0  # of signal, from which on a heart too fast is recognised


def beats_fast(again: NDArray[np.float32], limits: FastLimits) -> list[bool]:
    """True for windows whose signal repeats itself faster than beats are found.

    Of faster hearts a part of the beats is lost: the network never saw one. The signal is again
    as it was after one beat, about as much as after several, and between the beats it is not. Of
    a slower heart it is most alike after one beat, and after less it is not.

    Parameters
    ----------
    again : [windows, 60], of `autocorrelation`
    """
    shortest, longest = lags(limits)
    fast = [False] * len(again)
    largest = np.maximum.reduce(again[:, shortest:longest], axis=1)
    for window, most in enumerate(largest.tolist()):
        if most <= limits.min_likeness:  # nearly always
            continue
        row = again[window].tolist()
        lag = row.index(most, shortest)
        fast[window] = (
            row[lag - 1] <= most >= row[lag + 1]
            and most - min(row[1:lag]) > limits.min_likeness
            and most > limits.like_several * max(row[longest:])
        )
    return fast


def lags(limits: FastLimits) -> tuple[int, int]:
    """Return the lag of one beat of the fastest heart, and that after the slowest fast one's."""
    return round(60 * RATE / limits.max_bpm), int(60 * RATE / limits.min_bpm) + 1


def fast_share(
    ecg: NDArray[np.float64], fs: float, limits: FastLimits, missing: MissingLimits
) -> float:
    """Share of a recording in which the heart is too fast for all its beats to be found.

    Parameters
    ----------
    ecg : [samples], mV, from the recording's start on; NaN if one is missing
    fs : Hz
    """
    found: list[bool] = []
    before = np.zeros(0)
    for _, piece in bridged_pieces(ecg, fs, missing):
        ecg_60hz = np.concatenate([before, at_rate(piece.ecg[0], fs)])
        if len(ecg_60hz) < WINDOW_S * RATE and (found or len(ecg_60hz) < FAST_S * RATE):
            break  # too little for another window
        pieces = windows(ecg_60hz) if len(ecg_60hz) >= WINDOW_S * RATE else ecg_60hz[None]
        found += beats_fast(repetition(pieces), limits)
        before = ecg_60hz[RATE * len(pieces) :]  # the start of windows that end in the next piece
    return sum(found) / len(found) if found else 0.0
