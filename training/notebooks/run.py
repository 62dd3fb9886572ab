"""Run the notebooks beside this file again, outputs included: ``make notebooks``.

(``jupyter execute`` writes when each cell ran, which would be all that changes.)
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm


def main() -> None:
    for path in tqdm(sorted(Path(__file__).parent.glob("*.ipynb")), unit="notebook"):
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        ).execute()
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
