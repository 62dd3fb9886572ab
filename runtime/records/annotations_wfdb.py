"""Beats and rhythm events as WFDB annotations."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..findings import Beat, Event
from ..rhythm import kinds
from .packages import need
from .targets import check_writable, writing

# From the gravest rhythm to the mildest; kinds without a code are written as comments.
RHYTHM_CODES = {kind.name: kind.wfdb for kind in kinds() if kind.wfdb}
NORMAL = "(N"  # while none of them lasts


def write_annotations(
    folder: Path,
    name: str,
    beats: Sequence[Beat],
    fs: float,
    *,
    annotator: str = "ekg",
    scores: bool = False,
    events: Sequence[Event] = (),
) -> Path:
    """Write ``folder/name.annotator``, which WFDB's tools read.

    Events become rhythm annotations (``+``, the code in the aux field) or, if WFDB has no code
    for their kind, comments (``"``).

    Parameters
    ----------
    fs : Hz, of the recording; places are given in its samples
    scores : put each beat's score into the aux field

    Returns
    -------
    the file's path

    Raises
    ------
    RecordError
        The file cannot be written, or the annotator would break a record.
    MissingPackageError
        There is no package ``wfdb``.
    """
    wfdb = need("wfdb", "to write WFDB annotations")
    check_writable(folder, annotator)
    found = [
        (round(beat.time * fs), beat.label, f"{beat.score:.3f}" if scores else "") for beat in beats
    ]
    marks = sorted(
        [*_rhythm_marks(events, fs, (at for at, _, _ in found)), *found], key=lambda mark: mark[0]
    )
    path = folder / f"{name}.{annotator}"
    with writing(folder), tempfile.TemporaryDirectory() as scratch:
        content = b"\0\0"  # wfdb refuses to write no marks; two zero bytes are an empty file
        if marks:  # wfdb also refuses names of records with, say, a space
            samples, symbols, notes = zip(*marks, strict=True)
            wfdb.wrann(
                "record",
                annotator,
                np.array(samples),
                symbol=list(symbols),
                fs=fs,
                write_dir=scratch,
                aux_note=list(notes) if any(notes) else None,
            )
            content = Path(scratch, f"record.{annotator}").read_bytes()
        path.write_bytes(content)
    return path


def _rhythm_marks(
    events: Sequence[Event], fs: float, beats: Iterable[int]
) -> list[tuple[int, str, str]]:
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
    changes: list[tuple[int, str, str]] = []
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
