"""Signals for the commands: a record, a feed of numbers or the simulated patient, in pieces."""

from __future__ import annotations

import io
import math
import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import Record
from ..records import read
from ..signal.resample import resampler
from ..simulate import simulate

SIMULATED_FS = 360  # Hz
MAX_CATCH_UP = 100_000  # samples in one chunk after an outage


def recording_or_simulated(
    path: str | None, *, lead: str | None = None, fs: float | None = None, seconds: float = 300.0
) -> Record:
    """Read the recording at this path; without a path, simulate a patient.

    Parameters
    ----------
    path : of the recording
    lead : by name
    fs : Hz, for a file that lacks its rate, and of the simulation
    seconds : length of the simulation, s

    Raises
    ------
    RecordError, InputError
    """
    if path is not None:
        return read(path, lead=lead, fs=fs)
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


def is_feed(source: str) -> bool:
    """Return whether this is no recording but gives numbers line by line, as a device does."""
    path = Path(source)
    return source == "-" or path.is_fifo() or path.is_char_device()


def feed_name(source: str) -> str:
    """Return a feed's name for people."""
    return "standard input" if source == "-" else source


def read_feed(source: str, fs: float) -> Iterator[list[float]]:
    """Read numbers from a feed, one a line, a quarter of a second at a time.

    One that is not finite is a missing sample, held at the value before it.

    Raises
    ------
    InputError
        The feed cannot be read, or a line is no number.
    """
    chunk: list[float] = []
    last, warned = 0.0, False
    try:
        if source == "-" and sys.stdin is None:
            raise InputError("standard input is closed; expected numbers, one a line.")
        # A serial device may begin with bytes that are no text: they get their sentence below.
        feed = sys.stdin if source == "-" else open(source, errors="replace")  # noqa: SIM115
        if isinstance(feed, io.TextIOWrapper):
            feed.reconfigure(errors="replace")
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}).") from error
    with feed:
        for number, line in enumerate(feed, 1):
            if not line.strip():
                continue
            try:
                value = float(line)
            except ValueError:
                raise InputError(
                    f"line {number} of {feed_name(source)} is "
                    f"{line.strip()[:40]!r}; expected one number a line."
                ) from None
            if math.isfinite(value):
                last = value
            elif not warned:
                warned = True
                print(
                    f"warning: line {number} of {feed_name(source)} is {line.strip()[:40]!r}; "
                    "such a sample is missing, and held at the value before.",
                    file=sys.stderr,
                )
            chunk.append(last)
            if len(chunk) >= fs / 4:
                yield chunk
                chunk = []
    yield chunk


def read_ahead(chunks: Iterator[list[float]]) -> Iterator[list[float]]:
    """Give the same samples, read on while the taker is busy: a device does not wait.

    Those that came in meanwhile are one chunk.
    """
    waiting: queue.SimpleQueue[list[float] | BaseException | None] = queue.SimpleQueue()

    def fill() -> None:
        try:
            for chunk in chunks:
                waiting.put(chunk)
            waiting.put(None)
        except BaseException as error:  # for the taker, with everything that came before
            waiting.put(error)

    threading.Thread(target=fill, daemon=True).start()
    while True:
        item, gathered = waiting.get(), []
        while isinstance(item, list):
            gathered += item
            if waiting.empty() or len(gathered) > MAX_CATCH_UP:
                break
            item = waiting.get()
        if gathered:
            yield gathered
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return
