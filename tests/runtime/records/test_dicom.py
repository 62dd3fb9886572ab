"""Waveforms in DICOM, beside what pydicom itself makes of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.sample_files import recording, write_dicom
from runtime import RecordError
from runtime.records import read
from runtime.records.reader import Options
from runtime.records.registry import find

pydicom = pytest.importorskip("pydicom", reason="no pydicom (pip install pydicom)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_dicom(tmp_path, recording())


def change(path: Path, edit: Any) -> Path:
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)
    return path


def test_signal_is_what_pydicom_returns(path: Path) -> None:
    expected = pydicom.dcmread(path).waveform_array(0)[:, 0] / 1000  # it gives uV
    np.testing.assert_allclose(read(path).signal, expected, atol=1e-12)


def test_sensitivity_correction_and_baseline_are_applied(path: Path) -> None:
    before = read(path).signal

    def edit(dataset: Any) -> None:
        for channel in dataset.WaveformSequence[0].ChannelDefinitionSequence:
            channel.ChannelSensitivity = 2.5
            channel.ChannelSensitivityCorrectionFactor = 0.8
            channel.ChannelBaseline = 500

    changed = change(path, edit)
    np.testing.assert_allclose(read(changed).signal, 2 * before + 0.5, atol=1e-12)
    expected = pydicom.dcmread(path).waveform_array(0)[:, 0] / 1000
    np.testing.assert_allclose(read(changed).signal, expected, atol=1e-12)


def test_derived_groups_are_left_out(path: Path) -> None:
    def edit(dataset: Any) -> None:
        from copy import deepcopy

        beat = deepcopy(dataset.WaveformSequence[0])
        beat.WaveformOriginality = "DERIVED"
        dataset.WaveformSequence.insert(0, beat)

    record = read(change(path, edit))
    assert (record.lead, len(record.signal)) == ("II", 10_800)
    assert record.notes == ("derived waveforms, as median beats, were left out",)


def test_leads_of_two_groups_have_distinct_names(path: Path) -> None:
    def edit(dataset: Any) -> None:
        from copy import deepcopy

        again = deepcopy(dataset.WaveformSequence[0])
        again.MultiplexGroupLabel = "STRESS"
        dataset.WaveformSequence.append(again)

    options = Options()
    leads = find(path).leads(change(path, edit), options)
    assert [lead.name for lead in leads] == ["II", "V1", "II [STRESS]", "V1 [STRESS]"]
    assert (read(path).lead, read(path).choice) == ("II", "by its name")


def test_group_that_begins_later_is_missing_until_then(path: Path) -> None:
    def edit(dataset: Any) -> None:
        dataset.WaveformSequence[0].MultiplexGroupTimeOffset = 2500

    before = read(path).signal
    record = read(change(path, edit))
    assert record.gaps == pytest.approx(900 / 11_700)
    np.testing.assert_array_equal(record.signal[900:], before)


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        (
            {"AcquisitionDateTime": "20240229235930.5+0100"},
            datetime(2024, 2, 29, 23, 59, 30, 500_000),
        ),
        (
            {"AcquisitionDate": "20240301", "AcquisitionTime": "010203"},
            datetime(2024, 3, 1, 1, 2, 3),
        ),
        ({"StudyDate": "20240301"}, datetime(2024, 3, 1)),
        ({}, None),
    ],
)
def test_start_is_that_of_the_acquisition(
    path: Path, fields: dict[str, str], start: datetime | None
) -> None:
    def edit(dataset: Any) -> None:
        del dataset.AcquisitionDateTime
        for name, value in fields.items():
            setattr(dataset, name, value)

    options = Options()
    find(path).leads(change(path, edit), options)
    assert options.start == start


def test_lead_without_a_known_code_has_its_meaning(path: Path) -> None:
    def edit(dataset: Any) -> None:
        source = dataset.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSourceSequence[0]
        source.CodeValue, source.CodeMeaning = "1:23", "Chest strap"

    assert read(change(path, edit), lead="Chest strap").lead == "Chest strap"


def test_unit_that_is_no_voltage_is_refused(path: Path) -> None:
    def edit(dataset: Any) -> None:
        for channel in dataset.WaveformSequence[0].ChannelDefinitionSequence:
            channel.ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"

    with pytest.raises(RecordError, match=r"lead II is in 'mm\[Hg\]'; expected mV"):
        read(change(path, edit))


def test_object_without_a_waveform_is_refused(path: Path) -> None:
    def edit(dataset: Any) -> None:
        del dataset.WaveformSequence

    with pytest.raises(RecordError, match=r"rec\.dcm is a DICOM file without a waveform"):
        read(change(path, edit))
