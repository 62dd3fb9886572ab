"""Codes of beats, events and leads: IEEE 11073-10102 (MDC) and SNOMED CT, in one table.

MDC codes are those of DICOM's context groups 3335 (beats), 3415 (rhythms) and 3001 (leads), PS3.16,
which reprint the standard's. SNOMED CT's are those of DICOM's group 3230 and of the table of
diagnoses of the PhysioNet/CinC Challenge 2021. A finding of which no code says just what was found
has none: a ventricular tachycardia has no MDC code, because the standard's say how it began or how
long it lasts, and a run of S beats and a pause have neither.
"""

from __future__ import annotations

from dataclasses import dataclass

ECG_PARTITION = 10  # of IEEE 11073-10102, in which beats and rhythms lie
LEAD_PARTITION = 2


@dataclass(frozen=True)
class Code:
    """A code and its meaning, as the code's owner words it.

    Attributes
    ----------
    value : MDC's as DICOM writes it, partition and code, ``10:9472``; SNOMED CT's number
    meaning : in words
    """

    value: str
    meaning: str

    @property
    def context_free(self) -> int:
        """An MDC code as one number, as FHIR has it: the partition in front of 16 bits."""
        partition, code = map(int, self.value.split(":"))
        return partition << 16 | code


@dataclass(frozen=True)
class Codes:
    """The codes of one kind of finding.

    Attributes
    ----------
    mdc : of IEEE 11073-10102, None if none says just this
    snomed : of SNOMED CT, None if none says just this
    """

    mdc: Code | None = None
    snomed: Code | None = None


def _mdc(code: int, meaning: str) -> Code:
    return Code(f"{ECG_PARTITION}:{code}", meaning)


# AAMI's N also holds beats with bundle branch block and escape beats, which "normal" leaves open.
BEATS = {
    "N": Codes(_mdc(8208, "Normal beat (sinus beat, normal conduction)")),
    "S": Codes(
        _mdc(8256, "Supraventricular premature contraction"),
        Code("63593006", "Supraventricular premature beats"),
    ),
    "V": Codes(
        _mdc(8336, "Ventricular premature contraction beat"),
        Code("17338001", "Ventricular premature beats"),
    ),
    "F": Codes(
        _mdc(8352, "Fusion of ventricular and normal beat"), Code("13640000", "Fusion beats")
    ),
    "Q": Codes(_mdc(8736, "Unclassifiable beat")),
}
EVENTS = {
    "ventricular_fibrillation": Codes(
        _mdc(10016, "Ventricular Fibrillation"), Code("71908006", "Ventricular fibrillation")
    ),
    "asystole": Codes(_mdc(10336, "Asystole"), Code("397829000", "Asystole")),
    "ventricular_tachycardia": Codes(None, Code("25569003", "Ventricular tachycardia")),
    "ventricular_run": Codes(_mdc(9968, "Ventricular Run")),
    "pause": Codes(),
    "atrial_fibrillation": Codes(
        _mdc(9472, "Atrial fibrillation"), Code("49436004", "Atrial Fibrillation")
    ),
    "supraventricular_run": Codes(),
    "tachycardia": Codes(None, Code("3424008", "Tachycardia")),
    "bradycardia": Codes(_mdc(10432, "Bradycardia"), Code("426627000", "Bradycardia")),
    "couplet": Codes(
        _mdc(9952, "Ventricular Couplet"),
        Code("251182009", "Paired ventricular premature complexes"),
    ),
    "bigeminy": Codes(_mdc(9920, "Ventricular Bigeminy"), Code("11157007", "Ventricular bigeminy")),
    "trigeminy": Codes(
        _mdc(9936, "Ventricular Trigeminy"), Code("251180001", "Ventricular trigeminy")
    ),
}
_LEADS = {
    "I": (1, "Lead I"),
    "II": (2, "Lead II"),
    "III": (61, "Lead III"),
    **{f"V{i}": (2 + i, f"Lead V{i}") for i in range(1, 8)},
    "AVR": (62, "aVR, augmented voltage, right"),
    "AVL": (63, "aVL, augmented voltage, left"),
    "AVF": (64, "aVF, augmented voltage, foot"),
    "MLII": (126, "Modified limb lead"),
}
UNKNOWN_LEAD = (0, "Unspecified lead")


def event_codes(kind: str) -> Codes:
    """Return the codes of a kind of event; none of one that is not in the table."""
    return EVENTS.get(kind, Codes())


def lead_code(name: str) -> Code:
    """Return the MDC code of a lead by its name; ``Unspecified lead`` of one that has none."""
    bare = name.upper().removeprefix("ECG").removeprefix("LEAD").strip(" _-")
    code, meaning = _LEADS.get(bare, UNKNOWN_LEAD)
    return Code(f"{LEAD_PARTITION}:{code}", meaning)
