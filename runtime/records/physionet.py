"""Recordings from PhysioNet: each file checked by its SHA-256, and continued where it broke off.

wfdb's own download does neither. ``EKG_PHYSIONET`` names a mirror.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from ..errors import RecordError
from .packages import need
from .wfdb_header import named_in

PHYSIONET = "https://physionet.org/files"
SUMS = "SHA256SUMS.txt"
FIRST_VERSION = "1.0.0"  # of a database whose page does not say which is the latest
VERSION = re.compile(r"\d+(?:\.\d+)+")  # a record may be a number, too
STATED_VERSION = re.compile(r"Version:\s*(\d+(?:\.\d+)*)")  # on a database's page
BLOCK_BYTES = 1 << 13  # what is lost where a transfer breaks off
TIMEOUT_S = 30

Progress = Callable[[int], object]  # is told how many bytes came


def download(what: str, folder: Path, *, progress: Progress | None = None) -> list[Path]:
    """Fetch a record, with all files that belong to it, or a whole database.

    Files that are there already and whole are kept.

    Parameters
    ----------
    what : ``mitdb/100``, ``mitdb`` or, of another version than the latest, ``mitdb/1.0.0/100``
    folder : the files are written into ``folder/mitdb``
    progress : is told the bytes that came, some at a time

    Returns
    -------
    the files

    Raises
    ------
    RecordError
        There is no such record, the server cannot be reached, or a file arrived damaged.
    MissingPackageError
        There is no package ``requests``.
    """
    requests = need("requests", "to download recordings")
    database, _, rest = what.strip("/").partition("/")
    first, _, behind = rest.partition("/")
    version, record = (first, behind) if VERSION.fullmatch(first) else ("", rest)
    base = os.environ.get("EKG_PHYSIONET", PHYSIONET)
    try:
        with requests.Session() as http:
            version = version or _latest(http, base, database)
            url = f"{base}/{quote(database)}/{version}"
            reply = http.get(f"{url}/{SUMS}", timeout=TIMEOUT_S)
            if reply.status_code == 404:
                raise RecordError(f"{url} does not exist; expected a database of PhysioNet.")
            reply.raise_for_status()
            sums = parse_sums(reply.text)
            target = folder / database
            target.mkdir(parents=True, exist_ok=True)

            def get(name: str) -> Path:
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                fetch(http, f"{url}/{quote(name)}", path, sums.get(name), progress)
                return path

            if not record:
                return [get(name) for name in sums]
            names = [name for name in sums if name.startswith(f"{record}.")]
            if not names:
                raise RecordError(
                    f"{database} {version} has no record {record!r}; {url}/RECORDS lists them."
                )
            return _with_named(names, get)
    except requests.RequestException as error:
        raise RecordError(
            f"{what} could not be downloaded from {base} ({type(error).__name__}); what is there "
            "is kept, so run again with a network connection."
        ) from error
    except OSError as error:
        raise RecordError(
            f"{what} cannot be written to {error.filename or folder} ({error.strerror or error})."
        ) from error


def fetch(
    http: Any, url: str, path: Path, digest: str | None, progress: Progress | None = None
) -> None:
    """Fetch one file, continued from ``path.part`` if an earlier try broke off.

    Parameters
    ----------
    http : a `requests.Session`
    digest : SHA-256 in hexadecimal; None if the database does not list the file

    Raises
    ------
    RecordError
        The file is not listed, or arrived damaged.
    requests.RequestException
        The server cannot be reached, or refuses.
    """
    if digest is None:
        raise RecordError(f"{url} is not listed in the database's {SUMS}.")
    if path.is_file() and sha256(path) == digest:
        return
    part = path.with_name(path.name + ".part")
    done = part.stat().st_size if part.is_file() else 0
    reply = http.get(
        url, headers={"Range": f"bytes={done}-"} if done else {}, stream=True, timeout=TIMEOUT_S
    )
    if reply.status_code != 416:  # nothing left to send: the part is the whole file
        reply.raise_for_status()
        with part.open("ab" if reply.status_code == 206 else "wb") as file:
            for block in reply.iter_content(BLOCK_BYTES):
                file.write(block)
                if progress is not None:
                    progress(len(block))
    part.replace(path)
    if sha256(path) != digest:
        path.unlink()
        raise RecordError(
            f"{url} arrived damaged (its SHA-256 is not the one in {SUMS}); run again."
        )


def parse_sums(text: str) -> dict[str, str]:
    """Return the digest of each file that lies in the database, by its name."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if " " in line.strip())
    sums = {name.strip().removeprefix("*").removeprefix("./"): digest for digest, name in pairs}
    return {name: digest for name, digest in sums.items() if _inside(name)}


def sha256(path: Path) -> str:
    """Return a file's digest in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def _latest(http: Any, base: str, database: str) -> str:
    """Return the version that a database's page states, which a mirror may lack."""
    reply = http.get(f"{base.removesuffix('/files')}/content/{quote(database)}/", timeout=TIMEOUT_S)
    match = STATED_VERSION.search(reply.text) if reply.ok else None
    return match[1] if match else FIRST_VERSION


def _with_named(names: list[str], get: Callable[[str], Path]) -> list[Path]:
    """Fetch files, and those that their headers name: segments, and samples of another name."""
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = get(name)
        if name.endswith(".hea"):
            beside = PurePosixPath(name).parent
            waiting += [str(beside / other) for other in named_in(found[name].read_bytes())]
    return list(found.values())
