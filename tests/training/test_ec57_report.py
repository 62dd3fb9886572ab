"""The command that compares annotation files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.ec57_report import main

# wfdb, when imported, uses pandas in a way that pandas will give up.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


def run(folders: tuple[Path, Path], *options: str) -> int:
    return main(["--reference", str(folders[0]), "--test", str(folders[1]), *options])


def test_command_line_writes_both_reports(folders: tuple[Path, Path], tmp_path: Path) -> None:
    files = tmp_path / "beats", tmp_path / "shutdown"
    out = ["--out", str(files[0]), "--shutdown-out", str(files[1])]
    assert run(folders, "--records", "100", "101", "--format", "L", "--from", "5:00", *out) == 0
    for file, name, lines in zip(files, ("L_5min.txt", "Ls_5min.txt"), (3, 4), strict=True):
        expected = (folders[1].parent / name).read_text().splitlines()[:lines]
        assert file.read_text().splitlines() == expected


def test_command_line_knows_the_papers_convention(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folders, "--records", "103", "--format", "papers") == 0
    heading, _, line, total = capsys.readouterr().out.splitlines()
    assert heading.startswith("| | QRS Se/+P |")
    assert line.startswith("| 103 | 99.")
    assert line.replace("103", "sum", 1) == total


@pytest.mark.parametrize(
    "options",
    [
        ("--from", "5:00", "--to", "4:00"),
        ("--to", "0"),
        ("--from", "31:00"),
        ("--shutdown-out", "x"),
    ],
)
def test_papers_format_refuses_impossible_options(
    folders: Any, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folders, "--records", "103", "--format", "papers", *options) == 2
    assert capsys.readouterr().err.startswith("ec57_report: ")


def test_missing_and_damaged_files_are_named_in_one_sentence(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folders, "--records", "999") == 2
    assert "999.hea is missing." in capsys.readouterr().err

    mine = folders[0], tmp_path
    assert run(mine) == 2
    assert "holds no annotation files *.prt" in capsys.readouterr().err

    whole = (folders[1] / "100.prt").read_bytes()
    (tmp_path / "100.prt").write_bytes(whole[:1001])
    assert run(mine) == 2
    message = capsys.readouterr().err
    assert "100.prt" in message
    assert "cut off" in message
    assert message.count("\n") == 1

    (tmp_path / "100.prt").write_bytes(b"\0\0")
    assert run(mine, "--format", "L") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[20:22] == ["0.00", "-"]
    assert run(mine, "--format", "papers") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("| sum | 0.00/- |")
