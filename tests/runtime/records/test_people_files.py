"""Tables, archives and headers as people have them: read rightly, or refused in one sentence."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read
from runtime.simulate import simulate

FS, ROWS = 250, 1500
SIGNAL = np.arange(ROWS) % 97 / 100


def grouped(value: float, thousands: str, decimal: str) -> str:
    return f"{value:,.3f}".replace(",", "T").replace(".", decimal).replace("T", thousands)


@pytest.mark.parametrize(
    ("thousands", "decimal", "quote"),
    [(",", ".", '"'), (".", ",", ""), (" ", ".", ""), ("\u202f", ",", ""), ("'", ".", "")],
)
def test_thousands_may_be_grouped(tmp_path: Path, thousands: str, decimal: str, quote: str) -> None:
    rows = [
        f"{quote}{grouped(i * 1000 / FS, thousands, decimal)}{quote};"
        f"{quote}{grouped(value * 3000, thousands, decimal)}{quote}"
        for i, value in enumerate(SIGNAL)
    ]
    (tmp_path / "x.csv").write_text("time (ms);ECG (uV)\n" + "\n".join(rows), encoding="utf-8")
    record = read(tmp_path / "x.csv")
    assert record.fs == FS
    np.testing.assert_allclose(record.signal, 3 * SIGNAL)


def test_numbers_that_are_not_understood_are_no_footer(tmp_path: Path) -> None:
    rows = [f"{i / FS:.3f};{value}" for i, value in enumerate(SIGNAL)]
    torn = [row.replace(";", " ") if i > 500 else row for i, row in enumerate(rows)]
    (tmp_path / "x.csv").write_text("time;ECG (mV)\n" + "\n".join(torn[:510]))
    assert len(read(tmp_path / "x.csv").signal) == 501
    (tmp_path / "x.csv").write_text("time;ECG (mV)\n" + "\n".join(torn))
    with pytest.raises(RecordError, match=r"line 503 is .*expected 2 numbers"):
        read(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "word", ["#NUM!", "#DIV/0!", "\\N", "<NA>", "NaT", "Infinity", "undefined", "missing", "*"]
)
def test_words_for_nothing_are_missing_samples(tmp_path: Path, word: str) -> None:
    values = [word if 500 <= i < 600 else f"{value}" for i, value in enumerate(SIGNAL)]
    (tmp_path / "x.csv").write_text("ECG (mV)\n" + "\n".join(values))
    signal = read(tmp_path / "x.csv", fs=FS).signal
    assert np.flatnonzero(np.isnan(signal)).tolist() == [*range(500, 600)]


def test_archives_say_what_they_hold(tmp_path: Path) -> None:
    table = "ECG (mV)\n" + "\n".join(map(str, SIGNAL))
    for beside, sentence in (
        (("readme.txt", ".DS_Store", "__MACOSX/._a"), ""),
        (("b.csv",), "2 f"),
        (("b\nc.csv",), r"2 files \(a.csv, b c.csv\)"),
    ):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("a.csv", table)
            for name in beside:
                archive.writestr(name, "hello")
        if sentence:
            with pytest.raises(RecordError, match=sentence):
                read(tmp_path / "x.zip", fs=FS)
        else:
            np.testing.assert_array_equal(read(tmp_path / "x.zip", fs=FS).signal, SIGNAL)


def test_what_is_packed_and_no_table_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "x.edf.gz"
    path.write_bytes(gzip.compress(b"0       " + bytes(512)))
    with pytest.raises(RecordError, match="is packed, and holds no table; expected it unpacked"):
        read(path)


def test_paths_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a", tmp_path / ("x" * 300)):
        with pytest.raises(RecordError):
            read(path)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("n 1\nn.dat 16 200/mV 12 0 0 0 0 II\n", "does not state a rate"),
        ("n 1 0 1500\nn.dat 16 200/mV 12 0 0 0 0 II\n", "rate"),
        ("n 1 1e9 1500\nn.dat 16 200/mV 12 0 0 0 0 II\n", "rate"),
        ("n 1 250 1500\nn.dat 16 nan/mV 12 0 0 0 0 II\n", "gain"),
        ("n 1 250 1500\nn.dat 16 1e9/mV 12 0 0 0 0 II\n", "as those of no ECG are"),
    ],
)
def test_headers_that_make_no_ecg_are_refused(tmp_path: Path, header: str, sentence: str) -> None:
    pytest.importorskip("wfdb")
    counts = np.rint(200 * simulate(6, seed=1, fs=FS).signal)
    (tmp_path / "n.hea").write_text(header)
    (tmp_path / "n.dat").write_bytes(counts.astype("<i2").tobytes())
    with pytest.raises(RecordError, match=sentence):
        read(tmp_path / "n")
