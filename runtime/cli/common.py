"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..detector import DEFAULT_ARTIFACTS, Detector
from ..findings import Beat
from ..model import providers

RECORD = "WFDB record without extension, .edf or .csv"


def model_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add --artifacts and --provider; ``again`` to a command, so that they may follow it too."""
    group = parser.add_argument_group("model, before or after the command")
    group.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS if again else DEFAULT_ARTIFACTS,
        help="the folder that export wrote (default: the model that came along)",
    )
    group.add_argument(
        "--provider",
        choices=providers.NAMES,
        default=argparse.SUPPRESS if again else "auto",
        help="what runs the model (default: auto)",
    )


def signal_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which signal of a file is meant."""
    parser.add_argument("--lead", help="by name (default: MLII, else the first)")
    parser.add_argument("--fs", type=float, metavar="HZ", help="for signal that lacks its rate")


def record_options(parser: argparse.ArgumentParser) -> None:
    """Add the records, their signal and the folder for the results."""
    parser.add_argument("records", nargs="+", metavar="RECORD", help=RECORD)
    signal_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )


def load_detector(args: argparse.Namespace) -> Detector:
    """Return the model that --artifacts and --provider name."""
    return Detector.load(args.artifacts, provider=args.provider)


def count(text: str) -> int:
    """Return a whole number from 0 on: the type of an argument."""
    if text.isascii() and text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 0 on.")


def print_beats(beats: Sequence[Beat]) -> None:
    """Print a line for each beat."""
    for beat in beats:
        _print_beat(beat.time, beat.label, beat.score)


def print_answer(answer: dict[str, Any]) -> None:
    """Print a line for each beat of a server's answer."""
    for beat in answer["beats"]:
        _print_beat(beat["time"], beat["label"], beat["score"])


def _print_beat(time_s: float, label: str, score: float) -> None:
    mark = "" if label == "N" else "  << anomaly"
    print(f"{time_s:9.3f} s  {label}  {score:.2f}{mark}", flush=True)


def drop_output() -> None:
    """Send nothing more to standard output; Python would try again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
