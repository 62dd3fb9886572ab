"""Packages that the minimal runtime leaves out, and errors that they raise."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ..errors import EkgError, MissingPackageError, RecordError

MAX_REASON = 200  # characters of a library's own words; some give whole files


def need(package: str, purpose: str, install: str = "") -> ModuleType:
    """Import a package that the minimal runtime leaves out.

    Parameters
    ----------
    package : or module, as it is imported
    install : the package's name for pip, if it is another

    Raises
    ------
    MissingPackageError
        Says what it is needed for and how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise _missing(install or package, purpose) from error


def check_there(package: str, purpose: str) -> None:
    """Raise `need`'s error if a package is not there; imports nothing, which may take 90 MB."""
    with suppress(ImportError, ValueError):  # hidden, or half imported
        if find_spec(package) is not None:
            return
    raise _missing(package, purpose)


def _missing(name: str, purpose: str) -> MissingPackageError:
    return MissingPackageError(
        f"the package {name!r} is needed {purpose}; install it with `pip install {name}`."
    )


@contextmanager
def explained(path: Path, trouble: str) -> Iterator[None]:
    """Turn any error that a package raises about a file into a `RecordError` of one sentence."""
    try:
        yield
    except EkgError:
        raise
    except FileNotFoundError as error:
        raise RecordError(f"{error.filename or path} does not exist.") from error
    except Exception as error:
        # The first sentence: what follows is advice to programmers.
        reason = (str(error).splitlines() or [""])[0].split(". ")[0].rstrip(".")
        reason = reason or type(error).__name__
        if len(reason) > MAX_REASON:
            reason = f"{reason[:MAX_REASON]}..."
        raise RecordError(f"{path} {trouble} ({reason}).") from error
