"""The spread of the figures by chance: several checkpoints measured alike, mean and SD of each.

``python -m training.seeds runs/a runs/b ...`` measures every run's ``model.pt`` as
`training.evaluate` measures the exported model, over DS2 or the records given
(`training.torch_detector`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.detector import Detector
from runtime.errors import InputError
from runtime.model.contract import BeatPolicy
from training.databases import BEATLESS, DS2
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.evaluate import evaluate
from training.recordings import Record, load
from training.results import as_json, require_writable
from training.torch_detector import detector_of

LEFT_OUT = ("per record", "confusion", "right", "of", "windows")  # parts and counts, not figures
# Beside each other in the table; the rest is in the JSON.
TABLE = (
    *(
        f"whole records, {figure}"
        for figure in (
            "QRS Se",
            "QRS +P",
            "accuracy",
            "VEB Se",
            "VEB +P",
            "VEB F1",
            "SVEB Se",
            "SVEB +P",
            "SVEB F1",
            "F F1",
        )
    ),
    "SVEB F1 without 232",
    "SVEB F1, mean of patients with 10 or more",
    "bxb, from 5:00, VEB sensitivity, gross",
    "bxb, from 5:00, VEB positive predictivity, gross",
    "bxb, from 5:00, SVEB sensitivity, gross",
    "bxb, from 5:00, SVEB positive predictivity, gross",
    *(
        f"one-second windows, {figure}"
        for figure in ("accuracy", "sensitivity", "specificity", "right class")
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table, save all in ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.seeds", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders with model.pt, or checkpoints")
    parser.add_argument(
        "--records",
        nargs="+",
        metavar="RECORD",
        default=[f"mitdb/{name}" for name in DS2],
        help="database/name (default: DS2)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        help="mean probability from which frames make a beat (default: as each run had it)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="JSON file for every figure of every run; the table goes beside it, as .md",
    )
    args = parser.parse_args(arguments)
    for written in args.records:
        if written.count("/") != 1 or written.partition("/")[0] in BEATLESS:
            parser.exit(
                2, f"{written} is no record with beats; expected database/name, say mitdb/208.\n"
            )
    for what, given in (("record", args.records), ("run", [run.resolve() for run in args.runs])):
        if len(set(given)) < len(given):
            parser.exit(2, f"a {what} is named twice and would count twice; expected each once.\n")
    one_thread()
    try:
        if args.out:
            if args.out.suffix != ".json" or args.out.is_dir():
                raise DataError(
                    f"--out {args.out}: expected a file that ends in .json; the "
                    "table goes beside it, as .md."
                )
            require_writable(args.out.parent)
        named = [written.split("/") for written in args.records]
        folder = require_data(database for database, _ in named)
        records = [load(database, name, folder) for database, name in named]
        policy = None if args.threshold is None else BeatPolicy(threshold=args.threshold)
        detectors = {str(run): detector_of(run, policy) for run in args.runs}
    except (DataError, InputError) as error:
        parser.exit(2, f"{error}\n")
    results = measure(detectors, records)
    print(table(results))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(as_json(results) + "\n")
        args.out.with_suffix(".md").write_text(table(results) + "\n")


def measure(detectors: Mapping[str, Detector], records: Sequence[Record]) -> dict[str, Any]:
    """The figures of `evaluate` for each, and mean and SD (of a sample) of every figure.

    A figure that a run does not define (+P if nothing was reported) is left out of its mean.
    """
    runs = {}
    for name, detector in detectors.items():
        print(f"{name}:")
        runs[name] = evaluate(detector, records)
    each = [_figures(metrics) for metrics in runs.values()]
    figures = {}
    for figure in each[0]:
        values = np.array([of_run[figure] for of_run in each])
        known = values[~np.isnan(values)]
        figures[figure] = {
            "mean": float(known.mean()) if len(known) else float("nan"),
            "sd": float(known.std(ddof=1)) if len(known) > 1 else float("nan"),
            "each": values.tolist(),
        }
    return {"records": next(iter(runs.values()))["records"], "figures": figures, "runs": runs}


def table(results: Mapping[str, Any]) -> str:
    """The main figures as Markdown, in %."""
    runs = list(results["runs"])
    lines = [
        f"{len(runs)} runs on {results['records']}, in %: {', '.join(runs)}.",
        "",
        "| | mean | SD | each |",
        "|---|---|---|---|",
    ]
    for name in TABLE:
        figure = results["figures"].get(name)
        if figure is not None:
            mean, deviation, *each = (
                "-" if np.isnan(value) else f"{100 * value:.2f}"
                for value in (figure["mean"], figure["sd"], *figure["each"])
            )
            lines.append(f"| {name} | {mean} | {deviation} | {' '.join(each)} |")
    return "\n".join(lines)


def _figures(metrics: Mapping[str, Any], within: str = "") -> dict[str, float]:
    """The numbers of nested metrics, named by their path."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if name in LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            found |= _figures(value, f"{within}{name}, ")
        elif isinstance(value, float):
            found[within + name] = value
    return found


if __name__ == "__main__":
    main()
