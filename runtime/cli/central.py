"""Show many live patients on the central page: recordings and simulated patients at real pace."""

from __future__ import annotations

import argparse

from ..errors import InputError
from ..packages import FLASK, require
from ..records import distinct_names, read
from ..simulate import simulate
from .address import check_address
from .common import count, load_detector, signal_choice, signal_options

EXAMPLE = "mitdb/200 mitdb/207 --simulate 14 --port 8001"
SIMULATED_FS = 250  # Hz


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument("records", nargs="*", metavar="RECORD", help="a patient each")
    parser.add_argument(
        "--simulate",
        type=count,
        default=0,
        metavar="N",
        help="so many simulated patients beside (default: 16 if no record is given)",
    )
    parser.add_argument(
        "--minutes",
        type=count,
        default=10,
        metavar="MIN",
        help="of simulated signal (default: %(default)s)",
    )
    signal_options(parser)
    parser.add_argument(
        "--port", type=int, default=8001, help="of the page, on this machine (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    require([FLASK], "to serve the page")
    check_address("127.0.0.1", args.port)
    distinct_names(args.records)
    simulated = args.simulate or (0 if args.records else 16)
    if simulated and not args.minutes:
        raise InputError("--minutes 0 leaves simulated patients no signal; expected 1 or more.")
    from ..server.central import Played, show  # needs flask

    played = []
    for path in args.records:
        record = read(path, **signal_choice(args))
        played.append(Played(record.name, record.fs, record.signal))
    for i in range(simulated):
        made = simulate(
            60.0 * args.minutes,
            fs=SIMULATED_FS,
            seed=i,
            heart_rate=(58, 72, 66, 84, 97)[i % 5],
            ectopic=(0.0, 0.05, 0.2, 0.0)[i % 4],
        )
        played.append(Played(f"simulated-{i + 1:03}", made.fs, made.signal))
    show(load_detector(args), played, args.port)
    return 0
