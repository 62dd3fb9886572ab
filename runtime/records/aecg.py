"""ECGs as HL7's Annotated ECG (aECG, ANSI/HL7 V3 ECG R1), the XML that is sent to the FDA."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .leads import Lead
from .packages import explained
from .reader import Options, Reader
from .times import MAX_LENGTH_S, MAX_LENGTHENING
from .units import millivolts, seconds
from .xml import is_xml, read_xml

ROOT = "AnnotatedECG"
LEAD_CODE = re.compile(r"MDC_ECG_(?:LEAD_|ELEC_POTL_)?(.+)")
NAMES = {name.upper(): name for name in ("aVR", "aVL", "aVF")}
MOMENT = re.compile(r"(\d{8})(\d{2})?(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")
MAX_SAMPLES = 1 << 28  # with its gaps: a day at 3000 Hz


@dataclass(frozen=True)
class _Sequence:
    """Samples of a lead in one go: ``origin`` + ``scale`` times the digits, from ``start_s`` on."""

    name: str
    fs: float
    unit: str
    start_s: float
    origin: float
    scale: float
    digits: str


class AecgReader(Reader):
    """Reads the rhythm leads of an aECG; series that follow each other are one, gaps between."""

    name = "aECG"
    extensions = (".xml",)

    def recognises(self, path: Path) -> bool:
        """Return True if the file is XML, of which no other kind is read."""
        return is_xml(path)

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads of all series."""
        if not path.is_file():
            raise RecordError(f"{path} does not exist.")
        with explained(path, "is no whole aECG"):
            root = read_xml(path)
            if root.tag != ROOT:
                raise RecordError(f"{path} is XML of {root.tag!r}; expected {ROOT!r}, HL7's aECG.")
            sequences, options.start = _sequences(root)
        if not sequences:
            raise RecordError(f"{path} is an aECG without the samples of a lead.")
        by_name: dict[str, list[_Sequence]] = {}
        for sequence in sequences:
            by_name.setdefault(sequence.name, []).append(sequence)
        return [
            Lead(name, found[0].fs, found[0].unit, partial(_load, path, found))
            for name, found in by_name.items()
        ]


def _sequences(root: Element) -> tuple[list[_Sequence], datetime | None]:
    """Return all sequences of leads, and the moment from which their times count."""
    found: list[_Sequence] = []
    first: datetime | None = None
    for series in root.iter("series"):  # derivedSeries are representative beats
        for sequences in series.iter("sequenceSet"):
            if _inside_derived(series, sequences):
                continue
            fs, head, offset = 0.0, None, 0.0
            leads = []
            for sequence in sequences.iter("sequence"):
                code, value = sequence.find("code"), sequence.find("value")
                if code is None or value is None:
                    continue
                what = code.get("code", "")
                if what in ("TIME_ABSOLUTE", "TIME_RELATIVE"):
                    fs = _rate(value)
                    head, offset = _head(value)
                elif value.find("digits") is not None:
                    leads.append((what, value))
            if not leads:
                continue
            if not 0 < fs < math.inf:
                raise ValueError("it does not say the increment of its times")
            if head is not None:
                first = first or head
                offset = (head - first).total_seconds()
            found += [_sequence(what, value, fs, offset) for what, value in leads]
    return found, first


def _inside_derived(series: Element, sequences: Element) -> bool:
    return any(sequences in derived.iter("sequenceSet") for derived in series.iter("derivedSeries"))


def _sequence(code: str, value: Element, fs: float, start_s: float) -> _Sequence:
    match = LEAD_CODE.fullmatch(code)
    name = match[1] if match else code
    origin, scale = value.find("origin"), value.find("scale")
    unit = "" if scale is None else scale.get("unit", "")
    per_origin = 1.0
    if origin is not None and scale is not None and origin.get("unit", unit) != unit:
        ours, theirs = millivolts(unit), millivolts(origin.get("unit", ""))
        if not ours or theirs is None:
            raise ValueError(f"the origin of {name} is in another unit than its scale")
        per_origin = theirs / ours
    level = 0.0 if origin is None else float(origin.get("value", 0)) * per_origin
    step = 1.0 if scale is None else float(scale.get("value", 1))
    if not (step and math.isfinite(step) and math.isfinite(level)):
        raise ValueError(f"the scale of {name} is {step:g}, its origin {level:g}")
    return _Sequence(
        NAMES.get(name, name),
        fs,
        unit,
        start_s,
        level,
        step,
        value.findtext("digits") or "",
    )


def _load(path: Path, sequences: list[_Sequence]) -> NDArray[np.float64]:
    """Return a lead in its unit, NaN between its sequences."""
    parts: list[tuple[int, NDArray[np.float64]]] = []
    fs, unit = sequences[0].fs, sequences[0].unit
    for sequence in sequences:
        if (sequence.fs, sequence.unit) != (fs, unit):
            raise RecordError(f"{path}: the rate or unit of lead {sequence.name} changes.")
        digits = np.array([_number(word) for word in sequence.digits.split()])
        start = round(sequence.start_s * fs)
        parts.append((start, sequence.origin + sequence.scale * digits))
    ends = [start + len(values) for start, values in parts]
    starts = [start for start, _ in parts]
    if any(start < end for start, end in zip(starts[1:], ends, strict=False)) or starts[0] < 0:
        raise RecordError(f"{path}: the series of lead {sequences[0].name} overlap.")
    samples = sum(len(values) for _, values in parts)
    if ends[-1] > min(MAX_SAMPLES, max(MAX_LENGTHENING * samples, MAX_LENGTH_S * fs)):
        raise RecordError(
            f"{path} spreads its series over {ends[-1] / fs:.3g} s; expected one recording."
        )
    placed = np.full(ends[-1], np.nan)
    for start, values in parts:
        placed[start : start + len(values)] = values
    return placed


def _number(word: str) -> float:
    """A sample; NaN if it is no number, as devices mark a missing one."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def _rate(value: Element) -> float:
    """Return the rate in Hz; a whole one if the increment is that, rounded to its digits."""
    increment = value.find("increment")
    if increment is None:
        return 0.0
    stated = increment.get("value", "0")
    in_s = seconds(increment.get("unit", "s")) or math.nan
    step = float(stated) * in_s
    if not step > 0:
        return 0.0
    rounding = 0.5 * in_s * 10.0 ** -len(stated.partition(".")[2])
    whole = round(1 / step)
    return float(whole) if whole and abs(1 / whole - step) <= rounding else 1 / step


def _head(value: Element) -> tuple[datetime | None, float]:
    """Return the moment at which times begin, or the seconds if they are relative."""
    head = value.find("head")
    if head is None or head.get("value") is None:
        return None, 0.0
    stated = head.get("value", "")
    match = MOMENT.match(stated)
    if match and head.get("unit") is None:
        whole = "".join(part or "00" for part in match.groups()[:4])
        micro = int((match[5] or "0").ljust(6, "0"))
        return datetime.strptime(whole, "%Y%m%d%H%M%S").replace(microsecond=micro), 0.0
    return None, float(stated) * (seconds(head.get("unit", "s")) or 1.0)
