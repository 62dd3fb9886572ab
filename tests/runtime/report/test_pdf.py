"""Printing: which browser is taken, what is said without one, and that it prints."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import RecordError
from runtime.cli.main import main
from runtime.errors import MissingPackageError
from runtime.report import Layout, Study, find_browser, write
from runtime.report.pdf import print_page

posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def stand_in(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_without_a_browser_it_is_said_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("runtime.report.pdf.PLACES", {})
    monkeypatch.delenv("EKG_BROWSER", raising=False)
    assert main(["report", "sample", "--pdf", "--out", str(tmp_path / "out")]) == 2
    assert "--pdf prints with a browser" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("EKG_BROWSER", "nowhere")
    with pytest.raises(MissingPackageError, match="EKG_BROWSER names 'nowhere', which is none"):
        find_browser()


@posix
def test_the_browser_that_is_named_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = (stand_in(tmp_path / name, "exit 0") for name in ("chromium", "mine"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("EKG_BROWSER", raising=False)
    assert find_browser() == str(first)
    monkeypatch.setenv("EKG_BROWSER", str(second))
    assert find_browser() == str(second)


@posix
def test_a_browser_that_prints_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EKG_BROWSER", str(stand_in(tmp_path / "mine", "echo no display >&2")))
    (tmp_path / "old.pdf").write_bytes(b"an earlier one")
    with pytest.raises(RecordError, match=r"did not print .*old\.pdf: no display"):
        print_page(tmp_path / "page.html", tmp_path / "old.pdf")
    assert not (tmp_path / "old.pdf").exists()


@pytest.mark.slow
@pytest.mark.needs("jinja2")
@pytest.mark.parametrize(
    ("paper", "size"), [("", (595, 842)), ("A4-landscape", (842, 595)), ("Letter", (612, 792))]
)
def test_a_report_is_printed_on_its_paper(
    make_study: Callable[..., Study], tmp_path: Path, paper: str, size: tuple[int, int]
) -> None:
    try:
        find_browser()
    except MissingPackageError as error:
        pytest.skip(str(error))
    write(tmp_path, make_study(30), Layout(paper=paper, pdf=True))
    pdf = (tmp_path / "made.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", pdf)
    assert boxes
    for width, height in boxes:
        assert (float(width), float(height)) == pytest.approx(size, abs=1.5)
    assert not list((tmp_path / "made-report").glob("*.html"))
