"""Recordings converted from any format that is read to any that is written, and back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from bench.sample_files import GAP_S, START, WITHOUT_GAPS, WRITERS, Recording, recording
from runtime import Detector, RecordError
from runtime.cli.main import main
from runtime.records import read
from runtime.records import signals as converted
from runtime.records.signals import Signal, read_recording, writer_for
from runtime.records.signals.counts import find_counts

pytestmark = pytest.mark.needs("wfdb", "edfio", "pyarrow")

TARGETS = ("x", "x.hea", "x.edf", "x.bdf", "x.csv", "x.parquet", "x.npz")
NEEDS = {"DICOM": "pydicom", "SCP-ECG": "ecgdatakit", "Kardia JSON": "ecgdatakit"}
COUNTS = {"x": 3e4, "x.hea": 3e4, "x.edf": 3e4, "x.bdf": 8e6}  # of 16 and 24 bits


@pytest.fixture(scope="module")
def gappy() -> Recording:
    return recording(gap=True)


def convert(source: Path, target: Path, *options: str) -> None:
    assert main(["convert", str(source), str(target), *options]) == 0


def same(found: converted.Recording, expected: converted.Recording, *, atol: float = 0.0) -> None:
    """Compare names, rates, units, gaps, samples and start."""
    assert found.start == expected.start
    assert [s.name for s in found.signals] == [s.name for s in expected.signals]
    for ours, theirs in zip(found.signals, expected.signals, strict=True):
        assert (ours.fs, ours.unit, ours.gaps) == (theirs.fs, theirs.unit, theirs.gaps)
        np.testing.assert_allclose(ours.samples, theirs.samples, atol=atol, rtol=0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", WRITERS)
def test_every_format_becomes_every_other(
    tmp_path: Path, gappy: Recording, source: str, target: str
) -> None:
    if "scipy" in source or source.startswith(("MATLAB", "PhysioNet")):
        pytest.importorskip("scipy")
    for name, package in NEEDS.items():
        if source == name:
            pytest.importorskip(package)
    (tmp_path / "in").mkdir()
    path = WRITERS[source](tmp_path / "in", gappy)
    convert(path, tmp_path / target)
    expected = read_recording(path)
    atol = max_range(expected) / COUNTS.get(target, 1e15)
    same(read_recording(tmp_path / target), expected, atol=atol)
    assert all(bool(s.gaps) == (source not in WITHOUT_GAPS) for s in expected.signals)


def max_range(made: converted.Recording) -> float:
    return max(float(np.nanmax(np.abs(s.samples))) for s in made.signals)


def test_counts_of_a_converter_survive_the_way_through_all_formats(
    data: Path, tmp_path: Path, detector: Detector
) -> None:
    """A record of mitdb is the same to the last bit after six conversions; so are its beats."""
    import wfdb

    record = data / "mitdb" / "100"
    whole = wfdb.rdrecord(str(record), physical=False, sampto=360 * 60)
    wfdb.wrsamp(
        "m100",
        fs=360,
        units=whole.units,
        sig_name=whole.sig_name,
        d_signal=whole.d_signal,
        fmt=["16", "16"],
        adc_gain=whole.adc_gain,
        baseline=whole.baseline,
        write_dir=str(tmp_path),
    )
    path = tmp_path / "m100"
    for i, target in enumerate(("a.edf", "b.parquet", "c.bdf", "d.csv", "e.npz", "f")):
        convert(path, tmp_path / target)
        path = tmp_path / target
        assert i == 5 or path.is_file()
    back = wfdb.rdrecord(str(path), physical=False)
    np.testing.assert_array_equal(
        (back.d_signal - back.baseline) / back.adc_gain,
        (whole.d_signal - whole.baseline) / whole.adc_gain,
    )
    beats = [
        [(beat.time, beat.label) for beat in detector.annotate(read(file)).beats]
        for file in (tmp_path / "m100", path)
    ]
    assert beats[0] == beats[1]
    assert len(beats[0]) > 60


@pytest.mark.parametrize("target", ["x.edf", "x"])
def test_other_programs_read_what_is_written(tmp_path: Path, gappy: Recording, target: str) -> None:
    import edfio
    import wfdb

    convert(WRITERS["NumPy, .npz"](tmp_path, gappy), tmp_path / target)
    if target == "x":
        found = wfdb.rdrecord(str(tmp_path / "x"))
        assert (found.sig_name, found.units) == (["II", "V1"], ["mV", "mV"])
        assert (found.fs, found.base_datetime) == (360, START)
        np.testing.assert_allclose(found.p_signal, gappy.table, atol=2e-4)
        return
    edf = edfio.read_edf(tmp_path / "x.edf")
    assert [signal.label for signal in edf.signals] == ["II", "V1"]
    assert datetime.combine(edf.startdate, edf.starttime) == START
    texts = {(mark.text, mark.onset, mark.duration) for mark in edf.annotations}
    length = GAP_S[1] - GAP_S[0]
    assert texts == {(f"signal missing: {name}", GAP_S[0], length) for name in ("II", "V1")}
    missing = gappy.missing
    held = edf.signals[0].data
    np.testing.assert_allclose(held[~missing], gappy.leads["II"][~missing], atol=2e-4)
    assert np.unique(held[missing]).size == 1


def test_leads_of_several_rates_keep_them_or_are_refused(tmp_path: Path) -> None:
    import edfio

    ecg, breath = np.sin(np.arange(2500) / 9), np.cos(np.arange(250) / 7)
    edfio.Edf(
        [
            edfio.EdfSignal(ecg, 250, label="ECG", physical_dimension="mV"),
            edfio.EdfSignal(breath, 25, label="Resp", physical_dimension="L"),
        ]
    ).write(tmp_path / "in.edf")
    for target in ("x.edf", "x"):
        convert(tmp_path / "in.edf", tmp_path / target)
        found = read_recording(tmp_path / target)
        assert [(s.name, s.fs, s.unit) for s in found.signals] == [
            ("ECG", 250, "mV"),
            ("Resp", 25, "L"),
        ]
        np.testing.assert_allclose(found.signals[1].samples, breath, atol=1e-4)
    with pytest.raises(RecordError, match=r"leads of 25, 250 Hz, and CSV holds one rate"):
        writer_for(Path("x.csv")).write(tmp_path / "x.csv", read_recording(tmp_path / "in.edf"))
    convert(tmp_path / "in.edf", tmp_path / "x.csv", "--lead", "ecg")
    assert read(tmp_path / "x.csv").fs == 250


def test_target_is_replaced_only_if_told_and_never_the_source(
    tmp_path: Path, gappy: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    source = WRITERS["CSV"](tmp_path, gappy)
    before = source.read_bytes()
    (tmp_path / "x.dat").write_text("kept")
    assert main(["convert", str(source), str(tmp_path / "x")]) == 2
    assert "x.dat exists already; --overwrite replaces it" in capsys.readouterr().err
    convert(source, tmp_path / "x", "--overwrite")
    assert main(["convert", str(source), str(source), "--overwrite"]) == 2
    assert "is part of a recording and would be replaced" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert main(["convert", str(source), str(tmp_path), "--overwrite"]) == 2
    assert "is a folder; expected the name of a file" in capsys.readouterr().err


def test_failure_leaves_nothing_behind(
    tmp_path: Path, gappy: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    source = WRITERS["CSV"](tmp_path, gappy)
    for target, reason in (
        ("a b", "a WFDB record's name has letters, digits"),
        ("x.xyz", "its extension '.xyz' is of no format that is"),
    ):
        assert main(["convert", str(source), str(tmp_path / target)]) == 2
        assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rec.csv"]


def test_numbers_without_a_unit_are_not_written_as_mv_if_they_cannot_be(
    tmp_path: Path, signal: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", ecg=np.rint(1000 * signal), fs=250)
    assert main(["convert", str(tmp_path / "in.npz"), str(tmp_path / "x")]) == 2
    assert "has no unit, and its numbers cannot be mV (likely uV)" in capsys.readouterr().err
    convert(tmp_path / "in.npz", tmp_path / "x", "--units", "1000/mV")
    np.testing.assert_allclose(read(tmp_path / "x").signal, signal, atol=6e-4)


@pytest.mark.parametrize("fs", [360, 128, 250.5, 359.971, 1000 / 7])
def test_rate_of_an_edf_is_exact_or_refused(tmp_path: Path, fs: float) -> None:
    made = converted.Recording("x", (Signal("II", fs, "mV", np.sin(np.arange(2000) / 9)),))
    writer_for(Path("x.edf")).write(tmp_path / "x.edf", made)
    assert read(tmp_path / "x.edf").fs == pytest.approx(fs, rel=1e-7)
    odd = converted.Recording("x", (Signal("II", 0.0123456789, "mV", np.zeros(9)),))
    with pytest.raises(RecordError, match=r"EDF cannot state a rate of 0\.0123456789 Hz"):
        writer_for(Path("x.edf")).write(tmp_path / "y.edf", odd)


@hypothesis.given(
    gain=st.sampled_from([1, 200, 1000, 0.2, 2621.44, 204.8]),
    low=st.integers(-30_000, 29_000),
    size=st.integers(1, 2000),
    seed=st.integers(0, 99),
)
def test_grid_of_a_converter_is_found(gain: float, low: int, size: int, seed: int) -> None:
    counts = low + np.random.default_rng(seed).integers(0, size, 500)
    counts[:2] = low, low + 1
    samples = counts / gain
    found = find_counts(samples, 16)
    assert found.exact
    back = (found.of(samples, -(2**15)) - found.baseline) / found.gain
    np.testing.assert_allclose(back, samples, rtol=1e-6, atol=1e-9)


@hypothesis.given(middle=st.floats(-1e3, 1e3), half=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_other_signals_are_rounded_to_what_the_bits_can_hold(
    middle: float, half: float, seed: int
) -> None:
    samples = middle + half * np.random.default_rng(seed).uniform(-1, 1, 300)
    found = find_counts(samples, 16)
    counts = found.of(samples, -(2**15))
    assert np.abs(counts).max() <= 2**15 - 1 + abs(found.baseline)
    back = (counts - found.baseline) / found.gain
    assert np.abs(back - samples).max() <= 0.51 * max(2 * half / (2**16 - 6), 1 / found.gain)
