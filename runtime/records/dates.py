"""Times of day, dates, both together, and durations, as programs around the world write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

DAY_S = 86_400.0
# [hours:]minutes:seconds, the fraction behind a point, a comma or a colon, AM or PM
CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,:](\d*))?(?:\s*([AaPp])\.?[Mm]\.?)?")
# The clock of a date: hours and minutes at least, and its zone, which does not count.
OF_DAY = re.compile(
    r"(?<![\d:.])(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,:](\d+))?)?(?:\s*([AaPp])\.?[Mm]\.?)?"
    r"(?:\s*(?:Z|[A-Z]{3,5}|[+-]\d{2}(?::?\d{2})?)(?![\d\w.]))?(?:\s*\[[^\]]*\]?)?"
)
ZONE = re.compile(r":\d{2}(?:[.,]\d+)?\s*([+-])(\d{2}):?(\d{2})?$")
DASHED = re.compile(r"(?<=\d)[T_ ](\d{2})-(\d{2})-(\d{2})(?=$|[.,]\d)")
# Without signs between: fourteen digits, then a fraction of the second, or ms or us.
COMPACT = re.compile(
    r"((?:19|20)\d{2})(\d{2})(\d{2})[T_ ]?(\d{2})(\d{2})(\d{2})(?:[.,](\d+)|(\d{3}|\d{6}))?"
    r"(?:Z|[+-]\d{2}:?\d{2})?"
)
YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
WEEKDAY = re.compile(r"^[^\W\d_]+\.?,?\s+(?=[\d\w])")
SINCE_START = re.compile(r"\+?(\d+) days?,?\s+\+?(\d.*)")  # as pandas writes durations
ISO_DURATION = re.compile(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?")
EAST_ASIAN = str.maketrans(
    {"年": "-", "月": "-", "日": " ", "時": ":", "时": ":", "分": ":"} | {"秒": ""}
)
# By their first letters, of English, German, French, Spanish, Italian, Portuguese and Dutch.
MONTHS = {
    name: month
    for month, names in enumerate(
        (
            "jan ene gen",
            "feb fev fév",
            "mar mär mrz maa",
            "apr avr abr",
            "may mai mag mei",
            "jun juin giu",
            "jul juil lug",
            "aug aoû aou ago",
            "sep set",
            "oct okt ott out",
            "nov",
            "dec dez dic déc",
        ),
        1,
    )
    for name in names.split()
}


def is_time(cell: str) -> bool:
    """Return True if a cell is a time of day, a date, both, or a duration."""
    return seconds_of(cell) is not None


def seconds_of(cell: str) -> float | None:
    """Seconds of a cell: of the day, since 1970 or since a start; None if it is no time."""
    for read in (clock, moment, day, _duration):
        value = read(cell)
        if value is not None:
            return value
    return None


def clock(cell: str) -> float | None:
    """The seconds of a cell such as ``1:02:03.456``; None if it is no clock's time."""
    match = CLOCK.fullmatch(cell.strip("[] "))
    if not match:
        return None
    hours, minutes, seconds, fraction, half = match.groups()
    if half and not hours:  # 10:22 PM
        hours, minutes, seconds = minutes, seconds, "0"
    return _of_day(hours or "0", minutes, seconds, fraction, half)


def moment(cell: str) -> float | None:
    """The seconds from 1970 to a date with a time of day; None if it is none.

    The zone is left out, so that a recording starts by its own clock: see `zone_of`.
    """
    cell = cell.strip("[] ").translate(EAST_ASIAN)
    compact = is_compact(cell)
    if compact:
        year, month, date, hours, minutes, seconds, fraction, digits = compact.groups()
        midnight = _date(int(year), int(month), int(date)) or 0.0
        return midnight + _of_day(hours, minutes, seconds, fraction or digits, None)
    cell = DASHED.sub(r" \1:\2:\3", cell)
    match = OF_DAY.search(cell)
    if not match:
        return None
    hours, minutes, seconds, fraction, half = match.groups()
    rest = re.sub(r"[\s,]+", " ", f"{cell[: match.start()]} {cell[match.end() :]}").strip("T_ ")
    since_1970 = day(rest, month_first=half is not None)
    if since_1970 is None or int(hours) > 24 or int(minutes) > 59:
        return None
    return since_1970 + _of_day(hours, minutes, seconds or "0", fraction, half)


def zone_of(cell: str) -> float | None:
    """Return by how many seconds a cell's clock is before UTC, as it says itself; None if not."""
    match = ZONE.search(cell.strip("[] \"'"))
    if match is None:
        return None
    return float(f"{match[1]}1") * (3600 * int(match[2]) + 60 * int(match[3] or 0))


def is_compact(cell: str) -> re.Match[str] | None:
    """Match a date with its time in digits alone, ``20240105102233``; no number is like it."""
    match = COMPACT.fullmatch(cell)
    if not match or _date(*map(int, match.group(1, 2, 3))) is None:
        return None
    hours, minutes, seconds = map(int, match.group(4, 5, 6))
    return match if hours < 24 and minutes < 60 and seconds < 61 else None


def day(cell: str, *, month_first: bool = False) -> float | None:
    """The seconds from 1970 to a date; None if it is none.

    Days come before months if both can be meant, unless the caller says otherwise: within a record
    only the difference counts, and `.times.with_months_first` corrects that.
    """
    cell = cell.strip("[] ")
    if not any(letter.isdigit() for letter in cell):
        return None
    match = YEAR_FIRST.fullmatch(cell)
    if match:
        return _date(int(match[1]), int(match[3]), int(match[4]))
    match = YEAR_LAST.fullmatch(WEEKDAY.sub("", cell))
    if match is None:
        return _with_a_months_name(cell)
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    if len(match[4]) == 2:
        if match[2] == "-":  # 24-01-05
            return _date(2000 + first, second, year)
        year += 2000
    date, month = (second, first) if month_first and match[2] == "/" else (first, second)
    if month > 12:
        date, month = month, date
    return _date(year, month, date)


def _with_a_months_name(cell: str) -> float | None:
    words = re.findall(r"[^\W\d_]+", cell.lower())
    numbers = re.findall(r"\d+", cell)
    months = [MONTHS.get(word[:4], MONTHS.get(word[:3])) for word in words[:2]]
    known = [month for month in months if month is not None]
    if not known or len(words) > 2 or len(numbers) != 2:
        return None
    date, year = numbers if len(numbers[1]) in (2, 4) and len(numbers[0]) <= 2 else numbers[::-1]
    if len(date) > 2:
        return None
    return _date(int(year) + (2000 if len(year) == 2 else 0), known[-1], int(date))


def _date(year: int, month: int, date: int) -> float | None:
    try:
        return datetime(year, month, date, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _of_day(
    hours: str, minutes: str, seconds: str, fraction: str | None, half: str | None
) -> float:
    hour = int(hours)
    if half:
        hour = hour % 12 + (12 if half in "Pp" else 0)
    return round(3600 * hour + 60 * int(minutes) + int(seconds) + float(f".{fraction or 0}"), 9)


def _duration(cell: str) -> float | None:
    match = SINCE_START.fullmatch(cell)
    if match:
        of_day = clock(match[2])
        return None if of_day is None else DAY_S * int(match[1]) + of_day
    match = ISO_DURATION.fullmatch(cell)
    if not match:
        return None
    days, hours, minutes, seconds = (
        float((part or "0").replace(",", ".")) for part in match.groups()
    )
    return round(DAY_S * days + 3600 * hours + 60 * minutes + seconds, 9)
