"""Paths as people give them: with an extension, twice, or only the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime import RecordError
from runtime.records import check_kept, name_of, read


@pytest.mark.parametrize("ending", ["", ".hea", ".dat", ".atr", ".hea.hea", ".dat.hea"])
def test_record_may_be_named_by_its_files(wfdb_record: Path, ending: str) -> None:
    path = Path(f"{wfdb_record}{ending}")
    record = read(path)
    assert (record.name, record.lead) == ("rec", "MLII")
    assert name_of(path) == "rec"
    with pytest.raises(RecordError, match=r"rec\.dat is part of a recording"):
        check_kept([path], [wfdb_record.with_suffix(".dat")])


def test_folder_of_one_recording_is_that_recording(wfdb_record: Path) -> None:
    assert (read(wfdb_record.parent).name, name_of(wfdb_record.parent)) == ("rec", "rec")


def test_folder_of_several_or_none_is_refused(wfdb_record: Path, tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"x{i}.csv").touch()
    with pytest.raises(RecordError, match=r"folder of 7 recordings; .*rec, .* and 2 more"):
        read(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="empty is a folder without a recording"):
        read(tmp_path / "empty")


def test_missing_header_is_named_once(tmp_path: Path) -> None:
    pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    with pytest.raises(RecordError, match=r"nothing\.hea does not exist"):
        read(tmp_path / "nothing.hea")
    (tmp_path / "x.dat").write_bytes(b"\0\1" * 999)
    with pytest.raises(RecordError, match=r"x\.hea does not exist.*expected the header beside it"):
        read(tmp_path / "x.dat")


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("", "x.hea is not a WFDB header: it is empty"),
        ("x two 250 5\n", r"line 1 \('x two 250 5'\) gives 'two' for the number of signals"),
        ("x 1 fast 5\nx.dat 16\n", "gives 'fast' for the rate; expected a number"),
        ("x 1 250 long\nx.dat 16\n", "gives 'long' for the number of samples"),
        ("x 2 250 5\nx.dat 16\n", "promises 2 signals and lists 1"),
        ("x 1 250 5\nx.dat sixteen\n", "line 2 .* gives 'sixteen' for the format of the signal"),
        ("x 1 250 5\nx.dat 16 much/mV\n", "gives 'much/mV' for the gain"),
        ("x/2 1 250 9\na five\nb 4\n", "gives 'five' for the number of samples"),
    ],
)
def test_faulty_field_of_a_header_is_named(tmp_path: Path, header: str, sentence: str) -> None:
    pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    (tmp_path / "x.hea").write_text(header)
    with pytest.raises(RecordError, match=sentence):
        read(tmp_path / "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_refused_with_the_command_that_follows_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordError, match=r"no file but a pipe or a device; .*ekg stream"):
        read(tmp_path / "pipe")


def test_a_link_to_nothing_is_a_file_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "rec.csv").symlink_to(tmp_path / "nothing.csv")
    with pytest.raises(RecordError, match=r"rec\.csv does not exist"):
        read(tmp_path / "rec.csv")
