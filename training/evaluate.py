"""Find and label the beats of patients never seen, and count what was right.

``python -m training.evaluate`` runs the exported model as a user would, through the runtime,
over DS2. The figures are in the papers' convention (`training.scores`): beats are paired one to
one, the nearest first, e and j are N, and missed and false beats are errors; beside them stand the
statistics of PhysioNet's bxb (`training.ec57`). Paced patients, whom both conventions leave out,
are apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.findings import CLASSES
from training import ec57
from training.confusion import draw_confusion
from training.databases import DS2, PACED_TEST
from training.detect import find
from training.download import require_data
from training.ec57 import LEARNING_S
from training.errors import DataError
from training.recordings import FS, Record, load_all, windows
from training.results import as_json, require_writable
from training.scores import Rates, score_record, share, total_score
from training.strips import draw_hardest
from training.tables import tables

WINDOW_LABELS = ("none", *CLASSES)  # as `runtime.detector.Result.label`
RICHEST = "232"  # holds 1,382 of DS2's 1,837 S beats, so SVEB is also given without it


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the tables; save them, with the confusion matrix drawn, in ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--provider", default="cpu")
    parser.add_argument(
        "--model", help="graph file, say ekg_fused_int8.onnx; the provider's own by default"
    )
    parser.add_argument(
        "--paced", action="store_true", help=f"also the paced patients {' and '.join(PACED_TEST)}"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for metrics.json, confusion.png and hardest.png"
    )
    args = parser.parse_args(arguments)
    try:
        if args.out:
            require_writable(args.out)
        detector = Detector.load(args.artifacts, provider=args.provider, model=args.model)
        folder = require_data(["mitdb"])
        records = load_all("mitdb", DS2, folder)
        paced = load_all("mitdb", PACED_TEST, folder) if args.paced else []
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    metrics = evaluate(detector, records, paced=paced)
    print(tables(metrics))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "metrics.json").write_text(as_json(metrics) + "\n")
        draw_confusion(metrics, args.out / "confusion.png")
        draw_hardest(detector, records, args.out / "hardest.png")


def evaluate(
    detector: Detector, records: Sequence[Record], *, paced: Sequence[Record] = ()
) -> dict[str, object]:
    """All figures of a model on these records, from their first lead.

    ``paced`` records are reported apart, under ``"paced"``.
    """
    whole, alone, later, strict = {}, {}, {}, []
    truth, called = [], []
    for record in tqdm(records, desc="evaluate", unit="record"):
        beats, labels = find(detector, record)
        whole[record.name] = score_record(record, beats, labels)
        alone[record.name] = score_record(record, *find(detector, record, events=False))
        later[record.name] = score_record(record, beats, labels, start_s=LEARNING_S)
        if record.seconds > LEARNING_S:
            strict.append(compare_record(record, beats, labels))
        signal, classes = windows(record)
        results = detector.predict(signal, FS)
        assert isinstance(results, list)
        truth.append(classes + 1)
        called.append([WINDOW_LABELS.index(result.label) for result in results])
    rest = [score for name, score in whole.items() if name != RICHEST]
    total = total_score(whole.values())
    sveb = [score.of("S").f1 for score in whole.values() if score.confusion[1].sum() >= 10]
    metrics = {
        "model": detector.digest.hex(),
        "provider": detector.provider,
        "records": "; ".join(
            f"{database}: {' '.join(r.name for r in records if r.database == database)}"
            for database in dict.fromkeys(r.database for r in records)
        ),
        "lead": "MLII where recorded, else the first",
        "matching": "one to one within 150 ms",
        "whole records": total.summary(),
        "from 5:00": total_score(later.values()).summary(),
        "rhythm not followed": total_score(alone.values()).summary(),
        "SVEB F1 without 232": total_score(rest).of("S").f1,
        "SVEB F1, mean of patients with 10 or more": float(np.nanmean(sveb)) if sveb else None,
        "bxb, from 5:00": bxb_figures(strict),
        "one-second windows": window_figures(np.concatenate(truth), np.concatenate(called)),
        "confusion": {
            "rows": [*CLASSES, "false"],
            "columns": [*CLASSES, "missed"],
            "counts": total.confusion.tolist(),
        },
        "per record": {name: score.summary() for name, score in whole.items()},
    }
    return metrics | ({"paced": paced_figures(detector, paced)} if paced else {})


def paced_figures(detector: Detector, records: Sequence[Record]) -> dict[str, object]:
    """Patients with a pacemaker, whose paced beats are class Q."""
    scores = {record.name: score_record(record, *find(detector, record)) for record in records}
    return {
        "whole records": total_score(scores.values()).summary(),
        "per record": {name: score.summary() for name, score in scores.items()},
    }


def compare_record(
    record: Record,
    beats: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    start_s: float = LEARNING_S,
) -> ec57.Comparison:
    """`ec57.compare` reported beats (sample positions at 360 Hz) with a record's annotations."""
    samples, symbols, subtypes = zip(*record.marks, strict=True) if record.marks else ((), (), ())
    return ec57.compare(
        ec57.Annotations(np.array(samples, dtype=np.int64), symbols, subtypes),
        ec57.Annotations(beats, [CLASSES[label] for label in labels]),
        FS,
        start_s=start_s,
        record_samples=record.signal.shape[1],
    )


def bxb_figures(comparisons: Sequence[ec57.Comparison]) -> dict[str, object]:
    """bxb's statistics over records as sumstats sums them, shares 0 to 1; RR error in ms."""
    summary = ec57.summarise(comparisons)
    figures: dict[str, object] = {
        name: {
            "right": ratio.part,
            "of": ratio.whole,
            "gross": ratio.percent / 100,
            "average": summary.average[name] / 100,
        }
        for name, ratio in summary.gross.items()
    }
    return figures | {"RR interval error, average, ms": summary.average["RR interval error"]}


def window_figures(truth: NDArray[np.integer], called: NDArray[np.integer]) -> dict[str, Any]:
    """Figures of windows alone, without context: normal or not, and the class.

    Parameters
    ----------
    truth, called : [windows], indices into `WINDOW_LABELS`; of the reference the rarest beat's
        class (see `training.recordings.windows`), of the runtime its answer's label
    """
    normal = WINDOW_LABELS.index("N")
    there, alarm = truth > normal, called > normal
    classes = {}
    for i, label in enumerate(WINDOW_LABELS):
        rates = Rates(
            int(((truth == i) & (called == i)).sum()),
            int((truth == i).sum()),
            int((called == i).sum()),
        )
        classes[label] = {
            "windows": rates.there,
            "Se": rates.sensitivity,
            "+P": rates.predictivity,
            "F1": rates.f1,
        }
    return {
        "windows": float(len(truth)),
        "accuracy": float((there == alarm).mean()),
        "sensitivity": share(int((there & alarm).sum()), int(there.sum())),
        "specificity": share(int((~there & ~alarm).sum()), int((~there).sum())),
        "right class": float((truth == called).mean()),
        "classes": classes,
    }


if __name__ == "__main__":
    main()
