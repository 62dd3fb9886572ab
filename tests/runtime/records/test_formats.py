"""The registry: which reader a file gets, and a new format that comes from one new file."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.cli.main import main
from runtime.records import check_kept, check_writable, name_of, read, registry
from runtime.simulate import simulate

NEW_FORMAT = '''
from functools import partial

import numpy as np

from runtime.records.leads import Lead
from runtime.records.reader import Reader


class ShortReader(Reader):
    """A text line of rate and unit, then 16-bit samples."""

    name = "Short"
    extensions = (".short",)

    def leads(self, path, options):
        head, _, body = path.read_bytes().partition(b"\\n")
        rate, unit = head.decode().split()
        return [Lead("II", float(rate), unit, partial(self.load, body))]

    def load(self, body):
        return np.frombuffer(body, "<i2")


class BareShortReader(ShortReader):
    """The same, recognised by its first bytes, whatever the file is called."""

    extensions = ()

    def recognises(self, path):
        return path.read_bytes()[:4] == b"360 "
'''


@pytest.fixture
def short_file(tmp_path: Path) -> Path:
    """20 s of a simulated patient in the new format."""
    path = tmp_path / "patient.short"
    microvolts = np.round(simulate(20, seed=1).signal * 1000).astype("<i2")
    path.write_bytes(b"360 uV\n" + microvolts.tobytes())
    return path


def add(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the module of the new format and put its reader into the registry."""
    (tmp_path / "short_format.py").write_text(NEW_FORMAT)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "short_format", raising=False)
    made = getattr(importlib.import_module("short_format"), reader)()
    monkeypatch.setattr(registry, "READERS", (made, *registry.READERS))


def test_new_format_is_read_named_and_annotated(
    tmp_path: Path, short_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    with pytest.raises(
        RecordError, match=r"is of no format .* EDF \(\.edf, \.bdf, \.rec\), .* or CSV"
    ):
        read(short_file)
    add("ShortReader", tmp_path, monkeypatch)
    record = read(short_file)
    assert (record.name, record.lead, record.fs, record.gaps) == ("patient", "II", 360, 0)
    np.testing.assert_allclose(record.signal, simulate(20, seed=1).signal, atol=1e-3)
    assert main(["--provider", "cpu", "annotate", str(short_file), "--out", str(tmp_path)]) == 0
    marks = wfdb.rdann(str(tmp_path / "patient"), "ekg")
    assert marks.fs == 360
    assert sum(symbol in "NSVFQ" for symbol in marks.symbol) > 15


def test_new_format_is_protected_and_listed(
    tmp_path: Path, short_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("ShortReader", tmp_path, monkeypatch)
    with pytest.raises(RecordError, match=r"patient\.short is part of a recording"):
        check_kept([short_file], [short_file])
    with pytest.raises(RecordError, match="annotator 'short': expected letters only"):
        check_writable(tmp_path, "short")
    with pytest.raises(RecordError, match=r"Short \(\.short\)"):
        read(tmp_path / "nothing")


def test_format_can_be_recognised_by_content(
    tmp_path: Path, short_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("BareShortReader", tmp_path, monkeypatch)
    renamed = short_file.rename(tmp_path / "patient.csv")
    assert read(renamed).fs == 360


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.csv", "CSV"),
        ("a.TXT", "CSV"),
        ("a.edf", "EDF"),
        ("a.Edf", "EDF"),
        ("a", "WFDB"),
        ("a.b", "WFDB"),
    ],
)
def test_reader_is_found_by_extension_or_header(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / f"{file}.hea").touch()
    assert registry.find(tmp_path / file).name == name


@pytest.mark.parametrize("file", ["nothing", "nothing.csv", "nothing.edf"])
def test_missing_file_is_named(tmp_path: Path, file: str) -> None:
    if file.endswith("edf"):
        pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
    with pytest.raises(RecordError, match=rf"{file}(\.hea)? does not exist"):
        read(tmp_path / file)


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/100", "100"), ("a/100.CSV", "100"), ("b.edf", "b"), ("c.1.txt", "c.1"), ("d.12", "d.12")],
)
def test_results_are_named_without_a_known_extension(path: str, name: str) -> None:
    assert name_of(path) == name_of(Path(path)) == name
