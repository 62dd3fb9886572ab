"""Hearts that beat faster than all their beats are found; ``docs/rhythm.md`` says how fast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .features import RATE, WINDOW_S, at_rate, repetition, windows
from .missing import bridged_pieces

FAST_S = 2.0  # of signal, from which on a heart too fast is recognised
# Of hearts too fast for the network: lags of one beat, 900 to 212 a minute, and how alike the
# signal is after it. In mitdb and svdb 67 of 226,800 windows are such, 64 in 207's flutter and 804.
SHORTEST_BEAT, LONGEST_BEAT = 4, 18  # samples
MIN_LIKENESS, LIKE_SEVERAL = 0.4, 0.8


def beats_fast(again: NDArray[np.float32]) -> list[bool]:
    """True for windows whose signal repeats itself faster than beats are found, more than 210/min.

    Of faster hearts a part of the beats is lost: the network never saw one. The signal is again
    as it was after one beat, about as much as after several, and between the beats it is not. Of
    a slower heart it is most alike after one beat, and after less it is not.

    Parameters
    ----------
    again : [windows, 60], of `autocorrelation`
    """
    fast = [False] * len(again)
    for window, near in enumerate(again[:, SHORTEST_BEAT:LONGEST_BEAT].tolist()):
        most = max(near)
        if most <= MIN_LIKENESS:  # nearly always
            continue
        row = again[window].tolist()
        lag = row.index(most, SHORTEST_BEAT)
        fast[window] = (
            row[lag - 1] <= most >= row[lag + 1]
            and most - min(row[1:lag]) > MIN_LIKENESS
            and most > LIKE_SEVERAL * max(row[LONGEST_BEAT:])
        )
    return fast


def fast_share(ecg: NDArray[np.float64], fs: float) -> float:
    """Share of a recording in which the heart is too fast for all its beats to be found.

    Parameters
    ----------
    ecg : [samples], mV, from the recording's start on; NaN if one is missing
    fs : Hz
    """
    found: list[bool] = []
    before = np.zeros(0)
    for _, piece in bridged_pieces(ecg, fs):
        ecg_60hz = np.concatenate([before, at_rate(piece.ecg[0], fs)])
        if len(ecg_60hz) < WINDOW_S * RATE and (found or len(ecg_60hz) < FAST_S * RATE):
            break  # too little for another window
        pieces = windows(ecg_60hz) if len(ecg_60hz) >= WINDOW_S * RATE else ecg_60hz[None]
        found += beats_fast(repetition(pieces))
        before = ecg_60hz[RATE * len(pieces) :]  # the start of windows that end in the next piece
    return sum(found) / len(found) if found else 0.0
