"""Signal held as a converter's codes: the same record, answers and files as of float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import Detector
from runtime.cli.whole_records import notes_on
from runtime.records import digital, edf_header, read
from runtime.records.digital import CODES, DigitalSignal, each
from runtime.records.edf import code_values

VALUES = (CODES.astype(np.float64) - 17) / 213.7
VALUES[CODES == -(1 << 15)] = np.nan


@given(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), max_size=40), st.slices(40))
def test_a_cut_has_the_values_of_its_codes(codes: list[int], cut: slice) -> None:
    signal = DigitalSignal(np.array(codes, dtype=np.int16), VALUES)
    whole = np.array([np.nan if code == -(1 << 15) else (code - 17) / 213.7 for code in codes])
    np.testing.assert_array_equal(signal[cut], whole[cut])
    np.testing.assert_array_equal(np.asarray(signal), whole)
    np.testing.assert_array_equal(signal[np.isfinite(signal)], whole[np.isfinite(whole)])
    np.testing.assert_array_equal(signal.part(3, 20), whole[3:20])
    np.testing.assert_array_equal(each(signal, np.negative), -whole)


def test_the_whole_is_made_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digital, "AT_ONCE", 1000)
    np.testing.assert_array_equal(DigitalSignal(CODES, VALUES), VALUES)


def written(folder: Path, ecg: np.ndarray, **options: Any) -> Path:
    """Write a WFDB record of two signals, of which the second is the ECG."""
    wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    given = {"fmt": ["16"] * 2, "units": ["mV"] * 2, "adc_gain": [200.0, 213.7]} | options
    given |= {"baseline": [0, 5], "sig_name": ["RESP", "II"], "write_dir": str(folder)}
    wfdb.wrsamp("rec", fs=250, p_signal=np.stack([ecg / 2, ecg], axis=1), **given)
    return folder / "rec"


@pytest.mark.parametrize("form", ["16", "80", "212", "24"])
@pytest.mark.parametrize("part", [{}, {"start_s": 3.0, "seconds": 7.3}], ids=["whole", "part"])
def test_a_compact_record_is_the_same(
    tmp_path: Path, signal: np.ndarray, form: str, part: dict[str, float]
) -> None:
    ecg = signal.astype(np.float64)
    ecg[900:1100] = np.nan
    gain = [50.0, 37.3] if form == "80" else [200.0, 213.7]
    path = written(tmp_path, ecg, fmt=[form] * 2, adc_gain=gain)
    whole, compact = read(path, **part), read(path, compact=True, **part)
    assert isinstance(whole.signal, np.ndarray)
    assert isinstance(compact.signal, DigitalSignal) == (form != "24")  # which has more bits
    np.testing.assert_array_equal(compact.signal, whole.signal)
    assert compact.gaps == whole.gaps > 0
    assert compact.seconds == whole.seconds


def written_edf(folder: Path, codes: np.ndarray, kind: str = "") -> Path:
    """Write an EDF file of two signals of different rates, of which the second is the ECG."""
    edfio = pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
    resp = edfio.EdfSignal(np.sin(np.arange(len(codes) // 10)), 25, label="Resp")
    ecg = edfio.EdfSignal.from_digital(
        codes,
        250,
        label="ECG",
        physical_dimension="uV",
        physical_range=(-10240.0, 10235.5),
    )
    marks = [edfio.EdfAnnotation(float(s), None, "") for s in range(len(codes) // 250)]
    if kind == "marked":
        marks = [edfio.EdfAnnotation(3.0, 1.5, "signal missing: ECG")]
    path = folder / "x.edf"
    edfio.Edf([resp, ecg], annotations=marks, data_record_duration=1).write(path)
    if kind == "paused":
        written = bytearray(path.read_bytes())
        written[192:197] = b"EDF+D"
        for second in range(len(codes) // 250 - 1, 9, -1):  # each four seconds later
            onset, later = (f"+{at}\x14\x14".encode() for at in (second, second + 4))
            written = written.replace(onset, later)
        path.write_bytes(written)
    return path


@pytest.mark.parametrize("kind", ["whole", "marked", "paused", "all codes"])
def test_a_compact_edf_file_is_the_same(
    tmp_path: Path, signal: np.ndarray, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    codes = np.rint(signal * 3200).astype(np.int16)
    codes = codes[: len(codes) // 250 * 250]
    if kind == "all codes":
        codes = np.concatenate([codes, np.repeat(CODES, 4), codes])[: 250 * 1060]
        codes[-(1 << 16) :] = CODES
    path = written_edf(tmp_path, codes, kind)
    monkeypatch.setattr(edf_header, "AT_ONCE", 3000)
    whole, compact = read(path), read(path, compact=True)
    assert isinstance(whole.signal, np.ndarray)
    assert isinstance(compact.signal, DigitalSignal) == (kind != "all codes")
    np.testing.assert_array_equal(compact.signal, whole.signal)
    assert compact.gaps == whole.gaps
    assert bool(whole.gaps) == (kind in ("marked", "paused"))
    edfio = pytest.importorskip("edfio")
    expected = edfio.read_edf(path).signals[1].data * 0.001
    there = ~np.isnan(whole.signal)
    same = expected[there] if kind == "marked" else expected
    np.testing.assert_array_equal(whole.signal[there], same)


@given(
    st.tuples(*[st.integers(-(1 << 15), (1 << 15) - 1)] * 2).filter(
        lambda ends: ends[0] != ends[1]
    ),
    st.tuples(*[st.integers(-9_999_999, 9_999_999)] * 2).filter(lambda ends: ends[0] != ends[1]),
)
def test_codes_of_edf_are_worth_what_edfio_says(
    digital: tuple[int, int], physical: tuple[int, int]
) -> None:
    edfio = pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
    ends = np.array(digital, dtype=np.int16)
    signal = edfio.EdfSignal.from_digital(
        np.sort(ends), 1, physical_range=physical, digital_range=tuple(sorted(digital))
    )
    np.testing.assert_array_equal(code_values(signal)[signal.digital.view(np.uint16)], signal.data)


@pytest.mark.parametrize("units", [None, "uV", "400/mV"])
def test_units_and_an_offset_are_the_same_of_codes(
    tmp_path: Path, signal: np.ndarray, units: str | None
) -> None:
    scale = {None: 1.0, "uV": 1e3, "400/mV": 400.0}[units]
    path = written(tmp_path, (signal + 900.0) * scale, adc_gain=[20.0 / scale] * 2)
    whole, compact = read(path, units=units), read(path, units=units, compact=True)
    assert isinstance(compact.signal, DigitalSignal)
    np.testing.assert_array_equal(compact.signal, whole.signal)
    assert compact.notes == whole.notes
    assert "an offset" in whole.notes[0]


def test_codes_give_the_same_answers_and_files(
    tmp_path: Path, signal: np.ndarray, detector: Detector
) -> None:
    ecg = np.tile(signal.astype(np.float64), 3)
    ecg[2000:2300] = np.nan
    path = written(tmp_path, ecg)
    whole, compact = (detector.annotate(read(path, compact=held)) for held in (False, True))
    assert compact.beats == whole.beats
    assert compact.events == whole.events
    assert compact.quality == whole.quality
    assert compact.gaps == whole.gaps
    np.testing.assert_array_equal(compact.missing, whole.missing)
    assert notes_on(detector, compact) == notes_on(detector, whole)
    names = ["wfdb", "fhir", "csv"]
    for found, folder in ((whole, "whole"), (compact, "compact")):
        for name in names:
            found.write(name, tmp_path / folder)
    files = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert len(files) >= len(names)
    for file in files:
        assert (tmp_path / "compact" / file).read_bytes() == (
            tmp_path / "whole" / file
        ).read_bytes()
