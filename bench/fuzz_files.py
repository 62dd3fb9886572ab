"""Damaged files of every kind that is read: each must give one sentence, or a recording.

    python -m bench.fuzz_files                        # 10,000 of each kind
    python -m bench.fuzz_files --count 200 --kind DICOM
    python -m bench.fuzz_files --first 10000          # 10,000 others of each kind
    python -m bench.fuzz_files --replay DICOM 1234    # what became of one of them

A file is cut off, has bits flipped, fields swapped, bytes overwritten, left out or put in, all
chosen by its number. It is read in a process of its own, which is watched: one that crashes, or
reads for longer than `HANG_S`, is a fault, and so are an error that is no sentence about the file,
more memory than `MOST_MIB`, infinite numbers, and a cut-off file that is read as other samples than
those at the beginning of the whole one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.sample_files import WRITERS, cut, recording
from runtime import EkgError
from runtime.records import read

RESULTS = Path(__file__).parent / "results" / "fuzz_files"
SLOW_S, HANG_S, SEND_S = 5.0, 30.0, 1.0
MOST_MIB = 1536  # of the whole process, libraries included
DAMAGES = ("cut off", "bits flipped", "fields swapped", "overwritten", "left out", "put in")
HEADER_BYTES = 700  # half of the damage lies there, where there are few bytes but all fields
EXTREMES = (
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\0" * 4,
    b"\0\0\0\x80",
    b"-1",
    b"1e308",
    b"nan",
    b",",
)


@dataclass
class Kind:
    """A whole file of a kind, and the files that belong to it."""

    name: str
    path: Path
    signal: NDArray[np.float64]

    @property
    def parts(self) -> list[Path]:
        """The files that are damaged, one at a time."""
        return sorted(path for path in self.path.parent.iterdir() if path.is_file())


@dataclass
class Tally:
    """What became of the damaged files of a kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mib: float = 0.0

    def add(self, number: int, outcome: str, wrong: str, seconds: float, peak_mib: float) -> None:
        """Count a file, and what is wrong with its outcome."""
        self.outcomes[outcome] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if peak_mib > MOST_MIB >= self.peak_mib:
            self.faults.append(f"{number}: {peak_mib:.0f} MiB")
        self.peak_mib = max(self.peak_mib, peak_mib)
        if seconds > SLOW_S:
            self.faults.append(f"{number}: {seconds:.1f} s")
        if wrong:
            self.faults.append(f"{number}: {outcome}: {wrong}")


def make(name: str, folder: Path) -> Kind:
    """Write a whole file of ten seconds."""
    folder.mkdir(parents=True)
    path = WRITERS[name](folder, cut(recording(fs=800 if name == "Contec" else 360), 10))
    return Kind(name, path, read(path).signal)


def damaged(content: bytes, damage: str, chance: random.Random) -> bytes:
    """Return a file's content with one kind of damage."""
    data = bytearray(content)

    def place(most: int = len(content)) -> int:
        return chance.randrange(min(most, HEADER_BYTES) if chance.random() < 0.5 else most)

    if damage == "cut off":
        del data[place() :]
    elif damage == "bits flipped":
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            data[place()] ^= 1 << chance.randrange(8)
    elif damage == "fields swapped":
        size = chance.choice((1, 2, 4, 8, 16, 80))
        most = max(1, len(data) - size)
        first, second = place(most), place(most)
        ours, theirs = data[first : first + size], data[second : second + size]
        data[first : first + size], data[second : second + size] = theirs, ours
    elif damage == "overwritten":
        put = chance.choice((*EXTREMES, chance.randbytes(8)))
        at = place()
        data[at : at + len(put)] = put
    elif damage == "left out":
        at = place()
        del data[at : at + chance.choice((1, 2, 8, 100))]
    else:
        at = place()
        data[at:at] = chance.choice((*EXTREMES, b"\n", b" ", chance.randbytes(40)))
    return bytes(data)


def try_one(kind: Kind, number: int, scratch: Path) -> tuple[str, str]:
    """Damage a file and read it.

    Returns
    -------
    the damage and its outcome, and what is wrong with that, empty if nothing is
    """
    chance = random.Random(f"{kind.name} {number}")
    damage = DAMAGES[number % len(DAMAGES)]
    hurt = chance.choice(kind.parts)
    for part in kind.parts:
        content = part.read_bytes()
        written = damaged(content, damage, chance) if part == hurt else content
        (scratch / part.name).write_bytes(written)
    path = scratch / kind.path.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = read(path)
    except EkgError as error:
        text = str(error)
        wrong = "" if _is_sentence(text, scratch) else f"no sentence about the file: {text[:200]!r}"
        return f"{damage}: refused", wrong
    except Exception as error:
        return f"{damage}: fault", f"{type(error).__name__}: {str(error)[:200]}"
    if np.isinf(record.signal).any() or not 0 < record.fs < np.inf:
        return f"{damage}: fault", "infinite numbers"
    size = min(len(record.signal), len(kind.signal))
    same = np.array_equal(record.signal[:size], kind.signal[:size], equal_nan=True)
    if same and len(record.signal) == len(kind.signal):
        return f"{damage}: read whole", ""
    if damage == "cut off":
        # Of a table the last number may be cut in its middle.
        if np.array_equal(record.signal[: size - 1], kind.signal[: size - 1]):
            return f"{damage}: read up to there", ""
        return f"{damage}: fault", "other samples than the whole file's"
    return f"{damage}: read", ""


def _is_sentence(text: str, scratch: Path) -> bool:
    return "\n" not in text and text.endswith(".") and str(scratch) in text and len(text) < 1000


def run(kind: Kind, numbers: range, *, most_faults: int = 20) -> Tally:
    """Try the files of these numbers, in processes that are watched."""
    tally = Tally()
    first, skipped = numbers.start, set[int]()
    while first < numbers.stop and len(tally.faults) < most_faults:
        first = _watch(kind, first, numbers.stop, skipped, tally)
    if first < numbers.stop:
        tally.faults.append(f"{first} to {numbers.stop} were not tried")
    return tally


def _watch(kind: Kind, first: int, stop: int, skipped: set[int], tally: Tally) -> int:
    """Try files from ``first`` on until the process dies or hangs; return where to go on."""
    ours, theirs = multiprocessing.Pipe()
    current = multiprocessing.Value("q", first)
    worker = multiprocessing.Process(
        target=_work, args=(kind, first, stop, skipped, current, theirs), daemon=True
    )
    worker.start()
    theirs.close()
    try:
        while first < stop:
            if not ours.poll(HANG_S):
                tally.faults.append(f"{current.value}: longer than {HANG_S - SEND_S:g} s")
                skipped.add(current.value)
                break
            try:
                found = ours.recv()
            except EOFError:
                worker.join()
                tally.faults.append(f"{current.value}: the process ended with {worker.exitcode}")
                skipped.add(current.value)
                break
            for tried in found:
                tally.add(*tried)
                first = tried[0] + 1
            first = stop if not found else first  # it is through
    finally:
        worker.kill()
        worker.join()
    return first


def _work(
    kind: Kind, first: int, stop: int, skipped: set[int], current: Any, results: Connection
) -> None:
    """Try files, and send what became of them once a second: the other process waits its turn."""
    found: list[tuple[int, str, str, float, float]] = []
    sent = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for number in range(first, stop):
            if number in skipped:
                continue
            current.value = number
            started = time.monotonic()
            outcome, wrong = try_one(kind, number, scratch)
            now = time.monotonic()
            peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found.append((number, outcome, wrong, now - started, peak_mib))
            if now - sent > SEND_S:
                results.send(found)
                found, sent = [], now
    if found:
        results.send(found)
    results.send([])


def made_kinds(names: list[str], folder: Path) -> Iterator[Kind]:
    """Write the whole files, one kind after another."""
    for place, name in enumerate(names):
        yield make(name, folder / str(place))


def report(results: dict[str, dict[str, Any]]) -> str:
    """Return the table for people."""
    lines = [
        "# Damaged files",
        "",
        "`python -m bench.fuzz_files`: damaged files of each kind, a sixth of them each cut off, "
        "bits flipped, fields swapped, bytes overwritten, left out, put in.",
        "",
        "| kind | files | refused with a sentence | read | slowest, s | peak, MiB | faults |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        outcomes = found["outcomes"]
        total = sum(outcomes.values())
        refused = sum(n for outcome, n in outcomes.items() if outcome.endswith("refused"))
        row = (
            *(f"{n:,}" for n in (total, refused, total - refused)),
            f"{found['slowest_s']:.2f}",
            found["peak_mib"],
            len(found["faults"]),
        )
        lines.append(f"| {name} | {' | '.join(map(str, row))} |")
    return "\n".join(lines) + "\n"


def keep(out: Path, name: str, tally: Tally) -> str:
    """Write a kind's results beside those of the others; return the table of all."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.json"
    results = json.loads(file.read_text()) if file.is_file() else {}
    results[name] = {
        "outcomes": dict(sorted(tally.outcomes.items())),
        "faults": tally.faults,
        "slowest_s": round(tally.slowest_s, 3),
        "peak_mib": round(tally.peak_mib),
    }
    results = {name: results[name] for name in WRITERS if name in results}
    file.write_text(json.dumps(results, indent=1) + "\n")
    table = report(results)
    (out / "README.md").write_text(table)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the files")
    parser.add_argument("--kind", action="append", choices=list(WRITERS), help="only these kinds")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--replay", nargs=2, metavar=("KIND", "NUMBER"), help="one file again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.replay:
            kind = make(args.replay[0], Path(folder) / "whole")
            kept = Path(tempfile.mkdtemp(prefix="fuzz-"))
            print(kept, *try_one(kind, int(args.replay[1]), kept))
            return 0
        faults, table = 0, ""
        for kind in tqdm(made_kinds(args.kind or list(WRITERS), Path(folder)), disable=None):
            tally = run(kind, range(args.first, args.first + args.count))
            shutil.rmtree(kind.path.parent)
            table = keep(args.out, kind.name, tally)
            faults += len(tally.faults)
            for fault in tally.faults:
                print(f"{kind.name} {fault}", file=sys.stderr, flush=True)
    print(table)
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
