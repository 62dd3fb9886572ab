"""What is written is read back by the field's own tools, with equal beats and events."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import struct
from binascii import crc_hqx
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outputs_made import annotation_of

from runtime import Detector, read
from runtime.findings import Beat, Event
from runtime.records import Annotation
from runtime.records.outputs import WRITERS
from runtime.records.outputs.codes import BEATS, EVENTS

START = datetime(2021, 3, 4, 5, 6, 7)
EVENTS_MADE = [
    Event("asystole", 0.0, 4.5, 1.0, "no beat for 4 s"),
    Event("ventricular_tachycardia", 10.0, 15.125, 0.875, "3 or more V beats"),
    Event("pause", 20.0, 22.25, 0.5, "2 s or more between two beats"),
]


@pytest.fixture(scope="module")
def found(detector: Detector) -> Annotation:
    """The sample, annotated."""
    return detector.annotate("sample")


@pytest.fixture(scope="module", params=["sample", "all classes", "nothing", "an hour"])
def annotation(request: pytest.FixtureRequest, found: Annotation) -> Annotation:
    """Findings of each kind: real ones, every class, none, and an hour with a long pause."""
    if request.param == "sample":
        return found
    if request.param == "nothing":
        return annotation_of([])
    if request.param == "all classes":
        beats = [
            Beat(0.004 + i * 0.77, label, 0.9 + i / 100, (0.2,) * 5)
            for i, label in enumerate("NSVFQ" * 6)
        ]
        return annotation_of(beats, EVENTS_MADE, start=START, lead="II", fs=500)
    times = np.arange(4_800) * 0.75 + np.where(np.arange(4_800) < 2_400, 0, 900)
    return annotation_of(
        [Beat(float(time), "NV"[i % 7 == 0], 0.75, (0.2,) * 5) for i, time in enumerate(times)],
        EVENTS_MADE,
    )


def beats_of(annotation: Annotation) -> list[tuple[int, str]]:
    """Place in samples and class of each beat."""
    return list(zip(annotation.samples.tolist(), annotation.labels.tolist(), strict=True))


def events_of(annotation: Annotation) -> list[tuple[str, float, float]]:
    """Kind, start and end of each event, s."""
    return [(event.kind, event.start, event.end or 0.0) for event in annotation.events]


@pytest.mark.needs("wfdb")
def test_wfdb_reads_wfdb_annotations(annotation: Annotation, tmp_path: Path) -> None:
    import wfdb

    path = annotation.to_wfdb(tmp_path)
    if not annotation.beats:
        assert path.read_bytes() == b"\0\0"
        return
    marks = wfdb.rdann(str(path.with_suffix("")), "ekg")
    read_back = zip(marks.sample.tolist(), marks.symbol, strict=True)
    assert [mark for mark in read_back if mark[1] not in '+"'] == beats_of(annotation)


def _from_edf(marks: list[tuple[float, float, str]], annotation: Annotation) -> None:
    """Compare the marks of an EDF+ file: onset and length in s, text."""
    fs = annotation.record.fs
    beats = [(round(onset * fs), text) for onset, _, text in marks if text in BEATS]
    assert beats == beats_of(annotation)
    events = [(text, onset, onset + length) for onset, length, text in marks if text in EVENTS]
    assert events == [
        (kind, pytest.approx(start, abs=1e-4), pytest.approx(end, abs=1e-4))
        for kind, start, end in events_of(annotation)
    ]


@pytest.mark.needs("edfio")
def test_edfio_reads_edf_annotations(annotation: Annotation, tmp_path: Path) -> None:
    import edfio

    edf = edfio.read_edf(annotation.to_edf(tmp_path))
    _from_edf([(m.onset, m.duration or 0.0, m.text) for m in edf.annotations], annotation)
    if annotation.record.start:
        assert datetime.combine(edf.startdate, edf.starttime) == annotation.record.start


@pytest.mark.needs("edfio", "pyedflib")
def test_edflib_reads_edf_annotations(annotation: Annotation, tmp_path: Path) -> None:
    import pyedflib

    with pyedflib.EdfReader(str(annotation.to_edf(tmp_path))) as file:
        onsets, lengths, texts = file.readAnnotations()
    marks = zip(onsets.tolist(), np.maximum(lengths, 0).tolist(), texts.tolist(), strict=True)
    _from_edf(list(marks), annotation)


@pytest.mark.needs("edfio", "mne")
def test_mne_reads_edf_annotations(found: Annotation, tmp_path: Path) -> None:
    import mne

    marks = mne.read_annotations(str(found.to_edf(tmp_path)))
    triples = zip(marks.onset.tolist(), marks.duration.tolist(), marks.description, strict=True)
    _from_edf(list(triples), found)


@pytest.mark.needs("pandas")
def test_pandas_reads_the_tables(annotation: Annotation, tmp_path: Path) -> None:
    import pandas

    beats, events = (pandas.read_csv(path) for path in annotation.to_csv(tmp_path))
    assert list(zip(beats["sample"], beats["label"], strict=True)) == beats_of(annotation)
    assert np.allclose(beats["time"], annotation.times, atol=1e-6)
    triples = zip(events["kind"], events["start"], events["end"], strict=True)
    assert list(triples) == [
        (kind, pytest.approx(start, abs=1e-6), pytest.approx(end, abs=1e-6))
        for kind, start, end in events_of(annotation)
    ]


@pytest.mark.needs("pandas", "pyarrow")
def test_pandas_reads_parquet_exactly(annotation: Annotation, tmp_path: Path) -> None:
    import pandas
    import pyarrow.parquet

    paths = annotation.to_parquet(tmp_path)
    beats, events = (pandas.read_parquet(path) for path in paths)
    assert list(zip(beats["sample"], beats["label"], strict=True)) == beats_of(annotation)
    assert beats["time"].tolist() == annotation.times.tolist()
    assert np.array_equal(beats["rr"].to_numpy()[1:], annotation.rr, equal_nan=True)
    triples = zip(events["kind"], events["start"], events["end"], strict=True)
    assert list(triples) == events_of(annotation)
    said = pyarrow.parquet.read_schema(paths[0]).metadata
    assert float(said[b"fs"]) == annotation.record.fs
    assert said[b"lead"].decode() == annotation.record.lead
    for name, table in (("beats", beats), ("events", events)):
        pandas.testing.assert_frame_equal(
            annotation.to_dataframe(name), table, check_dtype=len(table) > 0
        )


def bundle_of(annotation: Annotation, folder: Path) -> dict[str, Any]:
    bundle: dict[str, Any] = json.loads(annotation.to_fhir(folder).read_text())
    return bundle


def test_a_fhir_report_holds_beats_and_events(annotation: Annotation, tmp_path: Path) -> None:
    report, *observations = (e["resource"] for e in bundle_of(annotation, tmp_path)["entry"])
    table = base64.b64decode(report["presentedForm"][0]["data"]).decode()
    rows = csv.DictReader(io.StringIO(table))
    assert [(int(row["sample"]), row["label"]) for row in rows] == beats_of(annotation)
    assert len(report.get("result", [])) == len(observations) == len(annotation.events)
    for observation, (kind, start, end) in zip(observations, events_of(annotation), strict=True):
        assert observation["code"]["text"] == kind.replace("_", " ")
        began, ended = (part["valueQuantity"]["value"] for part in observation["component"][:2])
        assert (began, ended) == (pytest.approx(start, abs=1e-6), pytest.approx(end, abs=1e-6))


@pytest.mark.needs("fhirclient")
def test_ten_seconds_of_signal_around_each_event(found: Annotation, tmp_path: Path) -> None:
    from fhirclient.models.bundle import Bundle

    record = found.record
    for entry in Bundle(bundle_of(found, tmp_path)).entry[1:]:
        sampled, parts = entry.resource.valueSampledData, entry.resource.component
        signal = np.array([float(v) for v in sampled.data.split()]) * sampled.factor
        first = round(parts[2].valueQuantity.value * record.fs)
        assert 1000 / sampled.period == pytest.approx(record.fs)
        assert len(signal) == round(10 * record.fs)
        assert np.abs(signal - record.signal[first : first + len(signal)]).max() <= 0.0005 + 1e-9
        assert first / record.fs <= parts[0].valueQuantity.value
        assert parts[1].valueQuantity.value <= first / record.fs + 10


@pytest.mark.needs("fhirclient")
def test_fhirclient_takes_the_bundle_as_r4(annotation: Annotation, tmp_path: Path) -> None:
    """Its models are of FHIR 4.0.1 and refuse what R4 does not have."""
    from fhirclient.models.bundle import Bundle
    from fhirclient.models.fhirabstractbase import FHIRValidationError

    bundle = bundle_of(annotation, tmp_path)
    report = Bundle(bundle).entry[0].resource
    assert report.resource_type == "DiagnosticReport"
    if annotation.record.start:
        assert report.effectivePeriod.start.as_json() == "2021-03-04"
    bundle["entry"][0]["resource"]["colour"] = "red"
    with pytest.raises(FHIRValidationError):
        Bundle(bundle)


@pytest.mark.needs("fhir.resources")
def test_fhir_resources_takes_the_bundle_as_r4b(annotation: Annotation, tmp_path: Path) -> None:
    from fhir.resources.R4B.bundle import Bundle

    bundle = Bundle.model_validate(bundle_of(annotation, tmp_path))
    assert len(bundle.entry) == 1 + len(annotation.events)


@pytest.mark.needs("jsonschema")
def test_the_bundle_is_of_the_published_schema(annotation: Annotation, tmp_path: Path) -> None:
    """HL7 publishes it with FHIR R4 as fhir.schema.json."""
    import jsonschema

    file = os.environ.get("EKG_FHIR_SCHEMA")
    if not file:
        pytest.skip("EKG_FHIR_SCHEMA names no fhir.schema.json of R4 (see docs/python.md)")
    schema = json.loads(Path(file).read_text())
    assert schema["id"] == "http://hl7.org/fhir/json-schema/4.0"
    bundle = bundle_of(annotation, tmp_path)
    for resource in (bundle, *(entry["resource"] for entry in bundle["entry"])):
        own = {**schema, "oneOf": [{"$ref": f"#/definitions/{resource['resourceType']}"}]}
        jsonschema.Draft6Validator(own).validate(resource)


@pytest.mark.needs("fhirclient")
def test_fhir_has_a_time_of_day_only_with_a_zone(tmp_path: Path) -> None:
    from fhirclient.models.bundle import Bundle

    aware = annotation_of([], EVENTS_MADE[1:], start=START.replace(tzinfo=UTC))
    event = Bundle(bundle_of(aware, tmp_path)).entry[1].resource
    assert event.effectivePeriod.start.as_json() == "2021-03-04T05:06:17.000+00:00"
    unknown = annotation_of([], EVENTS_MADE[1:], start=START.replace(year=1))
    assert "effectivePeriod" not in bundle_of(unknown, tmp_path)["entry"][1]["resource"]


@pytest.mark.needs("pydicom")
def test_pydicom_reads_signal_beats_and_events(annotation: Annotation, tmp_path: Path) -> None:
    import pydicom
    from pydicom.waveforms.numpy_handler import multiplex_array

    dataset = pydicom.dcmread(annotation.to_dicom(tmp_path))
    record = annotation.record
    signal_uv = multiplex_array(dataset, 0, as_raw=False)[:, 0]
    assert np.abs(signal_uv / 1000 - record.signal).max() <= 0.0005 + 1e-9
    wave = dataset.WaveformSequence[0]
    assert float(wave.SamplingFrequency) == record.fs
    marks = dataset.WaveformAnnotationSequence
    labels = {codes.mdc.value: label for label, codes in BEATS.items() if codes.mdc}
    beats, events = [], []
    for mark in marks:
        places = np.atleast_1d(mark.ReferencedSamplePositions)
        concept = mark.get("ConceptNameCodeSequence")
        if mark.TemporalRangeType == "POINT":
            beats.append((int(places[0]) - 1, labels[concept[0].CodeValue]))
        else:
            said = concept[0].CodeMeaning if concept else mark.UnformattedTextValue
            events.append((said.lower(), *((int(place) - 1) for place in places)))
    assert beats == beats_of(annotation)
    assert [event[1:] for event in events] == [
        (round(start * record.fs), round(end * record.fs))
        for _, start, end in events_of(annotation)
    ]
    if record.start:
        assert dataset.AcquisitionDateTime == "20210304050607.000000"
    assert not dataset.PatientName
    assert not dataset.PatientID


@pytest.mark.needs("pydicom")
def test_missing_samples_are_dicoms_padding(tmp_path: Path) -> None:
    import pydicom

    annotation = annotation_of([])
    annotation.record.signal[100:150] = np.nan
    wave = pydicom.dcmread(annotation.to_dicom(tmp_path)).WaveformSequence[0]
    stored = np.frombuffer(wave.WaveformData, "<i2")
    padding = np.frombuffer(wave.WaveformPaddingValue, "<i2")[0]
    assert np.flatnonzero(stored == padding).tolist() == list(range(100, 150))


def read_ishne(path: Path) -> tuple[dict[str, Any], list[tuple[int, str, str]]]:
    """Read an ISHNE annotation file as its description says.

    Returns
    -------
    facts of the header; place in samples and both letters of each annotation
    """
    content = path.read_bytes()
    assert content[:8] == b"ANN  1.0"
    (checksum,) = struct.unpack_from("<H", content, 8)
    variable, samples, variable_at, data_at = struct.unpack_from("<4i", content, 10)
    assert (variable_at, data_at) == (522, 522 + variable)
    assert checksum == crc_hqx(content[10:data_at], 0xFFFF)  # CRC-CCITT
    day, month, year = struct.unpack_from("<3h", content, 138)
    clock = struct.unpack_from("<3h", content, 150)
    leads, lead = struct.unpack_from("<2h", content, 156)
    (fs,) = struct.unpack_from("<h", content, 272)
    facts = {"samples": samples, "date": (year, month, day), "time": clock}
    facts |= {"leads": leads, "lead": lead, "fs": fs}
    (at,) = struct.unpack_from("<I", content, data_at)
    marks = []
    for first, second, since in struct.iter_unpack("<ccH", content[data_at + 4 :]):
        at += since
        if first != b"!":  # a timeout
            marks.append((at, first.decode(), second.decode()))
    return facts, marks


def test_ishne_annotations_by_their_description(annotation: Annotation, tmp_path: Path) -> None:
    facts, marks = read_ishne(annotation.to_ishne(tmp_path))
    record = annotation.record
    assert [(at, own) for at, _, own in marks] == beats_of(annotation)
    assert all(letter == {"F": "U", "Q": "U"}.get(own, own) for _, letter, own in marks)
    assert (facts["samples"], facts["fs"]) == (len(record.signal), record.fs)
    assert facts["leads"] == 1
    if record.start:
        assert facts["date"], facts["time"] == ((2021, 3, 4), (5, 6, 7))
        assert facts["lead"] == 6  # II


def test_nothing_of_the_person_is_written(found: Annotation, tmp_path: Path) -> None:
    from dataclasses import replace

    named = replace(found.record, header=("Born 1950, Jane Doe",), start=START)
    annotation = replace(found, record=named)
    for name, writer in WRITERS.items():
        if writer.package:
            pytest.importorskip(writer.package)
        for path in annotation.write(name, tmp_path):
            assert b"Jane" not in path.read_bytes()


def test_the_dicom_object_is_read_as_a_record_again(found: Annotation, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    reading = pytest.importorskip("runtime.records.dicom", reason="DICOM cannot be read yet")
    assert reading
    record = read(found.to_dicom(tmp_path))
    assert record.fs == found.record.fs
    assert np.abs(record.signal - found.record.signal).max() <= 0.0005 + 1e-9
