"""AliveCor Kardia's recordings: ``.atc``, by AliveCor's ATC File Format Specification 1.7, JSON.

The JSON is that of the Kardia API (https://developers.kardia.com), which ``ecgdatakit`` decodes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .kit import kit_leads
from .leads import Lead
from .packages import explained
from .reader import Options, Reader

MAGIC = b"ALIVE\0\0\0"
HEADER_BYTES = 12  # with the version of the format
LEADS = dict(
    zip(
        (f"ecg{place}".encode() for place in " 23456789abc"),
        ("I", "II", "III", "aVR", "aVL", "aVF", *(f"V{i}" for i in range(1, 7))),
        strict=True,
    )
)
FORMAT = struct.Struct("<BHHB2x")  # form of the samples, Hz, nV a count, flags
DATE_BYTES = 32
LOOKED_AT = 1 << 22  # of a JSON, in which the samples may come first


class KardiaReader(Reader):
    """Reads the leads of an ATC file; average and median beats are left out."""

    name = "Kardia"
    extensions = (".atc",)

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins with ALIVE's signature."""
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the blocks of leads."""
        with explained(path, "is no whole Kardia file"):
            content = path.read_bytes()
        if not content.startswith(MAGIC):
            raise RecordError(f"{path} is no Kardia file: it does not begin with {MAGIC!r}.")
        blocks = list(_blocks(path, content))
        described = next((data for name, data in blocks if name == b"fmt "), b"")
        if len(described) < FORMAT.size:
            raise RecordError(f"{path} is no whole Kardia file: it has no block 'fmt '.")
        form, fs, nanovolts, _ = FORMAT.unpack_from(described)
        if form != 1 or not fs or not nanovolts:
            raise RecordError(
                f"{path} is damaged: form {form} at {fs} Hz with {nanovolts} nV a count; expected "
                "form 1, 16-bit samples."
            )
        options.start = _start(next((data for name, data in blocks if name == b"info"), b""))
        leads = [
            Lead(LEADS[name], float(fs), "nV", partial(_samples, data, nanovolts))
            for name, data in blocks
            if name in LEADS
        ]
        if not leads:
            raise RecordError(f"{path} is a Kardia file without a lead.")
        return leads


class KardiaJsonReader(Reader):
    """Reads the unfiltered leads of a recording that the Kardia API gave."""

    name = "Kardia JSON"

    def recognises(self, path: Path) -> bool:
        """Return True if the file is JSON with the API's names in it."""
        with path.open("rb") as file:
            start = file.read(LOOKED_AT)
        return start.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{" and all(
            word in start for word in (b'"raw"', b'"samples"', b'"amplitudeResolution"')
        )

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads of ``data.raw``."""
        return kit_leads(path, self.name, options)


def _blocks(path: Path, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the name and the data of each block.

    The specification says that a block's checksum is its CRC-32; AliveCor's own writer puts the sum
    of its bytes there. Either is right.
    """
    at = HEADER_BYTES
    while at < len(content):
        name = content[at : at + 4]
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + length
        if end + 4 > len(content):
            raise RecordError(
                f"{path} is no whole Kardia file: its block {name.decode('latin-1')!r} takes "
                f"{length} bytes, and {max(0, len(content) - at - 12)} are there."
            )
        stated = int.from_bytes(content[end : end + 4], "little")
        if stated not in (zlib.crc32(content[at:end]), sum(content[at:end]) & 0xFFFFFFFF):
            raise RecordError(
                f"{path} is damaged: the checksum of its block {name.decode('latin-1')!r} is wrong."
            )
        yield name, content[at + 8 : end]
        at = end + 4


def _samples(data: bytes, nanovolts: int) -> NDArray[np.float64]:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") * float(nanovolts)


def _start(info: bytes) -> datetime | None:
    stated = info[:DATE_BYTES].partition(b"\0")[0].decode("latin-1").strip()
    try:
        return datetime.fromisoformat(stated).replace(tzinfo=None)
    except ValueError:
        return None
