"""WFDB records: leads, units, segments and what is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import EkgError, MissingPackageError, RecordError
from runtime.records import read

pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1.0), ("uV", 1e3), ("V", 1e-3)])
def test_units_become_millivolts(
    tmp_path: Path, signal: np.ndarray, write_wfdb: Callable[..., None], unit: str, factor: float
) -> None:
    write_wfdb(tmp_path, "rec", {"ECG": (signal * factor, unit)})
    np.testing.assert_allclose(read(tmp_path / "rec").signal, signal, atol=1e-3)


@pytest.mark.parametrize("coding", ["latin-1", "utf-8"])
def test_microvolts_with_a_greek_letter_are_not_taken_for_volts(
    tmp_path: Path, signal: np.ndarray, write_wfdb: Callable[..., None], coding: str
) -> None:
    write_wfdb(tmp_path, "rec", {"ECG": (signal * 1e3, "uV")})
    header = tmp_path / "rec.hea"
    header.write_bytes(header.read_text().replace("uV", "µV").encode(coding))
    np.testing.assert_allclose(read(tmp_path / "rec").signal, signal, atol=1e-3)


@pytest.mark.parametrize(
    ("master", "pieces"),
    [
        ("rec/2 2 250 5000\na 2500\nb 2500\n", ((0, 2500), (2500, 5000))),
        ("rec/3 2 250 6000\na 2500\n~ 1000\nb 2500\n", ((0, 2500), None, (2500, 5000))),
        ("rec/3 2 250 3500\n~ 1000\na 2500\n", (None, (0, 2500))),
        (
            "rec/4 2 250 7500\nlayout 0\na 2500\nother 2500\nb 2500\n",
            ((0, 2500), None, (2500, 5000)),
        ),
    ],
)
def test_segments_are_joined_and_gaps_between_them_counted(
    tmp_path: Path,
    signal: np.ndarray,
    write_wfdb: Callable[..., None],
    master: str,
    pieces: tuple[tuple[int, int] | None, ...],
) -> None:
    write_wfdb(tmp_path, "a", {"V5": (-signal[:2500], "mV"), "MLII": (signal[:2500], "mV")})
    write_wfdb(tmp_path, "other", {"V5": (-signal[:2500], "mV")})
    whole = {"V5": (-signal[2500:], "mV"), "MLII": (signal[2500:], "mV")}
    # If the layout varies, so do the order of the leads and their units.
    write_wfdb(
        tmp_path,
        "b",
        whole
        if "layout" not in master
        else {"MLII": (signal[2500:] * 1e3, "uV"), "V5": (-signal[2500:], "mV")},
    )
    (tmp_path / "layout.hea").write_text(
        "layout 2 250 0\n~ 0 200/mV 16 0 0 0 0 V5\n~ 0 200/mV 16 0 0 0 0 MLII\n"
    )
    (tmp_path / "rec.hea").write_text(master)
    record = read(tmp_path / "rec")
    lengths = [
        piece[1] - piece[0] if piece else 2500 if "other" in master else 1000 for piece in pieces
    ]
    assert (record.lead, record.fs, len(record.signal)) == ("MLII", 250, sum(lengths))
    gap = sum(n for n, piece in zip(lengths, pieces, strict=True) if not piece)
    assert record.gaps == pytest.approx(gap / sum(lengths))
    for start, n, piece in zip(np.cumsum([0, *lengths[:-1]]), lengths, pieces, strict=True):
        if piece:
            np.testing.assert_allclose(
                record.signal[start : start + n], signal[slice(*piece)], atol=1e-3
            )


@pytest.mark.parametrize("lead", [None, "0"])
def test_lead_without_a_name_is_numbered_and_keeps_its_own_rate(
    tmp_path: Path, signal: np.ndarray, lead: str | None
) -> None:
    digital = np.zeros((1000, 3), dtype="<i2")  # frames of two samples of one lead, one of another
    digital[:, :2] = np.round(signal[:2000].reshape(1000, 2) * 200)
    (tmp_path / "rec.dat").write_bytes(digital.tobytes())
    (tmp_path / "rec.hea").write_text("rec 2 125 1000\nrec.dat 16x2 200\nrec.dat 16 200\n")
    record = read(tmp_path / "rec", lead=lead)
    assert (record.lead, record.fs) == ("0", 250)
    np.testing.assert_allclose(record.signal, signal[:2000], atol=3e-3)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("garbage", "is not a WFDB header|cannot be read"),
        ("x 0 250 5\n", "lists no signals"),
        ("x 1 250 0\nx.dat 16 200\n", "gives a length of 0 samples"),
        ("x 1 0 5\nx.dat 16 200\n", "is damaged: its rate is 0 Hz"),
        ("x 1 -1 5\nx.dat 16 200\n", "gives '-1' for the rate; expected one above 0 Hz"),
        ("x 1 1e300 5\nx.dat 16 200\n", "gives '1e300' for the rate; expected"),
        ("x 1 nan 5\nx.dat 16 200\n", "gives 'nan' for the rate; expected a number"),
        ("x 1 250 -5\nx.dat 16 200\n", "gives '-5' for the number of samples"),
        ("x 1 250 5\nx.dat 16 200\n", "x.dat does not exist"),
        ("x 1 250 5\nx.hea 999 200\n", "is damaged: its signal cannot be read"),
        ("x/2 1 250 9\na 5\nb 4\n", "a.hea does not exist"),
        ("x/1 1 250 9\n~ 9\n", "lists no signals"),
    ],
)
def test_damaged_header_is_refused_with_the_reason(
    tmp_path: Path, header: str, sentence: str
) -> None:
    (tmp_path / "x.hea").write_text(header)
    with pytest.raises(RecordError, match=sentence):
        read(tmp_path / "x")


def test_cut_off_signal_file_is_refused(wfdb_record: Path) -> None:
    dat = wfdb_record.with_suffix(".dat")
    dat.write_bytes(dat.read_bytes()[:1000])
    with pytest.raises(RecordError, match="is damaged"):
        read(wfdb_record)


def test_missing_package_is_named(wfdb_record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(MissingPackageError, match="`pip install wfdb`") as caught:
        read(wfdb_record)
    assert isinstance(caught.value, EkgError)
    assert isinstance(caught.value, ImportError)


def test_control_character_in_a_header_is_named(wfdb_record: Path) -> None:
    """wfdb ends a line there, so that its signals would be others than ours."""
    header = wfdb_record.with_suffix(".hea")
    header.write_bytes(header.read_bytes().replace(b" 0 V5", b"\x0b0 V5"))
    with pytest.raises(RecordError, match=r"line 2 holds the control character b'\\x0b'"):
        read(wfdb_record)


def test_a_record_of_segments_that_names_itself_is_refused(wfdb_record: Path) -> None:
    again = wfdb_record.parent / "again.hea"
    again.write_text(f"again/2 1 360 3600\n{wfdb_record.name} 1800\nagain 1800\n")
    with pytest.raises(RecordError, match="a record of segments itself"):
        read(wfdb_record.parent / "again")
