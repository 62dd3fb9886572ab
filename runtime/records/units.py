"""Units as files spell them: voltages in mV, times in s."""

from __future__ import annotations

import re

from ..errors import InputError

# Both letters of micro fold to \u03bc; a lost one can be nothing else.
MICRO = r"u|\u03bc|\ufffd|mc|mk|mi[ck]ro|мк|микро|微|マイクロ"
MILLI = r"m|mill?i|м|мил+и|毫|ミリ"
VOLTAGE = re.compile(
    rf"(?:(n|nano|н|纳)|({MICRO})|({MILLI}))?-?(?:v|volt(?:s|ios?|i)?|в|вольт|伏特?|ボルト)"
)
TIME = re.compile(rf"(?:(n|nano)|({MICRO})|(m|milli))?-?s(?:ecs?|econds?|ek|ekunden)?")
LONG_TIME = re.compile(r"(mins?|minutes?)|(h|hrs?|hours?)|(?:d|days?)")
GAIN = re.compile(r"(\d+(?:\.\d*)?)\s*/\s*(\S+)")  # as WFDB writes it: 200/mV
# Several of a unit, or a converter's step: 0.1 mV, 5 uV/LSB.
STEP = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+)[x*\xb7\xd7]?([^\d\W]+?)(?:(?:/|per)(?:lsb|bit|counts?|digit|adu))?"
)
VOLTS_IN = re.compile(r"(?i)(?<![^\W\d_])(?:[pnumcdk\xb5\u03bc]v|[^\W\d_]*volts?)(?![^\W\d_])")
POWER = re.compile(r"(?:[x*·×]?1?e|[x*·×]?10(?:\^|\*\*))\(?([+-]?\d{1,2})\)?[*·×]?([^\d\s].*)")
RAISED = str.maketrans("\u2070\xb9\xb2\xb3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789")
AROUND = re.compile(
    r"(?i)^(?:units?|einheit|in)\b[\s:=]*|(?<=v)\.$|\s*\*$|[\s_-]+(?:pk|peak|pp|p-p|pk-pk|peak-to-peak)$"
)
GLUED = re.compile(r"(e[ck]g\w*?|.*[A-Z\d])([num\xb5\u03bc]V)|(e[ck]g\d*)([um\xb5\u03bc]v)")
SCALES = (1e-6, 1e-3, 1.0)  # of nano, micro and milli, in thousandths
CLOCK = re.compile(r"h+:m+:s+(\.[mf]+)?")  # what PhysioNet's rdsamp calls the unit of its times
# Units of other quantities; such a word in brackets is no part of a lead's name.
OTHERS = frozenset(
    "adu adc count counts lsb raw bit bits digit digits digital int integer au a.u. nu n/a none "
    "no_units unitless dimensionless normalized normalised norm scaled z-score zscore db "
    "arb. arbitrary % g m/s2 m/s^2 mg deg dps rad/s mmhg cmh2o kpa pa bpm 1/min /min min-1 "
    "brpm c °c degc f °f ohm kohm ohms us/cm \u03bcs a ma ut gauss lux "
    "l/min ml l hz min h hours minutes days".split()
)


def millivolts(unit: str) -> float | None:
    """Return how many mV a unit is, or None if it is no voltage.

    Case, blanks and the spelling of micro do not count; ``200/mV`` is a gain, 200 counts a mV.
    Words around a unit do not count either: ``in uV``, ``unit: uV``, ``uV pk`` and Shimmer's
    ``mV*``. Powers of ten may stand before it, ``1e-6 V``, ``10^-6 V``, and how many of it a
    number counts: ``0.1 mV``, ``5 uV/LSB``.
    """
    unit = AROUND.sub("", unit.strip())
    gain = GAIN.fullmatch(unit.strip())
    if gain:
        whole = millivolts(gain[2])
        return None if whole is None or not float(gain[1]) else whole / float(gain[1])
    power = POWER.fullmatch(_folded(unit.replace("\u207b", "^-").translate(RAISED)))
    if power:
        whole = _scale(VOLTAGE, power[2])
        return None if whole is None else float(f"{whole:g}e{power[1]}")
    step = STEP.fullmatch(_folded(unit))
    if step:
        whole = _scale(VOLTAGE, step[2])
        return None if whole is None or not float(step[1]) else float(step[1]) * whole
    return _scale(VOLTAGE, unit)


def is_step(unit: str) -> bool:
    """Return True for several of a unit, which need not be the unit of anything: ``10 mV``."""
    return STEP.fullmatch(_folded(unit)) is not None


def seconds(unit: str) -> float | None:
    """Return how many s a unit is, or None if it is no unit of time."""
    if CLOCK.fullmatch(_folded(unit)):
        return 1.0
    scale = _scale(TIME, unit)
    return None if scale is None else scale / 1000


def long_seconds(unit: str) -> float | None:
    """Return how many s a minute, an hour or a day is; None for any other unit."""
    match = LONG_TIME.fullmatch(_folded(unit))
    return None if match is None else 60.0 if match[1] else 3600.0 if match[2] else 86_400.0


def known(unit: str) -> bool:
    """Return True if a word is the unit of anything that files hold."""
    word = re.sub(r" (?:units?|counts?|values?)$", "", unit.strip().lower())
    return millivolts(unit) is not None or seconds(unit) is not None or word in OTHERS


def check_units(unit: str | None) -> float | None:
    """Return the mV of the unit that a caller gives; raises `InputError` if it is no voltage."""
    scale = None if unit is None else millivolts(unit)
    if unit is not None and scale is None:
        raise InputError(
            f"units {unit!r} are unknown; expected mV, uV or V, or for the counts of a converter "
            "how many make a mV, as in 200/mV."
        )
    return scale


def split_unit(name: str) -> tuple[str, str]:
    """Split a column's name from the unit behind it: ``ECG (uV)``, ``ecg_uV``, ``ECG, mV``.

    Brackets that hold no unit belong to the name; those that speak of volts hold one, known or not.
    A name that is nothing but a unit is both.
    """
    match = re.fullmatch(
        r"(.+?)[\s_]*[(\[{<\uff08\u3010]\s*(.*?)\s*[)\]}>\uff09\u3011]\s*\*?", name
    )
    if match and (known(match[2]) or VOLTS_IN.search(match[2])):
        return match[1], match[2]
    match = re.fullmatch(r"(.+?)(?:[\s_/,;:|.-]|\bin\b)+([^\s_/,;:|.-]+)", name)
    # A single letter may be the lead's own: monitors have a lead "ECG V".
    if match and len(match[2]) > 1 and (millivolts(match[2]) or seconds(match[2])):
        return match[1], match[2]
    match = re.fullmatch(r"([^\s_]+)[\s_]+(.+)", name)
    if match and len(match[1]) > 1 and millivolts(match[1]):
        return match[2], match[1]
    match = GLUED.fullmatch(name)
    if match:
        return match[1] or match[3], match[2] or match[4]
    return name, name if len(name) > 1 and millivolts(name) else ""


def bare_unit(cell: str) -> str:
    """Return a cell of a row of units without the brackets around it."""
    match = re.fullmatch(r"\s*[(\[{<]\s*(.*?)\s*[)\]}>]\s*", cell)
    return AROUND.sub("", match[1] if match else cell)


def _folded(unit: str) -> str:
    return unit.strip().casefold().replace("\xe2\u03bc", "\u03bc").replace(" ", "")


def _scale(pattern: re.Pattern[str], unit: str) -> float | None:
    match = pattern.fullmatch(_folded(unit))
    if not match:
        return None
    return next((s for s, prefix in zip(SCALES, match.groups(), strict=True) if prefix), 1e3)
