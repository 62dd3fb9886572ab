"""Compare annotation files: bxb's and sumstats' texts to the byte, or the papers' figures.

``python -m training.ec57_report --reference DIR --test DIR`` is the command; `training.ec57_files`
compares, `training.bxb_texts` writes bxb's texts.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from training.bxb_texts import FORMATS, report
from training.ec57 import LEARNING_S, MATCH_S
from training.ec57_files import compare_files, score_files
from training.errors import DataError
from training.scores import total_score
from training.tables import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 if all records could be compared, else 2 with one sentence."""
    args = _parser().parse_args(arguments)
    try:
        if args.out == args.shutdown_out != "-":
            raise ValueError(f"--out and --shutdown-out are both {args.out}; expected two files.")
        beats, shutdown = _run(args)
        _write(args.out, beats)
        if args.shutdown_out:
            _write(args.shutdown_out, shutdown)
    except (DataError, OSError, ValueError) as error:
        print(f"ec57_report: {error}", file=sys.stderr)
        return 2
    return 0


def _run(args: argparse.Namespace) -> tuple[str, str]:
    annotators = (args.annotators[0], args.annotators[1])
    records = args.records or sorted(path.stem for path in args.test.glob(f"*.{annotators[1]}"))
    if not records:
        raise DataError(f"{args.test} holds no annotation files *.{annotators[1]}.")
    given = {"start_s": args.start, "stop_s": args.to, "window_s": args.window}
    times = {name: time for name, time in given.items() if time is not None}
    folders = args.reference, args.test
    if args.format == "papers":
        if args.shutdown_out:
            raise ValueError("--shutdown-out goes with bxb's formats; papers know no shutdown.")
        scores = {r: score_files(*folders, r, annotators, **times) for r in records}
        scores["sum"] = total_score(scores.values())
        return table({r: found.summary() for r, found in scores.items()}) + "\n", ""
    results = [(r, compare_files(*folders, r, annotators, **times)) for r in records]
    return report(results, args.format, annotators)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.ec57_report",
        description="Compare beat annotations as WFDB's bxb and sumstats do (ANSI/AAMI EC57).",
    )
    add = parser.add_argument
    add(
        "--reference",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the reference annotations and the headers",
    )
    add("--test", type=Path, required=True, metavar="DIR", help="folder of the test annotations")
    add(
        "--annotators",
        nargs=2,
        default=("atr", "prt"),
        metavar=("REF", "TEST"),
        help="extensions of the annotation files (default: atr prt)",
    )
    add("--records", nargs="+", metavar="REC", help="default: all with test annotations")
    add(
        "--format",
        choices=(*FORMATS, "papers"),
        default="S",
        help="bxb's option letter; sum and sum-l add sumstats' sums to L and l; papers is the "
        "convention of the literature (default: S)",
    )
    add(
        "--from",
        dest="start",
        type=_seconds,
        metavar="TIME",
        help=f"start, in seconds or m:s or h:m:s (default: {LEARNING_S:g}; 0 with papers)",
    )
    add("--to", type=_seconds, metavar="TIME", help="end (default: end of the record)")
    add("--window", type=_seconds, metavar="TIME", help=f"match window (default: {MATCH_S:g})")
    add("--out", default="-", metavar="FILE", help="default: standard output")
    add("--shutdown-out", metavar="FILE", help="shutdown report (- for standard output)")
    return parser


def _seconds(text: str) -> float:
    """Seconds of ``s``, ``m:s`` or ``h:m:s``."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < math.inf for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 300, 5:00 or 0:05:00")
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def _write(name: str, text: str) -> None:
    if name == "-":
        sys.stdout.write(text)
    else:
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
