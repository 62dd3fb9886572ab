"""Whole records, one after another: for the commands that write files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from ..detector import Detector
from ..errors import EkgError
from ..findings import Beat, Event, Quality, Record
from ..records import Annotation
from ..signal.fast import fast_share
from ..signal.missing import missing_samples
from ..signal.quality import flat_share
from .common import drop_output


def for_each(records: Sequence[str], work: Callable[[str], None]) -> int:
    """Do the work for each record; one that fails is named, and the others are still done."""
    code = 0
    for record in records:
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
            code = 2
    return code


def notes_on(detector: Detector, recording: Record) -> list[str]:
    """What a reader of the beats should know of the signal, a clause each."""
    limits = detector.quality_policy
    missing = float(missing_samples(recording.signal, recording.fs, limits.missing).mean())
    fast = fast_share(recording.signal, recording.fs, limits.fast, limits.missing)
    flat = flat_share(recording.signal, recording.fs, limits)
    known = Quality(flat, 0.0, 0.0, missing=missing, fast=fast)
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


def beats_and_events(
    detector: Detector, recording: Record
) -> tuple[Sequence[Beat], Sequence[Event]]:
    """`annotated`, as a study takes it."""
    found = annotated(detector, recording)
    return found.beats, found.events
