"""Run the notebooks beside this file and in examples/ again, outputs included: ``make notebooks``.

(``jupyter execute`` writes when each cell ran, which would be all that changes.)
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        # In a checkout the package has its folder's name; examples/ are for those who installed it.
        (Path(scratch) / "ekg").symlink_to(ROOT / "runtime", target_is_directory=True)
        installed = os.environ | {"PYTHONPATH": scratch}
        own = sorted(Path(__file__).parent.glob("*.ipynb"))
        examples = sorted((ROOT / "examples").glob("*.ipynb"))
        for path in tqdm([*own, *examples], unit="notebook"):
            run(path, dict(installed) if path in examples else dict(os.environ))


def run(path: Path, environment: dict[str, str]) -> None:
    """Run one notebook in its folder and write it with what it gave."""
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute(env=environment)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
