"""``python -m training.evidence``: what the committed model does on every recording at hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from training.download import require_data
from training.errors import DataError
from training.evidence.cases import listed, read_case
from training.evidence.figures import summarise
from training.evidence.measure import measure
from training.evidence.page import page
from training.results import as_json, from_json, require_writable

OUT = Path(__file__).resolve().parents[2] / "bench" / "results" / "evidence"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: write ``evidence.json`` and ``evidence.html`` into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.evidence", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the page and its numbers")
    parser.add_argument(
        "--groups", nargs="+", metavar="GROUP", help="only these, as DS1 or svdb; all by default"
    )
    parser.add_argument("--page", action="store_true", help="only draw the numbers in --out again")
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out)
        numbers = args.out / "evidence.json"
        if args.page:
            evidence = from_json(numbers.read_text())
        else:
            detector = Detector.load(args.artifacts, provider="cpu")
            folder = require_data(["mitdb", "svdb", "cudb", "nstdb"])
            every = listed(folder)
            named = [one for one in every if not args.groups or one.group in args.groups]
            if not named:
                known = ", ".join(dict.fromkeys(one.group for one in every))
                raise DataError(f"--groups names none of the groups at hand: {known}.")
            evidence = {
                "model": detector.digest.hex(),
                **summarise(
                    [
                        measure(detector, read_case(one, folder))
                        for one in tqdm(named, desc="evidence", unit="record")
                    ]
                ),
            }
    except FileNotFoundError as error:
        parser.exit(2, f"{error.filename} is not there; run without --page first.\n")
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    args.out.mkdir(parents=True, exist_ok=True)
    numbers.write_text(as_json(evidence, indent=None) + "\n")
    (args.out / "evidence.html").write_text(page(evidence), encoding="utf-8")
    print(f"{args.out / 'evidence.html'} and {numbers.name}")


if __name__ == "__main__":
    main()
