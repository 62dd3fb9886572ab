"""Write the beats and rhythm events of whole records as WFDB annotations (and CSV)."""

from __future__ import annotations

import argparse

from ..records import (
    check_kept,
    check_writable,
    distinct_names,
    name_of,
    need,
    read,
    write_annotations,
    write_csv,
)
from .common import lead_and_choice, load_detector, record_options, signal_choice
from .whole_records import beats_and_events, for_each, notes_on

EXAMPLE = "mitdb/100 mitdb/101 --out annotations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    record_options(parser)
    parser.add_argument(
        "--annotator",
        default="ekg",
        metavar="NAME",
        help="the files' extension (default: %(default)s)",
    )
    parser.add_argument("--csv", action="store_true", help="write RECORD.ekg.csv too")
    parser.add_argument("--scores", action="store_true", help="put scores into the aux field")


def run(args: argparse.Namespace) -> int:
    """Annotate one record after another."""
    # What would fail after a day's record was read is checked first.
    need("wfdb", "to write WFDB annotations")
    distinct_names(args.records)
    check_writable(args.out, args.annotator)
    endings = (args.annotator, f"{args.annotator}.csv")
    check_kept(
        args.records,
        (
            args.out / f"{name_of(path)}.{ending}"
            for path in args.records
            for ending in endings[: 1 + args.csv]
        ),
    )
    detector = load_detector(args)

    def annotate(path: str) -> None:
        recording = read(path, **signal_choice(args))
        beats, events = beats_and_events(detector, recording)
        written = write_annotations(
            args.out,
            recording.name,
            beats,
            recording.fs,
            annotator=args.annotator,
            scores=args.scores,
            events=events,
        )
        if args.csv:
            write_csv(args.out / f"{recording.name}.{args.annotator}.csv", beats)
        counts = (
            ", ".join(
                f"{sum(b.label == k for b in beats)} {k}" for k in sorted({b.label for b in beats})
            )
            or "no beats"
        )
        notes = "".join(f"; {note}" for note in notes_on(recording))
        print(
            f"{written}: {lead_and_choice(recording)}, {counts}, {len(events)} rhythm events{notes}"
        )

    return for_each(args.records, annotate)
