"""The project's imports as its source has them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Import:
    """One module that an import statement names.

    Attributes
    ----------
    file : that imports, relative to the project's root
    module : absolute dotted name; of ``from a import b`` it is a.b if that is a module, else a
    at_import : it runs when the file is imported, not in a function or for type checkers only
    """

    file: Path
    line: int
    module: str
    at_import: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def imports(folder: str) -> list[Import]:
    """Return the imports of all Python files in one of the project's folders."""
    return [
        found
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in _of_file(path.relative_to(ROOT))
    ]


def module_name(file: Path) -> str:
    """Return the dotted name that a file of the project is imported by."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circle(edges: list[Import]) -> list[str]:
    """Return the modules of one circle among what runs at import, [] if there is none."""
    graph: dict[str, set[str]] = {}
    for edge in edges:
        if edge.at_import and module_name(edge.file) != edge.module:
            graph.setdefault(module_name(edge.file), set()).add(edge.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _of_file(file: Path) -> Iterator[Import]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for node, at_import in _statements(tree.body, at_import=True):
        for module in _modules(node, file):
            yield Import(file, node.lineno, module, at_import)


def _statements(
    body: list[ast.stmt], *, at_import: bool
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, at_import
            continue
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(node, name, []), at_import=at_import and not later)
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body, at_import=at_import and not later)


def _modules(node: ast.Import | ast.ImportFrom, file: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    base = node.module or ""
    if node.level:
        package = file.parts[:-1]
        base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [base])))
    inside = [f"{base}.{name.name}" for name in node.names]
    return sorted({name if _is_module(name) else base for name in inside})


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
