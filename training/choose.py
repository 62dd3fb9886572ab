"""Choose on all training patients at once when frames make a beat, and what is V.

``python -m training.choose runs/fold0 ... runs/fold5`` needs one training run for each fold of
patients: every patient is judged by the network that never saw it, so a choice rests on all of
them and not on one fold. It prints how many beats are found at each threshold, of which
`BeatPolicy` holds one; the beats that the runtime as it is finds in these patients; the best limits
for the patient's usual QRS complex to decide what is V, which ``artifacts/rhythm.json`` holds
(section ``template``); what cross-validation gives, for each fold the setting that is best on the
others; and S with and without the usual interval, of which `training.fit_interval` says more.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import ATRIAL, S, V, choose_label
from runtime.detector import load_rhythm
from runtime.findings import CLASSES
from runtime.model.contract import FS, BeatPolicy
from runtime.rhythm import closed
from runtime.rhythm.baseline import BaselineLimits, RrBaseline
from runtime.rhythm.template import QrsTemplate, TemplateLimits
from training import dataset, validate
from training.detect import as_arrays
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.held_out import Patient, held_out, require_every_fold, unseen
from training.recordings import Record
from training.rhythm_matching import LONG_RUN, ventricular_runs
from training.scores import Score, score_record, total_score
from training.torch_detector import detector_of

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# Coarse: what is finer is fitted to these patients more than to others.
UNLIKE_GAIN = (0.0, 3.0, 4.0, 5.0, 6.0)
UNLIKE_MARGIN = (0.5, 0.6, 0.7, 0.8, 0.9)
ROUGHNESS = (0.0, 1.5, 3.0, 4.5)
FEW = 10  # patients with fewer beats of a class have no F1 of their own
WEIGHTS = BeatPolicy().class_weights
Counts = NDArray[np.int64]  # [beats rightly called a class and called so, settings], of a patient


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.choose", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="one run for each fold")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        require_every_fold(args.runs)
        require_data()  # without it `training_data` would give simulated patients
        records, _, _ = dataset.training_data(["mitdb", "svdb"])
        print_thresholds(args.runs, records)
        print_found(args.runs, records)
        folds = [held_out(run, records) for run in args.runs]
    except DataError as error:
        parser.exit(2, f"{error}\n")
    everyone = [patient for fold in folds for patient in fold]
    fold_of = np.repeat(np.arange(len(folds)), [len(fold) for fold in folds])
    policy = load_rhythm().policy
    template, baseline = policy.of(TemplateLimits), policy.of(BaselineLimits)
    shapes = [
        replace(template, template_gain=gain, template_margin=margin, template_roughness=roughness)
        for gain, margin, roughness in itertools.product(UNLIKE_GAIN, UNLIKE_MARGIN, ROUGHNESS)
    ]
    alone = replace(
        baseline,
        baseline_bias=0.0,
        baseline_gain=0.0,
        baseline_sudden=0.0,
        baseline_shortest=0.0,
        baseline_unknown=0.0,
    )

    def counted(how: Callable[[Patient], Counts]) -> list[Counts]:
        return [how(patient) for patient in tqdm(everyone, desc="settings", unit="patient")]

    counts = counted(lambda patient: ventricular(patient, shapes))
    nothing = np.array([one.template_gain == one.template_roughness == 0.0 for one in shapes])
    smooth = np.array([one.template_roughness == 0.0 for one in shapes])
    choose("V, the network alone", everyone, fold_of, counts, nothing, V)
    choose("V, with the usual shape", everyone, fold_of, counts, smooth & ~nothing, V)
    shipped = np.array([one == template for one in shapes])
    choose("V, as shipped", everyone, fold_of, counts, shipped, V)
    print(shapes[choose("V, and roughness", everyone, fold_of, counts, ~smooth, V)])
    counts = counted(lambda patient: supraventricular(patient, [alone, baseline]))
    choose("S, the network alone", everyone, fold_of, counts, np.array([True, False]), S)
    choose("S, as shipped", everyone, fold_of, counts, np.array([False, True]), S)


def print_thresholds(runs: Sequence[Path], records: Sequence[Record]) -> None:
    """Beats found at each of `THRESHOLDS`, by database."""
    found = {
        (t, database): Score.empty()
        for t in THRESHOLDS
        for database in sorted({r.database for r in records})
    }
    for run in runs:
        net, patients = unseen(run, records)
        for record in tqdm(patients, desc=f"{run}, thresholds", unit="record"):
            frames = validate.frames_of(net, record)
            for t in THRESHOLDS:
                found[t, record.database] += validate.score(
                    net.design, frames, record, BeatPolicy(threshold=t)
                )
    for (t, database), score in found.items():
        print(
            f"threshold {t:g}, {database}: QRS Se {100 * score.qrs.sensitivity:.2f}, "
            f"+P {100 * score.qrs.predictivity:.2f}, F1 {100 * score.qrs.f1:.3f}"
        )


def print_found(runs: Sequence[Path], records: Sequence[Record]) -> None:
    """Print the beats, by database, and the runs of V beats that the shipped runtime finds in
    patients whom the network never saw."""
    scores: list[tuple[Path, str, Score]] = []
    hits: list[bool] = []
    for run in runs:
        detector = detector_of(run, BeatPolicy())
        for record in tqdm(unseen(run, records)[1], desc=f"{run}, as shipped", unit="record"):
            stream = detector.stream(FS, events=True)
            beats = stream.push(record.signal[0]) + stream.finish()
            scores.append((run, record.database, score_record(record, *as_arrays(beats))))
            hits += [
                hit
                for _, length, hit in ventricular_runs(record, closed(stream.events()))
                if length >= LONG_RUN
            ]
    for database in sorted({database for _, database, _ in scores}):
        each = [score for _, where, score in scores if where == database]
        print(f"as shipped, {database}: {total_score(each)}")
    for label, name in (("V", "VEB"), ("S", "SVEB")):
        rich = [
            (run, 100 * score.of(label).f1)
            for run, _, score in scores
            if score.confusion[CLASSES.index(label)].sum() >= FEW
        ]
        of_run = [np.nanmean([f1 for which, f1 in rich if which == run]) for run in runs]
        print(
            f"as shipped, {name} F1, patients with {FEW} or more, mean: "
            f"{np.nanmean([f1 for _, f1 in rich]):.1f}; of the runs "
            f"{np.mean(of_run):.1f}, SD {np.std(of_run, ddof=1):.1f}"
        )
    print(f"as shipped, runs of {LONG_RUN} or more V found: {sum(hits)} of {len(hits)}")


def ventricular(patient: Patient, settings: Sequence[TemplateLimits]) -> Counts:
    """V beats of a patient with each setting of the usual QRS complex."""
    counts = []
    for limits in settings:
        template = QrsTemplate(limits, WEIGHTS)
        called = np.array([template.decide(*beat)[1] == V for beat in patient.evidence])
        counts.append([(called & (patient.truth == V)).sum(), called.sum()])
    return np.array(counts, dtype=np.int64).T


def supraventricular(patient: Patient, settings: Sequence[BaselineLimits]) -> Counts:
    """S beats of a patient with each setting of the usual interval."""
    counts = []
    beats = list(zip(*patient.relabelled, patient.sinus_certain, strict=True))
    for limits in settings:
        baseline, called = RrBaseline(limits), []
        for sample, row, label, certain in beats:
            read = baseline.read(sample, label, row, sinus_certain=certain)
            called.append((label if read is row else choose_label(read, WEIGHTS, ATRIAL)) == S)
        found = np.array(called)
        counts.append([(found & (patient.truth == S)).sum(), found.sum()])
    return np.array(counts, dtype=np.int64).T


def choose(
    what: str,
    patients: Sequence[Patient],
    fold_of: NDArray[np.int64],
    counted: Sequence[Counts],
    among: NDArray[np.bool_],
    label: int,
) -> int:
    """The best of the settings named, for F1 of this class; prints what it gives."""

    def best(which: NDArray[np.bool_]) -> int:
        chosen = np.flatnonzero(which).tolist()
        values = np.mean(
            list(
                figures([patients[i] for i in chosen], [counted[i] for i in chosen], label).values()
            ),
            axis=0,
        )
        return int(np.where(among, values, -1.0).argmax())

    others = {fold: best(fold_of != fold) for fold in set(fold_of.tolist())}
    everywhere = best(np.ones(len(patients), dtype=bool))
    for way, setting in (
        ("best on all", [everywhere] * len(patients)),
        ("cross-validated", [others[fold] for fold in fold_of.tolist()]),
    ):
        found = figures(
            patients, [one[:, [i]] for one, i in zip(counted, setting, strict=True)], label
        )
        shown = ", ".join(f"{name} {100 * f1[0]:.1f}" for name, f1 in found.items())
        print(f"{what}, {way}: F1 of {shown}")
    return everywhere


def figures(
    patients: Sequence[Patient], counted: Sequence[Counts], label: int
) -> dict[str, NDArray[np.float64]]:
    """F1 of a class, float64 [settings]: of each database, and the mean over patients."""

    def f1(which: Sequence[int]) -> NDArray[np.float64]:
        right, called = np.sum([counted[i] for i in which], axis=0)
        there = sum(int(patients[i].there[label]) for i in which)
        return np.asarray(2 * right / np.maximum(called + there, 1))

    found = {
        database: f1([i for i, p in enumerate(patients) if p.database == database])
        for database in sorted({patient.database for patient in patients})
    }
    rich = [f1([i]) for i, patient in enumerate(patients) if patient.there[label] >= FEW]
    return found | {f"patients with {FEW} or more, mean": np.mean(rich, axis=0)}


if __name__ == "__main__":
    main()
