"""Leads of a file that is not read yet, and the choice of the ECG among them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecordError
from .digital import Signal
from .shape import SHARP, sharpness
from .units import millivolts

# The model was trained on MLII most, a modified lead II; then on leads of many kinds.
NEAREST = (re.compile(r"ml\s?ii"), re.compile(r"ii|dii|d2|ll ra"))  # by electrodes, too
FIRST_MINUTE_S = 60.0
MIN_FS = 100.0  # Hz; nothing slower can be annotated

# The table of names. A word anywhere in the name that says it is something else:
OTHER_WORDS = re.compile(
    r"eeg\d*|[hvlr]?eog\d*|emg\d*|roc|loc|chin\d*|legs?|lat|rat|plm\w*|tib\w*|"
    r"rsp|resp\w*|atm\w*|呼吸\w*|дыхание|res|thor\w*|tho|abdo\w*|abd|effort|rip|breath\w*|air|airflow|flow|nasal|"
    r"therm\w*|snor\w*|sounds?|mic|microphone|phono\w*|co2|etco2|imp\w*|edr|"
    r"[pbsi]cg|iegm|egm|egg|ehg|nirs|ballisto\w*|seismo\w*|"
    r"ple[dt]h\w*|ppg|spo2?|sao2|sp|osat|oxy\w*|ox|puls\w*|pr|prv|血氧\w*|脉搏\w*|пульс|"
    r"abp|art|bp|nibp|cvp|pap|icp|uap|uvp|mcap|p\d|pressure|"
    r"hr|rri?|ibi|hrv|heart|rate|bpm|herzfrequenz|fr[eé][qc]uenc\w*|frequenza|hartslag|tętno|心率\w*|心拍\w*|чсс|"
    r"quality|sqi|status|state|leadoff|off|"
    r"a[ck]?c?el\w*|acc\w*|beschleunigung\w*|加速度?\w*|ускорение|gyro?\w*|[agm][xyz]|mag\w*|gravity|imu|baro\w*|altitude|motion|activity|torque|force|angle|speed|gps|lon|"
    r"temp|temp\d+|temperat\w*|tempér\w*|温度|体温|температура|gsr|eda|light|lux|batt?\w*|rssi|pos\w*|body|"
    r"digital|marker|marks?|events?|button|trig\w*|annotations?|label|class|beats?|r?peaks?|onsets?|offsets|phase|"
    r"nseq|seq\w*|counter|index|idx|packet|crc|hypnogram|stage"
)
ECG_WORDS = re.compile(
    r"e[ck]g[a-z]*\d*|ekg\w*|[eé]le(?:[ck]|t)tro[ck]ardiogra\w*|"
    r"экг\w*|ηκγ\w*|心[电電]\w*|심전도\w*"
)
# A whole name, without words such as "lead" and without a sign between:
ECG_LEADS = re.compile(
    r"m?l?i{1,3}|d(?:i{1,3}|[123])|m?l[123]|a?v[rlf]|v[1-9]r?|v1[0-2]|v|mv[1-6]|cl[1-6]|"
    r"mcl[1-6]r?|c[ms][1-6]|cc5|cb5|cr[1-6]|nehb[daj]|v[xyz]|es|as|ai|"
    r"(?:la|ll|ra|rl)(?:la|ll|ra|rl)|v[1-6x]?rl|chest\w*"
)
# Names that mean another signal in some files: D1 is respiration, V a voltage, AI an analog input.
# A lead of twelve beside it, such as D2 or V1, confirms that it is one.
AMBIGUOUS = re.compile(r"d[123]|l[123]|v|es|as|ai")
FILLERS = frozenset(
    "lead leads channel ch ableitung derivation dérivation derivacion derivación derivazione "
    "derivação afleiding avledning odprowadzenie отведение signal "
    "wave mod modified easi raw cal".split()
)
# What is written without a blank beside the name: II导联, leadII.
GLUED = re.compile(r"导联|導聯|导出|導出|誘導|lead(?=(?:i{1,3}|[123]|a?v[rlf1-6])(?![^\W_]))")
OF_BODY = frozenset("heart leg legs".split())  # beside "ECG" they say where
SITE = r"(?:fp|af|fc|cp|po|ft|tp|[fcpot])(?:z|pz|\d{1,2})"
EEG_SITES = re.compile(rf"{SITE}(?:[am][12]|{SITE})?|e[12]m[12]")


@dataclass(frozen=True)
class Lead:
    """A lead of a file, not read yet.

    Attributes
    ----------
    name : as the file gives it
    fs : Hz
    unit : as the file gives it, or empty
    load : returns the signal in that unit, float64 [samples] or the codes of such, NaN where a
        sample is missing
    """

    name: str
    fs: float
    unit: str
    load: Callable[[], Signal]


def is_ecg(name: str) -> bool | None:
    """Return True if a lead's name is one of an ECG, False if of anything else, None if open."""
    words = [
        word.lower()
        for part in re.split(r"[\W_]+", name)
        for word in {part, *re.findall(r"[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+", part)}
    ]
    bare = _bare(name)
    ecg = any(ECG_WORDS.fullmatch(word) for word in words)
    others = [word for word in (*words, bare) if not (ecg and word in OF_BODY)]
    if any(OTHER_WORDS.fullmatch(word) for word in others):
        return False
    if ecg:
        return True
    if EEG_SITES.fullmatch(bare) and not re.fullmatch(r"c[1-6]", bare):
        return False
    if ECG_LEADS.fullmatch(bare) or (re.search(r"(?i)lead|ableitung", name) and bare in "123"):
        return True
    return None


def is_lead_name(word: str) -> bool:
    """Return True for a word that is nothing but the name of an ECG's lead."""
    return bool(ECG_LEADS.fullmatch(bare := _bare(word)) or ECG_WORDS.fullmatch(bare))


def check_not_mixed(path: Path, words: Iterable[str]) -> None:
    """Refuse rows of several leads one after another, as words beside the samples show them.

    Raises
    ------
    RecordError
        Two of the words are names of leads.
    """
    leads = sorted(set(filter(is_lead_name, words)))
    if len(leads) > 1:
        raise RecordError(
            f"{path} has rows of several leads ({', '.join(leads)}) one after another; expected a "
            "column for each."
        )


def _bare(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    words = re.split(r"[\W_]+", GLUED.sub(" ", name.lower()))
    return [word for word in words if word and word not in FILLERS]


def _doubtful(lead: Lead, by_name: Sequence[Lead]) -> bool:
    """True for a name that means an ECG only beside other leads of twelve."""
    bare = _bare(lead.name)
    others = [_bare(each.name) for each in by_name if each is not lead]
    return bool(AMBIGUOUS.fullmatch(bare)) and not any(
        ECG_LEADS.fullmatch(other) and other != bare for other in others
    )


def _rank(name: str) -> int:
    """Return how near an ECG's lead is to that of training; of equals the first is taken."""
    bare = " ".join(word for word in _words(name) if not ECG_WORDS.fullmatch(word))
    return next((i for i, form in enumerate(NEAREST) if form.fullmatch(bare)), len(NEAREST))


def choose(
    path: Path, leads: Sequence[Lead], name: str | None, *, any_unit: bool = False
) -> tuple[Lead, str]:
    """Choose the lead of this name; without one the ECG, by name, then unit, then signal.

    Parameters
    ----------
    any_unit : take leads whose unit is no voltage, because the caller says what it is

    Returns
    -------
    the lead, and why it is this one, empty if nothing was to be chosen

    Raises
    ------
    RecordError
        The file has no such lead, no ECG, or the lead is not a voltage.
    """
    if name is not None:
        lead, reason = named(path, leads, name), ""
    else:
        lead, reason = _ecg(path, leads, any_unit)
    if not (any_unit or _usable(lead)):
        raise RecordError(
            f"{path}: lead {lead.name} is in {lead.unit!r}; expected mV, uV or V "
            "(--units says what its numbers are)."
        )
    return lead, reason if len(leads) > 1 else ""


def named(path: Path, leads: Sequence[Lead], name: str) -> Lead:
    """Return the lead of this name, whatever its case; raises `RecordError` if there is none."""
    folded = name.strip().casefold()
    exact = [lead for lead in leads if lead.name == name]
    matches = exact or [lead for lead in leads if lead.name.strip().casefold() == folded]
    if not matches:
        raise RecordError(
            f"{path} has no lead {name!r}; it has {', '.join(lead.name for lead in leads)}."
        )
    return matches[0]


def _ecg(path: Path, leads: Sequence[Lead], any_unit: bool) -> tuple[Lead, str]:
    by_name = [lead for lead in leads if is_ecg(lead.name)]
    doubtful = [lead for lead in by_name if len(leads) > 1 and _doubtful(lead, by_name)]
    by_name = [lead for lead in by_name if lead not in doubtful]
    if by_name:
        # A lead without a unit is in mV, if its size does not contradict.
        usable = [lead for lead in by_name if any_unit or _usable(lead)] or by_name
        best = min(usable, key=lambda lead: (lead.fs < MIN_FS, _rank(lead.name)))
        return best, "by its name"
    nameless = [lead for lead in leads if lead in doubtful or is_ecg(lead.name) is None]
    in_volts = [lead for lead in nameless if millivolts(lead.unit) is not None]
    unstated = [lead for lead in nameless if not lead.unit.strip()]
    candidates = in_volts or unstated or nameless
    if not candidates:
        raise RecordError(
            f"{path} has no ECG: its leads are {', '.join(lead.name for lead in leads)}; "
            "--lead names one that is."
        )
    if len(candidates) == 1:
        return candidates[0], "the only one in volts" if in_volts else "the only one without a name"
    return _sharpest(candidates)


def _sharpest(leads: Sequence[Lead]) -> tuple[Lead, str]:
    """Choose the lead with the clearest QRS complexes in its first minute; without any the first.

    The first that has them is taken, unless another's are twice as clear.
    """
    found = []
    for lead in leads:
        try:
            found.append(sharpness(lead.load()[: round(FIRST_MINUTE_S * lead.fs)], lead.fs))
        except Exception:  # whatever its package raises: told if this lead is asked for
            found.append(0.0)
    best = max(found)
    if best < SHARP:
        return leads[0], "the first, as none has clear beats"
    at = next(i for i, clear in enumerate(found) if clear >= max(SHARP, best / 2))
    return leads[at], "by its beats"


def _usable(lead: Lead) -> bool:
    return not lead.unit.strip() or millivolts(lead.unit) is not None
