"""Print the live patients' beats and rhythm events as they are found, or show them as a page.

Each finding is printed once. A finding that never came, or came twice, is recognised by its number
and counted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from ..ekg import common
from .options import access, broker_options, positive, require_live

EXAMPLE = "--http 8080"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument("--patient", default="*", metavar="NAME", help="(default: all)")
    parser.add_argument(
        "--since",
        type=positive,
        metavar="MIN",
        help="begin so many minutes ago (default: with what is new)",
    )
    parser.add_argument("--anomalies", action="store_true", help="leave out normal beats")
    parser.add_argument("--json", action="store_true", help="print each as JSON, as it came")
    parser.add_argument(
        "--http", type=common.count, metavar="PORT", help="show all patients on a page instead"
    )
    broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Follow the findings until Ctrl-C."""
    require_live()
    try:
        if args.http is not None:
            from ..live.central import show

            asyncio.run(show(access(args), args.http, since=_since(args)))
        else:
            asyncio.run(_tail(args))
    except KeyboardInterrupt:
        pass
    return 0


async def _tail(args: argparse.Namespace) -> None:
    import orjson

    from ..live.broker import check_patient, connect
    from ..live.reader import Recogniser, findings

    if args.patient != "*":
        check_patient(args.patient)
    client = await connect(access(args), name="ekg tail")
    recogniser = Recogniser()
    lost = 0
    try:
        async for message in findings(client, patient=args.patient, since=_since(args)):
            if not recogniser.is_new(message):
                continue
            if recogniser.lost > lost:
                print(f"{recogniser.lost - lost} findings never came.", file=sys.stderr)
                lost = recogniser.lost
            if args.anomalies and message.get("label") == "N":
                continue
            print(orjson.dumps(message).decode() if args.json else line(message), flush=True)
    finally:
        await client.close()


def line(message: dict[str, Any]) -> str:
    """Return a finding as a line for people."""
    patient, kind = message["patient"], message["kind"]
    if kind == "beat":
        mark = "" if message["label"] == "N" else "  << anomaly"
        return (
            f"{patient}  {message['time']:9.3f} s  {message['label']}  {message['score']:.2f}{mark}"
        )
    if kind == "note":
        return f"{patient}  note: {message['text']}"
    start = f"{message['start'] / message['fs']:.2f}"
    if message["end"] is None:
        return f"{patient}  {message['event']}  from {start} s"
    return f"{patient}  {message['event']}  from {start} to {message['end'] / message['fs']:.2f} s"


def _since(args: argparse.Namespace) -> datetime | None:
    return datetime.now(UTC) - timedelta(minutes=args.since) if args.since else None
