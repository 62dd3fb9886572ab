"""Live signals of devices, for `stream`: a strap over Bluetooth, a device at a serial port."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..errors import InputError
from ..records.units import check_units
from ..signal.resample import resampler
from . import polar
from .ble import ANY, Strap
from .clock import DeviceClock
from .feed import read_ahead, read_feed
from .serial_port import BAUD, open_serial
from .source import SIMULATED_FS


class Live(NamedTuple):
    """A signal that a device gives.

    Attributes
    ----------
    name : of the device
    chunks : mV, NaN if a sample is missing
    fs : Hz, by the device's clock
    end : lets the device go, and says how its clock ran
    """

    name: str
    chunks: Iterator[list[float]]
    fs: float
    end: Callable[[], None]


def live_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a device."""
    group = parser.add_argument_group("devices, in place of a source")
    group.add_argument(
        "--ble",
        nargs="?",
        const=ANY,
        metavar="NAME",
        help="a strap over Bluetooth, by a part of its name or its address (default: the first "
        "found): a Polar H10's ECG, of any other the heart rate; needs bleak",
    )
    group.add_argument(
        "--serial",
        metavar="PORT",
        help="a device at a serial port that gives numbers as standard input does; needs pyserial "
        "and --fs",
    )
    group.add_argument(
        "--baud",
        type=int,
        default=BAUD,
        metavar="N",
        help="speed of the port (default: %(default)d)",
    )


def is_live(args: argparse.Namespace) -> bool:
    """Return whether a device is named; refuse it beside another source."""
    named = [what for what in ("ble", "serial") if getattr(args, what) is not None]
    if named and (args.source is not None or len(named) > 1):
        raise InputError(f"--{named[0]} is a source of its own; expected one source.")
    return bool(named)


def open_strap(args: argparse.Namespace) -> Strap:
    """Connect to the strap that --ble names."""
    if args.fs is not None or args.units is not None or args.lead is not None:
        raise InputError("a strap says its rate and unit; --fs, --units, --lead do not go with it.")
    return Strap(args.ble, patience_s=args.patience)


def strap_signal(strap: Strap) -> Live:
    """Return the ECG of a strap."""

    def end() -> None:
        strap.close()
        _tell_clock(strap.name, strap.clock, polar.FS)

    return Live(strap.name, read_ahead(strap.ecg()), polar.FS, end)


def serial_signal(args: argparse.Namespace) -> Live:
    """Return the numbers that come at a serial port."""
    if args.fs is None:
        raise InputError(f"{args.serial} does not say its rate; give --fs in Hz.")
    resampler(args.fs, SIMULATED_FS)  # refuses what no stream takes, before the port is opened
    check_units(args.units)
    text, clock = open_serial(args.serial, args.baud), DeviceClock()
    lines = read_feed(args.serial, args.fs, units=args.units, lead=args.lead, opened=text)
    chunks = read_ahead(clock.add_each(lines, args.fs))
    return Live(args.serial, chunks, args.fs, lambda: _tell_clock(args.serial, clock, args.fs))


def show_heart_rates(strap: Strap) -> int:
    """Print what a strap without ECG says, as it comes."""
    print(f"{strap.name} gives no ECG; this is its heart rate.", file=sys.stderr)
    for heart in strap.heart_rates():
        intervals = "".join(f"  {ms:.0f} ms" for ms in heart.rr_ms)
        print(f"{heart.bpm} bpm{intervals}", flush=True)
    return 0


def _tell_clock(name: str, clock: DeviceClock, fs: float) -> None:
    print(f"{name}: {clock.sentence(fs)}", file=sys.stderr)
