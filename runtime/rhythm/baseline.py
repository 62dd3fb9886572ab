"""Early or not, measured by the patient's own usual interval.

The network sees ten seconds. That is enough for one early beat, but within a long run of early
beats, or at a rate that is fast for some patients and usual for others, ten seconds do not tell
N from S. Here the interval of each patient's last N beats is kept, however long ago they were, and
how much shorter an interval is joins the network's opinion. `python -m training.choose` chose the
numbers, on patients that the network had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..findings import Beat

FS = 360  # Hz, of what positions are counted in
SHORTEST_S, LONGEST_S = 0.2, 4.0  # intervals beyond are counted as these
LEAST = 1e-4  # probability; the network's are no more certain than that
_ATRIAL = ("N", "S")


@dataclass(frozen=True)
class SinusPolicy:
    """How the usual interval decides between N and S, in log-odds of S.

    Attributes
    ----------
    bias : added to the network's own
    gain : added for an interval shorter than the usual one, times the log of their ratio
    most : of that log; what is shorter still says no more
    beats : how many N beats are remembered
    """

    bias: float = -5.0
    gain: float = 30.0
    most: float = 0.45
    beats: float = 100.0

    def __post_init__(self) -> None:
        require_bounds(self, "the usual interval", _BOUNDS)


_BOUNDS = {"bias": (-100, 100), "gain": (0, 1000), "most": (0, 10), "beats": (1, 1_000_000)}


class Sinus:
    """The usual interval of one patient, and what it makes of the next beat.

    Attributes
    ----------
    usual : log of the usual interval in s; None before the first
    beats : N beats that it was taken from, as far as they are remembered
    last : sample of the last beat; None before the first
    atrial : whether that beat was N or S
    """

    def __init__(self, policy: SinusPolicy | None = None):
        self.policy = policy or SinusPolicy()
        self.usual: float | None = None
        self.beats = 1.0
        self.last: int | None = None
        self.atrial = False

    def read(self, beat: Beat, *, followed: bool = True) -> Beat:
        """The next beat in the light of those before: N may become S, and S N.

        An interval after a beat of the ventricles says nothing of the atria's rhythm.

        Parameters
        ----------
        followed : False where the atria may have no rhythm: the beat stays as it is, and its
            interval is not remembered
        """
        sample, last, after_atria = round(beat.time * FS), self.last, self.atrial
        self.last, self.atrial = sample, beat.label in _ATRIAL
        if last is None:
            return beat
        interval = math.log(min(max((sample - last) / FS, SHORTEST_S), LONGEST_S))
        if self.usual is None:
            self.usual = single(interval)
        if not self.atrial or not followed:
            return beat
        policy, late = self.policy, interval - self.usual
        normal, premature, *others = beat.probabilities
        odds = math.log(max(premature, LEAST) / max(normal, LEAST)) + policy.bias
        if after_atria:
            odds += policy.gain * min(max(-late, 0.0), policy.most)
        share, atria = 1 / (1 + math.exp(-odds)), normal + premature
        if after_atria:
            # In float32, as a state is saved.
            self.usual = single(self.usual + (1 - share) / min(self.beats, policy.beats) * late)
            self.beats = single(min(self.beats + 1 - share, policy.beats))
        normal, premature = atria * (1 - share), atria * share
        label, score = ("S", premature) if premature > normal else ("N", normal)
        return Beat(beat.time, label, score, (normal, premature, *others))


def require_bounds(policy: object, what: str, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a policy whose numbers no stream could use.

    Raises
    ------
    InputError
        Names the first that lies outside.
    """
    for name, (least, largest) in bounds.items():
        if not least <= (value := getattr(policy, name)) <= largest:
            raise InputError(f"{name} of {what} is {value:g}; expected {least} to {largest}.")


def single(value: float) -> float:
    """In float32, as a state is saved."""
    return float(np.float32(value))
