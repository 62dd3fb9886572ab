"""The noise stress test on DS2: ``python -m bench.noise`` (with ``--detectors`` once).

Every noise of nstdb at every ratio (`training.noise`), through the Python runtime, scored in the
noisy blocks alone; beside the model gqrs and xqrs of the ``wfdb`` package, which only find beats
and take long, so that they run only with ``--detectors``, on one noise; else the last results stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.detectors import Find, candidates
from runtime import Detector
from runtime.detector import DEFAULT_ARTIFACTS
from runtime.errors import EkgError
from training.databases import DS2, NOISES
from training.detect import find
from training.download import require_data
from training.errors import DataError
from training.noise import DECIBELS, kept_noise, mix, noisy_blocks
from training.recordings import Record, load_all
from training.results import as_json, from_json, require_writable
from training.scores import Score, score_record, total_score

OUT = Path("bench/results/noise")
CLEAN = "clean"
# Electrode motion looks most like beats. The other detectors get it alone, at these ratios.
HARDEST, LOUD = "em", (12, 6, 0, -6)
Label: TypeAlias = Callable[[Record], tuple[NDArray[np.int64], NDArray[np.int64]]]
Curve: TypeAlias = dict[str, dict[str, float]]  # ratio -> figures of `Score.summary`


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, write ``noise.json``, ``noise.md`` and ``noise.png``."""
    parser = argparse.ArgumentParser(prog="python -m bench.noise", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument(
        "--detectors",
        action="store_true",
        help=f"run gqrs and xqrs too, on {HARDEST} (15 minutes on one core)",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out)
        detector = Detector.load(args.artifacts, provider="cpu")
        folder = require_data(["mitdb", "nstdb"])
        records = load_all("mitdb", DS2, folder)
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "noise.json"
    noises = {name: kept_noise(name, folder) for name in NOISES}
    others = from_json(kept.read_text()).get("detectors", {}) if kept.is_file() else {}
    results: dict[str, Any] = {
        "model": detector.digest.hex(),
        "records": "DS2 of mitdb, first lead, noisy blocks alone",
        "this model": measure(lambda record: find(detector, record), records, noises),
        "detectors": others,
    }
    save(results, args.out)
    for name, finder in candidates().items() if args.detectors else ():
        if name != "this model":
            others[name] = measure(labelled(finder), records, {HARDEST: noises[HARDEST]}, LOUD)
            save(results, args.out)
    print(report(results))


def save(results: Mapping[str, Any], out: Path) -> None:
    """Write the figures, the tables and the plot."""
    (out / "noise.json").write_text(as_json(results) + "\n")
    (out / "noise.md").write_text(report(results))
    draw(results, out / "noise.png")


def measure(
    label: Label,
    records: Sequence[Record],
    noises: Mapping[str, NDArray[np.float64]],
    decibels: Iterable[int] = DECIBELS,
) -> dict[str, Curve]:
    """Figures of one detector in the noisy blocks, by noise and ratio; first without noise."""
    ratios = list(decibels)
    with tqdm(total=len(records) * (1 + len(ratios) * len(noises)), unit="record") as progress:

        def score(change: Callable[[Record], Record], name: str) -> dict[str, float]:
            progress.set_description(name)
            scores = []
            for record in records:
                beats, labels = label(change(record))
                scores += [
                    score_record(record, beats, labels, start_s=start, stop_s=end)
                    for start, end in noisy_blocks(record.seconds)
                ]
                progress.update()
            return _summary(total_score(scores))

        clean = score(lambda record: record, CLEAN)
        return {
            name: {CLEAN: clean}
            | {
                f"{ratio} dB": score(_noisier(noise, ratio), f"{name} {ratio} dB")
                for ratio in ratios
            }
            for name, noise in noises.items()
        }


def report(results: Mapping[str, Any]) -> str:
    """Markdown, in %."""
    lines = [
        "# Noise",
        "",
        f"Model {results['model'][:12]}. Made by `python -m bench.noise`; "
        "[training/noise.py](../../../training/noise.py) says how noise is mixed in. "
        f"{results['records']}; Se/+P/F1 in %.",
        "",
        "![](noise.png)",
        "",
    ]
    for name, curve in results["this model"].items():
        lines += [f"| {name} | QRS Se/+P | VEB F1 | SVEB F1 | accuracy |", "|---|---|---|---|---|"]
        lines += [
            f"| {ratio} | {_pair(f)} | {_pc(f['VEB F1'])} | {_pc(f['SVEB F1'])} "
            f"| {_pc(f['accuracy'])} |"
            for ratio, f in curve.items()
        ]
        lines.append("")
    if results["detectors"]:
        found = {"this model": results["this model"]} | results["detectors"]
        lines += [
            f"Beats found in {HARDEST}, QRS Se/+P:",
            "",
            f"| | {' | '.join(found)} |",
            "|---" * (len(found) + 1) + "|",
        ]
        lines += [
            f"| {ratio} | {' | '.join(_pair(c[HARDEST][ratio]) for c in found.values())} |"
            for ratio in next(iter(results["detectors"].values()))[HARDEST]
        ]
        lines.append("")
    return "\n".join(lines)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """One column a noise: beats found above, labels below."""
    from matplotlib.figure import Figure

    noises = results["this model"]
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    rows = figure.subplots(2, len(noises), sharex=True, sharey="row", squeeze=False)
    for (upper, lower), (name, curve) in zip(rows.T, noises.items(), strict=True):
        ratios = list(curve)
        places = range(len(ratios))
        upper.plot(places, _percents(curve, "QRS F1"), "o-", color="#1f6fb4", label="this model")
        others = (c for c in results["detectors"].items() if name in c[1])
        for (other, curves), style in zip(others, ("s--", "^:"), strict=False):
            upper.plot(
                [ratios.index(ratio) for ratio in curves[name]],
                _percents(curves[name], "QRS F1"),
                style,
                color="#909090",
                label=other,
            )
        for label, colour in (("accuracy", "black"), ("VEB F1", "#c0392b"), ("SVEB F1", "#e08e0b")):
            lower.plot(places, _percents(curve, label), "o-", color=colour, label=label)
        upper.set_title(
            {"bw": "baseline wander (bw)", "em": "electrode motion (em)", "ma": "muscle (ma)"}.get(
                name, name
            ),
            fontsize=10,
        )
        lower.set_xticks(places, [ratio.removesuffix(" dB") for ratio in ratios])
        lower.set_xlabel("signal to noise, dB")
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    rows[0, 0].set_ylabel("QRS F1, %")
    rows[1, 0].set_ylabel("labels, %")
    rows[1, 0].set_ylim(0, 102)
    rows[1, 0].legend(fontsize=8, loc="lower left")
    hardest = list(noises).index(HARDEST) if HARDEST in noises else 0
    rows[0, hardest].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)


def _noisier(noise: NDArray[np.float64], ratio: int) -> Callable[[Record], Record]:
    return lambda record: replace(record, signal=mix(record, noise, ratio)[None])


def labelled(finder: Find) -> Label:
    """A detector that labels nothing calls every beat N."""

    def label(record: Record) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        beats = np.unique(finder(record.signal[0]))
        return beats, np.zeros(len(beats), dtype=np.int64)

    return label


def _summary(score: Score) -> dict[str, float]:
    return {
        name: value
        for name, value in score.summary().items()
        if name.startswith(("QRS", "VEB", "SVEB", "accuracy"))
    }


def _percents(curve: Curve, figure: str) -> list[float]:
    return [100 * figures[figure] for figures in curve.values()]


def _pair(figures: Mapping[str, float]) -> str:
    return f"{_pc(figures['QRS Se'])}/{_pc(figures['QRS +P'])}"


def _pc(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"


if __name__ == "__main__":
    main()
