"""An annotated record: its beats, events and quality, and what can be made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import DOUBTFUL, Beat, Event, Flaw, Quality, Record
from .intervals import Hrv, hrv, sound_intervals
from .outputs import writer_of
from .outputs.tables import beats_table, events_table
from .packages import need
from .targets import check_writable

PIECE_S = 600  # judged at once: at a rate that is not whole, longer pieces would drift
TABLES = {"beats": beats_table, "events": events_table}
Judge = Callable[[NDArray[np.float64], float], Quality]


@dataclass(frozen=True, repr=False, eq=False)
class Annotation:
    """The beats, events and quality of a record; `Detector.annotate` makes it.

    Attributes
    ----------
    record : that was annotated
    beats : in order of time
    events : those of the rhythm, each with its end, in order of start
    judge : judges a piece of signal, float64 [samples] in mV, at its rate in Hz
    gaps : start and end, s, of each stretch of missing signal
    made_by : the program and its model, in words
    missing : bool [samples], those that are missing or that no heart can have made; None: not known
    left_out : times, s, of deflections too high for this heart, as of an electrode that pops
    artefacts : start and end, s, of what looked like V or S beats and is artefact: they are Q
    """

    record: Record
    beats: Sequence[Beat]
    events: Sequence[Event]
    judge: Judge = field(repr=False)
    gaps: Sequence[tuple[float, float]] = ()
    made_by: str = "ekg"
    missing: NDArray[np.bool_] | None = field(default=None, repr=False)
    left_out: Sequence[float] = ()
    artefacts: Sequence[tuple[float, float]] = ()

    @cached_property
    def quality(self) -> Quality:
        """The quality of the whole signal, second by second; judged when it is first asked for."""
        quality = _joined([self.judge(piece, self.record.fs) for piece in pieces_of(self.record)])
        if self.artefacts:
            quality = replace(quality, artefacts=tuple(self.artefacts))
        if not self.left_out:
            return quality
        seconds = list(quality.seconds)
        for time in self.left_out:
            seconds[min(int(time), len(seconds) - 1)] |= Flaw.MISSING
        return replace(quality, seconds=tuple(seconds))

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """Times of the R peaks, float64 [beats], s from the record's start."""
        return np.array([beat.time for beat in self.beats], dtype=np.float64)

    @cached_property
    def samples(self) -> NDArray[np.int64]:
        """Places of the R peaks, int64 [beats], samples from the record's start."""
        return np.array([round(beat.time * self.record.fs) for beat in self.beats], dtype=np.int64)

    @cached_property
    def labels(self) -> NDArray[np.str_]:
        """Classes of the beats, [beats]: N, S, V, F or Q."""
        return np.array([beat.label for beat in self.beats], dtype="<U1")

    @cached_property
    def sound(self) -> NDArray[np.bool_]:
        """Intervals in readable signal across no gap, VF or asystole, bool [beats - 1]."""
        doubtful = np.array([bool(flaw & DOUBTFUL) for flaw in self.quality.seconds], dtype=bool)
        return sound_intervals(self.times, doubtful, self.events, self.gaps)

    @cached_property
    def rr(self) -> NDArray[np.float64]:
        """RR intervals, float64 [beats - 1], s; NaN where signal is missing or unreadable."""
        return np.where(self.sound, np.diff(self.times), np.nan)

    @property
    def heart_rate(self) -> float | None:
        """Beats a minute, from the mean of the RR intervals; None if there is none."""
        known = self.rr[np.isfinite(self.rr)]
        return float(60.0 / known.mean()) if len(known) else None

    def hrv(self, *, frequency: bool = False) -> Hrv:
        """Heart rate variability, without ectopic beats and across no gap.

        Parameters
        ----------
        frequency : LF and HF too, which needs the package ``neurokit2``

        Raises
        ------
        MissingPackageError, InputError
            There is no such package; there is no stretch to measure LF and HF of.
        """
        return hrv(self.beats, self.sound, frequency=frequency)

    def to_dict(self) -> dict[str, Any]:
        """Everything found, as JSON takes it; beats and events as the server gives them."""
        record, rate = self.record, self.heart_rate
        return {
            "record": {
                "name": record.name,
                "lead": record.lead,
                "leads": list(record.leads),
                "fs": record.fs,
                "units": record.units,
                "seconds": round(record.seconds, 4),
                "start": record.start and record.start.isoformat(),
                "gaps": round(record.gaps, 4),
                "notes": list(record.notes),
            },
            "beats": [
                {**beat.to_dict(), "sample": int(sample)}
                for beat, sample in zip(self.beats, self.samples, strict=True)
            ],
            "events": [event.to_dict() for event in self.events],
            "quality": self.quality.to_dict(),
            "heart_rate": None if rate is None else round(rate, 1),
            "made_by": self.made_by,
        }

    def to_dataframe(self, table: str = "beats") -> Any:
        """A pandas DataFrame: of the beats, or with ``"events"`` of the events.

        Raises
        ------
        InputError, MissingPackageError
            There is no such table; there is no package ``pandas``.
        """
        if table not in TABLES:
            raise InputError(f"there is no table {table!r}; expected {' or '.join(TABLES)}.")
        return need("pandas", "to make a table").DataFrame(TABLES[table](self))

    def write(
        self,
        name: str,
        folder: str | Path = ".",
        *,
        annotator: str = "ekg",
        scores: bool = False,
    ) -> tuple[Path, ...]:
        """Write files in one of the formats of `runtime.records.outputs.WRITERS`.

        Parameters
        ----------
        name : of the format: wfdb, edf, csv, parquet, fhir, dicom or ishne
        folder : for the files ``RECORD.ANNOTATOR`` and the format's ending; made if need be
        scores : put scores into WFDB's aux field; the other formats always have them if they can

        Raises
        ------
        InputError, RecordError, MissingPackageError
            There is no such format; the files cannot be written; a package is needed.
        """
        folder = Path(folder)
        writer = writer_of(name)
        check_writable(folder, annotator)
        return writer.write(self, folder, annotator, scores=scores)

    def to_wfdb(self, folder: str | Path = ".", **options: Any) -> Path:
        """Write WFDB annotations, ``RECORD.ekg``; `write` says what the options are."""
        return self.write("wfdb", folder, **options)[0]

    def to_edf(self, folder: str | Path = ".", **options: Any) -> Path:
        """Write a file of EDF+ annotations."""
        return self.write("edf", folder, **options)[0]

    def to_csv(self, folder: str | Path = ".", **options: Any) -> tuple[Path, ...]:
        """Write two tables as CSV, of the beats and of the events."""
        return self.write("csv", folder, **options)

    def to_parquet(self, folder: str | Path = ".", **options: Any) -> tuple[Path, ...]:
        """Write two tables as Parquet, of the beats and of the events."""
        return self.write("parquet", folder, **options)

    def to_fhir(self, folder: str | Path = ".", **options: Any) -> Path:
        """Write a FHIR R4 bundle: a DiagnosticReport, and an Observation for each event."""
        return self.write("fhir", folder, **options)[0]

    def to_dicom(self, folder: str | Path = ".", **options: Any) -> Path:
        """Write the signal as a DICOM waveform, with its annotations."""
        return self.write("dicom", folder, **options)[0]

    def to_ishne(self, folder: str | Path = ".", **options: Any) -> Path:
        """Write the beats as ISHNE annotations."""
        return self.write("ishne", folder, **options)[0]

    def plot(self, start_s: float = 0.0, seconds: float = 10.0, *, axes: Any = None) -> Any:
        """Draw a stretch of signal with its beats and events; needs the package ``matplotlib``.

        Parameters
        ----------
        axes : of matplotlib to draw on; new ones by default

        Returns
        -------
        the axes
        """
        from .views import plot

        return plot(self, start_s, seconds, axes)

    def __repr__(self) -> str:
        counts = Counter(beat.label for beat in self.beats)
        beats = ", ".join(f"{n} {label}" for label, n in sorted(counts.items())) or "no beats"
        record = self.record
        flat = "" if self.beats or not self.quality.warning else "; flat"
        return (
            f"Annotation({record.name!r}, lead {record.lead}, {record.seconds:.6g} s: {beats}; "
            f"{len(self.events)} events{flat})"
        )

    def _repr_html_(self) -> str:
        from .views import html

        return html(self)


def pieces_of(record: Record) -> Iterator[NDArray[np.float64]]:
    """Cut a signal into the pieces that are judged at once, of whole seconds but for the last."""
    size = PIECE_S * round(record.fs)
    for second in range(0, max(1, int(record.seconds)), PIECE_S):
        at = round(second * record.fs)
        if len(piece := record.signal[at : at + size]):
            yield piece


def _joined(pieces: Sequence[Quality]) -> Quality:
    """The quality of a signal from those of its pieces; its range is the largest of a piece."""
    lengths = np.array([len(piece.seconds) for piece in pieces])
    shares: dict[str, Any] = {
        each.name: float(
            np.average([getattr(piece, each.name) for piece in pieces], weights=lengths)
        )
        for each in fields(Quality)
        if each.name not in ("range_mv", "seconds", "artefacts", "noisy")
    }
    return Quality(
        **shares,
        range_mv=max(piece.range_mv for piece in pieces),
        seconds=tuple(flaw for piece in pieces for flaw in piece.seconds),
        noisy=pieces[0].noisy if len(pieces) == 1 else None,
    )
