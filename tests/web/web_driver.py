"""What the tests of the readers share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ("100", "106", "119", "200", "203", "208", "213", "223", "231", "233")  # of mitdb
PIECE_S = 120.0  # of each; `make trials` reads them whole
# Signal of a record, and R peaks (sample at 360 Hz) and labels of its beats.
Known = Callable[[str], tuple[np.ndarray, list[tuple[int, str]]]]


def require_node_package(package: str, folder: str) -> None:
    """Skip where Node.js or a package is missing; NODE_PATH may name where packages are."""
    if shutil.which("node") is None:
        pytest.skip("no Node.js (apt-get install nodejs)")
    done = subprocess.run(
        ["node", "-e", f"require.resolve('{package}')"],
        cwd=ROOT / folder,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no {package} (npm install, in {folder})")
