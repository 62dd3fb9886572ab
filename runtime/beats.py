"""A block of beats, and the one place that chooses a label.

From frames to the edge a beat is a row of these columns. Seconds and letters are made once, by
`Beats.to_beats`, when a stream hands its beats out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .findings import CLASSES, Beat

N, S, V, F, Q = range(len(CLASSES))
ALL = (N, S, V, F, Q)
ATRIAL = (N, S)  # classes of beats that come from above the ventricles
NO_BEAT = len(CLASSES)  # stands for the label of a deflection that no heart can have made
PROBABILITY_FLOOR = 1e-4  # the network's probabilities are no more certain than that


class Beats(NamedTuple):
    """Beats of one patient, in order of time: a column for each thing known of them.

    The columns are plain lists: a live block holds one beat or two, for which making an array
    takes longer than all that is done with it.

    Attributes
    ----------
    samples : R peaks, at the model's rate from the recording's start
    probabilities : of `CLASSES`, given that there is a beat; each row sums to 1
    labels : index into `CLASSES`
    """

    samples: list[int]
    probabilities: list[list[float]]
    labels: list[int]

    def to_beats(self, fs: float) -> list[Beat]:
        """The same beats as users see them: seconds and letters.

        Parameters
        ----------
        fs : Hz, of the samples
        """
        return [
            Beat(sample / fs, CLASSES[label], row[label], tuple(row))
            for sample, row, label in zip(*self, strict=True)
        ]


NO_BEATS = Beats([], [], [])


def as_block(rows: Iterable[tuple[int, list[float], int]]) -> Beats:
    """A block of beats that are given one by one: sample, probabilities, label."""
    columns = list(zip(*rows, strict=True))
    if not columns:
        return NO_BEATS
    samples, probabilities, labels = columns
    return Beats(list(samples), list(probabilities), list(labels))


def choose_label(
    probabilities: Sequence[float], weights: Sequence[float], among: Sequence[int] = ALL
) -> int:
    """The class whose weighted probability is the largest; of equal ones the first in ``among``.

    Parameters
    ----------
    probabilities : of `CLASSES`
    weights : factor for each class, from the model's contract
    among : the classes in question
    """
    best = among[0]
    largest = probabilities[best] * weights[best]
    for label in among[1:]:
        if (value := probabilities[label] * weights[label]) > largest:
            best, largest = label, value
    return best


def from_beats(beats: Sequence[Beat], fs: float) -> Beats:
    """The block that `Beats.to_beats` gave these beats from."""
    return Beats(
        [round(beat.time * fs) for beat in beats],
        [list(beat.probabilities) for beat in beats],
        [CLASSES.index(beat.label) for beat in beats],
    )
