"""Write whole records as Holter reports: summary, trend, counts, events and their strips."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..detector import Detector
from ..findings import NOISY
from ..records import check_writable, distinct_names, need, read
from ..report import PAPERS, Layout, find_browser, flaws_of_seconds, languages, study_of, write
from ..signal.noise import is_strip
from ..signal.resample import together
from .common import count, lead_and_choice, load_detector, record_options, signal_choice
from .whole_records import annotated, for_each, notes_on

EXAMPLE = "mitdb/207 --out reports"
MEASURED = ("QRS Se", "VEB Se", "VEB +P", "SVEB Se", "SVEB +P")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    record_options(parser)
    parser.add_argument(
        "--strips",
        type=count,
        default=Layout.strips,
        metavar="N",
        help="strips in all, one of each kind before a second (default: %(default)s)",
    )
    parser.add_argument(
        "--disclosure", action="store_true", help="draw the whole signal too, a minute a line"
    )
    parser.add_argument(
        "--language",
        choices=languages(),
        default=Layout.language,
        help="of the report (default: %(default)s)",
    )
    parser.add_argument(
        "--paper", choices=list(PAPERS), default="", help="to print on (default: the printer's)"
    )
    parser.add_argument(
        "--pdf",
        action="store_true",
        help="print to PDF too, A4 unless --paper is given; needs Chromium, Chrome or Edge",
    )


def run(args: argparse.Namespace) -> int:
    """Report one record after another."""
    need("jinja2", "to write a report")
    if args.pdf:
        find_browser()
    distinct_names(args.records)
    check_writable(args.out)
    detector = load_detector(args)
    layout = Layout(args.strips, args.language, args.disclosure, args.paper, args.pdf)
    described = {
        "limits": detector.rhythm_policy.limits,
        "made_by": f"model {detector.digest.hex()[:8]} (trained on "
        f"{detector.contract.trained_on}), provider {detector.provider}",
        "measured": measured(args.artifacts, detector),
    }

    def report(path: str) -> None:
        recording = read(path, compact=True, **signal_choice(args))
        detector.stream(recording.fs / together(recording.fs))  # refuses a rate that cannot be used
        # Before the beats, of which a day's take 40 MB.
        assess = partial(detector.assess, whole=is_strip(recording.seconds))
        flaws = flaws_of_seconds(recording, assess)
        found = annotated(detector, recording)
        beats = found.beats
        counts = f"{len(beats)} beats, {sum(beat.anomaly for beat in beats)} not normal"
        notes = "".join(f"; {note}" for note in notes_on(detector, found))
        if found.quality.noisy:
            recording = replace(recording, notes=(*recording.notes, NOISY))
        study = study_of(
            recording,
            beats,
            found.events,
            flaws,
            missing=found.missing,
            gaps=found.gaps,
            **described,
        )
        del beats, found
        written = write(args.out, study, layout)
        print(
            f"{written}: {lead_and_choice(recording)}, {counts}, "
            f"{len(study.events)} rhythm events{notes}"
        )

    return for_each(args.records, report)


def measured(folder: Path, detector: Detector) -> dict[str, float]:
    """Return how this model did on records it never saw, empty if that is not known.

    The figures lie beside the model, for people: no answer depends on them.
    """
    try:
        figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        if figures["model"] != detector.digest.hex():
            return {}
        shares = {name: float(figures["whole records"][name]) for name in MEASURED}
        return shares | {"patients": len(figures["per record"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
