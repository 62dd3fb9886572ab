"""Tables of numbers as others write them: columns, units, clocks, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read


@pytest.mark.parametrize("header", ["", "I,MLII\n"])
def test_table_without_times_is_read_at_the_rate_given(
    tmp_path: Path, signal: np.ndarray, header: str
) -> None:
    rows = "\n".join(f"{-v:.6f},{v:.6f}" for v in signal)
    (tmp_path / "x.csv").write_text(header + rows)
    record = read(tmp_path / "x.csv", fs=250)
    np.testing.assert_allclose(record.signal, signal if header else -signal, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "times", "lead", "factor"),
    [
        ("time,ECG", "s", "ECG", 1),
        ("Time (s),ECG [mV]", "s", "ECG", 1),
        ("# time,ECG", "s", "ECG", 1),
        ("time [ms],II (uV)", "ms", "II", 1e-3),
        ("'Elapsed time','V5','MLII'", "s", "MLII", 1),
        ("t(sec),lead (left)", "s", "lead (left)", 1),
    ],
)
def test_unit_after_a_name_is_applied(
    tmp_path: Path, head: str, times: str, lead: str, factor: float
) -> None:
    rows = [
        f"{i * 4 if times == 'ms' else i * 0.004:g}" + f',"{value}"' * head.count(",")
        for i, value in enumerate([1, 2, 3] * 100)
    ]
    (tmp_path / "x.csv").write_text("\n".join([head, *rows]))
    record = read(tmp_path / "x.csv")
    assert (record.lead, record.fs, record.gaps) == (lead, 250, 0)
    np.testing.assert_allclose(record.signal, np.array([1, 2, 3] * 100) * factor)


@pytest.mark.parametrize(
    ("head", "start"),
    [
        ("'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'", 0),
        ("'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'", 3599),
        ("time,MLII,V5", 59),
        ("time (hh:mm:ss.mmm),MLII,V5", 36000),
    ],
)
def test_clock_times_are_read(tmp_path: Path, head: str, start: int) -> None:
    """As PhysioNet's rdsamp writes them: https://physionet.org/physiotools/wag/rdsamp-1.htm"""
    rows = []
    for i in range(3 * 360):
        minutes, ms = divmod(1000 * start + round(1000 * i / 360), 60000)
        hours, minutes = divmod(minutes, 60)
        clock = (
            f"{minutes}:{ms / 1000:06.3f}"
            if not hours
            else (f"{hours}:{minutes:02d}:{ms / 1000:06.3f}")
        )
        rows.append(f"'{clock}',{i % 97 / 100},{-i % 97 / 100}")
    (tmp_path / "x.csv").write_text("\n".join([head, *rows]))
    record = read(tmp_path / "x.csv")
    assert (record.lead, record.fs, record.gaps) == ("MLII", 360, 0)
    np.testing.assert_allclose(record.signal, np.arange(3 * 360) % 97 / 100)


def test_row_of_units_is_applied(tmp_path: Path) -> None:
    head = "'Elapsed time','ABP','II'\n'seconds','mmHg','uV'"
    rows = [f"{i / 250},80,{i % 9}" for i in range(99)]
    (tmp_path / "x.csv").write_text("\n".join([head, *rows]))
    record = read(tmp_path / "x.csv")
    assert (record.lead, record.fs) == ("II", 250)
    np.testing.assert_allclose(record.signal, np.arange(99) % 9 / 1000)


@pytest.mark.parametrize(
    ("content", "lead", "values"),
    [
        (b"\xef\xbb\xbftime,ecg\r\n0,1\r\n0.01,2\r\n", "ecg", [1, 2]),
        (b'"Time","ecg, raw"\n0,1\n0.01,2\n', "ecg, raw", [1, 2]),
        (b"\nI,V1\n1,2\n3,4\n", "I", [1, 3]),
        (b",0.5\n1,0.5\n2,0.5\n", "0", [math.nan, 1, 2]),
        (b"nan\n1\n2\n", "0", [math.nan, 1, 2]),
    ],
)
def test_marks_quotes_and_empty_cells_of_other_programs_are_read(
    tmp_path: Path, content: bytes, lead: str, values: list[float]
) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    record = read(tmp_path / "x.csv", fs=100)
    assert (record.lead, record.fs) == (lead, 100)
    np.testing.assert_array_equal(record.signal, values)


@pytest.mark.parametrize(
    ("content", "fs", "sentence"),
    [
        ("", 100, "not a table"),
        ("\n \n", 100, "not a table"),
        ("time,I\n", None, "not a table"),
        ("some words\nand more\n", 100, "not a table"),
        ("1\n2\n3\n", None, "does not say its rate"),
        ("time,I\n0,1\n0,2\n0,3\n", None, "does not rise"),
        ("time (g),I\n0,1\n1,2\n", None, "'time' is in 'g'; expected s, ms, us, ns or hh"),
        ("'Elapsed time','I'\n'g','mV'\n0,1\n1,2\n", None, "'Elapsed time' is in 'g'"),
        ("'Elapsed time','I'\n'0:00.000',1\n'0:0x',2\n", None, "not a table of numbers"),
        ("'Elapsed time','P'\n's','mmHg'\n0,1\n1,2\n", None, "lead P is in 'mmHg'"),
        (
            "count,x\n" + "".join(f"{i / 100},0\n" for i in range(100)),
            100,
            "column 'count' never falls.*expected ECG",
        ),
        (
            "x\n" + "".join(f"{i // 50}\n" for i in range(200)),
            100,
            "column 'x' never falls",
        ),
    ],
)
def test_unusable_table_is_refused_with_the_reason(
    tmp_path: Path, content: str, fs: float | None, sentence: str
) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(RecordError, match=sentence):
        read(tmp_path / "x.csv", fs=fs)


def test_empty_lines_between_numbers_are_missing_samples(tmp_path: Path) -> None:
    lines = [f"{value:.3f}" for value in np.sin(np.arange(1000) / 7)]
    gaps = lines.copy()
    gaps[400:500] = [""] * 100
    (tmp_path / "x.csv").write_text("ECG (mV)\n" + "\n".join(gaps) + "\n")
    signal = read(tmp_path / "x.csv", fs=250).signal
    assert len(signal) == 1000
    assert np.flatnonzero(np.isnan(signal)).tolist() == list(range(400, 500))
    (tmp_path / "x.csv").write_text("ECG (mV)\n" + "\n\n".join(lines) + "\n")
    spaced = read(tmp_path / "x.csv", fs=250).signal  # one after each parts the lines
    assert len(spaced) == 1000
    assert not np.isnan(spaced).any()


def test_row_of_units_in_brackets_is_applied(tmp_path: Path) -> None:
    values = 1000 * np.sin(np.arange(1000) / 7)
    rows = "".join(f"{i / 250:.3f},{value:.0f}\n" for i, value in enumerate(values))
    (tmp_path / "x.csv").write_text("time,ECG\n(s),(uV)\n" + rows)
    record = read(tmp_path / "x.csv")
    assert (record.lead, record.fs) == ("ECG", 250)
    np.testing.assert_allclose(record.signal, values / 1000, atol=1e-3)
