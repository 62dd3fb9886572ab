"""Events and beats as HL7 FHIR R4: a bundle that any server of a hospital takes.

A DiagnosticReport is the record's; its results are an Observation for each event, with ten seconds
of signal as SampledData. All beats are attached to the report as a table. Nothing in it is of the
person: the subject is for the one who sends it.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from ...findings import Event, Record
from .codes import BEATS, Codes, event_codes, lead_code
from .tables import CsvWriter
from .writer import Writer, date_of

if TYPE_CHECKING:
    from ..annotation import Annotation

STRIP_S, LEAD_IN_S = 10.0, 1.0
STEP_MV = 0.001  # of the samples
MISSING = "E"  # in SampledData
MDC, SNOMED = "urn:iso:std:iso:11073:10101", "http://snomed.info/sct"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
TERMS = "http://terminology.hl7.org/CodeSystem/"
NOTICE = "Found by a program and not reviewed; it is no medical device."


class FhirWriter(Writer):
    """Writes one bundle, as JSON."""

    name = "fhir"
    endings = (".fhir.json",)

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the file."""
        return (json.dumps(bundle(annotation), indent=1).encode(),)


def bundle(annotation: Annotation) -> dict[str, Any]:
    """Return the bundle: the report first, then the observations in order of time."""
    observations = [
        (_address(annotation, f"event {i}"), _observation(annotation, event))
        for i, event in enumerate(annotation.events)
    ]
    report = _report(annotation, [address for address, _ in observations])
    entries = [(_address(annotation, "report"), report), *observations]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": address, "resource": resource} for address, resource in entries],
    }


def _address(annotation: Annotation, what: str) -> str:
    """The same for the same findings, so that a bundle sent twice is recognised."""
    record = annotation.record
    said = (record.name, record.lead, record.start, len(record.signal), annotation.made_by, what)
    return f"urn:uuid:{uuid5(NAMESPACE_URL, repr(said))}"


def _report(annotation: Annotation, results: list[str]) -> dict[str, Any]:
    record, rate = annotation.record, annotation.heart_rate
    counts = Counter(beat.label for beat in annotation.beats)
    events = Counter(event.kind for event in annotation.events)
    said = [
        f"{record.seconds:.1f} s of lead {record.lead}",
        ", ".join(f"{counts[label]} {label}" for label in BEATS if counts[label]) or "no beats",
        *([f"{rate:.0f} beats a minute"] if rate is not None else []),
        ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in events.items()) or "no events",
        *([f"{record.gaps:.1%} of the signal is missing"] if record.gaps else []),
    ]
    table = CsvWriter().contents(annotation, True)[0]
    return {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [{"coding": [_coding(TERMS + "v2-0074", "EC", None)]}],
        "code": {"coding": [_coding(LOINC, "11524-6", "EKG study")], "text": "ECG"},
        **_effective(record, 0.0, record.seconds),
        **({"result": [{"reference": address} for address in results]} if results else {}),
        "conclusion": f"{'; '.join(said)}. {NOTICE}",
        "presentedForm": [
            {
                "contentType": "text/csv",
                "data": base64.b64encode(table).decode(),
                "title": f"{record.name}: beats",
            }
        ],
    }


def _observation(annotation: Annotation, event: Event) -> dict[str, Any]:
    record = annotation.record
    end = record.seconds if event.end is None else event.end
    begin = _strip_start(record, event.start, end)
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{"coding": [_coding(TERMS + "observation-category", "procedure", None)]}],
        "code": _concept(event_codes(event.kind), event.kind.replace("_", " ")),
        **_effective(record, event.start, end),
        "valueSampledData": _sampled(record, begin),
        "device": {"display": annotation.made_by},
        "method": {"text": event.rule or "not stated"},
        "note": [{"text": f"Record {record.name}, lead {record.lead}. {NOTICE}"}],
        "component": [
            _component("start of the event, from the start of the record", event.start, "s"),
            _component("end of the event, from the start of the record", end, "s"),
            _component("start of the signal shown, from the start of the record", begin, "s"),
            _component("confidence", event.confidence, "1"),
            {
                "code": {"text": "lead"},
                "valueCodeableConcept": _concept(Codes(mdc=lead_code(record.lead)), record.lead),
            },
        ],
    }


def _strip_start(record: Record, start: float, end: float) -> float:
    """Ten seconds around a short event, or from shortly before a long one on."""
    middle = (start + end - STRIP_S) / 2
    begin = start - LEAD_IN_S if end - start > STRIP_S - 2 * LEAD_IN_S else middle
    return max(0.0, min(begin, record.seconds - STRIP_S))


def _sampled(record: Record, begin: float) -> dict[str, Any]:
    first = round(begin * record.fs)
    part = record.signal[first : first + round(STRIP_S * record.fs)]
    missing = ~np.isfinite(part)
    steps = np.rint(np.where(missing, 0.0, part) / STEP_MV).astype(np.int64).tolist()
    return {
        "origin": {"value": 0, "unit": "mV", "system": UCUM, "code": "mV"},
        "period": round(1000 / record.fs, 9),  # ms
        "factor": STEP_MV,
        "dimensions": 1,
        "data": " ".join(
            MISSING if gone else str(step) for gone, step in zip(missing, steps, strict=True)
        ),
    }


def _component(what: str, value: float, unit: str) -> dict[str, Any]:
    quantity = {"value": round(value, 6), "system": UCUM, "code": unit}
    return {"code": {"text": what}, "valueQuantity": quantity}


def _concept(codes: Codes, text: str) -> dict[str, Any]:
    coding = []
    if codes.mdc:
        coding.append(_coding(MDC, str(codes.mdc.context_free), codes.mdc.meaning))
    if codes.snomed:
        coding.append(_coding(SNOMED, codes.snomed.value, codes.snomed.meaning))
    return {**({"coding": coding} if coding else {}), "text": text}


def _coding(system: str, code: str, display: str | None) -> dict[str, str]:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def _effective(record: Record, start: float, end: float) -> dict[str, Any]:
    """When it was: to the second if the zone is known, else the day; nothing if unknown.

    FHIR allows no time of day without a zone.
    """
    if record.start is None or date_of(record) is None:
        return {}
    began, ended = (record.start + timedelta(seconds=s) for s in (start, end))
    return {"effectivePeriod": {"start": _moment(began), "end": _moment(ended)}}


def _moment(when: datetime) -> str:
    return when.date().isoformat() if when.tzinfo is None else when.isoformat("T", "milliseconds")
