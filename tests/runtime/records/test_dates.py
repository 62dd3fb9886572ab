"""Dates, clocks and durations of tables, in the forms of programs around the world."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from runtime.records import read
from runtime.records.dates import day, moment, seconds_of

START = datetime(2024, 1, 5, 23, 59, 57, 500_000)
FS, ROWS = 250, 2000  # past midnight


def seconds(at: datetime) -> float:
    return at.replace(tzinfo=UTC).timestamp()


def form(pattern: str, digits: int = 3) -> Callable[[datetime], str]:
    """Write moments by a pattern; %f has so many digits."""
    return lambda at: at.strftime(pattern.replace("%f", at.strftime("%f")[:digits]))


DATED = {
    "comma": form("%Y-%m-%d %H:%M:%S,%f"),
    "dots": form("%d.%m.%Y %H:%M:%S.%f"),
    "American": form("%m/%d/%Y %I:%M:%S.%f %p"),
    "ISO, Z": form("%Y-%m-%dT%H:%M:%S.%fZ"),
    "ISO, offset": form("%Y-%m-%dT%H:%M:%S.%f+01:00"),
    "ISO, short offset": form("%Y-%m-%d %H:%M:%S.%f-05", 6),
    "ISO, name of the zone": form("%Y-%m-%d %H:%M:%S.%f CET"),
    "ISO, Java": form("%Y-%m-%dT%H:%M:%S.%f+01:00[Europe/Berlin]"),
    "name of the month": form("%d-%b-%Y %H:%M:%S.%f"),
    "month first": form("%b %d, %Y %I:%M:%S.%f %p"),
    "two digits": form("%d.%m.%y %H:%M:%S.%f"),
    "two digits, year first": form("%y-%m-%d %H:%M:%S.%f"),
    "digits alone": form("%Y%m%d%H%M%S.%f"),
    "digits and ms": form("%Y%m%d%H%M%S%f"),
    "digits and T": form("%Y%m%dT%H%M%S.%f"),
    "names of files": form("%Y-%m-%d_%H-%M-%S.%f"),
    "Japanese": form("%Y年%m月%d日 %H時%M分%S.%f秒"),
    "ctime": form("%a %b %d %H:%M:%S.%f %Y"),
    "mail": form("%a, %d %b %Y %H:%M:%S.%f GMT"),
    "weekday": form("%A %d.%m.%Y %H:%M:%S.%f"),
    "clock first": form("%H:%M:%S.%f %d.%m.%Y"),
    "s since 1970": lambda at: f"{seconds(at):.6f}",
    "ms since 1970": lambda at: f"{seconds(at) * 1e3:.0f}",
    "us since 1970": lambda at: f"{seconds(at) * 1e6:.0f}",
    "ns since 1970": lambda at: f"{round(seconds(at) * 1e6) * 1000}",
    "spreadsheet": lambda at: f"{(at - datetime(1899, 12, 30)) / timedelta(days=1):.10f}",
    "MATLAB": lambda at: f"{(at - datetime(1899, 12, 30)) / timedelta(days=1) + 693960:.10f}",
}
UNDATED = {
    "clock": form("%H:%M:%S.%f"),
    "half days": form("%I:%M:%S.%f %p"),
    "digits": form("%H%M%S.%f"),
    "m:ss": lambda at: "{:.0f}:{:06.3f}".format(*divmod((at - START).total_seconds(), 60)),
    "pandas": lambda at: f"0 days 00:00:{(at - START).total_seconds():09.6f}",
    "ISO": lambda at: f"PT{(at - START).total_seconds():.3f}S",
}


def table(path: Path, write: Callable[[datetime], str], rows: int = ROWS) -> Path:
    moments = [START + timedelta(seconds=i / FS) for i in range(rows)]
    lines = [f"{write(at)};{i % 97 / 100}" for i, at in enumerate(moments)]
    path.write_text("time;ECG (mV)\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", [*DATED, *UNDATED])
def test_times_of_every_form_give_the_rate_and_the_start(tmp_path: Path, name: str) -> None:
    record = read(table(tmp_path / "x.csv", (DATED | UNDATED)[name]))
    assert record.fs == FS
    np.testing.assert_array_equal(record.signal, np.arange(ROWS) % 97 / 100)
    if name in DATED:
        assert record.start is not None
        off = abs((record.start - START).total_seconds())
        # Of these the day of the month may be meant: 5 January is 1 May, too.
        assert off < 1e-3


@pytest.mark.parametrize(
    ("head", "units_a_second"),
    [
        ("time (ms)", 1000.0),
        ("millis", 1000.0),
        ("elapsed_us", 1e6),
        ("time (min)", 1 / 60),
        ("minutes", 1 / 60),
        ("Time [h]", 1 / 3600),
    ],
)
def test_units_of_time_are_those_of_the_header(
    tmp_path: Path, head: str, units_a_second: float
) -> None:
    rows = [f"{i / FS * units_a_second:.12g};{i % 97 / 100}" for i in range(ROWS)]
    (tmp_path / "x.csv").write_text(f"{head};ECG (mV)\n" + "\n".join(rows))
    assert read(tmp_path / "x.csv").fs == FS


def test_a_clock_of_whole_seconds_gives_the_rate_of_its_whole_packets(tmp_path: Path) -> None:
    assert read(table(tmp_path / "x.csv", form("%H:%M:%S"))).fs == FS


def test_rows_in_reverse_and_late_rows_are_put_in_order(tmp_path: Path) -> None:
    rows = [f"{i / FS:.3f};{i % 97 / 100}" for i in range(ROWS)]
    late = rows.copy()
    late[700], late[701] = late[701], late[700]
    for name, lines, said in (("reverse", rows[::-1], "reverse order"), ("late", late, "late")):
        (tmp_path / name).write_text("time;ECG (mV)\n" + "\n".join(lines))
        record = read(tmp_path / name)
        np.testing.assert_array_equal(record.signal, np.arange(ROWS) % 97 / 100)
        assert any(said in note for note in record.notes)


@pytest.mark.parametrize(
    "word", ["May", "Mar", "lost", "lead off", "1.5", "12", "2024", "10-22", "V1", "A4", "5 mV", ""]
)
def test_other_words_are_no_times(word: str) -> None:
    assert seconds_of(word) is None


def test_impossible_dates_are_none() -> None:
    for cell in ("2024-02-30", "31.04.2024", "99.99.2024", "2024-13-45 10:00:00"):
        assert day(cell) is None
        assert moment(cell) is None
    assert moment("01/05/2024 10:22 PM") == seconds(datetime(2024, 1, 5, 22, 22))
