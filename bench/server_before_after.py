"""The server against another commit's: `python -m bench.server_before_after --base REV`.

Both have one worker on one core and get the same requests in turns, in one run: the ratios mean
more than the times.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

from bench.checkouts import checkout, commit_of
from bench.environments import ROOT
from bench.http_servers import CONNECTIONS, servers
from bench.measure import count, positive, unwind_on_sigterm
from bench.over_http import measure
from bench.server_common import write

MIN_RATE, MAX_P50 = 0.75, 1.1  # times the other's, of JSON
MAX_RESIDENT_MB, MAX_COLD_START_S = 100.0, 1.5


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_before_after", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--base", required=True, metavar="REV", help="commit to compare with")
    parser.add_argument(
        "--other-model",
        action="store_true",
        help="the commit has another model: its answers are not compared, only their cost",
    )
    parser.add_argument("--rounds", type=count, default=12, help="turns of each")
    parser.add_argument("--block", type=positive, default=1.0, help="s of a turn")
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    unwind_on_sigterm()
    ours = servers(None)[0]
    with checkout(args.base) as base:
        before = replace(ours, name="before", folder=base, answers=not args.other_model)
        measured = measure(
            ROOT / "artifacts",
            [before, replace(ours, name="after")],
            rounds=args.rounds,
            block_s=args.block,
        )
    for refused in measured["refused"]:
        parser.error(f"{refused['what']}: {refused['reason']}")
    rows = {(row["name"], row["body"]): row for row in measured["rows"]}
    table = [(f"{name}, {body}", line(row)) for (name, body), row in rows.items()]
    ratios = {
        body: {
            "answers_a_second": rows["after", body]["requests_per_s"]
            / rows["before", body]["requests_per_s"],
            "p50": rows["after", body]["latency"]["p50_ms"]
            / rows["before", body]["latency"]["p50_ms"],
        }
        for body in ("JSON", "raw")
    }
    table += [
        (
            f"after / before, {body}",
            f"{each['answers_a_second']:.2f} times the answers a second, p50 {each['p50']:.2f}",
        )
        for body, each in ratios.items()
    ]
    after = rows["after", "JSON"]
    result: dict[str, Any] = {
        "base": commit_of(args.base),
        "rounds": args.rounds,
        "block_s": args.block,
        **measured,
        "ratios": ratios,
        "passed": ratios["JSON"]["answers_a_second"] >= MIN_RATE
        and ratios["JSON"]["p50"] <= MAX_P50
        and after["resident_mb"] <= MAX_RESIDENT_MB
        and after["cold_start_s"] <= MAX_COLD_START_S,
    }
    title = "The server before and after"
    return 0 if write("before_after", title, result, table, args.machine) else 1


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['requests_per_s']:.0f} a second over {CONNECTIONS} connections, one alone p50 "
        f"{row['latency']['p50_ms']:.3f}, p99 {row['latency']['p99_ms']:.2f} ms, "
        f"{row['cpu_ms']:.2f} ms of processor each; cold start {row['cold_start_s']:.2f} s, "
        f"{row['resident_mb']:.1f} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
