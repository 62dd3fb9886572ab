"""Beats and events as EDF+ annotations, in a file without signals; needs the package ``edfio``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ..packages import need
from .writer import Writer, date_of

if TYPE_CHECKING:
    from ..annotation import Annotation


NOTHING = "no beats"


class EdfWriter(Writer):
    """Writes EDF+ annotations: a beat by its class, an event by its kind and with its length.

    Without a known start the date is EDF+'s own for one that was taken out.
    """

    name = "edf"
    endings = (".edf",)
    package = "edfio"

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the file."""
        edfio = need("edfio", "to write EDF+ annotations")
        start = annotation.record.start
        marks: list[tuple[float, float | None, str]] = [
            (beat.time, None, beat.label) for beat in annotation.beats
        ]
        marks += [
            (event.start, max(0.0, (event.end or event.start) - event.start), event.kind)
            for event in annotation.events
        ]
        if not marks:  # edfio refuses a file of nothing
            marks.append((0.0, None, NOTHING))
        sink = io.BytesIO()
        edfio.Edf(
            [],
            recording=edfio.Recording(startdate=date_of(annotation.record)),
            starttime=start.time() if start else None,
            annotations=[edfio.EdfAnnotation(*mark) for mark in sorted(marks, key=lambda m: m[0])],
        ).write(sink)
        return (sink.getvalue(),)
