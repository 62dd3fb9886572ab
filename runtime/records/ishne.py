"""Holter recordings in ISHNE's standard output format 1.0 (``.ecg``).

Badilini F. The ISHNE Holter Standard Output File Format. Ann Noninvasive Electrocardiol 1998;
3:263-266. Its only Python library is not kept any more.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import Lead
from .packages import explained
from .reader import Options, Reader

MAGIC = b"ISHNE1.0"
FIXED_BYTES = 512  # of the header, behind the magic number and the checksum
HEADER = struct.Struct("<4i h 40x40x20x h h 3h3h3h3h h 12h12h12h h 40s h 80x80x88x")
PREFIX = len(MAGIC) + 2
MAX_LEADS = 12
CRC_START = 0xFFFF  # CRC-CCITT
CODES = ["", "", "X", "Y", "Z", "I", "II", "III", "aVR", "aVL", "aVF"]
LEADS = dict(enumerate([*CODES, *(f"V{i}" for i in range(1, 7)), "ES", "AS", "AI"]))


@dataclass(frozen=True)
class IshneHeader:
    """What is needed of a header.

    Attributes
    ----------
    samples : that the header promises, of one lead or of all together: both are found
    data_at : byte at which the samples begin
    fs : Hz
    codes, resolutions : of each lead; nV a count
    start : of the recording, if it is stated
    """

    samples: int
    data_at: int
    fs: int
    codes: tuple[int, ...]
    resolutions: tuple[int, ...]
    start: datetime | None


class IshneReader(Reader):
    """Reads the leads of a Holter, 16-bit samples in turns; the header's checksum is checked."""

    name = "ISHNE"
    extensions = (".ecg",)

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins with ISHNE's magic number."""
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads of the header."""
        with explained(path, "is no whole ISHNE file"):
            header = read_ishne_header(path)
        count = len(header.codes)
        held = (path.stat().st_size - header.data_at) // 2 // count
        promised = header.samples  # of a lead, or of all: both are written
        if promised > held and promised != held * count:
            if not options.partial:
                raise RecordError(
                    f"{path} is no whole ISHNE file: its header promises {promised} samples, and "
                    f"it holds {held} of each of {count} leads; --partial reads them."
                )
            options.notes.append(f"cut off: the {held} samples of each lead were read")
        elif promised and promised not in (held, held * count):
            options.notes.append(f"the header promises {promised} samples; {held} were read")
        options.start = header.start
        return [
            Lead(
                LEADS.get(code) or str(i),
                float(header.fs),
                "nV",
                partial(_load, path, header, held, i),
            )
            for i, code in enumerate(header.codes)
        ]


def read_ishne_header(path: Path) -> IshneHeader:
    """Read and check a header.

    Raises
    ------
    RecordError
        It is cut off, its checksum is wrong, or a field is impossible.
    """
    with path.open("rb") as file:
        start = file.read(PREFIX + FIXED_BYTES)
        if not start.startswith(MAGIC):
            raise RecordError(
                f"{path} is no ISHNE file: it begins with {start[:8]!r}; expected {MAGIC!r}."
            )
        if len(start) < PREFIX + FIXED_BYTES:
            raise RecordError(
                f"{path} is no whole ISHNE file: it has {len(start)} bytes; expected a header of "
                f"{PREFIX + FIXED_BYTES}."
            )
        fields = HEADER.unpack(start[PREFIX:])
        _, samples, _, data_at = fields[:4]
        size = path.stat().st_size
        if not PREFIX + FIXED_BYTES <= data_at <= size:
            raise RecordError(
                f"{path} is no whole ISHNE file: its samples begin at byte {data_at} of {size}."
            )
        checked = start[PREFIX:] + file.read(data_at - len(start))
    stated, found = struct.unpack_from("<H", start, len(MAGIC))[0], crc_hqx(checked, CRC_START)
    if stated != found:
        raise RecordError(
            f"{path} is damaged: the checksum of its header is {found:04X}; expected {stated:04X}."
        )
    if samples < 0:
        raise RecordError(f"{path} is damaged: its header promises {samples} samples.")
    record_date, start_time, count = fields[10:13], fields[16:19], fields[19]
    fs = fields[-1]
    resolutions = fields[44 : 44 + count]
    if not (1 <= count <= MAX_LEADS and fs > 0 and all(value > 0 for value in resolutions)):
        raise RecordError(
            f"{path} is damaged: {count} leads at {fs} Hz with {list(resolutions)} nV a count; "
            f"expected 1 to {MAX_LEADS} leads, and a rate and resolutions above 0."
        )
    return IshneHeader(
        samples, data_at, fs, fields[20 : 20 + count], resolutions, _moment(record_date, start_time)
    )


def _load(path: Path, header: IshneHeader, held: int, place: int) -> NDArray[np.float64]:
    count = len(header.codes)
    data = np.fromfile(path, "<i2", held * count, offset=header.data_at).reshape(held, count)
    return data[:, place] * float(header.resolutions[place])


def _moment(date: tuple[int, ...], time: tuple[int, ...]) -> datetime | None:
    try:
        return datetime(date[2], date[1], date[0], time[0], time[1], time[2])
    except ValueError:  # -9 or 0 if it is not stated
        return None
