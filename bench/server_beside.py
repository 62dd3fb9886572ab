"""The server beside FastAPI, LitServe and BentoML: `python -m bench.server_beside`.

The same network, one worker on one core each, JSON ``POST /predict`` of a second of signal over
eight connections, in turns, in one run. `bench.compare` has this among much else, in six minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from bench.environments import ROOT, alternatives_python
from bench.http_servers import CONNECTIONS, OURS, servers
from bench.measure import count, positive, unwind_on_sigterm
from bench.over_http import measure
from bench.server_before_after import line
from bench.server_common import write


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.server_beside", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--python", type=Path, help="that has them (default: one made for it)")
    parser.add_argument("--rounds", type=count, default=6, help="turns of each")
    parser.add_argument("--block", type=positive, default=1.0, help="s of a turn")
    parser.add_argument("--machine", help="folder under bench/results")
    args = parser.parse_args()
    unwind_on_sigterm()
    load = [os.getloadavg()[0]]
    measured = measure(
        ROOT / "artifacts",
        servers(args.python or alternatives_python()),
        rounds=args.rounds,
        block_s=args.block,
    )
    load.append(os.getloadavg()[0])
    rows = {row["name"]: row for row in measured["rows"] if row["body"] == "JSON"}
    ours = rows[OURS]["requests_per_s"]
    result: dict[str, Any] = {
        "rounds": args.rounds,
        "block_s": args.block,
        "load": load,
        **measured,
        "passed": all(
            row["requests_per_s"] <= ours for row in rows.values() if row["agreement"] != "no model"
        ),
    }
    table = [
        (name, f"{line(row)}; ours {ours / row['requests_per_s']:.2f} times as many")
        if name != OURS
        else (name, line(row))
        for name, row in rows.items()
    ]
    table += [(one["what"], one["reason"]) for one in measured["refused"]]
    table.append(("load of the machine, before and after", f"{load[0]:.1f}, {load[1]:.1f}"))
    title = f"JSON /predict beside others, {CONNECTIONS} clients"
    return 0 if write("beside", title, result, table, args.machine) else 1


if __name__ == "__main__":
    sys.exit(main())
