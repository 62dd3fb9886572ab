"""Publish the signal of records, of a live feed or of simulated patients, as devices would.

Each record is a patient of its name. A chunk is sent again until the broker has it on its disk, so
that an outage delays signal and loses none.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..ekg import InputError, common, feed, name_of, read, simulate
from .options import access, broker_options, positive, require_live

if TYPE_CHECKING:
    from ..live.publisher import Publisher, Source

EXAMPLE = "sample --pace real"
SIMULATED_FS = 250  # Hz


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help=f"{common.RECORD}; or - for numbers on standard input",
    )
    common.signal_options(parser)
    parser.add_argument("--patient", metavar="NAME", help="of one source (default: its own name)")
    parser.add_argument(
        "--simulate",
        type=common.count,
        default=0,
        metavar="N",
        help="publish so many simulated patients too, sim-0000 and so on",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=300.0,
        metavar="S",
        help="length of a simulation (default: %(default)g)",
    )
    parser.add_argument(
        "--pace",
        type=_pace,
        default=1.0,
        metavar="PACE",
        help="of a recording: real, fast, or times real (default: real)",
    )
    parser.add_argument(
        "--chunk",
        type=positive,
        default=1.0,
        metavar="S",
        help="signal in a chunk (default: %(default)g)",
    )
    parser.add_argument(
        "--step",
        type=positive,
        metavar="MV",
        help="send int16 of this step in mV, half the size (default: float32)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a record after what the broker has of it",
    )
    parser.add_argument(
        "--spool",
        type=Path,
        metavar="DIR",
        help="keep a feed's chunks there until the broker has them, also over a crash",
    )
    broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Send everything to its end."""
    require_live()
    if args.patient and (len(args.sources) != 1 or args.simulate):
        raise InputError("--patient names one source; expected exactly one.")
    if not args.sources and not args.simulate:
        raise InputError("nothing to publish; expected a record, - or --simulate N.")
    try:
        return asyncio.run(_publish(args))
    except KeyboardInterrupt:
        return 130


async def _publish(args: argparse.Namespace) -> int:
    from ..live.broker import check_patient, connect
    from ..live.publisher import Publisher, Spool

    feeds = [source for source in args.sources if feed.is_feed(source)]
    records = _records(args, [source for source in args.sources if source not in feeds])
    names = [source.patient for source in records]
    for name in names:
        check_patient(name)
    if feeds and args.fs is None:
        raise InputError(f"{feed.feed_name(feeds[0])} does not say its rate; give --fs in Hz.")
    if len(set(names)) != len(names):
        raise InputError("two sources are of one patient; expected records of different names.")
    client = await connect(access(args), name="ekg publish")
    publisher = Publisher(client, step_mv=args.step)
    work = [
        publisher.play(
            source,
            chunk_s=args.chunk,
            pace=args.pace,
            resume=args.resume,
        )
        for source in records
    ]
    for source in feeds:
        patient = check_patient(args.patient or "feed")
        pieces = feed.read_ahead(feed.read_feed(source, args.fs, units=args.units, lead=args.lead))
        spool = Spool(args.spool / f"{patient}.chunks") if args.spool else None
        work.append(publisher.follow(patient, pieces, args.fs, spool))
    telling = asyncio.create_task(_tell(publisher))
    try:
        await asyncio.gather(*work)
    finally:
        telling.cancel()
        await client.close()
    print(f"{publisher.sent} chunks of {len(work)} patients are with the broker.")
    return 0


def _pace(text: str) -> float | None:
    return {"real": 1.0, "fast": None}[text] if text in ("real", "fast") else positive(text)


def _records(args: argparse.Namespace, paths: Sequence[str]) -> list[Source]:
    from ..live.publisher import Source

    sources = []
    for path in paths:
        record = read(path, **common.signal_choice(args))
        sources.append(Source(args.patient or name_of(path), record.signal, record.fs))
    for i in range(args.simulate):
        made = simulate(args.seconds, fs=args.fs or SIMULATED_FS, seed=i)
        sources.append(Source(f"sim-{i:04}", made.signal, made.fs))
    for i, source in enumerate(sources):
        source.offset_s = args.chunk * i / len(sources)
    return sources


async def _tell(publisher: Publisher) -> None:
    """Say that chunks wait while the broker does not take them."""
    sent = -1
    while True:
        await asyncio.sleep(5)
        if publisher.waiting and publisher.sent == sent and publisher.retries:
            print(
                f"the broker takes nothing; {publisher.waiting} patients' chunks are kept.",
                file=sys.stderr,
            )
        sent = publisher.sent
