"""Text files as devices leave them: packed or not, in any usual encoding."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import RecordError

TABLES = (".csv", ".tsv", ".tab", ".asc", ".txt")
HIDDEN = ("__MACOSX", ".")  # of a folder that macOS packed
ABOUT = ("readme", "license", "licence", "notes", "info")  # names of texts beside a table
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
MARKS = {  # that of UTF-32 begins as UTF-16's does
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SAMPLE_BYTES = 1 << 16  # looked at for the encoding


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, or the only file that is packed in it.

    Raises
    ------
    RecordError
        It is missing, no text, damaged, or a ``.zip`` of several files.
    """
    try:
        with _unpacked(path) as raw, io.BufferedReader(raw, SAMPLE_BYTES) as file:  # type: ignore[type-var]
            encoding = _encoding(path, file.peek(SAMPLE_BYTES)[:SAMPLE_BYTES])
            with io.TextIOWrapper(file, encoding, errors="replace") as text:
                yield text
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise RecordError(
            f"{path} is packed and damaged or cut off; expected a whole .gz or .zip file."
        ) from error
    except FileNotFoundError as error:
        raise RecordError(f"{path} does not exist.") from error


def text_start(path: Path, size: int) -> str:
    """Return a text file's first characters; none if it cannot be read as text."""
    try:
        with open_text(path) as file:
            return file.read(size)
    except (RecordError, OSError):
        return ""


def is_zip(path: Path) -> bool:
    """Return True for a file that begins as a ``.zip`` does."""
    with path.open("rb") as file:
        return file.read(4) == ZIP


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == GZIP:
            with gzip.open(file) as inner:
                yield inner  # type: ignore[misc]
        elif start == ZIP:
            with zipfile.ZipFile(file) as archive:
                names = [
                    name
                    for name in archive.namelist()
                    if not name.endswith("/") and not name.startswith(HIDDEN)
                ]
                tables = [name for name in names if _is_table(name)]
                if len(tables) == 1:  # beside a readme, say
                    names = tables
                if len(names) != 1:
                    shown = ", ".join(" ".join(name.split())[:60] for name in names[:5])
                    raise RecordError(f"{path} holds {len(names)} files ({shown}); expected one.")
                if archive.getinfo(names[0]).flag_bits & 1:
                    raise RecordError(f"{path} is locked by a password; expected it unpacked.")
                with archive.open(names[0]) as inner:
                    yield inner
        else:
            yield file


def _is_table(name: str) -> bool:
    name = name.lower().rpartition("/")[2]
    return name.endswith(TABLES) and not name.startswith(ABOUT)


def _encoding(path: Path, start: bytes) -> str:
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    zeros = start[:1000].count(0)
    if zeros:  # UTF-16 without its mark has one in every second place
        even, odd = start[:1000:2].count(0), start[1:1000:2].count(0)
        if min(even, odd) == 0 and zeros > len(start[:1000]) // 3:
            return "utf-16-le" if odd else "utf-16-be"
        raise RecordError(f"{path} is not a table of numbers: it is no text.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
