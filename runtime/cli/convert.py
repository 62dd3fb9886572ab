"""Convert a recording to another format: its leads, rate, units, gaps and start."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from ..errors import RecordError
from ..records import check_kept, writing
from ..records.signals import WRITERS, Recording, read_recording, writer_for
from .common import RECORD, file_options

EXAMPLE = "sample sample.edf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    known = ", ".join(f"{writer.name} ({writer.extensions[0] or 'none'})" for writer in WRITERS)
    parser.add_argument("source", help=RECORD)
    parser.add_argument("target", type=Path, help=f"its extension is that of a format: {known}")
    parser.add_argument(
        "--lead",
        action="append",
        default=[],
        metavar="NAME",
        help="of a lead to write; may be given several times (default: all)",
    )
    file_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the target if it exists")


def run(args: argparse.Namespace) -> int:
    """Read all, write beside the target, and put it in its place once it is whole."""
    target: Path = args.target
    writer = writer_for(target)
    files = writer.files(target)
    _check_target(target, files, args.overwrite)
    check_kept([args.source], files)
    recording = read_recording(
        args.source, leads=args.lead, fs=args.fs, units=args.units, partial=args.partial
    )
    with writing(target.parent), tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        notes = writer.write(Path(scratch, target.name), recording)
        for file in files:
            os.replace(Path(scratch, file.name), file)
    print(f"{target}: {_described(recording)}", *recording.notes, *notes, sep="; ")
    return 0


def _check_target(target: Path, files: list[Path], overwrite: bool) -> None:
    if target.is_dir():
        raise RecordError(f"{target} is a folder; expected the name of a file to write.")
    for file in files:
        if file.exists() and not overwrite:
            raise RecordError(f"{file} exists already; --overwrite replaces it.")


def _described(recording: Recording) -> str:
    leads = ", ".join(
        f"{signal.name} {signal.fs:g} Hz" + (f" {signal.unit}" if signal.unit else "")
        for signal in recording.signals
    )
    samples = sum(len(signal.samples) for signal in recording.signals)
    missing = sum(b - a for signal in recording.signals for a, b in signal.gaps) / samples
    gaps = f", {missing:.2%} missing" if missing else ""
    start = f", from {recording.start.isoformat(' ')}" if recording.start else ""
    return f"{leads}, {recording.seconds:.6g} s{start}{gaps}"
