"""The notebooks run, and what is committed of them is what they gave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from notebook_running import rerun

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "training" / "notebooks").glob("*.ipynb"))
LARGEST = 1_000_000  # bytes, so that a clone stays small

pytestmark = [  # of jupyter_client and its event loop, about themselves
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def pictures(notebook: nbformat.NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def test_both_notebooks_exist() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_explore_data", "02_training"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_with_outputs_and_small(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert pictures(notebook) >= 2
    assert "/home/" not in path.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_on_a_few_records(path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_NOTEBOOK_RECORDS", "208 209 102 105 232")
    again = rerun(path, path.parent, dict(os.environ))
    assert pictures(again) == pictures(nbformat.read(path, 4))
    assert not [output for output in outputs(again) if output.get("name") == "stderr"]
