"""An archive on one worker beside a plain loop: `python -m bench.scale_overhead`, in turns.

The same records, whole, by `ekg annotate`, by a loop of the archive's own tasks in one process
(the same results: quality, hashes and JSON too), and by `ekg archive --workers 1`, whose time
includes the start of its cluster. The overhead is that of the cluster over the loop of tasks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.scale_archive import (
    PYTHON,
    Spent,
    above,
    archive,
    hours,
    loop,
    make_archive,
    parsed,
    spending,
)
from bench.server_common import ROOT, write
from training.download import data_folder

MAX_OVERHEAD = 0.10
TASKS = """
import sys
from scale.archive.task import Job, annotate
from scale.ekg import Detector
from scale.model import model_name

model = model_name(Detector.load("artifacts"))
for source in sys.argv[2:]:
    row = annotate(Job(source, sys.argv[1], model, "artifacts"))
    assert "error" not in row, row
"""


def main() -> int:
    args = parsed("overhead", __doc__, records=200, rounds=2)
    data = data_folder()
    if data is None:
        print("no recordings at hand (set EKG_DATA to the folder that holds mitdb/)")
        return 2
    plain: list[Spent] = []
    tasks: list[Spent] = []
    worker: list[Spent] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        records, _ = make_archive(data, folder / "archive", args.records, args.minutes)
        for turn in range(args.rounds):
            with spending(plain):
                loop(records, folder / f"loop{turn}")
            with spending(tasks):
                loop_of_tasks(records, folder / f"tasks{turn}")
            with spending(worker):
                archive(folder / "archive", folder / f"out{turn}", 1)
        signal_hours = sum(hours(record) for record in records)
    more = above(tasks, worker)
    result = {
        "records": len(records),
        "signal_hours": signal_hours,
        "annotate": plain,
        "loop": tasks,
        "one_worker": worker,
        "overhead": more,
        "load_average": os.getloadavg(),
        "passed": more["wall"] <= MAX_OVERHEAD,
    }
    rows = [
        ("records", f"{len(records)}, {signal_hours:.0f} h"),
        *(
            (f"{name}, s on the wall (of processors)", f"{one.wall:.0f} ({one.processors:.0f})")
            for name, spent in (
                ("annotate", plain),
                ("loop of tasks", tasks),
                ("one worker", worker),
            )
            for one in spent
        ),
        (
            "one worker over the loop of tasks, the cluster's start included",
            f"{more['wall']:.1%} on the wall, {more['processors']:.1%} of processors; "
            f"load average {os.getloadavg()[0]:.0f}",
        ),
    ]
    what = "Archives: one worker beside a plain loop"
    return 0 if write("overhead", what, result, rows, args.machine, of="scale") else 1


def loop_of_tasks(records: Sequence[Path], out: Path) -> None:
    """The archive's tasks one after another in one process, without a cluster."""
    out.mkdir()
    command = [PYTHON[0], "-c", TASKS, str(out), *map(str, records)]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
