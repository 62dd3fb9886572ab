"""Write ``artifacts/``: all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from runtime.model.contract import FORMAT


def publish(staged: Path, target: Path, roles: dict[str, dict[str, object]]) -> None:
    """Seal a finished folder with its manifest and put it in the place of the old one.

    Nothing of the old one is touched before all of the new one lies beside it; then what only the
    old manifest lists goes.

    Parameters
    ----------
    staged : holds every file of ``roles``
    roles : file name, below the folder -> role and, if it is compared with something, its
        tolerance
    """
    seal(staged, roles)
    target.mkdir(parents=True, exist_ok=True)
    old = _listed(target)
    arriving = {target / f"{name}.new": target / name for name in (*roles, "manifest.json")}
    try:
        for new, place in arriving.items():
            place.parent.mkdir(parents=True, exist_ok=True)  # a package is a folder
            shutil.copyfile(staged / place.relative_to(target), new)
        # The manifest last, so that what breaks off here is noticed by its hashes.
        for new, place in arriving.items():
            os.replace(new, place)
    finally:
        for new in arriving:
            new.unlink(missing_ok=True)
    for name in old - roles.keys():
        (target / name).unlink(missing_ok=True)
        with suppress(OSError):  # of a package that is left with nothing
            for folder in (target / name).relative_to(target).parents[:-1]:
                (target / folder).rmdir()


def _listed(folder: Path) -> set[str]:
    """The files in a folder that its manifest vouches for."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        names = {
            entry["name"] for entry in json.loads((folder / "manifest.json").read_text())["files"]
        }
        return {
            name
            for name in names
            if (folder / name).resolve().is_relative_to(folder.resolve())
            and name != "manifest.json"
        }
    return set()


def seal(folder: Path, roles: dict[str, dict[str, object]]) -> None:
    """Write ``manifest.json`` for the files of a folder."""
    files = [
        {"name": name, "sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
        | role
        for name, role in roles.items()
    ]
    (folder / "manifest.json").write_text(
        json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n"
    )


def sha256(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def roles(folder: Path) -> dict[str, dict[str, object]]:
    """File name -> role and tolerance, as the folder's manifest lists them."""
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    return {
        entry["name"]: {
            key: value for key, value in entry.items() if key not in ("name", "sha256", "bytes")
        }
        for entry in listed
    }
