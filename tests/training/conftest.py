"""bxb's files, and the recordings that they are of."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folders(data: Path) -> tuple[Path, Path]:
    """Recordings with their reference, and disturbed annotations."""
    if not (data / "bxb").is_dir():
        pytest.skip("bxb's files are not at hand")
    return data / "mitdb", data / "bxb" / "annotations"
