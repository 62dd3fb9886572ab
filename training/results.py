"""Results as files: figures as JSON without NaN, in a folder that can be written."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import DataError


def as_json(figures: object, *, indent: int | None = 1) -> str:
    """Figures as JSON; one that is not defined (+P of nothing) is null and not NaN."""
    return json.dumps(_defined(figures), indent=indent, allow_nan=False)


def from_json(text: str) -> Any:
    """Read what `as_json` wrote; null is NaN again."""
    return _numbers(json.loads(text))


def require_writable(target: Path) -> None:
    """Refuse, before long work, a folder that could not be made or written to after it.

    Leaves nothing behind.

    Raises
    ------
    DataError
        The folder is refused. This is found by trying: file modes do not say that even root
        can make nothing in /proc.
    """
    try:
        there = next(folder for folder in (target, *target.parents) if folder.exists())
        tempfile.TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        raise DataError(
            f"{target} cannot be made or written ({error.strerror}); expected another "
            "folder (--out)."
        ) from error


def _defined(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _defined(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _numbers(value: object) -> object:
    if isinstance(value, dict):
        return {name: _numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return math.nan if value is None else value
