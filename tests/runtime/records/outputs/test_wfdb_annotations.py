"""WFDB annotations, as its own tools read them back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from outputs_made import BEATS, annotation_of

from runtime import RecordError
from runtime.findings import Event
from runtime.records.outputs.wfdb_annotations import RHYTHM_CODES
from runtime.rhythm import kinds

wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")


def marks(path: Path) -> list[tuple[int, str, str]]:
    """Sample, symbol and aux field of each annotation, as WFDB's Python package reads them."""
    found = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
    return list(
        zip(
            found.sample.tolist(),
            found.symbol,
            [note.rstrip("\0") for note in found.aux_note],
            strict=True,
        )
    )


@pytest.mark.parametrize("scores", [False, True])
def test_beats_are_read_back_by_wfdb(tmp_path: Path, scores: bool) -> None:
    path = annotation_of(BEATS).to_wfdb(tmp_path / "new", scores=scores)
    assert path == tmp_path / "new" / "rec.ekg"
    assert marks(path) == [
        (125, "N", "0.900" if scores else ""),
        (312, "V", "0.800" if scores else ""),
    ]
    assert wfdb.rdann(str(tmp_path / "new" / "rec"), "ekg").fs == 250


def test_rhythms_are_coded_and_the_gravest_of_several_is_written(tmp_path: Path) -> None:
    events = [
        Event("atrial_fibrillation", 1.0, 20.0, 0.9, ""),
        Event("ventricular_run", 4.0, 8.0, 0.9, ""),
        Event("ventricular_fibrillation", 6.0, 9.0, 0.9, ""),
        Event("pause", 12.0, 14.5, 0.9, ""),
        Event("bigeminy", 30.0, None, 0.9, ""),
    ]
    path = annotation_of([], events, fs=100).to_wfdb(tmp_path)
    assert marks(path) == [
        (99, "+", "(AFIB"),
        (399, "+", "(IVR"),
        (599, "+", "(VF"),
        (899, "+", "(AFIB"),
        (1199, '"', "pause"),
        (1999, "+", "(N"),
    ]


def test_codes_are_of_known_kinds_from_the_gravest_on() -> None:
    names = [kind.name for kind in kinds()]
    assert list(RHYTHM_CODES) == [name for name in names if name in RHYTHM_CODES]


def test_marks_never_share_a_sample(tmp_path: Path) -> None:
    """WFDB's sortann keeps the last of several at one place."""
    events = [
        Event(kind, start, start + 5.0, 0.9, "")
        for kind, start in (
            ("pause", 1.25),
            ("bradycardia", 1.25),
            ("asystole", 1.25),
            ("atrial_fibrillation", 0.0),
            ("couplet", 0.0),
        )
    ]
    beats = [replace(BEATS[0], time=0.0), *BEATS]
    found = marks(annotation_of(beats, events).to_wfdb(tmp_path))
    assert len({sample for sample, _, _ in found}) == len(found) == 9
    assert [sample for sample, symbol, _ in found if symbol in "NV"] == [0, 125, 312]
    assert min(sample for sample, symbol, _ in found if symbol not in "NV") == 1


def test_no_beats_make_an_empty_file(tmp_path: Path) -> None:
    assert annotation_of([]).to_wfdb(tmp_path).read_bytes() == b"\0\0"


@pytest.mark.parametrize("name", ["my ecg", "2024-01-02T10.30", "Müller", "a$b$c_{"])
def test_any_name_is_read_back_by_wfdb(tmp_path: Path, name: str) -> None:
    path = annotation_of(BEATS, name=name).to_wfdb(tmp_path)
    assert path == tmp_path / f"{name}.ekg"
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.ekg"]
    assert [symbol for _, symbol, _ in marks(path)] == ["N", "V"]


def test_bad_annotator_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="letters only, and none of hea, dat, atr"):
        annotation_of(BEATS).to_wfdb(tmp_path, annotator="hea")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RecordError, match=r"taken.* cannot be written: File exists"):
        annotation_of(BEATS).to_wfdb(tmp_path / "taken")
