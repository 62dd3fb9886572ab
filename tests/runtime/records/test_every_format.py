"""One recording in every format, most of them written by other programs, is read as the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.sample_files import GAP_S, START, WITHOUT_GAPS, WRITERS, Recording, recording
from runtime import Detector, MissingPackageError, RecordError
from runtime.records import packages, read
from runtime.records.reader import Options
from runtime.records.registry import find, locate

NEEDS = {
    "Parquet": "pyarrow",
    "MATLAB": "scipy",
    "PhysioNet challenge, .mat": "wfdb",
    "WFDB": "wfdb",
    "EDF": "edfio",
    "BDF": "edfio",
    "DICOM": "pydicom",
    "SCP-ECG": "ecgdatakit",
    "Kardia JSON": "ecgdatakit",
}
WITHOUT_START = ("CSV", "NumPy, .npy", "MATLAB")
ROUNDING_MV = {
    "Movesense": 2e-4,
    "Contec": 2.5e-3,
    "ISHNE": 1.3e-3,
    "SCP-ECG": 1.3e-3,
}  # half a count
PLAIN = [name for name in WRITERS if name not in ("WFDB", "PhysioNet challenge, .mat")]


@pytest.fixture(scope="module")
def whole() -> Recording:
    return recording()


@pytest.fixture(scope="module")
def gappy() -> Recording:
    return recording(gap=True)


def written(folder: Path, name: str, made: Recording) -> Path:
    """Write a file of this format, or skip if its package is missing."""
    for package in {NEEDS.get(name, "numpy"), "scipy" if "challenge" in name else "numpy"}:
        pytest.importorskip(package, reason=f"no {package} (pip install {package})")
    if name == "Contec":  # whose rate is always that
        made = recording(fs=800, gap=bool(made.missing.any()))
    return WRITERS[name](folder, made)


@pytest.mark.parametrize("name", WRITERS)
def test_signal_rate_lead_and_start_are_read(tmp_path: Path, name: str, whole: Recording) -> None:
    path = written(tmp_path, name, whole)
    record = read(path)
    fs = 800 if name == "Contec" else 360
    assert (record.fs, record.gaps) == (fs, 0)
    assert record.lead == ("ECG" if name == "Movesense" else "II")
    expected = whole if fs == 360 else recording(fs=fs)
    atol = ROUNDING_MV.get(name, 6e-4)
    np.testing.assert_allclose(record.signal, expected.leads["II"], atol=atol)
    options = Options()
    find(locate(path)).leads(locate(path), options)
    assert options.start == (None if name in WITHOUT_START else START)


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in WITHOUT_GAPS])
def test_gap_is_missing_and_nothing_moves(tmp_path: Path, name: str, gappy: Recording) -> None:
    record = read(written(tmp_path, name, gappy))
    packet_s = 2 * 16 / 360 if name == "Movesense" else 0.0
    gap_s = record.gaps * len(record.signal) / record.fs
    assert GAP_S[1] - GAP_S[0] == pytest.approx(gap_s, abs=packet_s + 1e-6)
    after = slice(round((GAP_S[1] + packet_s) * record.fs), None)
    expected = recording(fs=round(record.fs), gap=True).leads["II"][after]
    np.testing.assert_allclose(record.signal[after], expected, atol=ROUNDING_MV.get(name, 6e-4))


@pytest.mark.parametrize("name", PLAIN)
def test_content_decides_before_the_name(tmp_path: Path, name: str, whole: Recording) -> None:
    path = written(tmp_path, name, whole)
    renamed = tmp_path / "misnamed.txt"
    shutil.copy(path, renamed)
    np.testing.assert_array_equal(read(renamed).signal, read(path).signal)


@pytest.mark.parametrize("name", PLAIN)
def test_other_lead_is_read_by_its_name(tmp_path: Path, name: str, whole: Recording) -> None:
    if name == "Movesense":
        pytest.skip("a sensor of one lead")
    path = written(tmp_path, name, whole)
    other = "I" if name == "Kardia JSON" else "V1"
    both = read(path).signal, read(path, lead=other).signal
    np.testing.assert_allclose(both[1], -0.4 * both[0], atol=4e-3)


@pytest.mark.parametrize(("name", "package"), NEEDS.items())
def test_missing_package_is_named(
    tmp_path: Path, name: str, package: str, whole: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, name, whole)

    def absent(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr(packages.importlib, "import_module", absent)
    with pytest.raises(MissingPackageError, match=rf"needed to read .* `pip install {package}`"):
        read(path)


@pytest.mark.parametrize("name", PLAIN)
def test_half_a_file_is_refused_or_cut_there(tmp_path: Path, name: str, whole: Recording) -> None:
    path = written(tmp_path, name, whole)
    signal = read(path).signal
    content = path.read_bytes()
    half = tmp_path / f"half{path.suffix}"
    half.write_bytes(content[: len(content) // 2])
    if name == "CSV":  # which does not say how long it is
        found = read(half).signal
        np.testing.assert_array_equal(found, signal[: len(found)])
    else:
        with pytest.raises(RecordError, match=half.name):
            read(half)


def test_beats_are_those_of_the_table(tmp_path: Path, whole: Recording, detector: Detector) -> None:
    """Formats of the same rate and a resolution of 2.5 uV give the same beats."""
    expected = None
    for name in ("CSV", "NumPy, .npz", "Parquet", "MATLAB", "DICOM", "ISHNE", "aECG", "Kardia"):
        beats = detector.annotate(read(written(tmp_path, name, whole))).beats
        found = [(round(beat.time, 2), beat.label) for beat in beats]
        expected = expected or found
        assert found == expected, name
    assert len(expected or []) > 30
