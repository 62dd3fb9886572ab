"""Signals as EDF+ or BDF+; needs the package ``edfio``.

Neither can mark a missing sample. Those are held at the value before, and an annotation
`MISSING_TEXT` with the lead's name says from when and how long; our own reader takes them out.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RecordError
from ..edf import MISSING_TEXT
from ..packages import explained, need
from .counts import Counts, find_counts
from .recording import Recording, Signal
from .writer import SignalWriter

MAX_DURATION_S = 60
RATE_ERROR = 1e-7  # of a rate that the header can state; 9 ms in a day
LABEL_LENGTH, FIELD_LENGTH = 16, 8


class EdfSignals(SignalWriter):
    """Writes 16-bit samples; a lead may have a rate of its own."""

    name = "EDF"
    extensions = (".edf",)
    bits = 16

    def write(self, target: Path, recording: Recording) -> list[str]:
        """Write the file, filled up to whole data records."""
        edfio = need("edfio", "to write EDF files")
        signal_class: Any = edfio.EdfSignal if self.bits == 16 else edfio.BdfSignal
        file_class: Any = edfio.Edf if self.bits == 16 else edfio.Bdf
        duration, sizes = _data_records([signal.fs for signal in recording.signals])
        records = max(
            -(-len(signal.samples) // size)
            for signal, size in zip(recording.signals, sizes, strict=True)
        )
        counts = [find_counts(signal.samples, self.bits) for signal in recording.signals]
        labels = [_label(signal.name) for signal in recording.signals]
        if len(set(labels)) < len(labels):
            labels = [f"{label[: LABEL_LENGTH - 3]} {i}" for i, label in enumerate(labels)]
        written, notes, marks = [], [], []
        for signal, size, found, label in zip(
            recording.signals, sizes, counts, labels, strict=True
        ):
            padded = np.pad(
                signal.samples,
                (0, records * size - len(signal.samples)),
                constant_values=np.nan,
            )
            whole = Signal(signal.name, size / duration, signal.unit, padded)
            marks += [
                edfio.EdfAnnotation(a / whole.fs, (b - a) / whole.fs, f"{MISSING_TEXT}{label}")
                for a, b in whole.gaps
            ]
            missing = np.isnan(padded)
            held = _held(padded, missing)
            with explained(Path(target.name), f"cannot hold the lead {signal.name}"):
                written.append(
                    _stored(
                        signal_class,
                        held,
                        found,
                        sampling_frequency=whole.fs,
                        label=label,
                        physical_dimension=_label(signal.unit)[:8],
                    )
                )
        if marks:
            notes.append("missing samples are held, and annotated")
        if not all(found.exact for found in counts):
            notes.append(f"rounded to {self.bits} bits")
        start = recording.start
        dated = start is not None and start.date().year >= 1985  # the first that EDF can state
        with explained(Path(target.name), "cannot be written as EDF"):
            file_class(
                written,
                recording=edfio.Recording(startdate=start.date() if start and dated else None),
                starttime=start.time() if start else None,
                data_record_duration=duration,
                annotations=marks,
            ).write(target)
        if start is not None and not dated and start.date() != date.min:
            notes.append("the date is before 1985 and left out")
        return notes


class BdfSignals(EdfSignals):
    """Writes 24-bit samples."""

    name = "BDF"
    extensions = (".bdf",)
    bits = 24


def _held(samples: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return samples with the value before in place of a missing one, 0 if there is none."""
    before = np.maximum.accumulate(np.where(missing, -1, np.arange(len(samples))))
    return np.where(before < 0, 0.0, samples[before])


def _data_records(rates: list[float]) -> tuple[float, list[int]]:
    """Return the length of a data record, s, and each lead's samples in it.

    Raises
    ------
    RecordError
        No length in the eight characters of the header gives these rates.
    """
    for whole in range(1, MAX_DURATION_S + 1):
        if all(abs(rate * whole - round(rate * whole)) <= RATE_ERROR * rate for rate in rates):
            return float(whole), [round(rate * whole) for rate in rates]
    for size in range(max(1, round(rates[0])), round(MAX_DURATION_S * rates[0])):
        duration = round(size / rates[0], 6 if size < 10 * rates[0] else 5)
        sizes = [round(rate * duration) for rate in rates]
        if all(
            n > 0 and abs(n / duration / rate - 1) <= RATE_ERROR
            for n, rate in zip(sizes, rates, strict=True)
        ):
            return duration, sizes
    raise RecordError(
        f"EDF cannot state a rate of {', '.join(f'{rate:.9g}' for rate in sorted(set(rates)))} Hz; "
        "expected one of whole samples in up to a minute, or another format."
    )


def _stored(signal_class: Any, held: NDArray[np.float64], counts: Counts, **described: Any) -> Any:
    """Return a signal of the counts of its converter, if its header can state their values."""
    low, high = (int(count) for count in counts.of(np.array([held.min(), held.max()]), 0))
    high = max(high, low + 1)
    values = ((low - counts.baseline) / counts.gain, (high - counts.baseline) / counts.gain)
    if counts.exact and all(len(f"{value:.7g}") <= FIELD_LENGTH for value in values):
        kind = np.int16 if signal_class.__name__ == "EdfSignal" else np.int32
        digital = counts.of(held, 0).astype(kind)
        return signal_class.from_digital(
            digital, digital_range=(low, high), physical_range=values, **described
        )
    flat = held.min() == held.max()
    return signal_class(
        held, physical_range=(held[0] - 1, held[0] + 1) if flat else None, **described
    )


def _label(text: str) -> str:
    return text.replace("µ", "u").encode("ascii", "replace").decode()[:LABEL_LENGTH]
