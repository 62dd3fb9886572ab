"""Beats found, beside the detectors users have at hand: ``python -m bench.detectors``.

On DS2, first lead, whole records, by the project's own scoring: this model (Python runtime), and
WFDB's gqrs and xqrs as the ``wfdb`` package has them. Also how long each took, alternating record
by record on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.measure import machine_folder
from runtime import Detector
from runtime.errors import EkgError
from training.databases import DS2
from training.detect import as_arrays
from training.download import require_data
from training.errors import DataError
from training.recordings import FS, Record, load_all
from training.results import as_json, require_writable
from training.scores import Score, score_record, total_score

Find = Callable[[NDArray[np.float32]], NDArray[np.int64]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, write ``detectors.json`` and ``detectors.md``."""
    parser = argparse.ArgumentParser(prog="python -m bench.detectors", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results") / machine_folder())
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out)
        finders = candidates()
        records = load_all("mitdb", DS2, require_data(["mitdb"]))
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    scores, seconds = compare(finders, records)
    hours = sum(record.seconds for record in records) / 3600
    rows = {
        name: {
            "QRS Se": scores[name].qrs.sensitivity,
            "QRS +P": scores[name].qrs.predictivity,
            "missed": int(scores[name].confusion[:-1, -1].sum()),
            "false": int(scores[name].confusion[-1].sum()),
            "time error, median absolute, s": float(np.median(np.abs(scores[name].errors_s))),
            "seconds per hour of signal": seconds[name] / hours,
        }
        for name in scores
    }
    text = table(rows)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "detectors.json").write_text(as_json(rows) + "\n")
    (args.out / "detectors.md").write_text(text + "\n")


def candidates() -> dict[str, Find]:
    """Each takes a whole record, float32 [samples] in mV at 360 Hz, and gives beat positions."""
    from wfdb.processing import gqrs_detect, xqrs_detect

    detector = Detector.load(provider="cpu")

    def ours(ecg: NDArray[np.float32]) -> NDArray[np.int64]:
        stream = detector.stream(FS)
        return as_arrays(stream.push(ecg) + stream.finish())[0]

    def gqrs(ecg: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.asarray(gqrs_detect(sig=ecg.astype(np.float64), fs=FS), dtype=np.int64)

    def xqrs(ecg: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.asarray(xqrs_detect(ecg.astype(np.float64), FS, verbose=False), dtype=np.int64)

    return {"this model": ours, "gqrs (wfdb package)": gqrs, "xqrs (wfdb package)": xqrs}


def compare(
    finders: dict[str, Find], records: list[Record]
) -> tuple[dict[str, Score], dict[str, float]]:
    """Scores over all records, labels left out of account, and s spent."""
    scores: dict[str, list[Score]] = {name: [] for name in finders}
    seconds = dict.fromkeys(finders, 0.0)
    for record in tqdm(records, unit="record"):
        for name, find in finders.items():
            started = time.perf_counter()
            beats = np.unique(find(record.signal[0]))
            seconds[name] += time.perf_counter() - started
            scores[name].append(score_record(record, beats, np.zeros(len(beats), dtype=np.int64)))
    return {name: total_score(found) for name, found in scores.items()}, seconds


def table(rows: dict[str, dict[str, float]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| beats found on DS2 | Se % | +P % | missed | false | time error, median | "
        "s per hour of signal |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {100 * row['QRS Se']:.2f} | {100 * row['QRS +P']:.2f} "
        f"| {row['missed']:.0f} | {row['false']:.0f} "
        f"| {1000 * row['time error, median absolute, s']:.1f} ms "
        f"| {row['seconds per hour of signal']:.2f} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
