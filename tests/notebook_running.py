"""Runs a notebook again, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="no nbformat (pip install nbclient)")


def rerun(path: Path, folder: Path, environment: dict[str, str]) -> Any:
    """Return the notebook with the outputs that it gives now, run in a folder."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute(env=environment)
    return notebook
