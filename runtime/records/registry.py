"""The formats that can be read, and the reader for a file."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import RecordError
from .aecg import AecgReader
from .contec import ContecReader
from .dicom import DicomReader
from .edf import EdfReader
from .ishne import IshneReader
from .json_arrays import JsonReader
from .kardia import KardiaJsonReader, KardiaReader
from .matlab import MatlabReader
from .movesense import MovesenseReader
from .npy import NumpyReader
from .parquet import ParquetReader
from .reader import Reader
from .sample import SampleReader
from .scp import ScpReader
from .tables import TableReader
from .wfdb import WfdbReader

# A new format is a file of its own and an entry here.
READERS: tuple[Reader, ...] = (
    EdfReader(),
    NumpyReader(),
    ParquetReader(),
    MatlabReader(),
    DicomReader(),
    IshneReader(),
    AecgReader(),
    ScpReader(),
    KardiaReader(),
    KardiaJsonReader(),
    MovesenseReader(),
    ContecReader(),
    JsonReader(),  # after all whose JSON has a form of its own
    TableReader(),  # after all that begin with bytes of their own
    WfdbReader(),
    SampleReader(),
)
RECORD_FILES = (".hea", ".dat", ".atr")  # of a WFDB record, which people name by any of them
SIGNAL_FILES = (*RECORD_FILES, ".mat")  # the last only with a header beside it
PACKED = (".gz", ".zip")
MAX_LISTED = 5


def find(path: Path) -> Reader:
    """Return the reader for a file, by its first bytes, then by its name.

    Raises
    ------
    RecordError
        No format matches.
    """
    if path.is_file() and not os.path.isfile(f"{path}.hea"):
        for reader in READERS:
            if reader.recognises(path):
                return reader
    for reader in READERS:
        if reader.matches(path):
            return reader
    *most, last = (
        f"{reader.name} ({', '.join(reader.extensions)})" for reader in READERS if reader.extensions
    )
    others = f"{', '.join(most)} or {last}"
    if path.suffix.lower() in RECORD_FILES:
        raise RecordError(
            f"{path.with_suffix('.hea')} does not exist; {path} is a part of a WFDB record; "
            "expected the header beside it."
        )
    if path.is_file() and path.suffix.lower() in PACKED:
        raise RecordError(
            f"{path} is packed, and holds no table; expected it unpacked: only tables of numbers "
            "and JSON are read as they are packed."
        )
    if path.is_file():
        raise RecordError(
            f"{path} is of no format that can be read; expected a WFDB record, or a file of "
            f"another format: {others}."
        )
    if path.exists() and not path.is_dir():
        raise RecordError(
            f"{path} is no file but a pipe or a device; expected a file, or `ekg stream {path}`."
        )
    raise RecordError(
        f"{path}.hea does not exist; expected a WFDB record named without its "
        f"extension, or a file of another format: {others}."
    )


def locate(path: Path) -> Path:
    """Return the recording that a path means.

    A WFDB record may be named by one of its files, also twice (``100.hea.hea``), and by the folder
    in which it is the only one.

    Raises
    ------
    RecordError
        The path is a folder of several recordings, or of none.
    """
    bare = _without_record_files(path)
    if bare.is_dir() and not os.path.isfile(f"{bare}.hea"):
        return _only_recording(bare)
    return bare


def bare_name(path: Path) -> str:
    """Return a recording's name: the file's, without the extensions of known formats."""
    path = _without_record_files(path)
    if path.is_dir() and not os.path.isfile(f"{path}.hea"):
        found = _recordings(path)
        path = found[0] if len(found) == 1 else path
    if path.suffix.lower() in PACKED and Path(path.stem).suffix.lower() in extensions():
        path = path.with_suffix("")
    return path.stem if path.suffix.lower() in (*extensions(), *PACKED) else path.name


def extensions() -> tuple[str, ...]:
    """Return the extensions of all formats, lower case with the dot."""
    return tuple(extension for reader in READERS for extension in reader.extensions)


def _without_record_files(path: Path) -> Path:
    bare = path
    while bare.suffix.lower() in SIGNAL_FILES:
        bare = bare.with_suffix("")
        if os.path.isfile(f"{bare}.hea"):
            return bare
    return path


def _only_recording(folder: Path) -> Path:
    found = _recordings(folder)
    if len(found) == 1:
        return found[0]
    if not found:
        raise RecordError(f"{folder} is a folder without a recording; expected one.")
    names = ", ".join(str(path) for path in found[:MAX_LISTED])
    more = f" and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
    raise RecordError(
        f"{folder} is a folder of {len(found)} recordings; expected one of them: {names}{more}."
    )


def _recordings(folder: Path) -> list[Path]:
    records = [path.with_suffix("") for path in folder.glob("*.hea")]
    files = [path for path in folder.iterdir() if path.suffix.lower() in extensions()]
    return sorted([*records, *(path for path in files if path.with_suffix("") not in records)])
