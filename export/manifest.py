"""Write ``artifacts/``: all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from runtime.artifacts import FORMAT


def publish(staged: Path, target: Path, roles: dict[str, dict[str, object]]) -> None:
    """Seal a finished folder with its manifest and put it in the place of the old one.

    Parameters
    ----------
    staged : holds every file of ``roles``
    roles : file name, below the folder -> role and, where it is compared with something, its
        tolerance
    """
    seal(staged, roles)
    target.mkdir(parents=True, exist_ok=True)
    for name in roles:
        (target / name).parent.mkdir(parents=True, exist_ok=True)  # a package is a folder
        shutil.copyfile(staged / name, target / name)
    # Last, so that a broken-off copy is noticed by its hashes.
    shutil.copyfile(staged / "manifest.json", target / "manifest.json")


def seal(folder: Path, roles: dict[str, dict[str, object]]) -> None:
    """Write ``manifest.json`` for the files of a folder."""
    files = [{"name": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
              "bytes": (folder / name).stat().st_size} | role for name, role in roles.items()]
    (folder / "manifest.json").write_text(
        json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n")
