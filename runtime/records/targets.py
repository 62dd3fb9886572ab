"""Names and places of results, checked before long work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import RecordError
from .registry import bare_name, extensions, find, locate

# Header, signal, reference annotations and reports; so are the extensions of all formats.
TAKEN = ("hea", "dat", "atr", "html")


def name_of(path: str | Path) -> str:
    """Return the name of a recording's results: its own, without a known extension."""
    return os.fsencode(bare_name(Path(path))).decode(errors="replace")  # results are named in text


def distinct_names(paths: Sequence[str | Path]) -> None:
    """Refuse recordings of one name: the second's results would replace the first's."""
    named: dict[str, str | Path] = {}
    for path in paths:
        name = name_of(path)
        if name in named:
            raise RecordError(
                f"{named[name]} and {path} would be written to the same files; "
                "expected records of different names."
            )
        named[name] = path


def check_kept(paths: Sequence[str | Path], targets: Iterable[Path]) -> None:
    """Refuse to write over the recordings' own files.

    Raises
    ------
    RecordError
        Names the first file that would be replaced.
    """
    written = {target.resolve() for target in targets}
    for file in (file for path in paths for file in _files(Path(path))):
        if file.resolve() in written:
            raise RecordError(
                f"{file} is part of a recording and would be replaced; expected "
                "another --out or --annotator."
            )


def _files(path: Path) -> list[Path]:
    try:
        path = locate(path)
        return find(path).files(path)
    except RecordError:  # `read` reports what is wrong with the recording
        return []


def check_writable(folder: Path, annotator: str | None = None) -> None:
    """Make the folder; refuse, before long work, what could not be written into it afterwards.

    Raises
    ------
    RecordError
        Nothing can be written into the folder, or the annotator would break a record.
    """
    taken = (*TAKEN, *(extension.lstrip(".") for extension in extensions()))
    if annotator is not None and not (
        annotator.isascii() and annotator.isalpha() and annotator.lower() not in taken
    ):
        raise RecordError(
            f"annotator {annotator!r}: expected letters only, and none of "
            f"{', '.join(taken)}, which name a record's own files."
        )
    with writing(folder), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder to write into; if the file system refuses something, raise `RecordError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RecordError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}."
        ) from error
