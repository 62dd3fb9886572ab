"""Beats as ISHNE annotations (``.ann``), for tools that read ISHNE Holter files.

Badilini F: The ISHNE Holter standard output file format. Annals of Noninvasive Electrocardiology
3 (1998) 263-266; of the annotations, the THEW project's description, which has the same header with
another mark, then the place of the first beat, then four bytes a beat: a letter, a letter for one's
own use, and the samples since the beat before.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from typing import TYPE_CHECKING

from .writer import Writer, date_of

if TYPE_CHECKING:
    from ..annotation import Annotation

MAGIC = b"ANN  1.0"
HEADER = struct.Struct("<4i h 40s 40s 20s 2h 3h 3h 3h 3h h 12h 12h 12h h 40s h 80s 80s 88s")
FIXED_BYTES = 10 + HEADER.size  # mark and checksum first: 522
BEAT = struct.Struct("<ccH")
MAX_SAMPLES = 0xFFFF  # between two beats; what is longer is a chain of timeouts
TIMEOUT = b"!"
# The standard's letters are N, V, S, B, P, U and X. It has none for a fusion beat, and Q is "paced
# or unknown"; the second letter is our own class.
LETTERS = {"N": b"N", "V": b"V", "S": b"S", "F": b"U", "Q": b"U"}
LEADS = {
    name: i
    for i, name in enumerate("I II III AVR AVL AVF V1 V2 V3 V4 V5 V6 ES AS AI".split(), start=5)
}
UNKNOWN = (0, 0, 0)  # a date or time of day that is not known
NO_LEADS = (-9,) * 11  # the header has room for twelve leads


class IshneWriter(Writer):
    """Writes the beats; ISHNE has no events."""

    name = "ishne"
    endings = (".ann",)

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the file."""
        samples = annotation.samples.tolist()
        header = _header(annotation)
        parts = [
            MAGIC,
            struct.pack("<H", crc_hqx(header, 0xFFFF)),
            header,
            struct.pack("<I", samples[0] if samples else 0),
        ]
        before = samples[0] if samples else 0
        for beat, sample in zip(annotation.beats, samples, strict=True):
            timeouts, rest = divmod(sample - before, MAX_SAMPLES)
            parts += [BEAT.pack(TIMEOUT, b" ", MAX_SAMPLES)] * timeouts
            parts.append(BEAT.pack(LETTERS[beat.label], beat.label.encode(), rest))
            before = sample
        return (b"".join(parts),)


def _header(annotation: Annotation) -> bytes:
    """The header without mark and checksum; nothing of it is of the person."""
    record = annotation.record
    start = record.start
    day = date_of(record)
    date = (day.day, day.month, day.year) if day else UNKNOWN
    time = (start.hour, start.minute, start.second) if start else UNKNOWN
    lead = LEADS.get(record.lead.upper(), 0)
    return HEADER.pack(
        0,
        len(record.signal),
        FIXED_BYTES,
        FIXED_BYTES,
        1,
        b"",
        b"",
        b"",
        0,
        0,
        *UNKNOWN,
        *date,
        *date,
        *time,
        1,
        *(lead, *NO_LEADS),
        *(0, *NO_LEADS),
        *(1000, *NO_LEADS),
        0,
        b"digital",
        round(record.fs),
        annotation.made_by.encode("ascii", "replace")[:80],
        b"",
        b"",
    )
