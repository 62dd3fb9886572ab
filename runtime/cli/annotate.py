"""Write the beats and rhythm events of whole records as files: WFDB annotations, or others."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..records import (
    check_kept,
    check_writable,
    distinct_names,
    name_of,
    read,
    write_csv,
)
from ..records.outputs import WRITERS
from .common import lead_and_choice, load_detector, record_options, signal_choice
from .whole_records import annotated, for_each, notes_on

EXAMPLE = "mitdb/100 mitdb/101 --out annotations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    record_options(parser)
    parser.add_argument(
        "--to",
        action="append",
        choices=WRITERS,
        metavar="FORMAT",
        help=f"what is written: {', '.join(WRITERS)} (default: wfdb); may be given again",
    )
    parser.add_argument(
        "--annotator",
        default="ekg",
        metavar="NAME",
        help="stands behind the record's name in the files' (default: %(default)s)",
    )
    parser.add_argument("--csv", action="store_true", help="write RECORD.ekg.csv, the beats, too")
    parser.add_argument("--scores", action="store_true", help="put scores into WFDB's aux field")


def run(args: argparse.Namespace) -> int:
    """Annotate one record after another."""
    writers = [WRITERS[name] for name in dict.fromkeys(args.to or ["wfdb"])]
    # What would fail after a day's record was read is checked first.
    for writer in writers:
        writer.check()
    distinct_names(args.records)
    check_writable(args.out, args.annotator)

    def table(name: str) -> Path:
        return Path(args.out, f"{name}.{args.annotator}.csv")

    names = [name_of(path) for path in args.records]
    targets = [
        path
        for name in names
        for writer in writers
        for path in writer.paths(args.out, name, args.annotator)
    ]
    check_kept(args.records, targets + ([table(name) for name in names] if args.csv else []))
    detector = load_detector(args)

    def annotate(path: str) -> None:
        recording = read(path, compact=True, **signal_choice(args))
        annotation = annotated(detector, recording)
        notes = "".join(f"; {note}" for note in notes_on(detector, annotation))
        described = lead_and_choice(recording)
        annotation = replace(annotation, missing=None)  # of a day it takes 20 MB
        if not any(writer.of_signal for writer in writers):  # and this 60
            recording = replace(recording, signal=recording.signal[:0])
            annotation = replace(annotation, record=recording)
        written = [
            path
            for writer in writers
            for path in writer.write(annotation, args.out, args.annotator, scores=args.scores)
        ]
        if args.csv:
            write_csv(table(recording.name), annotation.beats)
        labels = annotation.labels.tolist()
        counts = (
            ", ".join(f"{labels.count(label)} {label}" for label in sorted(set(labels)))
            or "no beats"
        )
        print(
            f"{', '.join(map(str, written))}: {described}, {counts}, "
            f"{len(annotation.events)} rhythm events{notes}"
        )

    return for_each(args.records, annotate)
