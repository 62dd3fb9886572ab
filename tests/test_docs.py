"""The documentation: links, files, modules, programs and tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from docs import tables
from runtime import Detector

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "bench/*.md",
        "examples/*.md",
        "runtime/sample/*.md",
        "training/*.md",
        "kernels/*.md",
    )
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} does not exist"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:runtime|tests|training|export|bench|kernels|scale)/[\w./]+)`",
        page.read_text(encoding="utf-8"),
    )
    missing = {name for name in named if not (ROOT / name).exists()}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_that_are_run_exist(page: Path) -> None:
    for module in re.findall(
        r"python -m ((?:runtime|training|export|bench|docs|scale)[\w.]*)",
        page.read_text(encoding="utf-8"),
    ):
        path = ROOT / module.rstrip(".").replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


@pytest.mark.parametrize("name", tables.PAGES)
def test_the_tables_of_a_page_are_the_registry_s(name: str) -> None:
    page = (tables.FOLDER / name).read_text(encoding="utf-8")
    assert tables.written(page, tables.PAGES[name]) == page, "run `python -m docs.tables`"


def test_a_page_without_its_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers of the table 'events'"):
        tables.written("# A page\n", ["events"])


@pytest.mark.parametrize("page", ["contracts", "python", "rhythm"])
def test_programs_in_the_documentation_run(
    page: str, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a signal for what a reader would put in."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert programs
    signal = np.zeros(3600)
    names = {
        "signal": signal,
        "window": signal,
        "samples": signal[:100],
        "streams": [detector.stream()],
        "chunks": [signal],
    }
    for program in programs:
        ours = program.replace("from ekg", "from runtime").replace(
            "import ekg", "import runtime as ekg"
        )
        exec(compile(ours, page, "exec"), names)
