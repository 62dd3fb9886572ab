"""The patient's usual RR interval, as evidence about the next beat.

The network sees ten seconds. That is enough for one early beat, but within a long run of early
beats, or at a rate that is fast for some patients and usual for others, ten seconds do not separate
N from S. Here the interval of each patient's last N beats is kept, however long ago they were, and
how much shorter an interval is joins the network's opinion. ``python -m training.fit_interval``
measures the numbers, on patients that the network had not seen and on healthy people; how they were
chosen stands in ``training/experiments.md``.

Breathing makes the intervals of a healthy heart longer and shorter by and by, and a beat is not
early that comes no sooner than others did lately. So the shortest intervals of late that ended in
an N beat are kept too, but for those that were short at once, as an S beat's are: it may have been
missed. For the same reason the second shortest is compared, and of a patient with hardly an N beat
none is.

A rate that has changed for good is no run: if every beat of a minute would be S, their interval
becomes the usual one. If the intervals are as steady as a clock's this takes longer, because so are
those of a tachycardia that circles in the atria or the node, and a sinus rhythm's are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..beats import ATRIAL, PROBABILITY_FLOOR
from ..model.contract import FS
from ..signal.loops import interval_loops, single
from .policy import Section
from .state import Flag, Maybe, Moment, Number, Whole, clipped, saved

SHORTEST_S, LONGEST_S = 0.2, 4.0  # intervals beyond are counted as these
RUN_BEATS = 30  # of a run of S beats, that its means remember
SAME_RATE = 0.1  # of the log of an interval: so near to a run's mean it belongs to the run


@dataclass(frozen=True)
class BaselineLimits(Section):
    """Weights of the usual interval in the decision between N and S, in log-odds of S.

    Attributes
    ----------
    baseline_bias : added to the network's own
    baseline_gain : added for an interval shorter than the usual one, times the log of their ratio
    baseline_sudden : added for an interval shorter than both the usual one and the last one that
        followed an N or S beat, times the log of its ratio to the shorter of these: a rate that
        rises by and by is none of S beats
    baseline_shortest : added for an interval shorter than the second shortest of late, times the
        log of their ratio, and taken off for a longer one; as far as few N beats are known the
        usual interval takes its place
    baseline_most : the largest that is added in all
    baseline_unknown : added as far as the usual interval is not known: S is rare
    max_prematurity : largest value of these logs; shorter intervals count no more
    shortest_change : of the log of an interval: one that is shorter than the last of them by more
        comes at once, as an S beat's does, and does not count among the shortest
    shortest_forgets : share by which, with each N beat, the shortest intervals of late get nearer
        to the usual one
    baseline_beats : number of N beats remembered; as long as fewer beats, N or S, were compared, as
        in a strip of half a minute, what is added counts in proportion
    lasting_s : a run of S beats that lasts so long is the patient's rate by now
    steady_change : mean change of the log of the interval from beat to beat below which it is not
    steady_s : yet; it is once it lasts so long
    """

    section = "rr_baseline"
    about = "the usual RR interval"
    bounds = {
        "baseline_bias": (-100, 100),
        "baseline_gain": (0, 1000),
        "baseline_sudden": (0, 1000),
        "baseline_shortest": (0, 1000),
        "baseline_most": (-100, 1000),
        "baseline_unknown": (-100, 100),
        "max_prematurity": (0, 10),
        "shortest_change": (0, 10),
        "shortest_forgets": (0, 1),
        "baseline_beats": (1, 1_000_000),
        "lasting_s": (0, 1_000_000),
        "steady_change": (0, 10),
        "steady_s": (0, 1_000_000),
    }

    baseline_bias: float
    baseline_gain: float
    baseline_sudden: float
    baseline_shortest: float
    baseline_most: float
    baseline_unknown: float
    max_prematurity: float
    shortest_change: float
    shortest_forgets: float
    baseline_beats: float
    lasting_s: float
    steady_change: float
    steady_s: float


@dataclass(slots=True)
class BaselineState:
    """The usual interval of one patient, and the last beat.

    Attributes
    ----------
    log_interval : log of the usual interval in s; None before the first
    beats : N beats that it was taken from, as far as they are remembered
    compared : beats that were compared with it, or would have been, as far as they count
    previous : sample of the last beat; None before the first
    previous_atrial : True if that beat was N or S
    run_start : sample of the first of the S beats in a row that the last one belongs to; None if
        it was none
    run_beats, run_log_interval : those of them that follow an N or S beat, and the mean log of
        their intervals, of the last `RUN_BEATS`
    run_change : mean change of that log from one of them to the next
    last_log_interval : of the last beat that followed an N or S beat
    gradual : log of the last interval between an N or S beat and an N beat that was not much
        shorter than such a one before
    shortest, second_shortest : the shortest of these, of late
    """

    log_interval: float | None = saved(Maybe(Number(-2.0, 2.0)))  # 0.1 to 7 s
    beats: float = saved(Number(1.0), 1.0)
    compared: float = saved(Number(0.0), 0.0)
    previous: int | None = saved(Maybe(Moment()))
    previous_atrial: bool = saved(Flag(), False)
    run_start: int | None = saved(Maybe(Moment()))
    run_beats: int = saved(Whole(0, 1 << 24), 0)
    run_log_interval: float = saved(Number(-2.0, 2.0), 0.0)
    run_change: float = saved(Number(0.0, 4.0), 0.0)
    last_log_interval: float = saved(Number(-2.0, 2.0), 0.0)
    gradual: float = saved(Number(-2.0, 2.0), 0.0)
    shortest: float = saved(Number(-2.0, 2.0), 0.0)
    second_shortest: float = saved(Number(-2.0, 2.0), 0.0)


class RrBaseline:
    """The usual RR interval of one patient.

    Attributes
    ----------
    state : the usual interval so far
    numbers : the limits, as the compiled loops take them
    """

    def __init__(self, limits: BaselineLimits):
        self.limits, self.state = limits, BaselineState()
        self.numbers = np.array(
            [
                *(getattr(limits, name) for name in BaselineLimits.bounds),
                *(SHORTEST_S, LONGEST_S, FS, SAME_RATE, RUN_BEATS, PROBABILITY_FLOOR),
            ],
            dtype=np.float64,
        )

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
        if interval_loops is not None:
            return interval_loops.read_interval(  # type: ignore[no-any-return]
                self.state, self.numbers, sample, label, probabilities, sinus_certain
            )
        limits, state = self.limits, self.state
        previous, after_atrial = state.previous, state.previous_atrial
        state.previous, state.previous_atrial = sample, label in ATRIAL
        if previous is None or not sinus_certain:
            state.run_start = None
        if previous is None:
            return probabilities
        log_interval = math.log(clipped((sample - previous) / FS, SHORTEST_S, LONGEST_S))
        if state.log_interval is None:
            state.log_interval = single(log_interval)
            state.gradual = state.shortest = state.second_shortest = state.log_interval
        if not state.previous_atrial or not sinus_certain:
            return probabilities
        n, s, *others = probabilities
        network = math.log(
            (s if s > PROBABILITY_FLOOR else PROBABILITY_FLOOR)
            / (n if n > PROBABILITY_FLOOR else PROBABILITY_FLOOR)
        )
        premature = self._premature(network, log_interval, after_atrial)
        if after_atrial:
            if self._lasts(sample, log_interval, premature):
                state.log_interval, state.run_start = state.run_log_interval, None
                state.gradual = state.shortest = state.second_shortest = state.log_interval
                premature = self._premature(network, log_interval, after_atrial)
            # In float32, as a state is saved.
            late = log_interval - state.log_interval
            beats, compared, most = state.beats, state.compared, limits.baseline_beats
            remembered = beats if beats < most else most
            state.log_interval = single(state.log_interval + (1 - premature) / remembered * late)
            beats, compared = beats + 1 - premature, compared + 1
            state.beats = single(beats if beats < most else most)
            state.compared = single(compared if compared < most else most)
            if premature < 0.5:
                self._remember(log_interval, state.log_interval)
        atrial = n + s
        return [atrial * (1 - premature), atrial * premature, *others]

    def _premature(self, network: float, log_interval: float, after_atrial: bool) -> float:
        """Probability of S, given N or S, from the network's log-odds and an interval."""
        limits, state = self.limits, self.state
        evidence = limits.baseline_bias
        if after_atrial and state.log_interval is not None:
            usual, last, most = state.log_interval, state.last_log_interval, limits.max_prematurity
            early = clipped(usual - log_interval, 0.0, most)
            sudden = clipped((usual if usual < last else last) - log_interval, 0.0, most)
            evidence += limits.baseline_gain * early
            evidence += limits.baseline_sudden * sudden
            normal = state.beats / limits.baseline_beats
            shortest = usual + normal * normal * (state.second_shortest - usual)
            evidence += limits.baseline_shortest * clipped(shortest - log_interval, -most, most)
        evidence = evidence if evidence < limits.baseline_most else limits.baseline_most
        beats, compared = state.beats, state.compared
        known = (beats if beats > compared else compared) / limits.baseline_beats
        known = known if known < 1.0 else 1.0
        evidence = known * evidence + (1 - known) * limits.baseline_unknown
        return 1 / (1 + math.exp(-(network + evidence)))

    def _remember(self, log_interval: float, usual: float) -> None:
        """One more interval that ended in an N beat."""
        state, share = self.state, self.limits.shortest_forgets
        gradual = state.gradual + (usual - state.gradual) * share
        shortest = state.shortest + (usual - state.shortest) * share
        second = state.second_shortest + (usual - state.second_shortest) * share
        if log_interval > gradual - self.limits.shortest_change:
            gradual = log_interval
            shortest, second = min(shortest, gradual), min(second, max(shortest, gradual))
        state.gradual, state.shortest = single(gradual), single(shortest)
        state.second_shortest = single(second)

    def _lasts(self, sample: int, log_interval: float, premature: float) -> bool:
        """True if the S beats in a row up to this one are a rate that lasts.

        At a rate that is hardly premature one that seems N among them does not end the run.
        """
        state, limits = self.state, self.limits
        last, state.last_log_interval = state.last_log_interval, single(log_interval)
        goes_on = state.run_beats > 0 and abs(log_interval - state.run_log_interval) < SAME_RATE
        if premature < 0.5 and not (state.run_start is not None and goes_on):
            state.run_start = None
            return False
        if state.run_start is None:
            state.run_start, state.run_beats = sample, 0
            state.run_log_interval, state.run_change = state.last_log_interval, 0.0
            return False
        state.run_beats = min(state.run_beats + 1, RUN_BEATS)
        learnt = 1 / state.run_beats
        state.run_log_interval = single(
            state.run_log_interval + (log_interval - state.run_log_interval) * learnt
        )
        state.run_change = single(
            state.run_change + (abs(log_interval - last) - state.run_change) * learnt
        )
        steady = state.run_change < limits.steady_change
        lasting = limits.steady_s if steady else limits.lasting_s
        return sample - state.run_start >= lasting * FS
