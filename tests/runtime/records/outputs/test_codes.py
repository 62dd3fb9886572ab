"""The table of codes: every finding has a row, every code is in a published table."""

from __future__ import annotations

import pytest

from runtime.findings import CLASSES
from runtime.records.outputs.codes import BEATS, EVENTS, Code, event_codes, lead_code
from runtime.rhythm import kinds

# Of the tables of diagnoses of the PhysioNet/CinC Challenge 2021, dx_mapping_scored.csv and
# dx_mapping_unscored.csv, in which the words begin with small letters.
CHALLENGE = {
    "63593006": "supraventricular premature beats",
    "17338001": "ventricular premature beats",
    "13640000": "fusion beats",
    "426627000": "bradycardia",
    "251182009": "paired ventricular premature complexes",
    "11157007": "ventricular bigeminy",
    "251180001": "ventricular trigeminy",
}
# Of SNOMED CT itself, as HL7's and national value sets show them.
SNOMED = {"397829000": "asystole", "3424008": "tachycardia"}


def test_every_class_and_kind_has_a_row() -> None:
    assert tuple(BEATS) == CLASSES
    assert list(EVENTS) == [kind.name for kind in kinds()]
    assert event_codes("a_new_kind").mdc is None


@pytest.mark.needs("pydicom")
def test_mdc_codes_are_dicoms() -> None:
    from pydicom.sr.codedict import codes

    for group, table in ((codes.cid3335, BEATS), (codes.cid3415, EVENTS)):
        published = {code.value: code.meaning for code in group.concepts.values()}
        ours = {row.mdc.value: row.mdc.meaning for row in table.values() if row.mdc}
        assert ours
        assert {value: published.get(value) for value in ours} == ours


def test_snomed_codes_are_published() -> None:
    codes = pytest.importorskip("pydicom.sr.codedict", reason="no pydicom").codes
    published = {c.value: c.meaning.lower() for c in codes.cid3230.concepts.values()}
    published |= CHALLENGE | SNOMED
    ours = {
        row.snomed.value: row.snomed.meaning.lower()
        for row in (*BEATS.values(), *EVENTS.values())
        if row.snomed
    }
    assert {value: published.get(value) for value in ours} == ours


@pytest.mark.needs("pydicom")
@pytest.mark.parametrize(
    "name", ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V6", "MLII", "ECG II", "lead V5", "CM5"]
)
def test_leads_have_dicoms_codes(name: str) -> None:
    from pydicom.sr.codedict import codes

    published = {code.value: code.meaning for code in codes.cid3001.concepts.values()}
    code = lead_code(name)
    assert published[code.value] == code.meaning
    assert (code.value == "2:0") == (name == "CM5")


def test_a_code_as_one_number() -> None:
    assert Code("2:256", "MDC_ECG_ELEC_POTL").context_free == 131328  # as HL7's ECG example has it
