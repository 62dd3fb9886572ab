"""Every example runs as a user of the installed package would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.records import read

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# File -> arguments, and patterns that its output must have.
EXPECTED = {
    "first_ecg.py": (
        [],
        [
            r"^sample, lead MLII: 30 s$",
            r"^beats: \{'N': 39, 'V': 11, 'S': 2\}$",
            r"12\.32 s  couplet: two V beats in a row",
            r"^signal: good$",
        ],
    ),
    "live_stdin.py": (
        ["360"],
        [r"^ +0\.26 s  N  0\.\d\d$", r"^ +couplet  from 12\.32 to 12\.69 s$", r"^ +29\.85 s  N  "],
    ),
    "many_patients.py": (
        ["3"],
        [
            r"^patient 2: \d\d beats, \d+ not normal, now at \d\d/min, \w+$",
            r"^3 patients, 20 s each, in \d+\.\d\d s$",
        ],
    ),
    "plain_onnxruntime.py": (
        [str(ROOT / "artifacts" / "ekg.onnx")],
        [r"^95 N 0\.9\d+ 0\.\d+$", r"^879 V 0\.9\d+ 0\.\d+$"],
    ),
    "to_pandas.py": ([], [r"^N +39 +0\.9[89]", r"^couplet +12\.32 +12\.69 +\d\.\d+$"]),
}


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package lies under the name it installs by."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "ekg").symlink_to(ROOT / "runtime", target_is_directory=True)
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(example: Path, installed: Path, tmp_path: Path) -> None:
    source = example.read_text()
    assert "runtime" not in source.replace("onnxruntime", "")
    if "to_dataframe" in source:
        pytest.importorskip("pandas", reason="no pandas (pip install pandas)")
    arguments, patterns = EXPECTED[example.name]
    signal = "\n".join(map(str, read("sample").signal)) if "sys.stdin" in source else None
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), *arguments],
        cwd=tmp_path,
        input=signal,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )
    assert done.returncode == 0, done.stderr
    for pattern in patterns:
        assert re.search(pattern, done.stdout, re.MULTILINE), done.stdout


def test_every_example_is_expected_and_listed() -> None:
    names = {path.name for path in EXAMPLES}
    listed = set(
        re.findall(r"^\| \[(\w+\.py)\]", (ROOT / "examples/README.md").read_text(), re.MULTILINE)
    )
    assert names == set(EXPECTED) == listed
