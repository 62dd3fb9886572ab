"""Files on any file system that fsspec knows: records found and fetched, results written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ..ekg import RecordError, extensions, find

HEADER = ".hea"
BLOCK = 1 << 20


class Place(NamedTuple):
    """A path on a file system.

    Attributes
    ----------
    url : as it was given, or completed
    """

    url: str
    system: fsspec.AbstractFileSystem
    path: str

    @property
    def local(self) -> bool:
        """True if programs can open the path."""
        return isinstance(self.system, LocalFileSystem)


def place(url: str) -> Place:
    """Return where a path or a URL leads.

    Raises
    ------
    RecordError
        Nothing here reads such URLs.
    """
    try:
        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise RecordError(f"{url} cannot be read ({error}).") from error
    return Place(url, system, path)


def records(url: str) -> list[str]:
    """Return the records that a source means: itself, or all in a folder and its folders.

    Raises
    ------
    RecordError
        There is none, or the place cannot be listed.
    """
    at = place(url)
    try:
        if at.system.isfile(at.path) or not at.system.isdir(at.path):
            return [url]
        files = sorted(at.system.find(at.path))
        headers = [file for file in files if file.lower().endswith(HEADER)]
        parts = {part for file in headers for part in _segments(at, file)}
    except OSError as error:
        raise RecordError(f"{url} cannot be read ({error}).") from error
    named = [file[: -len(HEADER)] for file in headers]
    others = [
        file
        for file in files
        if Path(file).suffix.lower() in extensions()
        and str(Path(file).with_suffix("")) not in named
    ]
    found = [file for file in named if file not in parts] + others
    if not found:
        raise RecordError(f"{url} is a folder without a recording; expected one at least.")
    return [_url(at, file) for file in sorted(found)]


def _url(at: Place, path: str) -> str:
    return path if at.local else str(at.system.unstrip_protocol(path))


def _segments(at: Place, header: str) -> Iterator[str]:
    """The segments of a WFDB record that is made of several, which are no records of their own."""
    lines = at.system.cat_file(header).decode("latin-1").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if lines and "/" in lines[0].split()[0]:
        folder = header.rpartition("/")[0]
        yield from (f"{folder}/{line.split()[0]}" for line in lines[1:])


@contextlib.contextmanager
def fetched(url: str) -> Iterator[Path]:
    """The record as a local path; of another file system its files are copied for as long.

    Raises
    ------
    RecordError
        It is not there, or cannot be read.
    """
    at = place(url)
    if at.local:
        yield Path(at.path if "://" in url else url)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield _copied(at, Path(folder))
        except OSError as error:
            raise RecordError(f"{url} cannot be read ({error}).") from error


def _copied(at: Place, folder: Path) -> Path:
    there, _, name = at.path.rpartition("/")
    target = folder / name
    if not at.system.isfile(f"{at.path}{HEADER}"):
        at.system.get_file(at.path, str(target))
        return target
    at.system.get_file(f"{at.path}{HEADER}", f"{target}{HEADER}")
    if any(_segments(at, f"{at.path}{HEADER}")):
        names = [file.rpartition("/")[2] for file in at.system.find(there, maxdepth=1)]
    else:
        names = [file.name for file in find(target).files(target)]
    for one in names:
        if not (folder / one).exists() and at.system.isfile(f"{there}/{one}"):
            at.system.get_file(f"{there}/{one}", str(folder / one))
    return target


def content_hash(path: Path, *more: object) -> str:
    """Return the SHA-256 of a record's files and of what is said of them, as hexadecimal."""
    digest = hashlib.sha256(repr(more).encode())
    for file in sorted(_files(path)):
        if file.is_file():
            digest.update(file.name.encode() + b"\0")
            with file.open("rb") as opened:
                while block := opened.read(BLOCK):
                    digest.update(block)
    return digest.hexdigest()


def _files(path: Path) -> Sequence[Path]:
    header = Path(f"{path}{HEADER}")
    if header.is_file() and any(_segments(place(str(path)), str(header))):
        return [file for file in path.parent.iterdir() if file.is_file()]
    return find(path).files(path)


def write(at: Place, name: str, content: bytes) -> None:
    """Write a file of a folder so that it is there whole or not at all.

    An object store puts whole objects; in a folder the file is renamed once it is written.

    Raises
    ------
    RecordError
        It cannot be written.
    """
    path = f"{at.path}/{name}"
    try:
        if not at.local:
            at.system.pipe_file(path, content)
            return
        os.makedirs(at.path, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=at.path, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(part, 0o644)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise RecordError(f"{at.url}/{name} cannot be written ({error}).") from error


def read_file(at: Place, name: str) -> bytes | None:
    """Return a file of a folder, None if it is not there."""
    try:
        return bytes(at.system.cat_file(f"{at.path}/{name}"))
    except FileNotFoundError:
        return None


def remove(at: Place, names: Sequence[str]) -> None:
    """Remove files of a folder that may be there."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            at.system.rm_file(f"{at.path}/{name}")
