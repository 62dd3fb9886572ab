"""Download records from PhysioNet, each file checked by its hash and continued if it broke off."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..records.physionet import download
from .whole_records import for_each

EXAMPLE = "mitdb/100 svdb/800 --out data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument(
        "records",
        nargs="+",
        metavar="RECORD",
        help="DATABASE/RECORD, a whole DATABASE, or DATABASE/VERSION/RECORD "
        "(default: the latest version)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="folder in which the database's is made (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Fetch one record after another, showing the bytes that come."""

    def fetch(record: str) -> None:
        with tqdm(unit="B", unit_scale=True, leave=False, desc=record, disable=None) as bar:
            files = download(record, args.out, progress=bar.update)
        size = sum(path.stat().st_size for path in files)
        headers = [path.with_suffix("") for path in files if path.suffix == ".hea"]
        where = headers[0] if len(headers) == 1 else args.out / record.partition("/")[0]
        print(f"{where}: {len(files)} files, {size} bytes, each of the right SHA-256")

    return for_each(args.records, fetch)
