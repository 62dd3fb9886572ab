"""Training patients as a network reads them that never saw them, for what is chosen on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import Beats, from_beats
from runtime.detector import Detector, load_rhythm
from runtime.findings import CLASSES
from runtime.model.contract import FS, BeatPolicy
from runtime.rhythm.baseline import BaselineLimits, RrBaseline
from runtime.rhythm.template import QrsTemplate, TemplateLimits
from training import checkpoint, recordings
from training.ec57 import MATCH_S
from training.errors import DataError
from training.model import EkgNet
from training.recipe import Recipe
from training.recordings import Record
from training.scores import match
from training.torch_detector import detector_of

# Of a beat: the network's probabilities and label, how it compares, the correction.
Evidence = tuple[list[float], int, tuple[float, float, float] | None, float]


@dataclass(frozen=True)
class Patient:
    """The beats that a network found in a patient it never saw, and the reference's.

    Attributes
    ----------
    evidence : for each beat what `QrsTemplate.decide` was given: the network's probabilities and
        label, how it compares, and the correction while little is known
    relabelled : beats before the usual interval joins in; in atrial fibrillation that of S is 0
    sinus_certain : for each False if atrial fibrillation is not ruled out
    truth : int64 [beats], index into `CLASSES` of the reference's beat; -1: there is none
    there : int64 [5], beats of the reference
    """

    database: str
    evidence: list[Evidence]
    relabelled: Beats
    sinus_certain: list[bool]
    truth: NDArray[np.int64]
    there: NDArray[np.int64]


def require_every_fold(runs: Sequence[Path]) -> None:
    """Refuse runs that are not one for each fold: patients would be missing or count twice, and
    a single fold leaves nothing to choose on.

    Raises
    ------
    DataError
        The runs are not exactly the folds of one split, each once.
    """
    held_out = [trained(run)[1:] for run in runs]
    _, folds = held_out[0]
    if sorted(held_out) != [(fold, folds) for fold in range(folds)]:
        raise DataError(
            f"These runs hold out fold {', '.join(f'{f} of {of}' for f, of in held_out)}; expected "
            f"one run for each fold from 0 to {folds - 1}."
        )


def unseen(run: Path, records: Sequence[Record]) -> tuple[EkgNet, list[Record]]:
    """A run's network, and the patients that it never saw.

    Raises
    ------
    DataError
        There is no such run, or it saw all of them.
    """
    net, fold, folds = trained(run)
    return net, recordings.folds(records, folds)[fold]


def trained(run: Path) -> tuple[EkgNet, int, int]:
    """A run's network, the fold that it held out, and of how many; raises as `unseen`."""
    net, saved = checkpoint.load(run / "model.pt")
    recipe = Recipe(**saved["recipe"])  # type: ignore[arg-type]
    if recipe.fold is None:
        raise DataError(
            f"{run} was trained on every patient; expected runs of "
            "`python -m training.train --fold`."
        )
    return net, recipe.fold, recipe.folds


def held_out(run: Path, records: Sequence[Record]) -> list[Patient]:
    """The patients that this run's network never saw, as it reads them."""
    _, unknown = unseen(run, records)
    detector, patients = detector_of(run, BeatPolicy()), []
    for record in tqdm(unknown, desc=str(run), unit="record"):
        stream = detector.stream(FS, events=True)
        tracker = stream.tracker
        assert tracker is not None
        policy = detector.rhythm_policy
        tracker.template = template = NotingTemplate(detector)
        tracker.rr_baseline = listener = Listening(policy.of(BaselineLimits))
        tracker.context = None  # the compiled loops would ask neither
        relabelled = from_beats(stream.push(record.signal[0]) + stream.finish(), FS)
        patients.append(
            Patient(
                record.database,
                template.evidence,
                relabelled,
                listener.sinus_certain,
                truth_of(record.beats, record.labels, template.samples),
                np.bincount(record.labels, minlength=len(CLASSES)),
            )
        )
    return patients


class NotingTemplate(QrsTemplate):
    """The usual QRS complex of a detector, that notes what it is given.

    Attributes
    ----------
    samples : of the beats
    evidence : of each what `decide` was given
    trusts : of each how well the usual QRS complex was known
    """

    def __init__(self, detector: Detector):
        rhythm, weights = load_rhythm(), detector.contract.policy.class_weights
        super().__init__(rhythm.policy.of(TemplateLimits), weights, rhythm.first_beats)
        self.samples: list[int] = []
        self.evidence: list[Evidence] = []
        self.trusts: list[float] = []

    def relabel(self, beats: Beats, around: Callable[[int], NDArray[np.float32] | None]) -> Beats:
        self.samples += beats.samples
        return super().relabel(beats, around)

    def correct(
        self, probabilities: list[float], compared: tuple[float, float, float] | None, trust: float
    ) -> float:
        self.trusts.append(trust)
        return super().correct(probabilities, compared, trust)

    def decide(
        self,
        probabilities: list[float],
        label: int,
        compared: tuple[float, float, float] | None,
        correction: float = 0.0,
    ) -> tuple[list[float], int]:
        self.evidence.append((probabilities, label, compared, correction))
        return super().decide(probabilities, label, compared, correction)


class Listening(RrBaseline):
    """Leaves beats as they are, and notes when it would not be followed."""

    def __init__(self, limits: BaselineLimits):
        super().__init__(limits)
        self.sinus_certain: list[bool] = []

    def read(
        self, sample: int, label: int, probabilities: Sequence[float], *, sinus_certain: bool = True
    ) -> Sequence[float]:
        self.sinus_certain.append(sinus_certain)
        return probabilities


def truth_of(
    beats: NDArray[np.int64], labels: NDArray[np.int64], found: Sequence[int]
) -> NDArray[np.int64]:
    """Label of the reference's beat that each one found matches, int64 [found]; -1: there is none.

    Parameters
    ----------
    beats, labels : of the reference
    found : samples
    """
    truth = np.full(len(found), -1)
    there, matched = match(beats, np.array(found), MATCH_S * FS).T
    truth[matched] = labels[there]
    return truth
