"""Facts above a table, as loggers and watches write them: its rate, its unit, its lead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .cells import number
from .dates import moment
from .leads import is_ecg
from .opensignals import Channel, channels
from .times import moment_of
from .units import is_step, millivolts, seconds, split_unit

RATE_KEY = re.compile(
    r"(?i)sampl|abtast|échantillon|muestreo|campionamento|采样|дискретизации|\bfs\b|\bsps\b|\brate\b"
)
NO_RATE_KEY = re.compile(
    r"(?i)filter|notch|mains|pass|heart|pulse|resp|bit|baud|frame|\bcount\b|\bnumber\b|"
    r"\bsamples\b(?!\s*(?:/|per\b))"
)
RATE = re.compile(
    r"(?i)(?<![\w.-])(\d+(?:[.,]\d+)?)\s*(k?)(?:hz|hertz|hercios|赫兹|гц|sps|samples?\s*(?:/|per)\s*s)"
)
# The time between two samples: "Sampling interval: 4 ms", "Sample period (us): 4000".
STEP_KEY = re.compile(r"(?i)interval|period|abstand|\bdt\b")
LONGEST_STEP_S = 0.05  # without a unit; 4 would be ms
STEP = re.compile(r"(\d+(?:[.,]\d+)?)\s*([^\W\d_]*)")
STEP_OF = re.compile(r"(?i)(\d+(?:[.,]\d+)?\s*[^\W\d_]+)\s*(?:/|per)\s*sample")  # 4 msec/sample
START_KEY = re.compile(r"(?i)start|recorded|recording date|acquisition|aufnahme")
NUMBER = re.compile(r"(?<![\w.,-])(\d+(?:[.,]\d+)?)(?![\w.,:/-])")


@dataclass(frozen=True)
class Facts:
    """Facts of a preamble.

    Attributes
    ----------
    fs : Hz, or None
    unit : of the values, or empty
    lead : its name, or empty
    channels : the columns, if the preamble lists them
    start : when the recording began, without a zone
    """

    fs: float | None = None
    unit: str = ""
    lead: str = ""
    channels: tuple[Channel, ...] = ()
    start: datetime | None = None

    @property
    def one_lead(self) -> bool:
        """True if what is said is said of one column: its unit and name."""
        return bool(self.unit and self.lead)


def facts(lines: Sequence[str]) -> Facts:
    """Read what the lines above a table say of it."""
    rate, listed = channels(lines)
    if listed:
        return Facts(rate, channels=listed)
    pairs = [_pair(line) for line in lines]
    units = [
        value
        for _, value in pairs
        if value and millivolts(value) is not None and not is_step(value)  # a range, say
    ]
    leads = [
        value
        for key, value in pairs
        if value and (is_ecg(value) or re.search(r"(?i)\blead\b|ableitung", key)) and is_ecg(value)
    ]
    return Facts(
        _rate(lines, pairs),
        units[-1] if units else "",
        leads[-1] if leads else "",
        start=_start(pairs),
    )


def hertz(rate: str) -> float | None:
    """Return the Hz of a rate in words, ``250 Hz`` or ``0.25 kHz``; None if it is none."""
    match = RATE.fullmatch(rate.strip())
    return _hertz(match) if match else number(rate.strip())


def _start(pairs: Sequence[tuple[str, str]]) -> datetime | None:
    seconds = [moment(value) for key, value in pairs if START_KEY.search(key)]
    return next((moment_of(since) for since in seconds if since is not None), None)


def _rate(lines: Sequence[str], pairs: Sequence[tuple[str, str]]) -> float | None:
    said = [line for line in lines if not NO_RATE_KEY.search(line)]
    keyed = [line for line in said if RATE_KEY.search(line)]
    rates = [_hertz(match) for line in keyed for match in RATE.finditer(line)]
    intervals = [
        (key, value)
        for key, value in pairs
        if key.lower() == "interval" or (RATE_KEY.search(key) and STEP_KEY.search(key))
    ]
    intervals += [("", match[1]) for line in lines if (match := STEP_OF.search(line))]
    rates = rates or [1 / step for step in map(_seconds_of, intervals) if step]
    if not rates:  # "Abtastrate;360", "fs = 250"
        rates = [
            float(match[1].replace(",", "."))
            for key, value in pairs
            if RATE_KEY.search(key)
            and not NO_RATE_KEY.search(key)
            and (key, value) not in intervals
            for match in [NUMBER.search(value)]
            if match
        ]
    if not rates:  # a key in another language
        rates = [
            _hertz(match)
            for line, (_, value) in zip(lines, pairs, strict=True)
            if line in said
            for match in [RATE.fullmatch(value)]
            if match
        ]
    return rates[0] if len(set(rates)) == 1 else None


def _hertz(match: re.Match[str]) -> float:
    return float(match[1].replace(",", ".")) * (1000 if match[2] else 1)


def _seconds_of(interval: tuple[str, str]) -> float | None:
    """Return the time between two samples, s; None if its unit is not stated and not plain."""
    key, value = interval
    match = STEP.match(value)
    if match is None:
        return None
    step, unit = float(match[1].replace(",", ".")), match[2] or split_unit(key)[1]
    scale = seconds(unit) if unit else 1.0 if step <= LONGEST_STEP_S else None
    return None if scale is None else step * scale


def _pair(line: str) -> tuple[str, str]:
    """Key and value of a line such as ``# Sample rate: 360 Hz`` or ``Unit,µV``."""
    match = re.match(r"(.+?)\s*[:=;,\t]\s*(.*)", line.strip().lstrip("#%/; "))
    if not match:
        return "", ""
    return match[1].strip("\"' "), match[2].strip("\"';,\t ")
