"""Choose the limits of the usual interval, which decides between N and S.

``python -m training.fit_interval bench/results/folds/strangers/fold[0-5]`` needs one training run
for each fold of patients, each read by the network that never saw it. S beats are few, and most
people have hardly any, so F1 alone would choose limits that call breathing premature. Beside F1 of
the patients left out three things count: how many beats of people with hardly an S are called so,
an hour (edb and nsrdb, of which only marks are at hand: what the network would say of a beat is
drawn from what it said of patients left out whose beats came as early); F1 of half-minutes of the
patients, of which little is known; and how many normal strips of strangers have an S. Limits change
by chance and stay if they are better. It prints what cross-validation gives, and writes the rhythm
with the limits of all; ``python -m export.rhythm`` puts it into ``artifacts/``. Nothing of DS2 or
of the strangers held back is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import ATRIAL, PROBABILITY_FLOOR, N, S, choose_label, from_beats
from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.findings import CLASSES
from runtime.model.artifacts import Artifacts
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.baseline import BaselineLimits, RrBaseline
from runtime.rhythm.model import FORMAT
from training import dataset
from training.choose import FEW, WEIGHTS
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.held_out import Listening, Patient, held_out, require_every_fold
from training.recordings import AAMI
from training.results import require_writable, write_rhythm
from training.weak import entries, read, require_folder

OUT = Path("runs/rhythm.json")
MARKED = ("nsrdb", "edb")  # people with hardly an S beat
HOURS = (3, 15)  # of a day that are read
HALF_S = 30
ONE_IN = 2  # so many half-minutes, records of hours, and normal strips are read
# An interval's place in the pools: logs of how much shorter than the usual and than the last one.
EARLY = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45)
FROM_EACH, FEWEST = 40, 20  # beats of a patient in a pool; a pool with fewer takes its neighbours'
TRIALS = 120
# How far a limit moves in a trial, at first.
STEPS = {
    "baseline_bias": 1.0,
    "baseline_gain": 4.0,
    "baseline_sudden": 5.0,
    "baseline_shortest": 4.0,
    "baseline_network": 0.1,
    "baseline_most": 1.0,
    "baseline_beats": 15.0,
    "max_prematurity": 0.05,
    "shortest_forgets": 0.015,
}
SMALLEST, LARGEST_STEP = 0.1, 1.5


@dataclass(frozen=True)
class Heard:
    """Beats of one person before the usual interval joins in.

    Attributes
    ----------
    kind : ``patients``, ``halves``, ``strips``, or a database of marks
    fold : of a patient; -1 of others
    beats : of each sample, label, probabilities, False if atrial fibrillation is not ruled out
    is_s : bool [beats], by the reference
    there : S beats of the reference
    """

    kind: str
    person: str
    fold: int
    beats: Sequence[tuple[int, int, Sequence[float], bool]]
    is_s: NDArray[np.bool_]
    there: int


@dataclass(frozen=True)
class Figures:
    """What limits give, in %; ``false`` is of each of `MARKED` in S beats an hour, mean of people.

    Attributes
    ----------
    mean, gross : F1 of patients left out: mean of those with `FEW` S or more, and of all beats
    halves : F1 in half-minutes of patients, mean as above
    found : S beats of `MARKED` that are found
    strips : normal strips that have an S
    """

    mean: float
    gross: float
    halves: float
    false: dict[str, float]
    found: float
    strips: float

    @property
    def value(self) -> float:
        """What is made as large as can be: half as many false beats are worth a point of F1."""
        false = float(np.mean(list(self.false.values())))
        return (
            self.mean
            + 0.25 * (self.gross + self.halves)
            - np.log2(false + 3.0)
            + 0.03 * self.found
            - 0.3 * max(self.strips - 2.0, 0.0)
        )

    def __str__(self) -> str:
        false = ", ".join(f"{name} {one:.1f}" for name, one in self.false.items())
        return (
            f"SVEB F1, mean of patients {self.mean:.2f}, gross {self.gross:.2f}, in half-minutes "
            f"{self.halves:.2f}; false S an hour in {false}, S found there {self.found:.0f}; "
            f"normal strips with an S {self.strips:.1f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.fit_interval", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="one run for each fold")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=TRIALS, help="default: %(default)s")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        require_every_fold(args.runs)
        require_writable(args.out.parent)
        stored = Artifacts(DEFAULT_ARTIFACTS).json("rhythm.json")
        require_data()
        records, _, _ = dataset.training_data(["mitdb", "svdb"])
        patients = [
            of_patient(patient, fold, str(at))
            for fold, run in enumerate(args.runs)
            for at, patient in enumerate(held_out(run, records))
        ]
        others = [*(half for one in patients for half in halves(one)), *strips()]
        others += marked(patients, np.random.default_rng(0))
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    shipped = RhythmPolicy.from_dict(stored["policy"]).of(BaselineLimits)
    print(f"as shipped: {measure(counted(shipped, [*patients, *others]))}")
    folds = sorted({one.fold for one in patients})
    crossed = list[Count]()
    for fold in folds:
        known = [one for one in (*patients, *others) if one.fold != fold]
        limits = search(shipped, known, args.trials, fold)
        crossed += counted(limits, [one for one in (*patients, *others) if one.fold == fold])
    limits = search(shipped, [*patients, *others], args.trials, len(folds))
    of_all = counted(limits, [*patients, *others])
    crossed += [count for count in of_all if count.one.fold < 0]
    print(f"cross-validated: {measure(crossed)}")
    print(f"best on all: {measure(of_all)}\n{limits}")
    stored["format"] = FORMAT
    stored["policy"]["rr_baseline"] = {name: getattr(limits, name) for name in limits.bounds}
    write_rhythm(stored, args.out)


@dataclass(frozen=True)
class Count:
    """S beats of one person with certain limits: rightly called so, and called so."""

    one: Heard
    right: int
    called: int

    @property
    def f1(self) -> float:
        """In %."""
        return 200 * self.right / (self.called + self.one.there)


def counted(limits: BaselineLimits, people: Iterable[Heard]) -> list[Count]:
    """What these limits call S."""
    counts = []
    for one in people:
        baseline, called = RrBaseline(limits), []
        for sample, label, row, certain in one.beats:
            found = baseline.read(sample, label, row, sinus_certain=certain)
            called.append((label if found is row else choose_label(found, WEIGHTS, ATRIAL)) == S)
        is_called = np.array(called, dtype=bool)
        counts.append(Count(one, int((is_called & one.is_s).sum()), int(is_called.sum())))
    return counts


def measure(counts: Sequence[Count]) -> Figures:
    """The figures of people, of which each kind is there."""

    def f1(kind: str) -> tuple[float, float]:
        mine = [together(own) for own in by_person(kind).values()]
        right, called, there = np.sum(mine, axis=0)
        rich = [200 * r / (c + t) for r, c, t in mine if t >= FEW]
        return float(np.mean(rich)), 200 * right / (called + there)

    def by_person(kind: str) -> dict[str, list[Count]]:
        people: dict[str, list[Count]] = {}
        for count in counts:
            if count.one.kind == kind:
                people.setdefault(f"{count.one.fold} {count.one.person}", []).append(count)
        return people

    def together(own: Sequence[Count]) -> tuple[int, int, int]:
        return (
            sum(count.right for count in own),
            sum(count.called for count in own),
            sum(count.one.there for count in own),
        )

    mean, gross = f1("patients")
    false, right, there = {}, 0, 0
    for database in MARKED:
        rates = []
        for own in by_person(database).values():
            hours = sum(one.one.beats[-1][0] - one.one.beats[0][0] for one in own) / FS / 3600
            found, called, of = together(own)
            rates.append((called - found) / hours)
            right, there = right + found, there + of
        false[database] = float(np.mean(rates))
    strip = [count.called > 0 for count in counts if count.one.kind == "strips"]
    return Figures(
        mean, gross, f1("halves")[0], false, 100 * right / there, 100 * float(np.mean(strip))
    )


def search(
    start: BaselineLimits, people: Sequence[Heard], trials: int, seed: int
) -> BaselineLimits:
    """Limits that are better for these people than those to start from."""
    rng, step = np.random.default_rng(seed), 1.0
    best, value = start, measure(counted(start, people)).value
    for _ in tqdm(range(trials), desc="limits", unit="trial"):
        changes = {
            name: getattr(best, name) + rng.normal() * size * step
            for name, size in STEPS.items()
            if rng.random() < 0.4
        }
        within = {
            name: float(np.clip(one, *BaselineLimits.bounds[name])) for name, one in changes.items()
        }
        other = replace(best, **within)
        found = measure(counted(other, people)).value
        if found > value:
            best, value, step = other, found, min(1.3 * step, LARGEST_STEP)
        else:
            step = max(0.985 * step, SMALLEST)
    return best


def of_patient(patient: Patient, fold: int, person: str) -> Heard:
    """The whole recording of a patient left out."""
    samples, rows, labels = patient.relabelled
    return Heard(
        "patients",
        person,
        fold,
        list(zip(samples, labels, rows, patient.sinus_certain, strict=True)),
        patient.truth == S,
        int(patient.there[S]),
    )


def halves(one: Heard) -> Iterator[Heard]:
    """The half-minutes of a recording, each as if nothing had come before."""
    halves = np.array([beat[0] for beat in one.beats]) // (HALF_S * FS)
    for half in np.unique(halves)[::ONE_IN]:
        at = np.flatnonzero(halves == half).tolist()
        is_s = one.is_s[at]
        beats = [one.beats[i] for i in at]
        yield replace(one, kind="halves", beats=beats, is_s=is_s, there=int(is_s.sum()))


def strips() -> Iterator[Heard]:
    """Normal strips of strangers that may be trained on, as the committed model hears them."""
    detector = Detector.load(provider="cpu")
    normal = [one for one in entries("cinc2017") if one.label == "N" and not one.held_back]
    for entry in tqdm(normal[::ONE_IN], desc="hear cinc2017", unit="strip"):
        strip = read(entry)
        stream = detector.stream(strip.fs, events=True)
        assert stream.tracker is not None
        listener = Listening(detector.rhythm_policy.of(BaselineLimits))
        stream.tracker.rr_baseline = listener
        stream.tracker.context = None  # the compiled loops would not ask it
        found = stream.push(strip.signal[0].astype(np.float64)) + stream.finish()
        samples, rows, labels = from_beats(found, FS)
        beats = list(zip(samples, labels, rows, listener.sinus_certain, strict=True))
        yield Heard("strips", entry.name, -1, beats, np.zeros(len(beats), dtype=bool), 0)


def marked(patients: Sequence[Heard], rng: np.random.Generator) -> Iterator[Heard]:
    """People of whom only marks are at hand, with what the network would say of their beats."""
    import wfdb

    drawn = pools(patients)
    for database in MARKED:
        folder = require_folder(database)
        names = (folder / "RECORDS").read_text().split()
        for name in tqdm(names[:: 1 if database == "nsrdb" else ONE_IN], desc=database):
            marks = wfdb.rdann(str(folder / name), "atr")
            fs = float(wfdb.rdheader(str(folder / name)).fs)
            known = [i for i, symbol in enumerate(marks.symbol) if symbol in AAMI]
            samples = np.rint(marks.sample[known] * FS / fs).astype(np.int64)
            labels = np.array([CLASSES.index(AAMI[marks.symbol[i]]) for i in known])
            hours = samples // (3600 * FS)
            day = hours[-1] > max(HOURS)
            for part in [hours == hour for hour in HOURS] if day else [hours >= 0]:
                if part.sum() >= 2:
                    yield _drawn(database, name, samples[part], labels[part], drawn, rng)


def _drawn(
    database: str,
    name: str,
    samples: NDArray[np.int64],
    labels: NDArray[np.int64],
    drawn: Callable[[int, int], NDArray[np.float64]],
    rng: np.random.Generator,
) -> Heard:
    rows, place = np.zeros((len(samples), len(CLASSES))), places(samples, labels)
    for label in ATRIAL:
        for here in np.unique(place[labels == label]).tolist():
            mine = (labels == label) & (place == here)
            s = 1 / (1 + np.exp(-rng.choice(drawn(label, here), int(mine.sum()))))
            rows[mine, N], rows[mine, S] = 1 - s, s
    others = ~np.isin(labels, ATRIAL)
    rows[others, labels[others]] = 1.0
    called = rows.argmax(axis=1).tolist()
    certain = [True] * len(called)
    beats = list(zip(samples.tolist(), called, rows.tolist(), certain, strict=True))
    is_s = labels == S
    return Heard(database, name, -1, beats, is_s, int(is_s.sum()))


def pools(patients: Sequence[Heard]) -> Callable[[int, int], NDArray[np.float64]]:
    """The network's log-odds of S against N, of N or S beats of patients left out, by `places`."""
    pooled: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    for one in patients:
        samples, labels, rows, certain = (np.array(part) for part in zip(*one.beats, strict=True))
        n, s = np.maximum(rows[:, [N, S]], PROBABILITY_FLOOR).T
        log_odds, place = np.log(s / n), places(samples, np.where(one.is_s, S, labels))
        for label, mine in ((S, one.is_s), (N, ~one.is_s)):
            mine = mine & certain & np.isin(labels, ATRIAL)
            for here in np.unique(place[mine]):
                some = log_odds[mine & (place == here)]
                at = np.linspace(0, len(some) - 1, min(len(some), FROM_EACH)).astype(int)
                pooled.setdefault((label, int(here)), []).append(some[at])
    joined = {key: np.concatenate(some) for key, some in pooled.items()}
    side = len(EARLY) + 1

    def drawn(label: int, place: int) -> NDArray[np.float64]:
        def distance(key: tuple[int, int]) -> int:
            return abs(key[1] // side - place // side) * side + abs(key[1] % side - place % side)

        enough = [k for k in joined if k[0] == label and len(joined[k]) >= FEWEST]
        return joined[min(enough, key=distance)]

    return drawn


def places(samples: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How early beats come, beside the usual and beside the last interval: a place in `EARLY`."""
    early, sudden = np.zeros(len(samples)), np.zeros(len(samples))
    usual = last = None
    normal = 0
    logs = np.log(np.clip(np.diff(samples) / FS, 0.2, 4.0))
    for i, log_interval in enumerate(logs.tolist(), start=1):
        usual = log_interval if usual is None else usual
        if labels[i - 1] in ATRIAL:
            early[i] = usual - log_interval
            sudden[i] = min(usual, usual if last is None else last) - log_interval
            last = log_interval
        if labels[i] == N and labels[i - 1] == N:
            normal += 1
            usual += (log_interval - usual) / min(normal, 100)
    return np.digitize(early, EARLY) * (len(EARLY) + 1) + np.digitize(sudden, EARLY)


if __name__ == "__main__":
    main()
