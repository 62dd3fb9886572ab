"""How every fit of a part of ``rhythm.json`` begins and ends."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.detector import DEFAULT_ARTIFACTS
from runtime.model.artifacts import Artifacts
from training.held_out import require_every_fold
from training.results import require_writable


def fit_parser(name: str, about: str | None, *, runs: bool = False) -> argparse.ArgumentParser:
    """The command line of ``python -m training.NAME``: ``--out``, and the runs of all folds."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{name}", description=about)
    if runs:
        parser.add_argument("runs", nargs="+", type=Path, help="one run for each fold")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/rhythm.json"), help="default: %(default)s"
    )
    return parser


def present_rhythm(out: Path, runs: Sequence[Path] = ()) -> dict[str, Any]:
    """The contents of the ``rhythm.json`` that ships.

    Raises
    ------
    DataError, EkgError
        ``runs``, if there are any, are not one for each fold, ``out`` cannot be written, or there
        is no ``rhythm.json``.
    """
    if runs:
        require_every_fold(runs)
    require_writable(out.parent)
    stored: dict[str, Any] = Artifacts(DEFAULT_ARTIFACTS).json("rhythm.json")
    return stored


def write_rhythm(stored: Mapping[str, Any], out: Path) -> None:
    """Write a ``rhythm.json``, and say how it gets into ``artifacts/``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(stored) + "\n")
    print(f"wrote {out}; `python -m export.rhythm {out}` puts it into artifacts/")
