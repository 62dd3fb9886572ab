"""Options and packages that several commands share."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ekg import InputError, Package, require

if TYPE_CHECKING:
    from ..live.broker import Access

LIVE = (
    Package("nats-py", "nats", "live streams over NATS", "scale"),
    Package("prometheus-client", "prometheus_client", "a worker's metrics", "scale"),
    Package("orjson", "orjson", "findings as JSON", "scale"),
)
ARCHIVE = (
    Package("distributed", "distributed", "archives over Dask", "scale"),
    Package("fsspec", "fsspec", "archives on other file systems", "scale"),
    Package("pyarrow", "pyarrow", "tables of archives", "scale"),
)


def require_live() -> None:
    """Refuse to go on without the packages of live streams."""
    require(LIVE, "for live streams over NATS")


def broker_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how the broker is reached."""
    group = parser.add_argument_group("broker")
    group.add_argument(
        "--server",
        action="append",
        metavar="URL",
        help="of a node, may be repeated (default: NATS_URL, else nats://127.0.0.1:4222)",
    )
    group.add_argument("--user", default=os.environ.get("NATS_USER"), help="(default: NATS_USER)")
    group.add_argument(
        "--creds", type=Path, metavar="FILE", help="a user's credentials, in place of a password"
    )
    group.add_argument("--tls-ca", type=Path, metavar="PEM", help="whom to trust")
    group.add_argument("--tls-cert", type=Path, metavar="PEM", help="who we are")
    group.add_argument("--tls-key", type=Path, metavar="PEM", help="its key")


def access(args: argparse.Namespace) -> Access:
    """Return what `broker_options` parsed; the password is taken from NATS_PASSWORD."""
    from ..live.broker import DEFAULT_URL, Access

    if bool(args.tls_cert) != bool(args.tls_key):
        raise InputError("--tls-cert and --tls-key belong together; expected both or none.")
    return Access(
        servers=tuple(args.server or os.environ.get("NATS_URL", DEFAULT_URL).split(",")),
        user=args.user,
        password=os.environ.get("NATS_PASSWORD"),
        creds=args.creds,
        ca=args.tls_ca,
        cert=args.tls_cert,
        key=args.tls_key,
    )


def run_until_stopped(
    work: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[], None]
) -> int:
    """Run the work; SIGTERM and Ctrl-C call ``stop``, after which it ends on its own."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        await work()

    asyncio.run(run())
    return 0


def positive(text: str) -> float:
    """Return a number above 0: the type of an argument."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number above 0.")
    return value
