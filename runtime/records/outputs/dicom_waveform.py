"""Signal and annotations as a DICOM waveform object; needs the package ``pydicom``.

PS3.3 A.34.5 (ambulatory ECG, which allows any length, and rates of 50 to 1000 Hz) and C.10.10
(annotations). Nothing in it is of the person; the fields are there and empty.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...findings import Event, Record
from ..packages import need
from .codes import BEATS, Code, Codes, event_codes, lead_code
from .writer import Writer, date_of

if TYPE_CHECKING:
    from ..annotation import Annotation

AMBULATORY_ECG = "1.2.840.10008.5.1.4.1.1.9.1.3"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
BITS, LARGEST, MISSING = 16, 32_767, -32_768
FINEST_STEP_UV = 1.0
ANNOTATIONS = struct.Struct("<2H2sHI")  # head of their sequence: tag, kind, nothing, length
POSITION = struct.Struct("<I")
PLACE = 0xFADE_FACE  # no beat's: a day at 1000 Hz has a fiftieth of it
# A date is required; this one, long before there were such recordings, stands for none.
NO_DATE = date(1900, 1, 1)


class DicomWriter(Writer):
    """Writes an ambulatory ECG: one lead, with its beats and events as annotations."""

    name = "dicom"
    endings = (".dcm",)
    package = "pydicom"

    def contents(self, annotation: Annotation, scores: bool) -> tuple[bytes, ...]:
        """Return the file."""
        pydicom = need("pydicom", "to write DICOM files")
        said = repr((annotation.record.name, annotation.record.start, annotation.made_by))
        sink = io.BytesIO()
        _object(pydicom, annotation, said).save_as(sink, enforce_file_format=True)
        # What follows is in the order of its tags, as DICOM has it.
        marks = b"".join(_marks(pydicom, annotation))
        sink.write(ANNOTATIONS.pack(0x0040, 0xB020, b"SQ", 0, len(marks)) + marks)
        signal = pydicom.Dataset()
        signal.WaveformSequence = [_waveform(pydicom, annotation.record)]
        sink.write(_written(pydicom.filewriter.write_dataset, pydicom, signal))
        return (sink.getvalue(),)


def _object(pydicom: Any, annotation: Annotation, said: str) -> Any:
    """The object around the waveform; the same record gives the same identifiers."""
    study, series, own = (
        pydicom.uid.generate_uid(entropy_srcs=[said, what]) for what in ("study", "series", "own")
    )
    record = annotation.record
    start = record.start or datetime.combine(NO_DATE, time())
    if date_of(record) is None:
        start = start.replace(year=NO_DATE.year)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = AMBULATORY_ECG
    dataset.file_meta.MediaStorageSOPInstanceUID = own
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE_ENDIAN
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = AMBULATORY_ECG, own
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.Modality = "ECG"
    for empty in (
        "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID "
        "AccessionNumber ReferringPhysicianName Laterality"
    ).split():
        setattr(dataset, empty, "")
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.Manufacturer = "ekg"
    dataset.SoftwareVersions = annotation.made_by[:64]
    dataset.ContentDate, dataset.ContentTime = f"{start:%Y%m%d}", f"{start:%H%M%S.%f}"
    dataset.AcquisitionDateTime = f"{start:%Y%m%d%H%M%S.%f}"
    dataset.AcquisitionContextSequence = []
    return dataset


def _waveform(pydicom: Any, record: Record) -> Any:
    signal_uv = np.asarray(record.signal) * 1000.0
    missing = ~np.isfinite(signal_uv)
    known = np.where(missing, 0.0, signal_uv)
    step = max(FINEST_STEP_UV, float(np.abs(known).max()) / LARGEST)
    samples = np.where(missing, MISSING, np.rint(known / step)).astype("<i2")
    channel = pydicom.Dataset()
    channel.ChannelLabel = record.lead[:16]
    channel.ChannelSourceSequence = [_coded(pydicom, lead_code(record.lead), "MDC")]
    channel.ChannelSensitivity = f"{step:.8g}"
    channel.ChannelSensitivityUnitsSequence = [_coded(pydicom, Code("uV", "microvolt"), "UCUM")]
    channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "0"
    channel.ChannelSampleSkew = "0"
    channel.WaveformBitsStored = BITS
    wave = pydicom.Dataset()
    wave.WaveformOriginality = "ORIGINAL"
    wave.NumberOfWaveformChannels, wave.NumberOfWaveformSamples = 1, len(samples)
    wave.SamplingFrequency = f"{record.fs:.10g}"
    wave.ChannelDefinitionSequence = [channel]
    wave.WaveformBitsAllocated, wave.WaveformSampleInterpretation = BITS, "SS"
    wave.add_new("WaveformPaddingValue", "OW", np.array(MISSING, "<i2").tobytes())
    wave.add_new("WaveformData", "OW", samples.tobytes())
    return wave


def _marks(pydicom: Any, annotation: Annotation) -> Iterator[bytes]:
    """Each annotation as it is written.

    Beats of a class are alike but for their place: pydicom writes one of them, and its place is
    replaced, because a day of beats would take it minutes.
    """
    item = partial(_written, pydicom.filewriter.write_sequence_item, pydicom)
    like = {
        label: item(_mark(pydicom, BEATS[label], label, (PLACE - 1,)))
        for label in set(annotation.labels.tolist())
    }
    for label, sample in zip(annotation.labels.tolist(), annotation.samples.tolist(), strict=True):
        before, after = like[label].split(POSITION.pack(PLACE))
        yield b"".join((before, POSITION.pack(sample + 1), after))
    for event in annotation.events:
        mark = _mark(pydicom, event_codes(event.kind), event.kind, _place(annotation, event))
        yield item(mark)


def _written(write: Callable[..., object], pydicom: Any, dataset: Any) -> bytes:
    """Return what one of pydicom's functions writes of a dataset."""
    sink = pydicom.filebase.DicomBytesIO()
    sink.is_little_endian, sink.is_implicit_VR = True, False
    write(sink, dataset, ["utf-8"])
    return bytes(sink.getvalue())


def _mark(pydicom: Any, codes: Codes, text: str, places: tuple[int, ...]) -> Any:
    """An annotation: at one sample, or between two; by its code, else in words.

    Parameters
    ----------
    places : samples from 0 on; DICOM counts from 1
    """
    mark = pydicom.Dataset()
    mark.ReferencedWaveformChannels = [1, 1]
    mark.TemporalRangeType = "POINT" if len(places) == 1 else "SEGMENT"
    mark.ReferencedSamplePositions = [place + 1 for place in places]
    if codes.mdc:
        mark.ConceptNameCodeSequence = [_coded(pydicom, codes.mdc, "MDC")]
    elif codes.snomed:
        mark.ConceptNameCodeSequence = [_coded(pydicom, codes.snomed, "SCT")]
    else:
        mark.UnformattedTextValue = text
    return mark


def _place(annotation: Annotation, event: Event) -> tuple[int, int]:
    fs, last = annotation.record.fs, len(annotation.record.signal) - 1
    end = annotation.record.seconds if event.end is None else event.end
    return min(round(event.start * fs), last), min(round(end * fs), last)


def _coded(pydicom: Any, code: Code, scheme: str) -> Any:
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, scheme
    item.CodeMeaning = code.meaning[:64]
    return item
