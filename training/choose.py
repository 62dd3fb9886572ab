"""Choose on all training patients at once when frames make a beat, what is V, and what is early.

``python -m training.choose runs/fold0 ... runs/fold5`` needs one training run for each fold of
patients: every patient is judged by the network that never saw it, so a choice rests on all of
them and not on one fold. It prints how many beats are found at each threshold, of which
`runtime.beats.BeatPolicy` holds one; what the runtime as it is finds in these patients; how a
patient's usual QRS complex best decides what is V, and the usual interval between N and S, which
the defaults of `MorphologyPolicy` and `SinusPolicy` hold; what
that gives, and what cross-validation gives: for each fold the setting that is best on the others.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import BeatPolicy
from runtime.findings import CLASSES, Beat
from runtime.rhythm.baseline import FS, LEAST, LONGEST_S, SHORTEST_S, Sinus, SinusPolicy
from runtime.rhythm.follow import closed
from runtime.rhythm.template import Morphology, MorphologyPolicy
from training import checkpoint, dataset, recordings, validate
from training.detect import as_arrays
from training.devices import one_thread
from training.download import require_data
from training.ec57 import MATCH_S
from training.errors import DataError
from training.evaluate_rhythm import LONG_RUN, ventricular_runs
from training.model import EkgNet
from training.recipe import Recipe
from training.recordings import Record
from training.scores import Score, match, score_record, total_score
from training.torch_detector import detector_of

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# Coarse: what is finer is fitted to these patients more than to others.
BIAS = np.arange(-6.0, 2.1, 1.0)
GAIN = (0.0, 10.0, 20.0, 30.0)
MOST = (0.45,)
BEATS = (30.0, 100.0)
UNLIKE_GAIN = (0.0, 3.0, 4.0, 5.0, 6.0)
UNLIKE_MARGIN = (0.5, 0.6, 0.7, 0.8, 0.9)
ROUGHNESS = (0.0, 1.5, 3.0, 4.5)
FEW = 10  # patients with fewer beats of a class have no F1 of their own
N, S, V = (CLASSES.index(label) for label in "NSV")
Counts = NDArray[np.int64]  # [beats of a class rightly told and told, settings], of one patient


@dataclass(frozen=True)
class Patient:
    """What a network found in a patient it never saw, and what was there.

    Attributes
    ----------
    samples : int64 [beats], R peaks found
    labels : int64 [beats], index into `CLASSES`
    probabilities : float64 [beats, 5]; that of S is 0 in atrial fibrillation
    followed : bool [beats], False where atrial fibrillation is not ruled out
    first : float64 [beats, 5], the network's own
    unlike, rougher : float64 [beats], what `Morphology.compare` gives; NaN where nothing is usual
    truth : int64 [beats], index into `CLASSES` of the reference's beat; -1: there is none
    there : int64 [5], beats of the reference
    """

    database: str
    samples: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    followed: NDArray[np.bool_]
    first: NDArray[np.float64]
    unlike: NDArray[np.float64]
    rougher: NDArray[np.float64]
    truth: NDArray[np.int64]
    there: NDArray[np.int64]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.choose", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="one run for each fold")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        require_every_fold(args.runs)
        require_data()  # where it is missing, `training_data` would give simulated patients
        records, _, _ = dataset.training_data(["mitdb", "svdb"])
        print_thresholds(args.runs, records)
        print_found(args.runs, records)
        folds = [held_out(run, records) for run in args.runs]
    except DataError as error:
        parser.exit(2, f"{error}\n")
    everyone = [patient for fold in folds for patient in fold]
    fold_of = np.repeat(np.arange(len(folds)), [len(fold) for fold in folds])
    shapes = [MorphologyPolicy(*values)
              for values in itertools.product(UNLIKE_GAIN, UNLIKE_MARGIN, ROUGHNESS)]
    intervals = [SinusPolicy(*map(float, values))
                 for values in itertools.product(BIAS, GAIN, MOST, BEATS)]

    def counted(how: Callable[[Patient], Counts]) -> list[Counts]:
        return [how(patient) for patient in tqdm(everyone, desc="settings", unit="patient")]

    told = counted(lambda patient: ventricular(patient, shapes))
    nothing = np.array([policy.gain == policy.roughness == 0.0 for policy in shapes])
    smooth = np.array([policy.roughness == 0.0 for policy in shapes])
    choose("V, the network alone", everyone, fold_of, told, nothing, V)
    choose("V, with the usual shape", everyone, fold_of, told, smooth & ~nothing, V)
    shipped = np.array([policy == MorphologyPolicy() for policy in shapes])
    choose("V, as shipped", everyone, fold_of, told, shipped, V)
    print(shapes[choose("V, and roughness", everyone, fold_of, told, ~smooth, V)])
    told = counted(lambda patient: supraventricular(patient, intervals))
    blind = np.array([policy.gain == 0.0 for policy in intervals])
    nothing = blind & np.array([policy.bias == 0.0 for policy in intervals])
    choose("S, the network alone", everyone, fold_of, told, nothing, S)
    choose("S, with a bias", everyone, fold_of, told, blind, S)
    shipped = np.array([policy == SinusPolicy() for policy in intervals])
    choose("S, as shipped", everyone, fold_of, told, shipped, S)
    print(intervals[choose("S, with the usual interval", everyone, fold_of, told, ~blind, S)])


def require_every_fold(runs: Sequence[Path]) -> None:
    """Refuse what is not one run for each fold: patients would be missing or count twice, and
    of a single fold nothing is left to choose on.

    Raises
    ------
    DataError
        Where the runs are not exactly the folds of one split, each once.
    """
    held_out = [trained(run)[1:] for run in runs]
    _, folds = held_out[0]
    if sorted(held_out) != [(fold, folds) for fold in range(folds)]:
        raise DataError(
            f"These runs hold out fold {', '.join(f'{f} of {of}' for f, of in held_out)}; expected "
            f"one run for each fold from 0 to {folds - 1}.")


def unseen(run: Path, records: Sequence[Record]) -> tuple[EkgNet, list[Record]]:
    """A run's network, and the patients that it never saw.

    Raises
    ------
    DataError
        Where there is no such run, or it saw all of them.
    """
    net, fold, folds = trained(run)
    return net, recordings.folds(records, folds)[fold]


def trained(run: Path) -> tuple[EkgNet, int, int]:
    """A run's network, the fold that it held out, and of how many; raises as `unseen`."""
    net, saved = checkpoint.load(run / "model.pt")
    recipe = Recipe(**saved["recipe"])  # type: ignore[arg-type]
    if recipe.fold is None:
        raise DataError(f"{run} was trained on every patient; expected runs of "
                        "`python -m training.train --fold`.")
    return net, recipe.fold, recipe.folds


def print_thresholds(runs: Sequence[Path], records: Sequence[Record]) -> None:
    """Beats found at each of `THRESHOLDS`, by database."""
    found = {(t, database): Score.empty()
             for t in THRESHOLDS for database in sorted({r.database for r in records})}
    for run in runs:
        net, patients = unseen(run, records)
        for record in tqdm(patients, desc=f"{run}, thresholds", unit="record"):
            frames = validate.frames_of(net, record)
            for t in THRESHOLDS:
                found[t, record.database] += validate.score(net.design, frames, record,
                                                         BeatPolicy(threshold=t))
    for (t, database), score in found.items():
        print(f"threshold {t:g}, {database}: QRS Se {100 * score.qrs.sensitivity:.2f}, "
              f"+P {100 * score.qrs.predictivity:.2f}, F1 {100 * score.qrs.f1:.3f}")


def print_found(runs: Sequence[Path], records: Sequence[Record]) -> None:
    """What the runtime as it is finds in patients whom the network never saw: beats by database,
    and runs of V beats."""
    scores: dict[str, list[Score]] = {}
    hits: list[bool] = []
    for run in runs:
        detector = detector_of(run)
        for record in tqdm(unseen(run, records)[1], desc=f"{run}, as shipped", unit="record"):
            stream = detector.stream(FS, events=True)
            beats = stream.push(record.signal[0]) + stream.finish()
            scores.setdefault(record.database, []).append(score_record(record, *as_arrays(beats)))
            hits += [hit for _, length, hit in ventricular_runs(record, closed(stream.events()))
                     if length >= LONG_RUN]
    for database, each in scores.items():
        print(f"as shipped, {database}: {total_score(each)}")
    for label, name in (("V", "VEB"), ("S", "SVEB")):
        rich = [one.of(label).f1 for each in scores.values() for one in each
                if one.confusion[CLASSES.index(label)].sum() >= FEW]
        print(f"as shipped, {name} F1, patients with {FEW} or more, mean: "
              f"{100 * np.nanmean(rich):.1f}")
    print(f"as shipped, runs of {LONG_RUN} or more V found: {sum(hits)} of {len(hits)}")


def held_out(run: Path, records: Sequence[Record]) -> list[Patient]:
    """The patients that this run's network never saw, as it reads them."""
    _, unknown = unseen(run, records)
    detector, patients = detector_of(run), []
    for record in tqdm(unknown, desc=str(run), unit="record"):
        stream = detector.stream(FS, events=True)
        assert stream.rhythm
        stream.rhythm.morphology = shape = _Shape()
        stream.rhythm.sinus = listener = _Listener()
        beats = stream.push(record.signal[0]) + stream.finish()
        samples = np.array([round(beat.time * FS) for beat in beats])
        truth = np.full(len(beats), -1)
        there, found = match(record.beats, samples, MATCH_S * FS).T
        truth[found] = record.labels[there]
        compared = np.array(shape.compared)
        patients.append(Patient(
            record.database, samples, np.array([CLASSES.index(beat.label) for beat in beats]),
            np.array([beat.probabilities for beat in beats]), np.array(listener.followed),
            np.array(shape.first), compared[:, 0], compared[:, 1], truth,
            np.bincount(record.labels, minlength=len(CLASSES))))
    return patients


class _Shape(Morphology):
    """Notes what it is given, and what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[tuple[float, ...]] = []
        self.compared: list[tuple[float, float]] = []

    def read(self, beat: Beat, around: NDArray[np.float32] | None) -> Beat:
        self.first.append(beat.probabilities)
        self.compared.append((np.nan, np.nan))
        return super().read(beat, around)

    def compare(self, beat: Beat, around: NDArray[np.float32]) -> tuple[float, float] | None:
        compared = super().compare(beat, around)
        if compared:
            self.compared[-1] = compared
        return compared


class _Listener(Sinus):
    """Leaves beats as they are, and notes where they would not be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: list[bool] = []

    def read(self, beat: Beat, *, followed: bool = True) -> Beat:
        self.followed.append(followed)
        return beat


def ventricular(patient: Patient, policies: Sequence[MorphologyPolicy]) -> Counts:
    """What `runtime.rhythm.template.Morphology` does with each gain, margin and roughness."""
    gain, margin, roughness = np.array([[policy.gain, policy.margin, policy.roughness]
                                        for policy in policies]).T
    push = np.nan_to_num(gain * (patient.unlike[:, None] - margin)
                         - roughness * patient.rougher[:, None])
    atria, own = patient.first[:, : S + 1].sum(axis=1), patient.first[:, V]
    odds = np.log(np.maximum(own, LEAST) / np.maximum(atria, LEAST))[:, None] + push
    share = (atria + own)[:, None] / (1 + np.exp(-odds))
    left = (atria + own)[:, None] - share
    normal = np.maximum(patient.first[:, N], LEAST)
    normal = (normal / (normal + patient.first[:, S]))[:, None]
    others = np.where((patient.first.argmax(axis=1) <= V)[:, None],
                      left * np.maximum(normal, 1 - normal),
                      patient.first[:, V + 1 :].max(axis=1)[:, None])
    told = share > others
    return np.stack([(told & (patient.truth == V)[:, None]).sum(axis=0), told.sum(axis=0)])


def supraventricular(patient: Patient, policies: Sequence[SinusPolicy]) -> Counts:
    """What `runtime.rhythm.baseline.Sinus` does with each policy, for all of them at once."""
    bias, gain, most, beats = np.array([astuple(policy) for policy in policies]).T
    intervals = np.log(np.clip(np.diff(patient.samples) / FS, SHORTEST_S, LONGEST_S))
    shares = np.maximum(patient.probabilities, LEAST)
    atrial = patient.labels <= S
    counted = np.zeros((2, len(policies)), dtype=np.int64)
    usual, remembered = np.full(len(policies), intervals[0]), np.ones(len(policies))
    for i in np.flatnonzero(atrial):
        if i == 0 or not patient.followed[i]:
            told = np.full(len(policies), patient.labels[i] == S)
            counted += np.stack([told & (patient.truth[i] == S), told])
            continue
        odds = np.log(shares[i, S] / shares[i, N]) + bias
        if atrial[i - 1]:
            late = intervals[i - 1] - usual
            odds += gain * np.clip(-late, 0.0, most)
            ordinary = 1 / (1 + np.exp(odds))
            usual += ordinary / np.minimum(remembered, beats) * late
            remembered = np.minimum(remembered + ordinary, beats)
        told = odds > 0
        counted += np.stack([told & (patient.truth[i] == S), told])
    return counted


def choose(what: str, patients: Sequence[Patient], fold_of: NDArray[np.int64],
           counted: Sequence[Counts], among: NDArray[np.bool_], label: int) -> int:
    """The best of the settings named, for F1 of this class; prints what it gives."""
    def best(which: NDArray[np.bool_]) -> int:
        chosen = np.flatnonzero(which).tolist()
        values = np.mean(list(figures([patients[i] for i in chosen],
                                      [counted[i] for i in chosen], label).values()), axis=0)
        return int(np.where(among, values, -1.0).argmax())

    others = {fold: best(fold_of != fold) for fold in set(fold_of.tolist())}
    everywhere = best(np.ones(len(patients), dtype=bool))
    for way, setting in (("best on all", [everywhere] * len(patients)),
                         ("cross-validated", [others[fold] for fold in fold_of.tolist()])):
        found = figures(patients, [one[:, [i]] for one, i in zip(counted, setting, strict=True)],
                        label)
        told = ", ".join(f"{name} {100 * f1[0]:.1f}" for name, f1 in found.items())
        print(f"{what}, {way}: F1 of {told}")
    return everywhere


def figures(patients: Sequence[Patient], counted: Sequence[Counts], label: int
            ) -> dict[str, NDArray[np.float64]]:
    """F1 of a class, float64 [settings]: of each database, and the mean over patients."""
    def f1(which: Sequence[int]) -> NDArray[np.float64]:
        right, told = np.sum([counted[i] for i in which], axis=0)
        there = sum(int(patients[i].there[label]) for i in which)
        return np.asarray(2 * right / np.maximum(told + there, 1))

    found = {database: f1([i for i, p in enumerate(patients) if p.database == database])
             for database in sorted({patient.database for patient in patients})}
    rich = [f1([i]) for i, patient in enumerate(patients) if patient.there[label] >= FEW]
    return found | {f"patients with {FEW} or more, mean": np.mean(rich, axis=0)}


if __name__ == "__main__":
    main()
