"""The text of a WFDB header: its faults in words, and the units that it states.

The form is that of https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import RecordError

RECORD_LINE = re.compile(
    r"(?P<name>[^\s/]+)(?:/(?P<segments>\S+))?(?:\s+(?P<signals>\S+))?(?:\s+(?P<rate>\S+))?"
    r"(?:\s+(?P<length>\S+))?.*"
)
MAX_RATE = 1e6  # Hz; no converter of an ECG is as fast
WHOLE = re.compile(r"\d+")
RATE = re.compile(r"-?\d*\.?\d+(?:[eE][+-]?\d+)?(?:/.*)?")
FORMAT = re.compile(r"\d+(?:x\d+)?(?::\d+)?(?:\+\d+)?")
GAIN = re.compile(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?(?:\([+-]?\d+\))?(?:/(?P<unit>\S+))?")
SEPARATORS = re.compile(rb"[\x0b\x0c\x1c-\x1e]")  # lines end there for some programs only
MICROVOLTS = re.compile(r"/(\xb5|\xc2\xb5|\u03bc|\xce\xbc)V")


def check_header(file: Path, written: bytes) -> None:
    """Refuse a header with a field that is none.

    Raises
    ------
    RecordError
        Names the line and the field.
    """
    lines = _lines(written)
    broken = SEPARATORS.search(written)
    if broken:
        line = written.count(b"\n", 0, broken.start()) + 1
        raise RecordError(
            f"{file} is not a WFDB header: line {line} holds the control character "
            f"{broken[0]!r}; expected text."
        )
    if not lines:
        raise RecordError(f"{file} is not a WFDB header: it is empty.")
    match = RECORD_LINE.fullmatch(lines[0])
    fields = match.groupdict() if match else {}

    def check(line: int, field: str, value: str | None, form: re.Pattern[str]) -> None:
        if value is None or not form.fullmatch(value):
            what = "lacks" if value is None else f"gives {value!r} for"
            raise RecordError(
                f"{file} is not a WFDB header: line {line + 1} ({lines[line][:40]!r}) {what} the "
                f"{field}; expected a number."
            )

    check(0, "number of signals", fields.get("signals"), WHOLE)
    if fields["rate"] is None and (fields["signals"] or "0") != "0":  # WFDB would say 250
        raise RecordError(
            f"{file} does not state a rate; expected it in Hz behind the number of signals."
        )
    if fields["rate"] is not None:
        check(0, "rate", fields["rate"], RATE)
        if not 0 <= float(fields["rate"].partition("/")[0]) <= MAX_RATE:
            raise RecordError(
                f"{file} is not a WFDB header: line 1 ({lines[0][:40]!r}) gives {fields['rate']!r} "
                f"for the rate; expected one above 0 Hz, and {MAX_RATE:g} at most."
            )
    if fields["length"] is not None:
        check(0, "number of samples", fields["length"], WHOLE)
    segments = fields["segments"]
    if segments is not None:
        check(0, "number of segments", segments, WHOLE)
        count = min(int(segments), len(lines) - 1)  # of fewer the record is made all the same
    else:
        count = int(fields["signals"] or 0)
    if len(lines) - 1 < count:
        raise RecordError(
            f"{file} is not a WFDB header: it promises {count} signals and lists {len(lines) - 1}."
        )
    for line in range(1, count + 1):
        words = lines[line].split()
        if segments is not None:
            check(line, "number of samples", words[1] if len(words) > 1 else None, WHOLE)
            continue
        check(line, "format of the signal", words[1] if len(words) > 1 else None, FORMAT)
        if len(words) > 2:
            check(line, "gain", words[2], GAIN)


def stated_units(written: bytes, units: Sequence[str | None]) -> list[str]:
    """Return the unit of each signal as the header states it, empty if it does not.

    Parameters
    ----------
    units : as the package read them
    """
    stated = []
    for unit, line in zip(units, _lines(written)[1:], strict=False):
        words = line.split()
        match = GAIN.fullmatch(words[2]) if len(words) > 2 else None
        if MICROVOLTS.search(line):
            stated.append("uV")
        else:
            stated.append("" if match and match["unit"] is None else unit or "")
    return stated


def named_in(written: bytes) -> list[str]:
    """Return the files that a header names beside its own: of samples, or headers of segments."""
    lines = _lines(written)
    match = RECORD_LINE.fullmatch(lines[0]) if lines else None
    if match is None:
        return []
    words = [line.split() for line in lines[1:]]
    segments = match["segments"] is not None
    names = [line[0] for line in words if len(line) > 1 and line[0] not in ("~", "-")]
    return list(dict.fromkeys(f"{name}.hea" if segments else name for name in names))


def _lines(written: bytes) -> list[str]:
    """The lines that are neither empty nor comments."""
    lines = (line.decode("latin-1").strip() for line in written.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
