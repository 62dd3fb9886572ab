"""Annotate whole archives, on all cores of this machine or on a cluster of Dask distributed.

Each record's results get a name that holds the model and the record's own content, so a run that
broke off goes on where it was, and a second one finds everything done. Bad records are listed at
the end; the exit status is then 2.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..ekg import EkgError, common, require
from ..model import model_name
from .options import ARCHIVE, positive

if TYPE_CHECKING:
    from ..archive.task import Job

EXAMPLE = "mitdb svdb s3://bucket/holter --out annotations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a record, or a folder with all records in it; paths or URLs (s3://, https://)",
    )
    common.signal_options(parser)
    parser.add_argument("--out", required=True, metavar="DEST", help="folder, path or URL")
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a cluster, as tcp://host:8786 (default: a cluster on this machine)",
    )
    parser.add_argument(
        "--workers",
        type=common.count,
        metavar="N",
        help="processes on this machine (default: one for each core)",
    )
    parser.add_argument("--beats", action="store_true", help="write a table of all beats too")
    parser.add_argument(
        "--cut",
        type=positive,
        default=24.0,
        metavar="H",
        help="save what is done of a longer record every so many hours of signal "
        "(default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Annotate everything that is not done yet."""
    require(ARCHIVE, "for archives over Dask")
    from tqdm import tqdm

    with _cluster(args) as scheduler:  # first, so that its workers start meanwhile
        from ..archive.places import place
        from ..archive.run import START_S, annotate_all
        from ..archive.tables import write_beats, write_records

        jobs, failed = _jobs(args)
        start_s = None if args.scheduler else START_S
        with tqdm(total=len(jobs), unit="record", disable=None) as bar:
            rows = annotate_all(jobs, scheduler, done=lambda _: bar.update(), start_s=start_s)
    good = [row for row in rows if "error" not in row]
    failed += [row["error"] for row in rows if "error" in row]
    if good:
        out = place(args.out)
        write_records(out, good)
        if args.beats:
            write_beats(out, good)
    new = sum(row["new"] for row in good)
    print(f"{len(good)} records in {args.out}, {new} of them new; {len(failed)} failed.")
    for sentence in failed:
        print(f"error: {sentence}", file=sys.stderr)
    return 2 if failed else 0


def _jobs(args: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """The records of all sources, each once, and what is wrong with sources that have none."""
    from ..archive.places import records
    from ..archive.task import Job

    detector = common.load_detector(args)
    failed: list[str] = []
    sources: dict[str, None] = {}  # in order
    for source in args.sources:
        try:
            sources |= dict.fromkeys(records(source))
        except EkgError as error:
            failed.append(str(error))
    model = model_name(detector)
    jobs = [
        Job(
            source,
            args.out,
            model,
            str(args.artifacts),
            detector.provider,
            **common.signal_choice(args),
            beats=args.beats,
            cut_s=args.cut * 3600,
        )
        for source in sources
    ]
    return jobs, failed


@contextlib.contextmanager
def _cluster(args: argparse.Namespace) -> Iterator[str]:
    from ..archive.run import local_cluster

    if args.scheduler:
        yield args.scheduler
        return
    with local_cluster(args.workers or None) as (scheduler, dashboard):
        print(f"dashboard: {dashboard}", file=sys.stderr)
        yield scheduler
