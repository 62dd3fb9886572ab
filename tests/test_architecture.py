"""Who may import whom, and what a device needs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Folder -> the project's folders it may import.
ALLOWED = {
    "kernels": set(),
    "runtime": {"kernels"},
    "training": {"runtime"},
    "export": {"training", "runtime"},
    "bench": {"runtime", "kernels", "training", "export"},
}
# What the minimal runtime may import without asking (each is in requirements-runtime.txt).
RUNTIME_PACKAGES = {"numpy", "onnxruntime", "flask", "werkzeug", "gunicorn", "tqdm", "orjson"}
# Imported inside a function only, with a sentence where it is missing.
OPTIONAL_PACKAGES = {"wfdb", "edfio", "matplotlib", "PIL", "cupy", "cupyx", "onnx", "waitress"}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(top-level package, whether at module level) of every import in a file."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(name.name.split(".")[0], id(node) in top) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.append((node.module.split(".")[0], id(node) in top))
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_go_one_way(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        strangers = {name for name, _ in imports(path)} & set(ALLOWED) - ALLOWED[folder] - {folder}
        assert not strangers, f"{path} imports {strangers}"


def test_the_runtime_imports_only_what_it_requires() -> None:
    import sys

    known = set(sys.stdlib_module_names) | RUNTIME_PACKAGES | {"runtime", "kernels", "__future__"}
    for path in (ROOT / "runtime").rglob("*.py"):
        for name, at_top in imports(path):
            assert name in known or (name in OPTIONAL_PACKAGES and not at_top), (
                f"{path} imports {name}")


def test_kernels_wait_until_cupy_is_used() -> None:
    """A device without a GPU may leave them out."""
    for path in (ROOT / "runtime").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            early = [name for name in names if re.match(r"kernels\b|runtime\.cuda\b", name)]
            assert not early, f"{path} imports {early} at its top"


@pytest.fixture(scope="module")
def runtime_python() -> str:
    """Python of an environment with the runtime's requirements alone (`make test` names it)."""
    python = os.environ.get("EKG_RUNTIME_PYTHON")
    if not python:
        pytest.skip("EKG_RUNTIME_PYTHON names no runtime environment; `make test` makes one")
    return python


def run(python: str, *arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run([python, *arguments], capture_output=True, text=True, cwd=folder,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_runtime_environment_holds_nothing_of_training(runtime_python: str) -> None:
    listed = {line.split("==")[0].lower() for line in
              run(runtime_python, "-m", "pip", "freeze").splitlines()}
    assert not listed & {"torch", "scipy", "wfdb", "onnx", "pandas", "matplotlib"}


def test_the_runtime_works_with_its_own_requirements(runtime_python: str) -> None:
    out = run(runtime_python, "-W", "error", "-m", "runtime", "demo", "--pace", "fast",
              "--seconds", "20")
    assert "found " in out
    assert "golden answer" in run(runtime_python, "-m", "runtime", "doctor")
    found = run(runtime_python, "-c", (
        "from runtime import predict; from runtime.simulate import simulate;"
        "print(len(predict(simulate(10).signal, backend='cpu').beats))"))
    assert int(found) >= 8


def test_runtime_and_artifacts_are_all_that_a_device_needs(
        runtime_python: str, tmp_path: Path) -> None:
    for folder in ("runtime", "artifacts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    assert "golden answer" in run(runtime_python, "-m", "runtime", "doctor", folder=tmp_path)


def test_a_recording_without_wfdb_says_what_to_install(runtime_python: str) -> None:
    done = subprocess.run([runtime_python, "-m", "runtime", "annotate", "100"], cwd=ROOT,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "`pip install wfdb`" in done.stderr
    assert "Traceback" not in done.stderr


def test_committed_figures_are_json_that_anyone_reads() -> None:
    files = [*(ROOT / "artifacts").glob("*.json"), *(ROOT / "bench/results").rglob("*.json")]
    assert files
    for file in files:
        json.loads(file.read_text(), parse_constant=lambda name, file=file: pytest.fail(
            f"{file} holds {name}"))
