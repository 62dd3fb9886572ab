"""Recordings in MATLAB's files up to version 7; needs the package ``scipy``.

PhysioNet's ``.mat`` with a ``.hea`` beside it is a WFDB record, and read as one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .arrays import alone, array_leads, check_unfolded
from .leads import Lead
from .packages import explained, need
from .reader import Options, Reader

MAX_DEPTH = 4  # of structures in structures
V4_BYTES = (8, 4, 4, 2, 2, 1)  # of a number, by the second digit of a version 4 matrix's type


class MatlabReader(Reader):
    """Reads the arrays of a file, those in structures too, as those of NumPy are read."""

    name = "MATLAB"
    extensions = (".mat",)

    def recognises(self, path: Path) -> bool:
        """Return True if the file begins as MATLAB's versions 4 to 7.3 do."""
        with path.open("rb") as file:
            start = file.read(128)
        return start.startswith(b"MATLAB ") or _is_version_4(start, path.stat().st_size)

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads of the file's arrays."""
        scipy_io = need("scipy.io", "to read MATLAB files", "scipy")
        if not path.is_file():
            raise RecordError(f"{path} does not exist.")
        with path.open("rb") as file:
            if file.read(10) == b"MATLAB 7.3":
                raise RecordError(
                    f"{path} is of MATLAB's version 7.3; expected one saved with -v7 or earlier."
                )
        with explained(path, "is no whole MATLAB file"):
            listed = scipy_io.whosmat(path)
            check_unfolded(path, sum(8 * prod(map(int, shape)) for _, shape, _ in listed))
            loaded = scipy_io.loadmat(path)
            return array_leads(path, alone(path, _flattened(loaded)), options)


def _flattened(loaded: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give the arrays of a file, and those in its structures, by name."""
    for name, value in loaded.items():
        if name.startswith("__") or not isinstance(value, np.ndarray):
            continue
        if value.dtype.names and value.size == 1 and depth < MAX_DEPTH:
            fields = value.ravel()[0]
            yield from _flattened({f: fields[f] for f in value.dtype.names}, depth + 1)
        elif value.dtype.kind in "iufbUSO":
            yield name, value


def _is_version_4(start: bytes, size: int) -> bool:
    """Return True if a file begins with the header of a version 4 matrix that it can hold."""
    if len(start) < 21:
        return False
    for order in "<>":
        kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", start)
        digits = divmod(kind, 1000)[0], kind // 10 % 10, kind % 10
        if (
            digits[0] == (0 if order == "<" else 1)
            and kind // 100 % 10 == 0
            and digits[1] < len(V4_BYTES)
            and digits[2] in (0, 1, 2)
            and imaginary in (0, 1)
            and rows > 0
            and columns > 0
            and 1 < length <= 64
            and start[20 : 20 + length - 1].decode("latin-1").isidentifier()
            and 20 + length + V4_BYTES[digits[1]] * rows * columns <= size
        ):
            return True
    return False
