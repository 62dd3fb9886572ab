"""Signals for the commands: a record or the simulated patient, in pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..findings import Record
from ..records import read
from ..signal.resample import resampler
from ..simulate import simulate

SIMULATED_FS = 360  # Hz


def recording_or_simulated(
    path: str | None,
    *,
    lead: str | None = None,
    fs: float | None = None,
    units: str | None = None,
    partial: bool = False,
    seconds: float = 300.0,
) -> Record:
    """Read the recording at this path; without a path, simulate a patient.

    Parameters
    ----------
    path : of the recording
    lead, fs, units, partial : as `read` takes them; the rate is that of the simulation too
    seconds : length of the simulation, s

    Raises
    ------
    RecordError, InputError
    """
    if path is not None:
        return read(path, lead=lead, fs=fs, units=units, partial=partial)
    # Refused if no stream could take the rate: of some there is nothing to simulate.
    rate = resampler(SIMULATED_FS if fs is None else fs, SIMULATED_FS).fs
    made = simulate(seconds, fs=rate)
    return Record("simulated patient", "simulated", made.fs, made.signal.astype(np.float64), 0.0)


def pieces(
    signal: NDArray[np.floating], fs: float, seconds: float
) -> Iterator[NDArray[np.floating]]:
    """Cut a signal into pieces of so many seconds, the last one shorter."""
    size = max(1, round(seconds * fs))
    return (signal[at : at + size] for at in range(0, len(signal), size))


def paced(
    signal: NDArray[np.floating], fs: float, pace: str, *, chunk_s: float
) -> Iterator[NDArray[np.floating]]:
    """Give chunks as a live source would ('real'), or as soon as they are taken ('fast')."""
    started, sent = time.monotonic(), 0.0
    for piece in pieces(signal, fs, chunk_s):
        sent += len(piece) / fs
        if pace == "real":
            time.sleep(max(0.0, started + sent - time.monotonic()))
        yield piece
