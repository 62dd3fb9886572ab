"""Recordings in NumPy's files: an array (``.npy``) or several with names (``.npz``)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ..errors import RecordError
from .arrays import array_leads, check_unfolded
from .leads import Lead
from .packages import explained
from .reader import Options, Reader

MAGIC, ZIP = b"\x93NUMPY", b"PK\x03\x04"


class NumpyReader(Reader):
    """Reads arrays of numbers; their rate is an array ``fs`` of an ``.npz``, or given."""

    name = "NumPy"
    extensions = (".npy", ".npz")

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins as NumPy's do, or packs such files only."""
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if start[:4] != ZIP:
            return start == MAGIC
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return path.suffix.lower() == ".npz"  # cut off: `leads` says so
        return bool(names) and all(name.endswith(".npy") for name in names)

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads of an array [samples, leads], of its fields, or of several arrays."""
        if not path.is_file():
            raise RecordError(f"{path} does not exist.")
        with explained(path, "is no whole NumPy file of numbers"), path.open("rb") as file:
            if file.read(len(ZIP)) != ZIP:
                # The array is mapped, which refuses one that is cut off before memory is taken.
                array = np.load(path, mmap_mode="r", allow_pickle=False)
                return array_leads(path, {"signal": array}, options)
            with zipfile.ZipFile(file) as archive:
                check_unfolded(path, sum(part.file_size for part in archive.infolist()))
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return array_leads(path, {name: arrays[name] for name in arrays.files}, options)
