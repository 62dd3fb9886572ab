"""Processor time by stage: ``python -m bench.profile_stages --out DIR``.

Of `Stream.push` of a second, with and without the rhythm, and of ``annotate`` of a day, from file
to file. Writes ``stages.json`` and ``README.md``, which lists the stages, and the functions that
take longest of themselves. What calls another stage is not charged for it.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import json
import pstats
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.before_after import write_record
from bench.measure import count, last_core, machine, positive, unwind_on_sigterm
from runtime import Detector
from runtime.cli import annotate, main
from runtime.model.rhythm_network import RhythmGraph
from runtime.model.session import Session
from runtime.records.outputs.wfdb_annotations import WfdbWriter
from runtime.rhythm import RhythmTracker
from runtime.signal.resample import Resampler
from runtime.simulate import simulate

engine: Any = import_module("runtime.engine.push")  # the folder has a function of this name
FS, WARM_UP = 360, 40
ALONE = "network alone"
Work = Callable[[], None]
REST = "the rest: checks, copies, calls"
# Stage -> the functions that it is, where they are looked up.
STAGES: dict[str, list[tuple[Any, str]]] = {
    "reading the file": [(annotate, "read")],
    "missing samples": [(engine, "bridge")],
    "resampling": [(Resampler, "push")],
    "graph": [(Session, "run")],
    "beats from frames, R peaks": [(engine, "_decide")],
    "quality and features of seconds": [(engine, "take_together")],
    "rhythm: labels and events": [(RhythmTracker, "follow"), (RhythmTracker, "finish")],
    "second graph": [(RhythmGraph, "run")],
    "notes on the signal": [(annotate, "notes_on")],
    "loading the model": [(annotate, "load_detector")],
    "writing annotations": [(WfdbWriter, "contents")],
}
FUNCTIONS = 15  # listed


class Clock:
    """Charges processor time to the innermost stage that is under way."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._under_way = [REST]
        self._since = time.process_time()

    def turn(self) -> None:
        """Charge the time since the last turn."""
        now = time.process_time()
        self.spent[self._under_way[-1]] += now - self._since
        self._since = now

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time charged to a stage."""

        def timed(*args: Any, **named: Any) -> Any:
            self.turn()
            self._under_way.append(stage)
            try:
                return work(*args, **named)
            finally:
                self.turn()
                self._under_way.pop()

        return timed


def command(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile_stages", description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument("--pushes", type=count, default=1200, help="(default: %(default)s)")
    parser.add_argument(
        "--hours", type=positive, default=24.0, help="of the record (default: %(default)g)"
    )
    parser.add_argument("--fs", type=positive, default=FS, help="of the pushes, Hz")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory() as folder, last_core():
        record = write_record(Path(folder) / "day", args.hours)
        works = {
            f"{args.hours:g}-hour record, file to file": lambda: partial(annotated, record),
            **{
                f"{args.pushes} pushes of 1 s, {kind}": partial(
                    pushes, args.pushes, args.fs, events=kind != ALONE
                )
                for kind in (ALONE, "rhythm followed")
            },
        }
        stages = {name: by_stage(made) for name, made in tqdm(works.items(), desc="stages")}
        functions = {name: by_function(made()) for name, made in tqdm(works.items(), desc="lines")}
    results = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "works": {
            name: {"stages_s": stages[name], "functions_s": functions[name]} for name in works
        },
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "stages.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "README.md").write_text(table(results))
    print(table(results))


def pushes(number: int, fs: float, *, events: bool) -> Work:
    """Some pushes of a second each, to a stream that is warm."""
    size = round(fs)
    seconds = simulate(60, fs=fs, seed=5).signal[: 60 * size].reshape(60, size)
    stream = Detector.load(provider="cpu").stream(fs, events=events)

    def push() -> None:
        for i in range(number):
            stream.push(seconds[i % 60])
            stream.events()

    for second in seconds[:WARM_UP]:
        stream.push(second)
    return push


def annotated(record: Path) -> None:
    """The command, as a user gives it."""
    with contextlib.redirect_stdout(io.StringIO()):
        if main.main(["--provider", "cpu", "annotate", str(record), "--out", str(record.parent)]):
            raise RuntimeError("annotate failed; its message stands above")


def by_stage(made: Callable[[], Work]) -> dict[str, float]:
    """Processor time of each stage of a work, s; it is made while the stages are timed."""
    clock = Clock()
    with replaced(clock):
        work = made()
        clock.turn()
        clock.spent.clear()
        work()
        clock.turn()
    return {stage: clock.spent[stage] for stage in (*STAGES, REST) if clock.spent[stage]}


def by_function(work: Work) -> list[tuple[str, int, float]]:
    """The functions that take longest of themselves: place, calls and s, under a profiler."""
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(work)
    found = []
    for (file, line, name), (_, calls, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        place = file.partition("/runtime/")[2] or Path(file).name
        found.append((f"{place}:{line} {name}" if line else name, calls, own))
    return sorted(found, key=lambda one: -one[2])[:FUNCTIONS]


@contextmanager
def replaced(clock: Clock) -> Iterator[None]:
    """Time all stages with a clock."""
    kept = [
        (holder, name, getattr(holder, name))
        for places in STAGES.values()
        for holder, name in places
    ]
    try:
        for stage, places in STAGES.items():
            for holder, name in places:
                setattr(holder, name, clock.timed(stage, getattr(holder, name)))
        yield
    finally:
        for holder, name, work in kept:
            setattr(holder, name, work)


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    here = results["machine"]
    lines = [
        "# Processor time by stage",
        "",
        f"One core of {here['cores']} ({here['cpu']}), Python {here['python']}, {results['when']}. "
        "Written by `python -m bench.profile_stages`.",
    ]
    for name, work in results["works"].items():
        stages, whole = work["stages_s"], sum(work["stages_s"].values())
        lines += ["", f"## {name}: {whole:.2f} s", "", "| stage | s | share |", "|---|---|---|"]
        lines += [f"| {stage} | {s:.3f} | {s / whole:.1%} |" for stage, s in stages.items()]
        lines += ["", "Under a profiler, which slows small functions most:", ""]
        lines += ["| function | calls | s of itself |", "|---|---|---|"]
        lines += [f"| `{place}` | {calls} | {s:.3f} |" for place, calls, s in work["functions_s"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command()
