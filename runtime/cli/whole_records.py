"""Whole records, one after another: for the commands that write files."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from ..detector import Detector
from ..errors import EkgError
from ..findings import Quality, Record
from ..records import Annotation
from ..signal.fast import fast_share
from ..signal.noise import is_strip
from ..signal.quality import flat_share
from .common import drop_output

# Objects made before Python looks for circles among them. A day has some million beats, numbers and
# lists, and no circles; looking for them takes a twentieth of its time.
MANY_OBJECTS = 100_000


def for_each(records: Sequence[str], work: Callable[[str], None]) -> int:
    """Do the work for each record; one that fails is named, and the others are still done."""
    code = 0
    before = gc.get_threshold()
    gc.set_threshold(MANY_OBJECTS)
    try:
        for record in records:
            code = max(code, _tried(record, work))
    finally:
        gc.set_threshold(*before)
    return code


def _tried(record: str, work: Callable[[str], None]) -> int:
    """Do the work for a record; gives the exit status."""
    try:
        work(record)
    except BrokenPipeError:  # `| head` has read enough, but what is written is wanted
        drop_output()
    except EkgError as error:
        sentence = str(error)
        print(
            f"error: {sentence if record in sentence else f'{record}: {sentence}'}",
            file=sys.stderr,
        )
        return 2
    return 0


def notes_on(detector: Detector, found: Annotation) -> list[str]:
    """What a reader of the beats should know of the signal, a clause each."""
    limits, recording = detector.quality_policy, found.record
    missing = 0.0 if found.missing is None else float(found.missing.mean())
    fast = fast_share(recording.signal, recording.fs, limits.fast, limits.missing)
    flat = flat_share(recording.signal, recording.fs, limits)
    noisy = found.quality.noisy if is_strip(recording.seconds) else None
    known = Quality(flat, 0.0, 0.0, missing=missing, fast=fast, noisy=noisy)
    return [*known.notes, *recording.notes]


def annotated(detector: Detector, recording: Record) -> Annotation:
    """Find the beats and rhythm events of a whole recording, showing progress."""
    with tqdm(
        total=round(recording.seconds),
        unit="s",
        leave=False,
        desc=recording.name,
        disable=None,
    ) as progress:
        return detector.annotate(recording, progress=progress.update)
