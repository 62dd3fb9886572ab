"""Recordings at a URL (``https://``, ``s3://``, ``memory://``); needs the package ``fsspec``.

They are copied into a folder that is removed when they are read: readers look back and forth in a
file, and a WFDB record has several.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar

from ..errors import EkgError, MissingPackageError, RecordError
from .packages import need
from .wfdb_header import named_in

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?:::[A-Za-z0-9+.-]+)*://")
PARTS = (".hea", ".dat", ".atr", ".mat")  # by which a WFDB record may be named

P = ParamSpec("P")
T = TypeVar("T")


def is_url(source: object) -> bool:
    """Return True for text that begins as a URL does."""
    return isinstance(source, str) and URL.match(source) is not None


def urls_too(read: Callable[P, T]) -> Callable[P, T]:
    """Let a function whose first argument is the path of a recording take a URL, too.

    Raises
    ------
    RecordError
        There is nothing at the URL, or it cannot be reached.
    MissingPackageError
        Names the package to install: fsspec, or what it needs for this kind of URL.
    """
    name = next(iter(signature(read).parameters))

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        url = args[0] if args else kwargs.get(name)
        if not is_url(url):
            return read(*args, **kwargs)
        with tempfile.TemporaryDirectory() as folder:
            path = _fetch(str(url), Path(folder))
            rest = {key: value for key, value in kwargs.items() if key != name}
            try:
                return read(path, *args[1:], **rest)  # type: ignore[arg-type]
            except RecordError as error:
                raise RecordError(_named_by_url(str(error), str(url), Path(folder))) from error

    return reading


def _fetch(url: str, folder: Path) -> Path:
    """Copy a recording's files into a folder; return the path by which it is read."""
    fsspec = need("fsspec", "to read URLs")
    try:
        system, root = fsspec.core.url_to_fs(url)
        return _copy(system, root, folder)
    except EkgError:
        raise
    except ImportError as error:  # fsspec says which package this kind of URL needs
        raise MissingPackageError(f"{url} cannot be read: {error}.") from error
    except FileNotFoundError as error:
        raise RecordError(f"{url} does not exist; expected a recording.") from error
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise RecordError(f"{url} cannot be fetched ({reason}).") from error


def _copy(system: Any, root: str, folder: Path) -> Path:
    where, _, name = root.rpartition("/")
    suffix = PurePosixPath(name).suffix.lower()
    record = name.removesuffix(PurePosixPath(name).suffix) if suffix in PARTS else name
    # A record is named without an extension, by its header, or by a file beside one.
    if suffix == ".hea" or (
        (suffix in PARTS or not system.exists(root)) and system.exists(f"{where}/{record}.hea")
    ):
        _copy_record(system, where, f"{record}.hea", folder)
        return folder / record
    system.get_file(root, str(folder / name))
    return folder / name


def _copy_record(system: Any, where: str, header: str, folder: Path) -> None:
    """Copy a header, and all that it names; those of segments name more."""
    waiting, done = [header], set()
    while waiting:
        name = waiting.pop()
        if name in done or "/" in name:
            continue
        done.add(name)
        system.get_file(f"{where}/{name}", str(folder / name))
        if name.endswith(".hea"):
            waiting += named_in((folder / name).read_bytes())


def _named_by_url(text: str, url: str, folder: Path) -> str:
    """Return an error's text with the URL's folder in place of the one that is removed."""
    return text.replace(f"{folder}/", f"{url.rpartition('/')[0]}/").replace(str(folder), url)
