"""Print a live signal's beats as they are decided, here or by a server, or show its page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from numpy.typing import ArrayLike

from ..client import Client
from ..errors import InputError
from ..packages import FLASK, require
from ..records.units import check_units
from ..signal.resample import resampler
from .address import check_address
from .common import load_detector, print_answer, print_beats, signal_choice, signal_options
from .feed import feed_name, is_feed, read_ahead, read_feed
from .live import (
    is_live,
    live_options,
    open_strap,
    serial_signal,
    show_heart_rates,
    strap_signal,
)
from .source import SIMULATED_FS, paced, recording_or_simulated

EXAMPLE = "- --fs 250 < samples.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument(
        "source",
        nargs="?",
        help="a record, or - for numbers on standard input, one a line, or columns under a line "
        "of names (default: the simulated patient)",
    )
    live_options(parser)
    signal_options(parser)
    parser.add_argument(
        "--pace", choices=("real", "fast"), help="of a recording (default: fast, with --page real)"
    )
    parser.add_argument("--url", help="of a server that is to do the work (default: done here)")
    parser.add_argument(
        "--page",
        type=int,
        metavar="PORT",
        help="show the signal on the monitor page, at real pace, on this machine",
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("EKG_TOKEN"),
        help="the server's bearer token (default: EKG_TOKEN)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="S",
        help="time to wait for a server or a strap that is away (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Follow the signal to its end."""
    if args.page is not None:
        _check_page(args)
    if not is_live(args):
        return _follow(args, _signal(args))
    if args.ble is not None:
        strap = open_strap(args)
        if not strap.has_ecg:
            return show_heart_rates(strap)
        live = strap_signal(strap)
    else:
        live = serial_signal(args)
    try:
        return _follow(args, _Signal(live.chunks, live.fs, live.name))
    finally:
        live.end()


def _follow(args: argparse.Namespace, signal: _Signal) -> int:
    if args.page is not None:
        return _show(args, signal)
    if args.url is not None:
        with Client(args.url, bearer=args.token, patience=args.patience) as client:
            for answer in client.stream(signal.chunks, signal.fs):
                print_answer(answer)
        return 0
    live = load_detector(args).stream(signal.fs, events=True)
    for chunk in signal.chunks:
        print_beats(live.push(chunk))
    print_beats(live.finish())
    return 0


class _Signal(NamedTuple):
    chunks: Iterable[ArrayLike]  # mV
    fs: float  # Hz
    name: str


def _signal(args: argparse.Namespace) -> _Signal:
    if args.source is not None and is_feed(args.source):
        if args.fs is None:
            raise InputError(f"{feed_name(args.source)} does not say its rate; give --fs in Hz.")
        resampler(args.fs, SIMULATED_FS)  # refuses what no stream takes, before a line is read
        check_units(args.units)
        feed = read_feed(args.source, args.fs, units=args.units, lead=args.lead)
        name = "Live feed" if args.source == "-" else Path(args.source).name
        return _Signal(read_ahead(feed), args.fs, name)
    recording = recording_or_simulated(args.source, **signal_choice(args))
    pace = args.pace or ("fast" if args.page is None else "real")
    if args.source is None:
        print(
            "this is a simulated patient; give a record, or - for standard input, to see another",
            file=sys.stderr,
        )
    chunks = paced(recording.signal, recording.fs, pace, chunk_s=0.25)
    name = "Simulated patient" if args.source is None else Path(args.source).name
    return _Signal(chunks, recording.fs, name)


def _check_page(args: argparse.Namespace) -> None:
    if args.url is not None:
        raise InputError("--page shows what is found here; it does not go with --url.")
    if args.pace == "fast":
        raise InputError("--page shows the signal at real pace; it does not go with --pace fast.")
    require([FLASK], "to serve the page")
    check_address("127.0.0.1", args.page)


def _show(args: argparse.Namespace, signal: _Signal) -> int:
    from ..server.feed import show  # needs flask

    return show(load_detector(args), signal.chunks, signal.fs, port=args.page, name=signal.name)
