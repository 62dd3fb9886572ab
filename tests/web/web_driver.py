"""What the tests of the readers share."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def in_node(script: str, given: Any = None) -> Any:
    """What a module of JavaScript prints, which has `given` as ``given``; both JSON."""
    if shutil.which("node") is None:
        pytest.skip("no Node.js (apt-get install nodejs)")
    begin = "const given = JSON.parse(await new Response(process.stdin).text());\n"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", begin + script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def found(page: Any) -> list[tuple[int, str]]:
    """The beats that the page shows, as it saves them."""
    page.wait_for_selector("#save:not([hidden])")
    with page.expect_download() as download:
        page.click("#save")
    header, *rows = Path(download.value.path()).read_text().splitlines()
    assert header == "time (s),label,score,AF probability"
    cells = [row.split(",") for row in rows]
    assert all(0 <= float(af) <= 1 for *_, af in cells)
    return [(round(float(time) * 360), label) for time, label, *_ in cells]


def dropped(page: Any, *files: Path | dict[str, Any]) -> list[tuple[int, str]]:
    page.set_input_files("#files", [str(one) if isinstance(one, Path) else one for one in files])
    return found(page)
