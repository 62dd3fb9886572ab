"""Ventricular fibrillation and flutter, recognised on the signal alone: no beat is used."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...model.contract import FS
from ...signal.loops import interval_loops, single
from ..policy import RhythmPolicy, Section
from ..state import Number, clipped, saved
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
    vf_transition : chance that fibrillation begins, or ends, in a second
    vf_weight : of a window's log-odds; five windows see each second, so a fifth
    vf_prior : taken off a window's log-odds, because the model was fitted on even odds
    vf_on, vf_off : log-odds of fibrillation, after all windows so far, at which it begins and ends
    vf_min_s : shorter episodes are not reported; every second more delays the alarm by one
    hold_s : time that an episode, atrial or ventricular, outlives signal that cannot be read
    """

    section = "ventricular"
    about = "ventricular fibrillation"
    bounds = {
        "vf_transition": (1e-9, 0.5),
        "vf_weight": (0, 10),
        "vf_prior": (-10, 10),
        "vf_min_s": (0, 3600),
        "hold_s": (0, 86400),
    }

    vf_transition: float
    vf_weight: float
    vf_prior: float
    vf_on: float
    vf_off: float
    vf_min_s: float
    hold_s: float


@dataclass
class VentricularState:
    """``log_odds`` : of fibrillation, after all windows so far."""

    log_odds: float = saved(Number(-100.0, 100.0), RESTING)


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
        limits, ledger = self.limits, self.ledger
        observed = second.fibrillation if second.readable else None
        log_odds = self.state.log_odds = single(hmm_step(self.state.log_odds, observed, limits))
        if observed is None:
            if VF in ledger.open and second.start - ledger.open[VF].last > limits.hold_s * FS:
                ledger.close(VF, ledger.open[VF].last)
                self.state.log_odds = RESTING
            return
        moment = max(0, second.start - LAG_S * FS)
        if VF in ledger.open:
            ledger.confirm(VF, expit(log_odds), last=second.end)
            if log_odds < limits.vf_off:
                ledger.close(VF, moment)
        elif log_odds >= limits.vf_on:
            ledger.begin(VF, moment, expit(log_odds), last=second.end)
        if VF in ledger.open:
            ledger.lasted(VF, moment + FS)

    def on_gap(self, start: int, end: int, history: History) -> None:
        """Keep the event, which outlives unreadable signal for a while: see `on_second`."""


def hmm_step(before: float, observed: float | None, limits: VentricularLimits) -> float:
    """Log-odds of fibrillation after one more second.

    The forward step of a hidden Markov model of two states that change seldom: a second may change
    them, then the window's own log-odds count.

    Parameters
    ----------
    before : log-odds after the second before
    observed : of the window; None if it could not be read
    """
    if interval_loops is not None:
        return interval_loops.hmm_step(  # type: ignore[no-any-return]
            *(before, observed, limits.vf_transition, limits.vf_weight, limits.vf_prior),
            MAX_LOG_ODDS,
        )
    share = limits.vf_transition + (1 - 2 * limits.vf_transition) * expit(before)
    log_odds = math.log(share / (1 - share))
    if observed is None:
        return log_odds
    window = clipped(observed, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    return log_odds + limits.vf_weight * (window - limits.vf_prior)


def expit(log_odds: float) -> float:
    """The probability of these log-odds."""
    return 1 / (1 + math.exp(-clipped(log_odds, -50.0, 50.0)))
