"""Label a part of a record and print the answer as JSON."""

from __future__ import annotations

import argparse
import json

from ..records import read
from .common import RECORD, load_detector, signal_choice, signal_options

EXAMPLE = "mitdb/208 --start 22.6 --seconds 1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument("record", help=RECORD)
    signal_options(parser)
    parser.add_argument(
        "--start",
        type=float,
        default=0.0,
        metavar="S",
        help="where the part begins (default: %(default)g)",
    )
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="length of the part (default: to the end)"
    )


def run(args: argparse.Namespace) -> int:
    """Print one JSON object, as ``/predict`` answers."""
    recording = read(args.record, **signal_choice(args), start_s=args.start, seconds=args.seconds)
    detector = load_detector(args)
    result = detector.predict(recording.signal, recording.fs, events=True)
    assert not isinstance(result, list)
    print(
        json.dumps(
            {
                "record": recording.name,
                "lead": recording.lead,
                "choice": recording.choice,
                **result.to_dict(),
                "provider": detector.provider,
                "gaps": round(result.quality.missing, 4),
                "notes": [*result.quality.notes, *recording.notes],
            }
        )
    )
    return 0
