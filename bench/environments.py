"""The Python environments that are compared: their places, their installation, their size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALTERNATIVES = ROOT / ".venv-bench"
REQUIREMENTS = ROOT / "bench" / "requirements.txt"

# Runs in the environment that is measured, so it may use the standard library only.
_SIZES = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
wanted, seen, size = sys.argv[1:], set(), 0
while wanted:
    name = re.sub(r'[-_.]+', '-', wanted.pop()).lower()
    if name in seen:
        continue
    try:
        found = distribution(name)
    except PackageNotFoundError:
        continue
    seen.add(name)
    for file in found.files or ():
        path = found.locate_file(file)
        size += path.stat().st_size if path.is_file() else 0
    for needed in found.requires or ():
        if 'extra ==' not in needed:
            wanted.append(re.match(r'[A-Za-z0-9._-]+', needed)[0])
print(json.dumps({'mb': size / 1e6, 'packages': len(seen)}))
"""


def runtime_python() -> str:
    """The Python that has nothing but the runtime's requirements, else this one."""
    path = ROOT / ".venv-runtime" / "bin" / "python"
    return str(path) if path.is_file() else sys.executable


def keep_bytecode() -> None:
    """Let the processes that are started keep bytecode, as an installed package does.

    Where the environment forbids it each start would compile the source again.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def alternatives_python() -> Path:
    """The Python of the alternative servers, installed on first use.

    Raises
    ------
    OSError
        Says why they cannot be installed.
    """
    python, ready = ALTERNATIVES / "bin" / "python", ALTERNATIVES / ".ready"
    if ready.is_file() and ready.stat().st_mtime >= REQUIREMENTS.stat().st_mtime:
        return python
    print(f"setting up {ALTERNATIVES.name} (FastAPI, LitServe, BentoML) ...", flush=True)
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", str(ALTERNATIVES)],
            check=True,
            capture_output=True,
            text=True,
        )
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)],
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise OSError(f"cannot be installed into {ALTERNATIVES.name}: {last}") from error
    ready.touch()
    return python


def size_mb(python: str, *packages: str) -> float:
    """Disk that packages and all they require take, MB (10^6 bytes)."""
    done = subprocess.run(
        [python, "-c", _SIZES, *packages],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": ""},
    )
    return float(json.loads(done.stdout)["mb"])


def folder_mb(folder: Path) -> float:
    """A folder's disk, MB (10^6 bytes), as ``du`` counts it: whole blocks, links not followed."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e6
