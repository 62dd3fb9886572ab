"""Measure rhythm events and signal quality, and draw the misses.

``python -m training.evaluate_rhythm`` runs the exported model and its rhythm over recordings that
neither was designed on: DS2, and the second half of nstdb's noises mixed into DS2;
``--design`` takes DS1 and the first half instead. Fibrillation is looked for in all patients of
cudb, each judged by a model that saw nothing of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtime import Detector
from runtime.detector import DEFAULT_ARTIFACTS, load_rhythm
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.contract import FS
from runtime.rhythm import closed
from training.databases import CUDB, DS1, DS2
from training.download import require_data
from training.errors import DataError
from training.recordings import load_all
from training.results import as_json, require_writable
from training.rhythm_measures import (
    hear,
    measure_atrial,
    measure_clean,
    measure_false_alarms,
    measure_fibrillation,
    measure_kinds,
    measure_noise,
    measure_runs,
)
from training.rhythm_report import Miss, draw, table

OUT = Path(__file__).resolve().parent.parent / "bench" / "results" / "rhythm"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: write ``rhythm.json``, ``rhythm.md`` and the strips into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_rhythm", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--design", action="store_true", help="on the design recordings")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out)
        folder = require_data(["mitdb", "cudb", "nstdb", "svdb"])
        figures, misses = evaluate(args.artifacts, folder, design=args.design)
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "rhythm.json").write_text(as_json(figures) + "\n")
    pages = draw(misses, args.out)
    text = table(figures, pages)
    (args.out / "rhythm.md").write_text(text + "\n")
    print(text)


def evaluate(
    artifacts: Path, folder: Path, *, design: bool = False
) -> tuple[dict[str, Any], list[Miss]]:
    """All figures of the exported model, and what was missed."""
    from tqdm import tqdm

    names = DS1 if design else DS2
    detector = Detector.load(artifacts, provider="cpu")
    records = load_all("mitdb", names, folder)
    heard = [
        hear(detector, record.name, record.signal[0], FS)
        for record in tqdm(records, desc="beats of mitdb", unit="record")
    ]
    rhythm = load_rhythm(Artifacts(artifacts))
    raised = {
        h.name: h.reported(rhythm) for h in tqdm(heard, desc="events of mitdb", unit="record")
    }
    found = {name: closed(events) for name, events in raised.items()}
    fibrillation, misses = measure_fibrillation(detector, folder, rhythm)
    atrial, more = measure_atrial(folder, heard, found)
    misses += more
    runs, more = measure_runs(records, heard, found)
    misses += more
    false, more = measure_false_alarms(records, heard, raised, folder)
    misses += more
    return {
        "model": detector.digest.hex(),
        "recordings": {
            "mitdb": names,
            "cudb": CUDB,
            "nstdb": f"{'first' if design else 'second'} half",
        },
        "policy": {"rhythm": rhythm.policy.to_dict(), "quality": asdict(rhythm.quality)},
        "fibrillation": fibrillation,
        "false alarms": false,
        "atrial fibrillation": atrial,
        "ventricular runs": runs,
        "by the same rules": measure_kinds(records, heard, found, rhythm),
        "clean": measure_clean(detector, heard),
        "noise": measure_noise(detector, folder, records, rhythm, design=design),
    }, misses


if __name__ == "__main__":
    main()
