"""The folders beside the runtime: no circle of imports, nothing private used from outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("kernels", "training", "export", "scale", "bench")
LONGEST = 400  # lines; more is a sign of two jobs


def imported(path: Path) -> set[str]:
    """Modules of the same folder that a file imports anywhere, also for types alone."""
    folder, found = path.parent.name, set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = f"{folder}.{node.module}" if node.level else node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith(f"{folder}.")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_circle_of_imports(folder: str) -> None:
    needs = {path.stem: imported(path) for path in (ROOT / folder).glob("*.py")}
    needs = {
        name: {other for other in others if other in needs}
        for name, others in needs.items()
        if name != "__init__"
    }
    while free := {name for name, others in needs.items() if not others & needs.keys()}:
        needs = {name: others for name, others in needs.items() if name not in free}
    assert not needs, f"{sorted(needs)} import each other, or what does"


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_private_is_used_from_outside(folder: str) -> None:
    for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / "tests" / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                owner = ast.unparse(node.value)
                assert owner in ("self", "cls", "super()", "os"), (
                    f"{path.relative_to(ROOT)}:{node.lineno} uses {owner}.{node.attr}"
                )
            if isinstance(node, ast.ImportFrom):
                names = [name.name for name in node.names if is_private(name.name)]
                assert not names, f"{path.relative_to(ROOT)}:{node.lineno} imports {names}"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_too_long(folder: str) -> None:
    for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / "tests" / folder).rglob("*.py")]:
        name = path.relative_to(ROOT).as_posix()
        length = len(path.read_text().splitlines())
        assert length <= LONGEST, f"{name} has {length} lines"
