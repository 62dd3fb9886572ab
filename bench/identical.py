"""Answers against another commit, byte for byte: ``python -m bench.identical --base REV``.

Annotates DS2, svdb and cudb with the working tree and with another commit, and compares every
file that ``python -m runtime annotate --csv --scores`` writes. Exit status 1 if any differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from bench.checkouts import CheckoutError, checkout, environment
from bench.environments import ROOT
from bench.measure import unwind_on_sigterm
from training.databases import DS2
from training.download import require_data
from training.errors import DataError

DATABASES = ("mitdb", "svdb", "cudb")
AT_ONCE = 6  # records of one process; between two processes the progress is shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0: all the same, 1: a difference, 2: nothing could be compared."""
    parser = argparse.ArgumentParser(prog="python -m bench.identical", description=__doc__)
    parser.add_argument("--base", required=True, metavar="REV", help="commit to compare with")
    parser.add_argument(
        "--records",
        nargs="+",
        metavar="RECORD",
        help="database/name, or a database (default: DS2, svdb and cudb)",
    )
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    try:
        records = chosen(args.records)
        with checkout(args.base) as base, tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder) / "before", Path(folder) / "after"
            failed = []
            for block in tqdm(list(blocks(records)), desc="annotate", unit="block"):
                for tree, out in ((base, before), (ROOT, after)):
                    failed += annotate(tree, block, out / block[0].parent.name, out.name)
            found = failed + differences(before, after)
            files = sum(path.is_file() for path in after.rglob("*"))
    except (CheckoutError, DataError) as error:
        parser.exit(2, f"{error}\n")
    for line in found:
        print(line)
    print(f"records: {len(records)}, files: {files}, differences from {args.base}: {len(found)}")
    return 1 if found else 0


def chosen(names: Sequence[str] | None) -> list[Path]:
    """Paths, without extension, of the records named.

    Raises
    ------
    DataError
        A record or database is not there.
    """
    names = names or DATABASES
    folder = require_data(dict.fromkeys(name.partition("/")[0] for name in names))
    found: dict[Path, None] = {}  # in order, each once
    for name in names:
        database, _, record = name.partition("/")
        if record:
            paths = [folder / database / record]
        elif database == "mitdb":
            paths = [folder / database / name for name in DS2]
        else:
            paths = sorted(path.with_suffix("") for path in (folder / database).glob("*.hea"))
        for path in paths:
            if not path.with_suffix(".hea").is_file():
                raise DataError(
                    f"{path}.hea does not exist; expected --records database/name, or a database."
                )
            found[path] = None
    return list(found)


def blocks(records: Sequence[Path]) -> Iterator[list[Path]]:
    """Records of one database, a few at a time."""
    for database in dict.fromkeys(path.parent for path in records):
        own = [path for path in records if path.parent == database]
        for start in range(0, len(own), AT_ONCE):
            yield own[start : start + AT_ONCE]


def annotate(tree: Path, records: Sequence[Path], out: Path, name: str) -> list[str]:
    """Annotate records with the runtime of a checkout; returns a line if that fails."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "runtime",
            "annotate",
            *map(str, records),
            "--csv",
            "--scores",
            "--out",
            str(out),
        ],
        cwd=tree,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return []
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return [f"{name}: annotate ended with status {done.returncode} ({last})"]


def differences(before: Path, after: Path) -> list[str]:
    """One line for each file that is not the same in both folders."""
    found = []
    names = {
        path.relative_to(folder)
        for folder in (before, after)
        for path in folder.rglob("*")
        if path.is_file()
    }
    for name in sorted(names):
        missing = [folder.name for folder in (before, after) if not (folder / name).is_file()]
        if missing:
            found.append(f"{name}: not there {missing[0]}")
            continue
        old, new = (before / name).read_bytes(), (after / name).read_bytes()
        if old != new:
            byte = next(
                (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
                min(len(old), len(new)),
            )
            found.append(
                f"{name}: differs from byte {byte} on, line {old[:byte].count(10) + 1} "
                f"({len(old)} bytes before, {len(new)} after)"
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
