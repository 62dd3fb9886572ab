"""Write whole records as pages for people: trend, counts, events and their strips."""

from __future__ import annotations

import argparse

from tqdm import tqdm

from ..records import check_writable, distinct_names, need, read
from ..report import Study, flaws_of_seconds, write
from .common import count, lead_and_choice, load_detector, record_options, signal_choice
from .whole_records import beats_and_events, for_each

EXAMPLE = "mitdb/207 --out reports"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    record_options(parser)
    parser.add_argument(
        "--strips",
        type=count,
        default=6,
        metavar="N",
        help="most strips of each kind of event and class of beat (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Report one record after another."""
    need("matplotlib", "to draw a report")
    distinct_names(args.records)
    check_writable(args.out)
    detector = load_detector(args)
    made_by = (
        f"model {detector.digest.hex()[:8]} (trained on {detector.contract.trained_on}), "
        f"provider {detector.provider}"
    )

    def report(path: str) -> None:
        recording = read(path, **signal_choice(args))
        study = Study(
            recording,
            *beats_and_events(detector, recording),
            flaws_of_seconds(recording, detector.assess),
            made_by,
        )
        written = write(
            args.out,
            study,
            each=args.strips,
            progress=lambda chosen: tqdm(
                chosen, unit="strip", leave=False, desc="drawing", disable=None
            ),
        )
        notes = "".join(f"; {note}" for note in recording.notes)
        print(
            f"{written}: {lead_and_choice(recording)}, {len(study.beats)} beats, "
            f"{int((study.labels > 0).sum())} not normal, {len(study.events)} rhythm events{notes}"
        )

    return for_each(args.records, report)
