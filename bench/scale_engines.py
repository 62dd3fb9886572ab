"""Archives on Dask, Ray and Spark: `python -m bench.scale_engines`; the same tasks on one worker.

Ray and Spark are installed for it alone (``pip install ray pyspark``; Spark wants Java). A loop of
the tasks in one process stands beside them. Processor time counts what has ended by then: some of
Ray's helpers live on for a moment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.scale_archive import PYTHON, Spent, above, archive, hours, make_archive, parsed, spending
from bench.scale_overhead import loop_of_tasks
from bench.server_common import ROOT, write
from training.download import data_folder

RAY = """
import sys
import ray
from scale.archive.task import Job, annotate
from scale.ekg import Detector
from scale.model import model_name

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
model = model_name(Detector.load("artifacts"))
remote = ray.remote(max_retries=2)(annotate)
waiting = [remote.remote(Job(one, sys.argv[1], model, "artifacts")) for one in sys.argv[2:]]
while waiting:
    (done,), waiting = ray.wait(waiting)
    row = ray.get(done)
    assert "error" not in row, row
"""

SPARK = """
import sys
from pyspark import SparkConf, SparkContext
from scale.archive.task import Job, annotate
from scale.ekg import Detector
from scale.model import model_name

settings = SparkConf().setMaster("local[1]").set("spark.ui.enabled", "false")
context = SparkContext(conf=settings)
context.setLogLevel("OFF")
model = model_name(Detector.load("artifacts"))
jobs = [Job(one, sys.argv[1], model, "artifacts") for one in sys.argv[2:]]
for row in context.parallelize(jobs, len(jobs)).map(annotate).collect():
    assert "error" not in row, row
context.stop()
"""
# Ray's workers are nice (15) by themselves: on a machine with other work they hardly ran.
FAIR = {"RAY_worker_niceness": "0"}
PROGRAMS = {"Ray": RAY, "Spark": SPARK}


def main() -> int:
    args = parsed("engines", __doc__, records=105, rounds=1)
    data = data_folder()
    if data is None or not all(map(find_spec, ("ray", "pyspark"))):
        print("needs recordings (EKG_DATA, the folder that holds mitdb/), ray and pyspark")
        return 2
    spent: dict[str, list[Spent]] = {
        name: [] for name in ("loop of tasks", "Dask, ekg archive", *PROGRAMS)
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        records, names = make_archive(data, folder / "archive", args.records, args.minutes)
        for damaged in names:
            (folder / "archive" / damaged).with_suffix(".hea").unlink()
        for turn in range(args.rounds):
            with spending(spent["loop of tasks"]):
                loop_of_tasks(records, folder / f"loop{turn}")
            with spending(spent["Dask, ekg archive"]):
                archive(folder / "archive", folder / f"dask{turn}", 1)
            for name, program in PROGRAMS.items():
                with spending(spent[name]):
                    on(program, records, folder / f"{name}{turn}")
            print({name: turns[-1] for name, turns in spent.items()}, flush=True)
        signal_hours = sum(hours(record) for record in records)
    plain, *engines = spent
    more = {name: above(spent[plain], spent[name]) for name in engines}
    result = {
        "signal_hours": signal_hours,
        "spent": spent,
        "more": more,
        "load_average": os.getloadavg(),
        "passed": True,  # nothing is held
    }
    rows = [
        ("records", f"{len(records)}, {signal_hours:.0f} h; load average {os.getloadavg()[0]:.0f}"),
        *(
            (f"{name}, s on the wall (of processors)", f"{one.wall:.0f} ({one.processors:.0f})")
            for name, turns in spent.items()
            for one in turns
        ),
        *(
            (f"{name} over the loop", f"{one['wall']:.1%} on the wall, {one['processors']:.1%}")
            for name, one in more.items()
        ),
    ]
    write("engines", "Archives: engines beside each other", result, rows, args.machine, of="scale")
    return 0


def on(program: str, records: Sequence[Path], out: Path) -> None:
    """The archive's tasks by a program that takes the folder and the records."""
    out.mkdir()
    path = os.pathsep.join([str(ROOT), *sys.path])  # for the engine's own processes too
    subprocess.run(
        [PYTHON[0], "-c", program, str(out), *map(str, records)],
        cwd=ROOT,
        check=True,
        env=os.environ | FAIR | {"PYTHONPATH": path, "PYSPARK_PYTHON": PYTHON[0]},
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
