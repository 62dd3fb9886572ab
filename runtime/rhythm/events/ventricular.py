"""Ventricular fibrillation and flutter, recognised on the signal alone: no beat is used.

Seconds are followed as a rhythm of two states that change seldom. The likeliest course of a hidden
Markov model of two states (Viterbi, 1967) is a sum of log-odds that is held between two bounds: at
the lower one fibrillation would begin now, at the upper one it would end now. So an event begins
and ends where it most likely did, not where it was noticed, and all events together are the
likeliest course. One that later seconds contradict is taken back: it ends where it began.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ...model.contract import FS
from ...signal.loops import single
from ..policy import RhythmPolicy, Section
from ..state import Moment, Number, clipped, saved
from .family import Family, History, Kind, Second

VF = "ventricular_fibrillation"
RESTING = -5.0  # log-odds of fibrillation as long as nothing is known
LAG_S = 2  # five-second windows together show a change so much after it
MAX_LOG_ODDS = 6.0  # of a window, to either side; larger ones count as this


@dataclass(frozen=True)
class VentricularLimits(Section):
    """Limits of ventricular fibrillation.

    Attributes
    ----------
    vf_transition : chance that fibrillation begins in a second
    vf_end_transition : chance that it ends in a second
    vf_weight : of a window's log-odds; windows that follow one another say nearly the same
    vf_prior : taken off a window's log-odds, because the model was fitted on even odds
    vf_fade : share of the log-odds so far that a second takes which cannot be read, for a shock may
        lie in it; what is certainly no fibrillation stays none
    vf_on, vf_off : log-odds of fibrillation, after all windows so far, at which it is reported, and
        at which it is over
    vf_min_s : shorter episodes are not reported, or taken back
    hold_s : time that an episode, atrial or ventricular, outlives signal that cannot be read
    """

    section = "ventricular"
    about = "ventricular fibrillation"
    bounds = {
        "vf_transition": (1e-9, 0.5),
        "vf_end_transition": (1e-9, 0.5),
        "vf_weight": (0, 10),
        "vf_prior": (-10, 10),
        "vf_fade": (0, 1),
        "vf_min_s": (0, 3600),
        "hold_s": (0, 86400),
    }

    vf_transition: float
    vf_end_transition: float
    vf_weight: float
    vf_prior: float
    vf_fade: float
    vf_on: float
    vf_off: float
    vf_min_s: float
    hold_s: float

    @cached_property
    def edges(self) -> tuple[float, float]:
        """The bounds of the log-odds, as float32.

        At the lower one fibrillation that begins now is as likely as any that began before, at the
        upper one fibrillation that ends now is as likely as any that ended before.
        """
        begins, ends = self.vf_transition, self.vf_end_transition
        return single(math.log(begins / (1 - ends))), single(math.log((1 - begins) / ends))


@dataclass(slots=True)
class VentricularState:
    """What the seconds so far say.

    Attributes
    ----------
    log_odds : of fibrillation, after all windows so far
    since : sample at which it most likely began, if this is fibrillation
    until : sample at which it most likely ended, if this is none
    """

    log_odds: float = saved(Number(-100.0, 100.0), RESTING)
    since: int = saved(Moment(), 0)
    until: int = saved(Moment(), 0)


class Ventricular(Family):
    """Fibrillation or flutter of the ventricles, followed as a rhythm of two states."""

    name = "ventricular"
    kinds = (Kind(VF, 120, "(VF"),)
    Limits = VentricularLimits
    State = VentricularState
    limits: VentricularLimits
    state: VentricularState

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        return {
            VF: "signal has the shape of fibrillation or flutter, with a probability of at least "
            f"{expit(policy.of(VentricularLimits).vf_on):.0%}"
        }

    @classmethod
    def min_s(cls, policy: RhythmPolicy) -> dict[str, float]:
        return {VF: policy.of(VentricularLimits).vf_min_s}

    @property
    def hides_beats(self) -> bool:
        return VF in self.ledger.open

    def on_second(self, second: Second) -> None:
        limits, ledger, state = self.limits, self.ledger, self.state
        observed = second.fibrillation if second.readable else None
        low, high = limits.edges
        now = (second.start + second.end) // 2
        if state.log_odds <= low:
            state.since = now
        elif state.log_odds >= high:
            state.until = now
        log_odds = state.log_odds = single(hmm_step(state.log_odds, observed, limits))
        if observed is None:
            if VF in ledger.open and second.start - ledger.open[VF].last > limits.hold_s * FS:
                ledger.close(VF, ledger.open[VF].last)
                state.log_odds, state.since = RESTING, now
            return
        if VF in ledger.open:
            ledger.confirm(VF, expit(log_odds), last=second.end)
            if log_odds < limits.vf_off:
                start = ledger.open[VF].start
                long_enough = state.until - start >= limits.vf_min_s * FS
                state.since = state.until if long_enough else start
                ledger.close(VF, state.since)
        elif log_odds >= limits.vf_on:
            state.until = state.since
            ledger.begin(VF, state.since, expit(log_odds), last=second.end)
        if VF in ledger.open:
            ledger.lasted(VF, max(0, second.start - LAG_S * FS) + FS)

    def on_gap(self, start: int, end: int, history: History) -> None:
        """Keep the event, which outlives unreadable signal for a while: see `on_second`."""


def hmm_step(before: float, observed: float | None, limits: VentricularLimits) -> float:
    """Log-odds of fibrillation after one more second.

    Of the likeliest course that ends in it, against the likeliest that does not: a second may
    change the rhythm, then the window's own log-odds count.

    Parameters
    ----------
    before : log-odds after the second before
    observed : of the window; None if it could not be read
    """
    low, high = limits.edges
    log_odds = clipped(before, low, high)
    if observed is None:
        return log_odds * (1 - limits.vf_fade) if log_odds > low else low
    window = clipped(observed, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    return log_odds + limits.vf_weight * (window - limits.vf_prior)


def expit(log_odds: float) -> float:
    """The probability of these log-odds."""
    return 1 / (1 + math.exp(-clipped(log_odds, -50.0, 50.0)))
