"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..detector import DEFAULT_ARTIFACTS, Detector
from ..findings import Beat, Record
from ..model import providers

RECORD = "WFDB record, file of another format, or table of numbers (.csv, .txt)"


MODEL_OPTIONS = ("--artifacts", "--provider")


def model_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add --artifacts and --provider; ``again`` to a command, so that they may follow it too."""
    folder = Path(os.environ.get("EKG_ARTIFACTS") or DEFAULT_ARTIFACTS)
    provider = os.environ.get("EKG_PROVIDER") or "auto"
    group = parser.add_argument_group("model, before or after the command")
    group.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS if again else folder,
        help="the folder that export wrote (default: EKG_ARTIFACTS, else the model that came "
        "along)",
    )
    group.add_argument(
        "--provider",
        choices=providers.NAMES,
        default=argparse.SUPPRESS if again else provider,
        help=f"what runs the model; EKG_PROVIDER sets the default (default: {provider})",
    )


def signal_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which signal of a file is meant."""
    parser.add_argument("--lead", help="by name (default: the ECG, MLII before others)")
    file_options(parser)


def file_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a file does not say itself."""
    parser.add_argument("--fs", type=float, metavar="HZ", help="for signal that lacks its rate")
    parser.add_argument(
        "--units",
        help="of the numbers: mV, uV, V, or a gain as 200/mV (default: the file's own, else mV)",
    )
    parser.add_argument(
        "--partial", action="store_true", help="read the whole part of a file that is cut off"
    )


def signal_choice(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `signal_options` parsed, as `runtime.records.read` takes it."""
    return {name: getattr(args, name) for name in ("lead", "fs", "units", "partial")}


def lead_and_choice(recording: Record) -> str:
    """Name a recording's lead, and why it was chosen: ``lead ECG (by its name)``."""
    return f"lead {recording.lead}" + (f" ({recording.choice})" if recording.choice else "")


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
    print_answer({"beats": [beat.to_dict() for beat in beats]})  # rounded as a server's


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
