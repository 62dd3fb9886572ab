"""Beats and rhythm events as WFDB annotations; needs the package ``wfdb``."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...findings import Event
from ...rhythm import kinds
from ..packages import need
from .writer import Writer

if TYPE_CHECKING:
    from ..annotation import Annotation

# From the gravest rhythm to the mildest; kinds without a code are written as comments.
RHYTHM_CODES = {kind.name: kind.wfdb for kind in kinds() if kind.wfdb}
NORMAL = "(N"  # while none of them lasts
Mark = tuple[int, str, str]  # sample, symbol and aux field


class WfdbWriter(Writer):
    """Writes WFDB annotations, which WFDB's tools read.

    Events become rhythm annotations (``+``, the code in the aux field) or, if WFDB has no code
    for their kind, comments (``"``).
    """

    name = "wfdb"
    endings = ("",)
    package = "wfdb"
    of_signal = False

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the file; scores are in the aux field of their beats."""
        return (_written(_marks(annotation, scores), annotation.record.fs),)


def _marks(annotation: Annotation, scores: bool) -> list[Mark]:
    found = [
        (int(sample), beat.label, f"{beat.score:.3f}" if scores else "")
        for beat, sample in zip(annotation.beats, annotation.samples, strict=True)
    ]
    rhythm = _rhythm_marks(annotation.events, annotation.record.fs, (at for at, _, _ in found))
    return sorted([*rhythm, *found], key=lambda mark: mark[0])


def _written(marks: list[Mark], fs: float) -> bytes:
    """Annotations as wfdb writes them, under a name that it takes; it refuses, say, a space."""
    if not marks:
        return b"\0\0"  # an empty file, which wfdb refuses to write
    wfdb = need("wfdb", "to write WFDB annotations")
    samples, symbols, notes = (list(column) for column in zip(*marks, strict=True))
    marks.clear()  # of a day they take 10 MB, and wfdb as much again
    with tempfile.TemporaryDirectory() as scratch:
        wfdb.wrann(
            "record",
            "ekg",
            np.array(samples),
            symbol=symbols,
            fs=fs,
            write_dir=scratch,
            aux_note=notes if any(notes) else None,
        )
        return Path(scratch, "record.ekg").read_bytes()


def _rhythm_marks(events: Sequence[Event], fs: float, beats: Iterable[int]) -> list[Mark]:
    """Sample, symbol and aux field of each change of rhythm and of each comment.

    If rhythms overlap, the gravest is written. A mark is placed one sample before its beat, or on
    the next free sample: of two marks on one sample WFDB's tools keep one. No mark is on sample 0,
    for wfdb-python takes a comment there for a part of the file's header.
    """
    taken = set(beats)

    def place(moment: float) -> int:
        at = next(i for i in itertools.count(max(1, round(moment * fs) - 1)) if i not in taken)
        taken.add(at)
        return at

    coded = [
        (e.kind, e.start, e.end) for e in events if e.kind in RHYTHM_CODES and e.end is not None
    ]
    changes: list[Mark] = []
    written = NORMAL
    for moment in sorted({time for _, start, end in coded for time in (start, end)}):
        lasting = {kind for kind, start, end in coded if start <= moment < end}
        now = next((code for kind, code in RHYTHM_CODES.items() if kind in lasting), NORMAL)
        if now != written:
            changes.append((place(moment), "+", now))
            written = now
    return changes + [
        (place(event.start), '"', event.kind) for event in events if event.kind not in RHYTHM_CODES
    ]
