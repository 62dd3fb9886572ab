"""Tables in the forms that loggers, watches and other programs give them: one answer for all."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import name_of, read

FS = 250
VALUES = np.round(np.sin(np.arange(1000) / 7) + 0.3 * np.cos(np.arange(1000)), 3)  # mV


def rows(cells: Callable[[int, float], Sequence[str]], delimiter: str) -> str:
    return "".join(delimiter.join(cells(i, v)) + "\n" for i, v in enumerate(VALUES))


def check(path: Path, *, atol: float = 1e-9, fs: float | None = None, lead: str = "ECG") -> None:
    record = read(path, fs=fs)
    assert (record.lead, record.fs, record.gaps) == (lead, FS, 0)
    np.testing.assert_allclose(record.signal, VALUES, atol=atol)


PLAIN = "time,ECG\n" + rows(lambda i, v: (f"{i / FS:.3f}", f"{v:.3f}"), ",")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "   ", "|", ", "])
@pytest.mark.parametrize("decimal", [".", ","])
def test_delimiters_and_decimal_marks(tmp_path: Path, delimiter: str, decimal: str) -> None:
    if delimiter.strip() == decimal:
        pytest.skip("one mark for both")
    text = PLAIN.replace(".", decimal) if decimal == "," else PLAIN
    if decimal == ",":
        text = rows(
            lambda i, v: (f"{i / FS:.3f}".replace(".", ","), f"{v:.3f}".replace(".", ",")),
            delimiter,
        )
        text = f"time{delimiter}ECG\n" + text
    else:
        text = PLAIN.replace(",", delimiter)
    (tmp_path / "x.txt").write_text(text)
    check(tmp_path / "x.txt")


def test_lone_column_with_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("ECG\n" + rows(lambda _, v: [f"{v:.3f}".replace(".", ",")], ""))
    check(tmp_path / "x.csv", fs=FS)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = "Zeit (s),ECG (µV)\n" + rows(lambda i, v: (f"{i / FS:.3f}", f"{1000 * v:.0f}"), ",")
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    check(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zip", "x.zip", "x.gz", "x"])
def test_packed_and_nameless_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(PLAIN.encode()))
    elif name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data/x.csv", PLAIN)
    else:
        path.write_text(PLAIN)
    check(path)
    assert name_of(path) == "x"


def test_damaged_packed_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(PLAIN.encode())[:-500])
    with pytest.raises(RecordError, match="is packed and damaged or cut off"):
        read(tmp_path / "x.csv.gz")
    with zipfile.ZipFile(tmp_path / "y.csv.zip", "w") as archive:
        archive.writestr("a.csv", PLAIN)
        archive.writestr("b.csv", PLAIN)
    with pytest.raises(RecordError, match=r"holds 2 files \(a.csv, b.csv\); expected one"):
        read(tmp_path / "y.csv.zip")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Device: X1\nPatient;unknown\nSampling rate: 250 Hz\n\n", ""),
        ("# sampling rate = 250\n# filter: 50 Hz\n", ""),
        ("", "end of recording\n"),
        ("", "\n\nsamples,1000\nmean,0.1,0.2,0.3\n"),
        ("", "4.0"),
        ("sep=,\n", ""),
    ],
)
def test_preambles_and_footers(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "x.csv").write_text(before + PLAIN + after)
    check(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "line",
    ["Sample Rate,250 hertz", "Abtastrate;250 Hz", "fs = 250", "# Sampling frequency: 0,25 kHz"],
)
def test_rate_of_the_preamble_counts(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.csv").write_text(f"{line}\n\nECG (mV)\n" + rows(lambda _, v: [f"{v:.3f}"], ""))
    check(tmp_path / "x.csv")
    with pytest.raises(RecordError, match="sampled at 250 Hz; --fs 360 contradicts"):
        read(tmp_path / "x.csv", fs=360)


def test_trailing_delimiters_are_no_column(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    (tmp_path / "x.csv").write_text("\n".join([lines[0], *(f"{line}," for line in lines[1:])]))
    check(tmp_path / "x.csv")


def test_header_that_comes_again_is_left_out(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    lines.insert(600, lines[0])
    (tmp_path / "x.csv").write_text("\n".join(lines))
    check(tmp_path / "x.csv")


@pytest.mark.parametrize("line", ["1.23", "1.23,0.1,0.5", "lead off"])
@pytest.mark.parametrize("at", [50, 700])
def test_damaged_row_is_named(tmp_path: Path, line: str, at: int) -> None:
    lines = PLAIN.splitlines()
    lines.insert(at, line)
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(RecordError, match=rf"line {at + 1} is '{line}'; expected 2 numbers"):
        read(tmp_path / "x.csv")


@pytest.mark.parametrize("at", [50, 700])
def test_words_in_place_of_a_sample_are_a_gap(tmp_path: Path, at: int) -> None:
    lines = [f"{v:.3f}" for v in VALUES]
    lines[at] = "!"
    (tmp_path / "x.csv").write_text("\n".join(["ECG", *lines]))
    record = read(tmp_path / "x.csv", fs=FS)
    assert (len(record.signal), record.gaps) == (1000, pytest.approx(1e-3))
    assert np.flatnonzero(np.isnan(record.signal)).tolist() == [at]


def test_apple_watch(tmp_path: Path) -> None:
    head = (
        'Name,"Somebody"\nRecorded Date,2024-01-01 10:00:00 +0000\nClassification,Sinus Rhythm\n'
        'Software Version,2.0\nDevice,"Watch6,1"\nSample Rate,250 hertz\n\n\nLead,Lead I\n'
        "Unit,µV\n\n"
    )
    values = [f"{1000 * v:.1f}" for v in VALUES]
    for numbers in (values, [value.replace(".", ",") for value in values]):
        (tmp_path / "x.csv").write_text(head + "\n".join(numbers))
        check(tmp_path / "x.csv", lead="Lead I")


def test_polar_sensor_logger(tmp_path: Path) -> None:
    start = datetime(2024, 3, 5, 10)
    text = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n" + rows(
        lambda i, v: (
            (start + timedelta(milliseconds=73 * (i // 73))).isoformat(timespec="milliseconds"),
            str(600_000_000_000_000_000 + 4_000_000 * i),
            f"{4 * i:.1f}",
            f"{1000 * v:.0f}",
        ),
        ";",
    )
    (tmp_path / "x.txt").write_text(text)
    check(tmp_path / "x.txt", lead="ecg")


def test_shimmer(tmp_path: Path) -> None:
    head = '"sep=\t"\nShimmer_Timestamp_Unix_CAL\tShimmer_ECG_LL-RA_24BIT_CAL\t\nms\tmV\t\n'
    text = rows(lambda i, v: (f"{1709633472000 + 4 * i:.3f}", f"{v:.4f}", ""), "\t")
    (tmp_path / "x.csv").write_text(head + text)
    check(tmp_path / "x.csv", lead="Shimmer_ECG_LL-RA_24BIT_CAL")


def test_opensignals_counts_become_millivolts(tmp_path: Path) -> None:
    """By the BITalino data sheet: (counts / 2^10 - 1/2) * 3.3 V / 1100."""
    head = (
        "# OpenSignals Text File Format\n"
        '# {"00:07": {"sensor": ["ECG", "EMG"], "device": "bitalino_rev", "column": ["nSeq", "I1", '
        '"A1", "A2"], "sampling rate": 250, "resolution": [4, 1, 10, 10], "label": ["A1", "A2"]}}\n'
        "# EndOfHeader\n"
    )
    counts = np.rint((VALUES / 1000 * 1100 / 3.3 + 0.5) * 1024).astype(int)
    body = "".join(f"{i % 16}\t1\t{count}\t512\t\n" for i, count in enumerate(counts))
    (tmp_path / "x.txt").write_text(head + body)
    check(tmp_path / "x.txt", atol=2e-3)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("leads", [1, 2, 12])
def test_leads_as_rows(tmp_path: Path, leads: int, named: bool) -> None:
    names = ["ECG", *(f"x{i}" for i in range(1, leads))]
    text = "".join(
        ",".join([*([name] if named else []), *(f"{v * (i == 0):.3f}" for v in VALUES)]) + "\n"
        for i, name in enumerate(names)
    )
    (tmp_path / "x.csv").write_text(text)
    check(tmp_path / "x.csv", fs=FS, lead="ECG" if named else "0")


def test_a_word_among_the_numbers_of_a_row_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"II,{','.join(['0.1', '0.2'] * 200)},oops\n")
    with pytest.raises(RecordError, match=r"row 1 holds 'oops'; expected numbers"):
        read(tmp_path / "x.csv", fs=FS)


def iso(i: int) -> str:
    return (datetime(2024, 3, 5, 23, 59, 58) + timedelta(seconds=i / FS)).isoformat(
        timespec="milliseconds"
    )


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("time", iso),
        ("time", lambda i: iso(i).replace("T", " ") + "Z"),
        ("Date", lambda i: iso(i) + "+01:00"),
        ("time", lambda i: iso(i).partition("T")[2]),
        ("time", lambda i: f"[{iso(i).partition('T')[2]} 05/03/2024]" if i < 500 else
            f"[{iso(i).partition('T')[2]} 06/03/2024]"),
        ("Zeitstempel", lambda i: f"0{5 + (i >= 500)}.03.2024 {iso(i).partition('T')[2]}"),
        ("time", lambda i: (datetime(2024, 3, 5, 11, 59, 58) + timedelta(seconds=i / FS)).strftime(
            "%I:%M:%S.%f %p")),
        ("time", lambda i: f"{4 * i}"),
        ("timestamp", lambda i: f"{1709633472 + i / FS:.3f}"),
        ("timestamp", lambda i: f"{1709633472000 + 4 * i}"),
        ("timestamp", lambda i: f"{1709633472000000 + 4000 * i}"),
        ("unix_time", lambda i: f"{1709633472000000000 + 4000000 * i}"),
        ("timestamp_ms", lambda i: f"{4 * i}"),
        ("ts (us)", lambda i: f"{4000 * i}"),
    ],
)  # fmt: skip
def test_times_of_any_kind(tmp_path: Path, name: str, time: Callable[[int], str]) -> None:
    text = f"{name},ECG\n" + rows(lambda i, v: (time(i), f"{v:.3f}"), ",")
    (tmp_path / "x.csv").write_text(text)
    check(tmp_path / "x.csv")
    check(tmp_path / "x.csv", fs=FS)


@pytest.mark.parametrize("size", [10, 73])
@pytest.mark.parametrize("lost", [0, 1])
def test_times_of_packets(tmp_path: Path, size: int, lost: int) -> None:
    kept = [i for i in range(1000) if not (lost and 5 <= i // size < 6)]
    text = "time,ECG\n" + "".join(f"{i // size * size / FS:.3f},{VALUES[i]:.3f}\n" for i in kept)
    (tmp_path / "x.csv").write_text(text)
    record = read(tmp_path / "x.csv")
    assert (record.fs, len(record.signal)) == (FS, 1000)
    assert record.gaps == pytest.approx(lost * size / 1000)
    np.testing.assert_allclose(record.signal[kept], VALUES[kept])


def test_times_rounded_to_more_than_a_sample(tmp_path: Path) -> None:
    text = "time,ECG\n" + rows(lambda i, v: (f"{i / FS:.2f}", f"{v:.3f}"), ",")
    (tmp_path / "x.csv").write_text(text)
    check(tmp_path / "x.csv")


def test_times_that_fall_are_not_needed_with_a_rate(tmp_path: Path) -> None:
    text = "time,ECG\n" + rows(lambda i, v: (f"{i % 100 / FS:.3f}", f"{v:.3f}"), ",")
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(RecordError, match=r"does not rise \(row 101 of the numbers\).*--fs"):
        read(tmp_path / "x.csv")
    check(tmp_path / "x.csv", fs=FS)
    assert read(tmp_path / "x.csv", fs=FS).notes == (
        "its times were left out, as they do not rise evenly",
    )


@pytest.mark.parametrize("content", [b"\0\1\2\3" * 100, b"", b"words\nand words\n", b"1\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(RecordError, match="is not a table of numbers"):
        read(tmp_path / "x.csv", fs=FS)


@pytest.mark.parametrize(
    ("rate", "lead", "unit"),
    [
        ("Abtastrate,360 Hertz", "Ableitung,Ableitung I", "Einheit,µV"),
        ("Fréquence d’échantillonnage,360 hertz", "Dérivation,Dérivation I", "Unité,µV"),
        ("Frecuencia de muestreo,360 hercios", "Derivación,Derivación I", "Unidad,µV"),
        ("采样率,360赫兹", "导联,I 导联", "单位,µV"),
        ("Частота дискретизации,360 Гц", "Отведение,Отведение I", "Единица,мкВ"),
    ],
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_watch_exports_of_other_languages_are_read(
    tmp_path: Path, rate: str, lead: str, unit: str, decimal: str
) -> None:
    values = [f"{900 * np.sin(i / 9):.3f}".replace(".", decimal) for i in range(2000)]
    lines = ["Name,A", rate, ",", lead, unit, ",", *values]
    (tmp_path / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    record = read(tmp_path / "x.csv")
    assert (record.fs, len(record.signal)) == (360, 2000)
    assert np.abs(record.signal).max() == pytest.approx(0.9, abs=1e-3)


def test_a_date_beside_a_clock_past_midnight_only_says_the_day(tmp_path: Path) -> None:
    seconds = 86_390 + np.arange(5000) / 250
    rows = [
        f"{'2024-12-31' if t < 86_400 else '2025-01-01'},{int(t // 3600) % 24:02}:"
        f"{int(t // 60) % 60:02}:"
        f"{t % 60:06.3f},{np.sin(i / 9):.3f}"
        for i, t in enumerate(seconds.tolist())
    ]
    (tmp_path / "x.csv").write_text("\n".join(["Date,Time,ECG (mV)", *rows]))
    record = read(tmp_path / "x.csv")
    assert (record.fs, len(record.signal), record.gaps) == (250, 5000, 0)


def test_digital_input_of_opensignals_is_no_lead_i(tmp_path: Path) -> None:
    header = (
        '{"00": {"sensor": ["ECG"], "column": ["nSeq", "DI", "CH1"], "device": "biosignalsplux", '
        '"sampling rate": 500, "label": ["CH1"], "resolution": [4, 1, 16]}}'
    )
    rows = [f"{i % 16}\t0\t{32768 + round(9000 * np.sin(i / 9))}\t" for i in range(3000)]
    lines = ["# OpenSignals Text File Format", f"# {header}", "# EndOfHeader", *rows]
    (tmp_path / "x.txt").write_text("\n".join(lines))
    assert read(tmp_path / "x.txt").lead == "ECG"


@pytest.mark.parametrize("units", ["units:s,uV", "# units: s, uV", "Unit: s,uV", "[s],[1e-6 V]"])
def test_a_row_of_units_may_say_that_it_is_one(units: str, tmp_path: Path) -> None:
    microvolts = 1000 * np.sin(np.arange(1800) / 20)
    rows = "".join(f"{i / 360:.4f},{value:.2f}\n" for i, value in enumerate(microvolts))
    (tmp_path / "rec.csv").write_text(f"time,ECG\n{units}\n{rows}")
    found = read(tmp_path / "rec.csv")
    np.testing.assert_allclose(found.signal, microvolts / 1000, atol=1e-4)


def test_a_minus_sign_of_any_kind_is_one(tmp_path: Path, signal: np.ndarray) -> None:
    cells = [f"{value:.4f}" for value in signal[:2000]]
    expected = read(written_lines(tmp_path, cells), fs=360).signal
    assert expected.min() < 0
    for minus in "\u2212\u2013\uff0d":
        shown = [cell.replace("-", minus) for cell in cells]
        np.testing.assert_array_equal(read(written_lines(tmp_path, shown), fs=360).signal, expected)


def written_lines(folder: Path, lines: list[str]) -> Path:
    path = folder / "x.csv"
    path.write_text("\n".join(["ECG (mV)", *lines]), encoding="utf-8")
    return path


def test_the_last_fact_above_a_lone_column_is_no_name(tmp_path: Path, signal: np.ndarray) -> None:
    cells = [f"{value:.4f}" for value in signal[:2000]]
    path = tmp_path / "x.txt"
    for last in ("Sampling frequency: 360", "fs = 360 Hz"):
        path.write_text("\r\n".join(["Recorded 2024-03-01 10:00:00", "Unit: mV", last, "", *cells]))
        record = read(path)
        assert (record.fs, record.lead) == (360, "0")
