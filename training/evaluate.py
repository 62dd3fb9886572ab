"""Find and label the beats of patients never seen, and count what was right.

``python -m training.evaluate`` runs the exported model as a user would, through the runtime,
over DS2. The figures are in the papers' convention: beats are paired one to one, the nearest
first, e and j are N, and missed and false beats are errors; beside them stand the statistics of
PhysioNet's bxb (`training.ec57`). Paced patients, whom both conventions leave out, are apart.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from training import ec57, io
from training.ec57 import LEARNING_S, MATCH_S
from training.io import CLASSES, FS, Record

if TYPE_CHECKING:
    from runtime.findings import Beat

NONE = len(CLASSES)  # row of false beats, column of missed ones
_CELLS = (("QRS Se", "QRS +P"), ("VEB Se", "VEB +P", "VEB F1"),
          ("SVEB Se", "SVEB +P", "SVEB F1"), ("F F1",), ("accuracy",))  # of a row of `table`
_HEADING = "QRS Se/+P | VEB Se/+P/F1 | SVEB Se/+P/F1 | F F1 | accuracy"
_PACED_CELLS = (("QRS Se", "QRS +P"), ("Q Se", "Q +P", "Q F1"), ("accuracy",))
WINDOW_LABELS = ("none", *CLASSES)  # as `runtime.detector.Result.label`
PACED_TEST = ("104", "217")  # of `io.PACED`; 102 and 107 may be trained on
RICHEST = "232"  # holds 1,382 of DS2's 1,837 S beats, so SVEB is also given without it


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the tables; save them, with the confusion matrix drawn, in ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--model", help="graph file, say ekg_fused_int8.onnx; the provider's own "
                                        "by default")
    parser.add_argument("--paced", action="store_true",
                        help=f"also the paced patients {' and '.join(PACED_TEST)}")
    parser.add_argument("--out", type=Path,
                        help="folder for metrics.json, confusion.png and hardest.png")
    args = parser.parse_args(arguments)
    try:
        if args.out:
            io.require_writable(args.out)
        detector = Detector.load(args.artifacts, provider=args.provider, model=args.model)
        folder = io.require_data(["mitdb"])
        records = io.load_all("mitdb", io.DS2, folder)
        paced = io.load_all("mitdb", PACED_TEST, folder) if args.paced else []
    except (io.DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    metrics = evaluate(detector, records, paced=paced)
    print(tables(metrics))
    if args.out:
        from training import strips

        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "metrics.json").write_text(as_json(metrics) + "\n")
        draw_confusion(metrics, args.out / "confusion.png")
        strips.draw_hardest(detector, records, args.out / "hardest.png")


def evaluate(detector: Detector, records: Sequence[Record], *, paced: Sequence[Record] = ()
             ) -> dict[str, object]:
    """Everything that is reported of a model on these records, from their first lead.

    ``paced`` records are reported apart, under ``"paced"``.
    """
    from tqdm import tqdm

    whole, alone, later, strict = {}, {}, {}, []
    truth, called = [], []
    for record in tqdm(records, desc="evaluate", unit="record"):
        beats, labels = find(detector, record)
        whole[record.name] = score_record(record, beats, labels)
        alone[record.name] = score_record(record, *find(detector, record, events=False))
        later[record.name] = score_record(record, beats, labels, start_s=LEARNING_S)
        if record.seconds > LEARNING_S:
            strict.append(compare_record(record, beats, labels))
        windows, classes = io.windows(record)
        results = detector.predict(windows, FS)
        assert isinstance(results, list)
        truth.append(classes + 1)
        called.append([WINDOW_LABELS.index(result.label) for result in results])
    rest = [score for name, score in whole.items() if name != RICHEST]
    total = total_score(whole.values())
    sveb = [score.of("S").f1 for score in whole.values() if score.confusion[1].sum() >= 10]
    metrics = {
        "model": detector.digest.hex(), "provider": detector.provider,
        "records": "; ".join(
            f"{database}: {' '.join(r.name for r in records if r.database == database)}"
            for database in dict.fromkeys(r.database for r in records)),
        "lead": "MLII where recorded, else the first", "matching": "one to one within 150 ms",
        "whole records": total.summary(),
        "from 5:00": total_score(later.values()).summary(),
        "rhythm not followed": total_score(alone.values()).summary(),
        "SVEB F1 without 232": total_score(rest).of("S").f1,
        "SVEB F1, mean of patients with 10 or more": float(np.nanmean(sveb)) if sveb else None,
        "bxb, from 5:00": bxb_figures(strict),
        "one-second windows": window_figures(np.concatenate(truth), np.concatenate(called)),
        "confusion": {"rows": [*CLASSES, "false"], "columns": [*CLASSES, "missed"],
                      "counts": total.confusion.tolist()},
        "per record": {name: score.summary() for name, score in whole.items()},
    }
    return metrics | ({"paced": paced_figures(detector, paced)} if paced else {})


def as_json(figures: object, *, indent: int | None = 1) -> str:
    """Figures as JSON, where one that is not defined (+P of nothing) is null and not NaN."""
    return json.dumps(_defined(figures), indent=indent, allow_nan=False)


def from_json(text: str) -> Any:
    """What `as_json` wrote; null is NaN again."""
    return _numbers(json.loads(text))


def _numbers(value: object) -> object:
    if isinstance(value, dict):
        return {name: _numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return math.nan if value is None else value


def _defined(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _defined(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def paced_figures(detector: Detector, records: Sequence[Record]) -> dict[str, object]:
    """Patients with a pacemaker, whose paced beats are class Q."""
    scores = {record.name: score_record(record, *find(detector, record)) for record in records}
    return {"whole records": total_score(scores.values()).summary(),
            "per record": {name: score.summary() for name, score in scores.items()}}


def find(detector: Detector, record: Record, *, events: bool = True
         ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The beats of a record's first lead, as `as_arrays` gives them.

    With ``events`` as ``annotate`` and ``/stream`` find them: in the light of the rhythm.
    """
    stream = detector.stream(FS, events=events)
    return as_arrays(stream.push(record.signal[0]) + stream.finish())


def as_arrays(beats: Sequence[Beat]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Beats of the runtime as sample positions at 360 Hz and indices into `CLASSES`."""
    return (np.array([round(beat.time * FS) for beat in beats], dtype=np.int64),
            np.array([CLASSES.index(beat.label) for beat in beats], dtype=np.int64))


def compare_record(record: Record, beats: NDArray[np.int64], labels: NDArray[np.int64], *,
                   start_s: float = LEARNING_S) -> ec57.Comparison:
    """`ec57.compare` reported beats (sample positions at 360 Hz) with a record's annotations."""
    samples, symbols, subtypes = zip(*record.marks, strict=True) if record.marks else ((), (), ())
    return ec57.compare(
        ec57.Annotations(np.array(samples, dtype=np.int64), symbols, subtypes),
        ec57.Annotations(beats, [CLASSES[label] for label in labels]), FS, start_s=start_s,
        record_samples=record.signal.shape[1])


def bxb_figures(comparisons: Sequence[ec57.Comparison]) -> dict[str, object]:
    """bxb's statistics over records as sumstats sums them, shares 0 to 1; RR error in ms."""
    summary = ec57.summarise(comparisons)
    figures: dict[str, object] = {
        name: {"right": ratio.part, "of": ratio.whole, "gross": ratio.percent / 100,
               "average": summary.average[name] / 100} for name, ratio in summary.gross.items()}
    return figures | {"RR interval error, average, ms": summary.average["RR interval error"]}


def window_figures(truth: NDArray[np.integer], called: NDArray[np.integer]) -> dict[str, Any]:
    """Windows alone, without context: is any beat in them not N, and which class is it?

    Parameters
    ----------
    truth, called : [windows], indices into `WINDOW_LABELS`; of the reference the rarest beat's
        class (see `io.windows`), of the runtime its answer's label
    """
    normal = WINDOW_LABELS.index("N")
    there, alarm = truth > normal, called > normal
    classes = {}
    for i, label in enumerate(WINDOW_LABELS):
        rates = Rates(int(((truth == i) & (called == i)).sum()), int((truth == i).sum()),
                      int((called == i).sum()))
        classes[label] = {"windows": rates.there, "Se": rates.sensitivity,
                          "+P": rates.predictivity, "F1": rates.f1}
    return {"windows": float(len(truth)), "accuracy": float((there == alarm).mean()),
            "sensitivity": _ratio(int((there & alarm).sum()), int(there.sum())),
            "specificity": _ratio(int((~there & ~alarm).sum()), int((~there).sum())),
            "right class": float((truth == called).mean()), "classes": classes}


def tables(metrics: dict) -> str:  # type: ignore[type-arg]
    """The figures as Markdown, in %."""
    rows = {part: metrics[part] for part in ("whole records", "from 5:00", "rhythm not followed")}
    windows = metrics["one-second windows"]
    parts = [
        table(rows | metrics["per record"]),
        f"SVEB F1 without 232: {100 * metrics['SVEB F1 without 232']:.1f}; "
        f"one-second windows alone, normal or not: {100 * windows['accuracy']:.1f} % right "
        f"(sensitivity {100 * windows['sensitivity']:.1f}, "
        f"specificity {100 * windows['specificity']:.1f}).",
        f"Their class (the rarest beat's; 'none' where no R peak lies in the window): "
        f"{100 * windows['right class']:.1f} % right.",
        _window_table(windows["classes"]),
        "As PhysioNet's `bxb` and `sumstats` count (EC57): from 5:00, e and j are S, F and Q "
        "called v or s are not held against +P.",
        _bxb_table(metrics["bxb, from 5:00"])]
    if "paced" in metrics:
        paced = metrics["paced"]
        parts += ["Patients with a pacemaker, paced beats (and their fusions) being Q:",
                  table({"both": paced["whole records"]} | paced["per record"],
                        "QRS Se/+P | Q Se/+P/F1 | accuracy", _PACED_CELLS)]
    return "\n\n".join(parts)


def _window_table(classes: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| one-second windows | number | Se/+P/F1 |", "|---|---|---|"]
    lines += [f"| {label} | {figures['windows']:,} | "
              f"{'/'.join(_number(100 * figures[f], 1) for f in ('Se', '+P', 'F1'))} |"
              for label, figures in classes.items()]
    return "\n".join(lines)


def _bxb_table(figures: Mapping[str, Any]) -> str:
    lines = ["| bxb, from 5:00 | gross | counts | average of records |", "|---|---|---|---|"]
    lines += [f"| {name} | {_number(100 * f['gross'], 2)} | {f['right']:,}/{f['of']:,} "
              f"| {_number(100 * f['average'], 2)} |"
              for name, f in figures.items() if isinstance(f, dict)]
    error = _number(figures["RR interval error, average, ms"], 2)
    return "\n".join([*lines, f"| RMS RR interval error | | | {error} ms |"])


def table(rows: Mapping[str, dict[str, float]], heading: str = _HEADING,
          columns: Sequence[Sequence[str]] = _CELLS) -> str:
    """Summaries of scores as a Markdown table, in %."""
    lines = [f"| | {heading} | time error |", "|---" * (len(columns) + 2) + "|"]
    for name, figures in rows.items():
        cells = [name, *("/".join(_number(100 * figures[f], 2) for f in cell) for cell in columns),
                 _number(1000 * figures["time error, median absolute"], 1) + " ms"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_confusion(metrics: dict, path: Path) -> None:  # type: ignore[type-arg]
    """The confusion matrix as a picture: shares of the reference by colour, counts as text."""
    from matplotlib.figure import Figure

    confusion = metrics["confusion"]
    counts = np.array(confusion["counts"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if row == column == NONE:
            continue
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9,
                  color="white" if shares[row, column] > 0.5 else "black")
    axes.set_xticks(range(NONE + 1), confusion["columns"])
    axes.set_yticks(range(NONE + 1), confusion["rows"])
    axes.set(xlabel="reported", ylabel="reference", title="Beats, colour: share of the row")
    figure.savefig(path, dpi=120)


@dataclass(frozen=True)
class Rates:
    """How many were right, of how many there and of how many reported."""

    right: int
    there: int
    reported: int

    @property
    def sensitivity(self) -> float:
        """Share of those there that were found, 0 to 1 (nan: there were none)."""
        return _ratio(self.right, self.there)

    @property
    def predictivity(self) -> float:
        """Share of those reported that were right, 0 to 1 (nan: none were reported)."""
        return _ratio(self.right, self.reported)

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 0 to 1 (nan: none there, none reported)."""
        return _ratio(2 * self.right, self.there + self.reported)

    def __str__(self) -> str:
        return "/".join(f"{100 * share:.2f}" for share in
                        (self.sensitivity, self.predictivity, self.f1))


@dataclass(frozen=True)
class Score:
    """What was found against what was there, in the papers' convention (e and j are N).

    Attributes
    ----------
    confusion : int64 [6, 6]; rows are the reference N, S, V, F, Q and 'no beat', columns what
        was reported, with 'missed' as the last
    errors_s : float64 [matched], time reported less time of the reference, s
    """

    confusion: NDArray[np.int64]
    errors_s: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Score:
        return cls(np.zeros((NONE + 1, NONE + 1), dtype=np.int64), np.zeros(0))

    def __add__(self, other: Score) -> Score:
        return Score(self.confusion + other.confusion,
                     np.concatenate([self.errors_s, other.errors_s]))

    @property
    def qrs(self) -> Rates:
        """Beats found, whatever their label."""
        return Rates(int(self.confusion[:NONE, :NONE].sum()), int(self.confusion[:NONE].sum()),
                     int(self.confusion[:, :NONE].sum()))

    def of(self, label: str) -> Rates:
        """Beats of one class found and labelled so; missed and false beats count."""
        i = CLASSES.index(label)
        return Rates(int(self.confusion[i, i]), int(self.confusion[i].sum()),
                     int(self.confusion[:, i].sum()))

    @property
    def accuracy(self) -> float:
        """Share of the reference beats found and rightly labelled."""
        return _ratio(int(np.trace(self.confusion[:NONE, :NONE])),
                      int(self.confusion[:NONE].sum()))

    def summary(self) -> dict[str, float]:
        """The figures by name, for logs and reports, 0 to 1 (times in s)."""
        figures = {"accuracy": self.accuracy}
        for name, rates in (("QRS", self.qrs), ("VEB", self.of("V")), ("SVEB", self.of("S")),
                            ("F", self.of("F")), ("Q", self.of("Q"))):
            figures |= {f"{name} Se": rates.sensitivity, f"{name} +P": rates.predictivity,
                        f"{name} F1": rates.f1}
        figures["time error, median absolute"] = (
            float(np.median(np.abs(self.errors_s))) if len(self.errors_s) else float("nan"))
        return {name: float(value) for name, value in figures.items()}

    def __str__(self) -> str:
        return (f"QRS {self.qrs}  VEB {self.of('V')}  SVEB {self.of('S')}  "
                f"accuracy {100 * self.accuracy:.2f}")


def total_score(scores: Iterable[Score]) -> Score:
    """The sum over records: every beat counts alike."""
    return sum(scores, start=Score.empty())


def score_record(record: Record, beats: NDArray[np.int64], labels: NDArray[np.int64], *,
                 start_s: float = 0.0, stop_s: float = math.inf) -> Score:
    """`score` reported beats (sample positions at 360 Hz) against a record's reference."""
    return score(record.beats, record.labels, beats, labels, FS, flutter=record.flutter,
                 start_s=start_s, stop_s=stop_s)


def score(reference: NDArray[np.int64], truth: NDArray[np.integer], beats: NDArray[np.int64],
          labels: NDArray[np.int64], fs: float, *, flutter: ArrayLike = (),
          start_s: float = 0.0, stop_s: float = math.inf, window_s: float = MATCH_S) -> Score:
    """Compare reported beats with the reference, one to one within 150 ms.

    Parameters
    ----------
    reference, beats : [beats], ascending sample positions at ``fs`` Hz
    truth, labels : their classes, indices into `CLASSES`
    flutter : [episodes, 2], first and last sample of what is left out: no beats are defined there
    start_s, stop_s : what lies outside is left out (EC57 gives a detector 5 minutes to learn)
    """
    def counts(samples: NDArray[np.int64]) -> NDArray[np.bool_]:
        kept = (samples >= start_s * fs) & (samples < stop_s * fs)
        for begin, end in np.reshape(flutter, (-1, 2)):
            kept &= (samples < begin) | (samples > end)
        return kept

    # Matched first, so that a beat at the start's edge is not torn from its partner.
    samples, there, reported, partner = align(reference, truth, beats, labels, window_s * fs)
    kept = counts(samples)
    confusion = np.zeros((NONE + 1, NONE + 1), dtype=np.int64)
    np.add.at(confusion, (there[kept], reported[kept]), 1)
    timed = kept & (there < NONE) & (reported < NONE)
    return Score(confusion, (beats[partner[timed]] - samples[timed]) / fs)


def align(reference: NDArray[np.int64], truth: NDArray[np.integer], beats: NDArray[np.int64],
          labels: NDArray[np.int64], within: float = MATCH_S * FS
          ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Reference and reported beats beside each other: first the reference's, then the false ones.

    Returns
    -------
    samples : int64 [events], the reference's position, a false beat's own
    there, reported : int64 [events], indices into `CLASSES`; `NONE` where one of them has no beat
    partner : int64 [events], index into ``beats``; -1 where the beat is missed
    """
    pairs = match(reference, beats, within)
    partner = np.full(len(reference), -1)
    partner[pairs[:, 0]] = pairs[:, 1]
    false = np.setdiff1d(np.arange(len(beats)), pairs[:, 1])
    partner = np.concatenate([partner, false])
    return (np.concatenate([reference, beats[false]]),
            np.concatenate([truth, np.full(len(false), NONE)]).astype(np.int64),
            np.where(partner >= 0, np.append(labels, NONE)[partner], NONE), partner)


def match(reference: NDArray[np.int64], found: NDArray[np.int64], within: float
          ) -> NDArray[np.int64]:
    """Pair two ascending lists of sample positions one to one, the nearest pairs first.

    Returns
    -------
    int64 [pairs, 2], indices into both, ascending
    """
    low = np.searchsorted(found, reference - within, side="left")
    high = np.searchsorted(found, reference + within, side="right")
    first = np.repeat(np.arange(len(reference)), high - low)
    second = np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)]
                            or [np.zeros(0, dtype=np.int64)]).astype(np.int64)
    order = np.argsort(np.abs(reference[first] - found[second]), kind="stable")
    free_first, free_second = np.ones(len(reference), bool), np.ones(len(found), bool)
    pairs = []
    for i, j in zip(first[order], second[order], strict=True):
        if free_first[i] and free_second[j]:
            free_first[i] = free_second[j] = False
            pairs.append((i, j))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _number(figure: float, decimals: int) -> str:
    return "-" if math.isnan(figure) else f"{figure:.{decimals}f}"


if __name__ == "__main__":
    main()
