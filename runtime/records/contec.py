"""Recordings of Contec's ECG90A (``.ECG``).

Contec publishes no description. This follows what the free project ecg-contec found on such a
device and published with examples: a header of 43 bytes with the time, eight leads of 16-bit
samples in turns, 800 a second and 5 uV a count around 2048, and a footer of 37 bytes that begins
with a row of zeros. It is read as that program reads it, and not confirmed by the vendor.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import Lead
from .packages import explained
from .reader import Options, Reader

HEADER_BYTES, FOOTER_BYTES = 43, 37
LEADS = ("II", "III", *(f"V{i}" for i in range(1, 7)))  # the others are differences of II and III
FS, MICROVOLTS, MIDDLE, MISSING = 800.0, 5.0, 2048, 0x6800
HEAD = re.compile(rb"[0-9A-Za-z]{1,8}\0*.{2}(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\0", re.DOTALL)
NOTE = "leads, rate and unit as found on an ECG90A, for Contec publishes none"


class ContecReader(Reader):
    """Reads the eight leads of an ECG90A; a sample beyond the converter's range is missing."""

    name = "Contec"
    extensions = (".ecg",)

    def recognises(self, path: Path) -> bool:
        """Return True if a case number and a time stand where the device writes them."""
        with path.open("rb") as file:
            return _moment(file.read(HEADER_BYTES)) is not None

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the eight leads."""
        with explained(path, "cannot be read"), path.open("rb") as file:
            options.start = _moment(file.read(HEADER_BYTES))
        if options.start is None:
            raise RecordError(
                f"{path} is neither a Holter of ISHNE's format nor a recording of Contec's ECG90A."
            )
        size = path.stat().st_size - HEADER_BYTES - FOOTER_BYTES
        row = 2 * len(LEADS)
        with path.open("rb") as file:
            file.seek(max(0, HEADER_BYTES + size))
            ended = file.read(row) == bytes(row)
        if size <= 0 or size % row or not ended:
            raise RecordError(
                f"{path} is no whole recording of Contec's ECG90A: {size} bytes of samples; "
                f"expected a multiple of {row}, and zeros behind them."
            )
        options.notes.append(NOTE)
        return [Lead(name, FS, "uV", partial(_load, path, i)) for i, name in enumerate(LEADS)]


def _load(path: Path, place: int) -> NDArray[np.float64]:
    count = (path.stat().st_size - HEADER_BYTES - FOOTER_BYTES) // 2
    data = np.fromfile(path, "<u2", count, offset=HEADER_BYTES).reshape(-1, len(LEADS))[:, place]
    values = MICROVOLTS * (data.astype(np.float64) - MIDDLE)
    values[data == MISSING] = np.nan
    return values


def _moment(head: bytes) -> datetime | None:
    match = HEAD.match(head)
    if not match:
        return None
    try:
        return datetime.strptime(match[1].decode(), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
