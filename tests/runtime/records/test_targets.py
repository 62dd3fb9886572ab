"""Checks before long work: what is read is kept, what will be written can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime import RecordError
from runtime.records import check_kept, check_writable, distinct_names, write_csv, writing


@pytest.mark.parametrize("target", ["rec.dat", "rec.hea"])
def test_files_of_a_record_are_not_overwritten(wfdb_record: Path, target: str) -> None:
    check_kept([wfdb_record], [wfdb_record.with_name("rec.ekg")])
    with pytest.raises(RecordError, match=f"{target} is part of a recording"):
        check_kept([wfdb_record], [wfdb_record.with_name(target)])


def test_missing_or_damaged_record_has_nothing_to_keep(tmp_path: Path) -> None:
    (tmp_path / "damaged.hea").write_text("garbage")
    check_kept([tmp_path / "missing", tmp_path / "damaged"], [tmp_path / "damaged.dat"])


@pytest.mark.parametrize(
    "annotator", ["e-1", "", "é", "dat", "hea", "atr", "csv", "txt", "edf", "html", "CSV"]
)
def test_annotator_that_would_break_a_record_is_refused(tmp_path: Path, annotator: str) -> None:
    with pytest.raises(RecordError, match="letters only, and none of hea, dat, atr"):
        check_writable(tmp_path, annotator)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: check_writable(folder),
        lambda folder: check_writable(folder / "deeper", "ekg"),
        lambda folder: write_csv(folder / "rec.csv", []),
    ],
)
def test_refusal_of_the_file_system_names_the_path(
    tmp_path: Path, write: Callable[[Path], Any]
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RecordError, match=r"taken.* cannot be written: (File exists|Not a dir)"):
        write(tmp_path / "taken")


def test_failure_while_writing_names_the_path(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordError, match=r"x\.html cannot be written: Is a directory"),
        writing(tmp_path / "x.html"),
    ):
        (tmp_path / "x.html").write_text("a page")


def test_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder", "ekg")
    assert not list((tmp_path / "new" / "folder").iterdir())


def test_records_of_one_name_are_refused() -> None:
    distinct_names(["100", "101.csv", Path("a/102.b")])
    with pytest.raises(RecordError, match=r"a/100 and 100\.CSV would be written to the same files"):
        distinct_names(["a/100", "101", "100.CSV"])
    with pytest.raises(RecordError, match="100 and 100 would"):
        distinct_names(["100", "100"])
