"""The patient's usual RR interval, as evidence about the next beat.

The network sees ten seconds. That is enough for one early beat, but within a long run of early
beats, or at a rate that is fast for some patients and usual for others, ten seconds do not separate
N from S. Here the interval of each patient's last N beats is kept, however long ago they were, and
how much shorter an interval is joins the network's opinion. ``python -m training.choose`` chose the
numbers, on patients that the network had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..beats import ATRIAL, PROBABILITY_FLOOR
from ..model.contract import FS
from .policy import Section
from .state import Flag, Maybe, Moment, Number, saved, single

SHORTEST_S, LONGEST_S = 0.2, 4.0  # intervals beyond are counted as these


@dataclass(frozen=True)
class BaselineLimits(Section):
    """Weights of the usual interval in the decision between N and S, in log-odds of S.

    Attributes
    ----------
    baseline_bias : added to the network's own
    baseline_gain : added for an interval shorter than the usual one, times the log of their ratio
    max_prematurity : largest value of that log; shorter intervals count no more
    baseline_beats : number of N beats remembered; of fewer, as in a strip of half a minute, what is
        added counts in proportion
    """

    section = "rr_baseline"
    about = "the usual RR interval"
    bounds = {
        "baseline_bias": (-100, 100),
        "baseline_gain": (0, 1000),
        "max_prematurity": (0, 10),
        "baseline_beats": (1, 1_000_000),
    }

    baseline_bias: float
    baseline_gain: float
    max_prematurity: float
    baseline_beats: float


@dataclass
class BaselineState:
    """The usual interval of one patient, and the last beat.

    Attributes
    ----------
    log_interval : log of the usual interval in s; None before the first
    beats : N beats that it was taken from, as far as they are remembered
    previous : sample of the last beat; None before the first
    previous_atrial : True if that beat was N or S
    """

    log_interval: float | None = saved(Maybe(Number(-2.0, 2.0)))  # 0.1 to 7 s
    beats: float = saved(Number(1.0), 1.0)
    previous: int | None = saved(Maybe(Moment()))
    previous_atrial: bool = saved(Flag(), False)


class RrBaseline:
    """The usual RR interval of one patient.

    Attributes
    ----------
    state : the usual interval so far
    """

    def __init__(self, limits: BaselineLimits):
        self.limits, self.state = limits, BaselineState()

    def read(
        self, sample: int, label: int, probabilities: Sequence[float], *, sinus_certain: bool = True
    ) -> Sequence[float]:
        """The probabilities of the next beat in the light of those before.

        N and S share theirs anew; beats of other classes stay as they are. An interval after a
        ventricular beat is no evidence about the atria.

        Parameters
        ----------
        sinus_certain : False if the atria may have no rhythm: the beat stays as it is, and its
            interval is not remembered
        """
        limits, state = self.limits, self.state
        previous, after_atrial = state.previous, state.previous_atrial
        state.previous, state.previous_atrial = sample, label in ATRIAL
        if previous is None:
            return probabilities
        log_interval = math.log(min(max((sample - previous) / FS, SHORTEST_S), LONGEST_S))
        if state.log_interval is None:
            state.log_interval = single(log_interval)
        if not state.previous_atrial or not sinus_certain:
            return probabilities
        late = log_interval - state.log_interval
        n, s, *others = probabilities
        log_odds = math.log(max(s, PROBABILITY_FLOOR) / max(n, PROBABILITY_FLOOR))
        evidence = limits.baseline_bias
        if after_atrial:
            evidence += limits.baseline_gain * min(max(-late, 0.0), limits.max_prematurity)
        log_odds += evidence * min(1.0, state.beats / limits.baseline_beats)
        premature, atrial = 1 / (1 + math.exp(-log_odds)), n + s
        if after_atrial:
            # In float32, as a state is saved.
            remembered = min(state.beats, limits.baseline_beats)
            state.log_interval = single(state.log_interval + (1 - premature) / remembered * late)
            state.beats = single(min(state.beats + 1 - premature, limits.baseline_beats))
        return [atrial * (1 - premature), atrial * premature, *others]
