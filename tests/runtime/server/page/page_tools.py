"""The packages of npm that check the page; `npm ci` in this folder brings them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def npm_package(name: str) -> Path:
    """The folder of a package; the test skips if it or node is missing."""
    if shutil.which("node") is None:
        pytest.skip("no node (apt-get install nodejs npm)")
    folder = HERE / "node_modules" / name
    if not folder.is_dir():
        pytest.skip(f"no {name} (npm ci --prefix {HERE.relative_to(HERE.parents[3]).as_posix()})")
    return folder
