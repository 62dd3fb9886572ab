"""Speed of the working tree against another commit: ``python -m bench.before_after --base REV``.

Both do the same work in turns, in processes of their own on one core, in one run: a busy moment of
the machine hits both, so the ratios mean more than the times. Writes ``before_after.json`` and
``before_after.md`` into ``--out``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.checkouts import CheckoutError, checkout, commit_of, environment
from bench.environments import ROOT, keep_bytecode, runtime_python
from bench.http_servers import servers, start
from bench.measure import count, last_core, machine, positive, unwind_on_sigterm
from runtime.simulate import simulate
from training.errors import DataError
from training.results import require_writable

FS = 360
PUSHES = 200  # in a turn
IMPORT = "from time import perf_counter as now; t = now(); import runtime; print(now() - t)"
Work = Callable[[], float]  # does it once, gives the time in ms


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.before_after", description=__doc__)
    parser.add_argument("--base", required=True, metavar="REV", help="commit to compare with")
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument(
        "--rounds",
        type=count,
        default=40,
        help="pairs of turns of what is short (default: %(default)s)",
    )
    parser.add_argument(
        "--record-rounds",
        type=count,
        default=3,
        help="pairs of the long record (default: %(default)s)",
    )
    parser.add_argument(
        "--hours",
        type=positive,
        default=24.0,
        help="length of the long record (default: %(default)g)",
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="works whose name has this")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    keep_bytecode()
    try:
        require_writable(args.out)
        commit = commit_of(args.base)
        with checkout(commit) as base, tempfile.TemporaryDirectory() as folder, last_core():
            measured = measure(
                base,
                Path(folder),
                rounds=args.rounds,
                record_rounds=args.record_rounds,
                hours=args.hours,
                only=args.only,
            )
    except (CheckoutError, DataError, WorkError) as error:
        parser.exit(2, f"{error}\n")
    results = {
        "base": commit,
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "works": {name: summary(*pairs) for name, pairs in measured.items()},
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "before_after.json").write_text(json.dumps(results, indent=1) + "\n")
    text = table(results)
    (args.out / "before_after.md").write_text(text)
    print(text)


class WorkError(Exception):
    """A process of one of the checkouts failed; the message says which and how."""


Pairs = tuple[list[float], list[float]]  # ms before and after, turn by turn


def measure(
    base: Path, folder: Path, *, rounds: int, record_rounds: int, hours: float, only: str = ""
) -> dict[str, Pairs]:
    """Time the works of both checkouts whose names hold ``only``, in turns."""
    short = write_csv(folder / "short.csv", 10)
    minute = write_record(folder / "minute", 1 / 60)
    long = write_record(folder / "long", hours)
    measured: dict[str, Pairs] = {}
    pushes = {
        "Stream.push of 1 s, network alone": "alone",
        "Stream.push of 1 s, rhythm followed": "followed",
    }
    with worker(base) as before, worker(ROOT) as after:
        for name, kind in pushes.items():
            if only not in name:
                continue
            measured[name] = take_turns(
                name, [partial(pushed, process, kind) for process in (before, after)], rounds
            )
    for name, work, turns in (
        ("import runtime", imported, rounds),
        ("predict of a CSV file, from its start", partial(predicted, record=short), rounds),
        ("predict of a WFDB record, from its start", partial(labelled, record=minute), rounds),
        ("server, cold start to the first answer", served, rounds),
        (f"{hours:g}-hour record, file to file", partial(annotated, record=long), record_rounds),
    ):
        if only not in name:
            continue
        measured[name] = take_turns(name, [partial(work, tree) for tree in (base, ROOT)], turns)
    return measured


def take_turns(name: str, works: Sequence[Work], rounds: int) -> Pairs:
    """Do the work before and after in turns, each first in every other round.

    If there are many rounds one more comes first, which does not count: it compiles, and reads
    files from the disk.
    """
    taken: Pairs = ([], [])
    spare = rounds > 3
    for turn in tqdm(range(rounds + spare), desc=name, unit="pair"):
        for side in ((0, 1), (1, 0))[turn % 2]:
            taken[side].append(works[side]())
    return taken[0][spare:], taken[1][spare:]


def summary(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """Medians in ms, and median and quartiles of the ratios pair by pair."""
    ratios = np.array(after) / np.array(before)
    low, middle, high = np.percentile(ratios, (25, 50, 75)).tolist()
    return {
        "before_ms": float(np.median(before)),
        "after_ms": float(np.median(after)),
        "ratio": middle,
        "ratio_quartiles": [low, high],
        "pairs": len(ratios),
    }


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    here = results["machine"]
    lines = [
        "# Before and after",
        "",
        f"The working tree against {results['base'][:12]}, in turns on one core of "
        f"{here['cores']} ({here['cpu']}), Python {here['python']}, {results['when']}; "
        "medians, and the middle half of the ratios pair by pair.",
        "",
        "| work | before | after | after / before | middle half | pairs |",
        "|---|---|---|---|---|---|",
    ]
    for name, work in results["works"].items():
        low, high = work["ratio_quartiles"]
        lines.append(
            f"| {name} | {_time(work['before_ms'])} | {_time(work['after_ms'])} "
            f"| {work['ratio']:.3f} | {low:.3f} to {high:.3f} | {work['pairs']} |"
        )
    return "\n".join(lines) + "\n"


@contextmanager
def worker(tree: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that pushes signal with the runtime of a checkout; see `bench.push_worker`."""
    code = (Path(__file__).parent / "push_worker.py").read_text()
    # By -c the checkout, and not this folder, is where modules are looked for first.
    process = subprocess.Popen(
        [runtime_python(), "-c", code],
        cwd=tree,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _answer(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def pushed(process: subprocess.Popen[str], kind: str) -> float:
    """Median of some pushes, ms."""
    assert process.stdin
    process.stdin.write(f"{kind} {PUSHES}\n")
    process.stdin.flush()
    return float(_answer(process))


def imported(tree: Path) -> float:
    """Time that ``import runtime`` takes in a new process, ms."""
    return 1000 * float(run(tree, runtime_python(), "-c", IMPORT)[0])


def predicted(tree: Path, record: Path) -> float:
    """Time of ``python -m runtime predict`` from its start to its end, ms."""
    return run(tree, runtime_python(), "-m", "runtime", "predict", str(record), "--fs", str(FS))[1]


def labelled(tree: Path, record: Path) -> float:
    """Time of ``python -m runtime predict`` of a WFDB record, ms; wfdb is training's."""
    return run(tree, sys.executable, "-m", "runtime", "predict", str(record))[1]


def served(tree: Path) -> float:
    """Time from the start of a checkout's server, one worker, to its first answer, ms."""
    server = replace(servers(None)[0], folder=tree)
    window = simulate(1, seed=7).signal
    with start(server, tree / "artifacts", "cpu", window) as started:
        return 1000 * started.cold_start_s


def annotated(tree: Path, record: Path) -> float:
    """Time of ``python -m runtime annotate``, ms; wfdb, which it needs, is training's."""
    out = record.parent / ("after" if tree == ROOT else "before")
    return run(tree, sys.executable, "-m", "runtime", "annotate", str(record), "--out", str(out))[1]


def run(tree: Path, *command: str) -> tuple[str, float]:
    """Run a command in a checkout: its output, and the time it took, ms.

    Raises
    ------
    WorkError
        It failed.
    """
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=tree, env=environment(), capture_output=True, text=True, check=False
    )
    took = 1000 * (time.perf_counter() - started)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WorkError(f"{' '.join(command[1:4])} failed in {_side(tree)}: {last}")
    return done.stdout, took


def write_csv(path: Path, seconds: int) -> Path:
    """Some seconds of simulated signal as a CSV file."""
    np.savetxt(path, simulate(seconds, seed=7).signal, fmt="%.4f", header="ecg", comments="")
    return path


def write_record(path: Path, hours: float) -> Path:
    """A long WFDB record: ten simulated minutes again and again."""
    import wfdb

    part = np.rint(simulate(600, seed=7).signal * 1000).astype(np.int16)
    whole = np.resize(part, round(hours * 3600 * FS))[:, None]
    wfdb.wrsamp(
        path.name,
        FS,
        ["mV"],
        ["MLII"],
        d_signal=whole,
        fmt=["16"],
        adc_gain=[1000.0],
        baseline=[0],
        write_dir=str(path.parent),
    )
    return path


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline().strip()
    if not line:
        raise WorkError("a process that pushes signal stopped; its message stands above.")
    return line


def _side(tree: Path) -> str:
    return "the working tree" if tree == ROOT else "the base"


def _time(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 10_000 else f"{ms:.3g} ms"


if __name__ == "__main__":
    main()
