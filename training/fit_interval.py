"""Measure the limits of the usual interval, which decides between N and S, and search better ones.

``python -m training.fit_interval bench/results/folds/strangers/fold[0-5]`` needs one training run
for each fold of patients, each read by the network that never saw it. S beats are few, and most
people have hardly any, so F1 alone would choose limits that call breathing premature. Beside F1 of
the patients left out four things count: how many beats of people with hardly an S are called so,
an hour (edb and nsrdb, of which only marks are at hand: what the network would say of a beat is
drawn from what it said of patients left out whose beats came as early); F1 of half-minutes of the
patients, of which little is known; runs of S with hardly an N beat between, of which the network
knows as much as it does, or less; and how many normal strips of strangers have an S. Limits change
by chance and stay if they are better. It prints what the shipped ones give, and cross-validation,
and writes the rhythm with the limits of all; ``python -m export.rhythm`` puts it into
``artifacts/``. Nothing of DS2 or of the strangers held back is read. The shipped limits are not
the search's: those lost patients of DS2 (``training/experiments.md``, Breathing).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from runtime.beats import ATRIAL, S, choose_label
from runtime.errors import EkgError
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.baseline import BaselineLimits, RrBaseline
from runtime.rhythm.model import FORMAT
from training import dataset
from training.choose import FEW, WEIGHTS
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.fits import fit_parser, present_rhythm, write_rhythm
from training.held_out import held_out
from training.interval_people import MARKED, Heard, halves, marked, of_patient, rare, strips

TRIALS = 120
# How far a limit moves in a trial, at first.
STEPS = {
    "baseline_bias": 1.0,
    "baseline_gain": 4.0,
    "baseline_sudden": 5.0,
    "baseline_shortest": 4.0,
    "baseline_beats": 15.0,
    "max_prematurity": 0.04,
    "shortest_change": 0.03,
    "shortest_forgets": 0.015,
}
SMALLEST, LARGEST_STEP = 0.1, 1.5


@dataclass(frozen=True)
class Figures:
    """What limits give, in %; ``false`` is of each of `MARKED` in S beats an hour, mean of people.

    Attributes
    ----------
    mean, gross : F1 of patients left out: mean of those with `FEW` S or more, and of all beats
    halves : F1 in half-minutes of patients, mean as above
    rare : F1 in runs of S with hardly an N beat
    found : S beats of `MARKED` that are found
    strips : normal strips that have an S
    """

    mean: float
    gross: float
    halves: float
    rare: float
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
            + 0.12 * self.rare
            - max(self.strips - 2.4, 0.0)
        )

    def __str__(self) -> str:
        false = ", ".join(f"{name} {one:.1f}" for name, one in self.false.items())
        return (
            f"SVEB F1, mean of patients {self.mean:.2f}, gross {self.gross:.2f}, in half-minutes "
            f"{self.halves:.2f}, in runs with hardly an N {self.rare:.1f}; false S an hour in "
            f"{false}, S found there {self.found:.0f}; normal strips with an S {self.strips:.1f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = fit_parser("fit_interval", __doc__, runs=True)
    parser.add_argument("--trials", type=int, default=TRIALS, help="default: %(default)s")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        stored = present_rhythm(args.out, args.runs)
        require_data()
        records, _, _ = dataset.training_data(["mitdb", "svdb"])
        patients = [
            of_patient(patient, fold, str(at))
            for fold, run in enumerate(args.runs)
            for at, patient in enumerate(held_out(run, records))
        ]
        others = [part for one in patients for part in (*halves(one), *rare(one))] + [*strips()]
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
        mean,
        gross,
        f1("halves")[0],
        f1("rare")[0],
        false,
        100 * right / there,
        100 * float(np.mean(strip)),
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


if __name__ == "__main__":
    main()
