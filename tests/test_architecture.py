"""Who may import whom, how long a file may be, and what a device needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_graph import ROOT, Import, circle, imports, module_name

# Folder -> the project's folders it may import.
ALLOWED = {
    "kernels": set(),
    "runtime": set(),  # it finds the kernels by name where a GPU is used: model/cuda.py
    "training": {"runtime"},
    "export": {"training", "runtime"},
    "bench": {"runtime", "kernels", "training", "export"},
}
# Rooms (files and wings directly in runtime/) from the ground up; each may import those below it,
# those of one layer not each other.
LAYERS = (
    {"errors", "findings", "deprecation"},
    {"packages"},
    {"preflight"},
    {"signal", "simulate"},
    {"model"},
    {"beats", "cuda"},
    {"rhythm"},
    {"engine"},
    {"token"},
    {"stream"},
    {"detector"},
    {"__init__"},
    {"records", "server"},
    {"report", "client"},
    {"cli"},
    {"__main__"},
)
MOST_ROOM_IMPORTS = 75  # pairs of rooms of which one imports the other
# What the package's base brings, and what only one wing may import at its top: the server's extra,
# and the progress bar.
BASE_PACKAGES = {"numpy", "onnxruntime"}
WING_PACKAGES = {
    "server": {
        *("flask", "werkzeug", "orjson"),
        *("uvicorn", "uvicorn_worker", "a2wsgi"),  # not on Windows, where waitress serves
        "waitress",
    },
    "cli": {"tqdm"},
}
# Imported inside a function only, with a sentence where it is missing.
OPTIONAL_PACKAGES = {
    "wfdb",
    "edfio",
    "matplotlib",
    "PIL",
    "cupy",
    "cupyx",
    "onnx",
    "pandas",
    "tqdm",
    "waitress",
}
HEAVY_PACKAGES = {
    "flask",
    "werkzeug",
    "gunicorn",
    "uvicorn",
    "a2wsgi",
    "tqdm",
    "matplotlib",
    "wfdb",
    "edfio",
    "pandas",
    "scipy",
    "torch",
}
MOST_LINES = 400
LONG_FILES: set[str] = set()  # for work that replaces or reworks them


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_go_one_way(folder: str) -> None:
    wrong = [
        found
        for found in imports(folder)
        if found.package in set(ALLOWED) - ALLOWED[folder] - {folder}
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circle([found for folder in ALLOWED for found in imports(folder)]) == []


def test_a_circle_is_found() -> None:
    a, b = Path("runtime/a.py"), Path("runtime/b/__init__.py")
    there, back = Import(a, 1, "runtime.b", True), Import(b, 1, "runtime.a", True)
    assert sorted(set(circle([there, back]))) == ["runtime.a", "runtime.b"]
    assert circle([there, Import(b, 1, "runtime.a", False)]) == []


def room(module: str) -> str:
    """The file or wing directly under runtime/ that a module is or lies in."""
    return [*module.split("."), "__init__"][1]


def between_rooms() -> Iterator[tuple[str, str, Import]]:
    """Of every import from one room in another: who, from whom, and where."""
    for found in imports("runtime"):
        ours, theirs = room(module_name(found.file)), room(found.module)
        if found.package == "runtime" and ours != theirs:
            yield ours, theirs, found


def test_every_room_has_its_layer() -> None:
    rooms = {room(module_name(path.relative_to(ROOT))) for path in (ROOT / "runtime").rglob("*.py")}
    assert not rooms - set().union(*LAYERS)


def test_rooms_import_those_below_them() -> None:
    height = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    # From the package itself comes its version.
    wrong = [
        f"{found.file}:{found.line} imports {theirs}"
        for ours, theirs, found in between_rooms()
        if theirs != "__init__" and height[ours] <= height[theirs]
    ]
    assert not wrong


def test_few_rooms_import_each_other() -> None:
    pairs = {(ours, theirs) for ours, theirs, _ in between_rooms()}
    assert len(pairs) <= MOST_ROOM_IMPORTS


def test_no_file_is_long() -> None:
    folders = (*ALLOWED, "tests", "examples")
    long = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }
    assert long - LONG_FILES == set()
    assert LONG_FILES - long == set(), "no longer long; take it off the list"


def test_the_runtime_imports_only_what_it_requires() -> None:
    always = set(sys.stdlib_module_names) | BASE_PACKAGES | {"runtime"}
    for found in imports("runtime"):
        known = always | WING_PACKAGES.get(room(module_name(found.file)), set())
        assert found.package in known or (
            found.package in OPTIONAL_PACKAGES and not found.at_import
        ), f"{found.file}:{found.line} imports {found.package}"


def test_cuda_waits_until_it_is_used() -> None:
    """A device without a GPU may leave the kernels out."""
    early = [
        found
        for found in imports("runtime")
        if found.at_import and found.module == "runtime.model.cuda"
    ]
    assert not early


def test_importing_the_runtime_loads_nothing_heavy() -> None:
    program = f"import sys, runtime; print(*{HEAVY_PACKAGES!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.fixture(scope="module")
def runtime_python() -> str:
    """Python of an environment with the runtime's requirements alone (`make test` names it)."""
    python = os.environ.get("EKG_RUNTIME_PYTHON")
    if not python:
        pytest.skip("EKG_RUNTIME_PYTHON names no runtime environment; `make test` makes one")
    return python


def run(python: str, *arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        [python, *arguments], capture_output=True, text=True, cwd=folder, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_runtime_environment_holds_nothing_of_training(runtime_python: str) -> None:
    listed = {
        line.split("==")[0].lower()
        for line in run(runtime_python, "-m", "pip", "freeze").splitlines()
    }
    assert not listed & {"torch", "scipy", "wfdb", "onnx", "pandas", "matplotlib"}


def test_the_runtime_works_with_its_own_requirements(runtime_python: str) -> None:
    out = run(
        runtime_python, "-W", "error", "-m", "runtime", "demo", "--pace", "fast", "--seconds", "20"
    )
    assert "found " in out
    assert "golden answer" in run(runtime_python, "-m", "runtime", "doctor")
    found = run(
        runtime_python,
        "-c",
        (
            "from runtime import predict; from runtime.simulate import simulate;"
            "print(len(predict(simulate(10).signal, backend='cpu').beats))"
        ),
    )
    assert int(found) >= 8


def test_runtime_and_artifacts_are_all_that_a_device_needs(
    runtime_python: str, tmp_path: Path
) -> None:
    for folder in ("runtime", "artifacts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    assert "golden answer" in run(runtime_python, "-m", "runtime", "doctor", folder=tmp_path)


def test_a_recording_without_wfdb_says_what_to_install(runtime_python: str) -> None:
    done = subprocess.run(
        [runtime_python, "-m", "runtime", "annotate", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "`pip install wfdb`" in done.stderr
    assert "Traceback" not in done.stderr


def test_committed_figures_are_json_that_anyone_reads() -> None:
    files = [*(ROOT / "artifacts").glob("*.json"), *(ROOT / "bench/results").rglob("*.json")]
    assert files
    for file in files:
        json.loads(
            file.read_text(),
            parse_constant=lambda name, file=file: pytest.fail(f"{file} holds {name}"),
        )
