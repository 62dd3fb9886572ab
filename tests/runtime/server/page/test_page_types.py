"""The page's script, checked by TypeScript from its JSDoc types."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from page_tools import npm_package

HERE = Path(__file__).parent
STATIC = HERE.parents[3] / "runtime" / "server" / "static"
LONGEST = 400  # lines, as of the Python files


def test_the_script_has_no_fault_of_types() -> None:
    compiler = npm_package("typescript") / "bin" / "tsc"
    checked = subprocess.run(
        ["node", compiler, "--project", HERE / "tsconfig.json"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_a_fault_of_types_is_found(tmp_path: Path) -> None:
    compiler = npm_package("typescript") / "bin" / "tsc"
    (tmp_path / "wrong.js").write_text(
        "/** @param {number} x */\nexport const f = (x) => x.size;\n"
    )
    options = ["--checkJs", "--noEmit", "--strict", "--target", "ES2022"]
    checked = subprocess.run(
        ["node", compiler, *options, tmp_path / "wrong.js"], capture_output=True, text=True
    )
    assert checked.returncode != 0
    assert "'size' does not exist" in checked.stdout


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_no_script_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
