"""Take a share of the live patients and publish their beats and rhythm events.

Start as many as there are cores, on any machines. Each takes a fair share of the partitions, and
another's share when that one ends. SIGTERM hands over at once.
"""

from __future__ import annotations

import argparse

from ..ekg import common
from .options import access, broker_options, positive, require_live, run_until_stopped

EXAMPLE = "--server nats://127.0.0.1:4222 --metrics-port 9100"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    broker_options(parser)
    parser.add_argument(
        "--checkpoint",
        type=positive,
        default=60.0,
        metavar="S",
        help="save each patient's state so often (default: %(default)g)",
    )
    parser.add_argument(
        "--warm-up",
        type=positive,
        default=600.0,
        metavar="S",
        help="signal from the log that a new model is shown first (default: %(default)g)",
    )
    parser.add_argument(
        "--metrics-port", type=common.count, metavar="PORT", help="of /metrics, for Prometheus"
    )
    parser.add_argument(
        "--metrics-host", default="127.0.0.1", help="address of /metrics (default: %(default)s)"
    )
    group = parser.add_argument_group("logs, if the broker has none yet")
    group.add_argument(
        "--partitions",
        type=common.count,
        default=32,
        metavar="N",
        help="that patients are shared out in; the most workers (default: %(default)s)",
    )
    group.add_argument(
        "--replicas",
        type=int,
        choices=(1, 3, 5),
        default=1,
        help="nodes that hold a copy (default: %(default)s)",
    )
    group.add_argument(
        "--log-hours",
        type=positive,
        default=24.0,
        metavar="H",
        help="keep signal and findings so long (default: %(default)g)",
    )
    group.add_argument(
        "--log-gb",
        type=positive,
        default=10.0,
        metavar="GB",
        help="keep so much signal; a full log refuses more (default: %(default)g)",
    )
    group.add_argument(
        "--lease",
        type=positive,
        default=10.0,
        metavar="S",
        help="another takes over from a silent worker after so long (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or Ctrl-C."""
    require_live()
    from ..live.broker import Layout
    from ..live.worker import Settings, Worker

    worker = Worker(
        common.load_detector(args),
        access(args),
        Layout(max(1, args.partitions), args.replicas, args.log_hours, args.log_gb, args.lease),
        Settings(args.checkpoint, args.warm_up, args.metrics_port, args.metrics_host),
    )
    return run_until_stopped(worker.run, worker.stop)
