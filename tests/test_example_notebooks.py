"""The notebooks in examples/ run, and what is committed of them is what they gave."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from notebook_running import nbformat, rerun

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST = 500_000  # bytes, so that a clone stays small
NEEDED = ("matplotlib", "neurokit2", "pandas", "pyarrow", "pydicom", "wfdb", "edfio")

pytestmark = [  # of jupyter_client and its event loop, about themselves
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """The kinds of what each cell of code gave: text, a picture, a page, printed lines."""
    return [
        f"{i}: {sorted(output.get('data', {output.output_type: ''}))}"
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type != "stream" or output.name == "stderr"
    ]


def test_all_are_listed() -> None:
    listed = re.findall(r"\[(\w+\.ipynb)\]\(\1\)", (ROOT / "examples/README.md").read_text())
    assert sorted(listed) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_with_outputs_and_small(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert any("image/png" in kinds for kinds in shown(notebook))
    assert not [kinds for kinds in shown(notebook) if "error" in kinds or "stream" in kinds]
    assert "/home/" not in path.read_text()
    assert "/tmp/" not in path.read_text()


@pytest.mark.slow
@pytest.mark.needs("nbclient", "ipykernel", *NEEDED)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_as_it_is_committed(path: Path, tmp_path: Path) -> None:
    """Where the package is installed; the day is six minutes here."""
    (tmp_path / "ekg").symlink_to(ROOT / "runtime", target_is_directory=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "EKG_NOTEBOOK_HOURS": "0.1"}
    again = rerun(path, tmp_path, environment)
    assert shown(again) == shown(nbformat.read(path, 4))
