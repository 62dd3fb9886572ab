"""Atrial fibrillation: the second network reads every beat, and remembers the patient.

What it reads are the RR intervals, and how much of the signal before the beats is the same before
each: sinus beats have the same P wave, in atrial fibrillation nothing before the QRS complex is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...beats import ATRIAL, N, S
from ...model.contract import FS
from ...model.rhythm_network import MAX_LAG, MAX_MEMORY, RhythmNetwork
from ...signal.features import RATE
from ..policy import RhythmPolicy, Section
from ..state import Flag, Matrix, Moment, Number, Rows, Vector, Whole, saved
from .family import Family, History, Kind, Signal, TrackedBeat
from .ledger import Ledger
from .ventricular import RESTING, VentricularLimits, expit

AF = "atrial_fibrillation"
P_WAVE = range(-18, -3)  # samples at 60 Hz before an R peak: 300 to 50 ms
P_WAVE_BEATS = (24, 12)  # that the mean P waves remember


@dataclass(frozen=True)
class AtrialLimits(Section):
    """Limits of atrial fibrillation.

    Attributes
    ----------
    af_on, af_off : log-odds at which it begins and ends, of a beat in the light of those after it
    af_min_s : shorter episodes are not reported
    af_min_atrial : smallest probability, N and S together, of a beat that is certainly atrial: a V
        beat taken for N makes any rhythm look irregular
    af_suppresses_s : while it lasts no beat is labelled S
    af_onset : log-odds of the latest beat from which on labels are chosen as in fibrillation: it
        is reported later, and until then its early beats would be S
    af_doubt : log-odds of the latest beat from which on fibrillation is not ruled out: the usual
        interval neither decides between N and S nor learns
    """

    section = "atrial"
    about = "atrial fibrillation"
    bounds = {"af_min_s": (0, 86400), "af_min_atrial": (0, 1), "af_suppresses_s": (0, 1)}

    af_on: float
    af_off: float
    af_min_s: float
    af_min_atrial: float
    af_suppresses_s: bool
    af_onset: float
    af_doubt: float


@dataclass
class AtrialState:
    """What is remembered of a patient's atria.

    Attributes
    ----------
    memory : float32 [memory_size], of the network; empty before the first beat
    moments : samples of the last beats, those that are still to be judged last
    p_waves : float32 [2, 16], for each of `P_WAVE_BEATS` the mean over beats, mV, and last the
        mean power of single ones, mV²
    p_wave_beats : beats in these means, `P_WAVE_BEATS` at most
    log_odds : of fibrillation at the last beat
    was_fibrillating, was_ruled_out : as they were before the last second was closed
    """

    memory: NDArray[np.float32] = saved(
        Vector(MAX_MEMORY), make=lambda: np.zeros(0, dtype=np.float32)
    )
    moments: list[int] = saved(Rows(Moment(), MAX_LAG + 1), make=list)
    p_waves: NDArray[np.float32] = saved(
        Matrix((len(P_WAVE_BEATS), len(P_WAVE) + 1)),
        make=lambda: np.zeros((len(P_WAVE_BEATS), len(P_WAVE) + 1), dtype=np.float32),
    )
    p_wave_beats: int = saved(Whole(0, max(P_WAVE_BEATS)), 0)
    log_odds: float = saved(Number(-1000.0, 1000.0), RESTING)
    was_fibrillating: bool = saved(Flag(), False)
    was_ruled_out: bool = saved(Flag(), False)

    def take_p_wave(self, before: NDArray[np.float32]) -> None:
        """Take the samples before a beat into the means."""
        wave = _DETREND.dot(before)
        latest = np.append(wave, wave.dot(wave) / len(wave))
        self.p_wave_beats = min(self.p_wave_beats + 1, max(P_WAVE_BEATS))
        self.p_waves += (latest - self.p_waves) / np.minimum(self.p_wave_beats, _REMEMBERED)

    def p_wave(self) -> list[float]:
        """For each mean, the logarithm of the share of the power that is left in it."""
        shares = []
        for *wave, power in self.p_waves.tolist():
            kept = sum([value * value for value in wave]) / len(wave) / (power + 1e-5)
            shares.append(math.log(kept + 0.01))
        return shares


class Atrial(Family):
    """Atrial fibrillation, and what it means for labels: in it no atrial beat is premature."""

    name = "atrial"
    kinds = (Kind(AF, 70, "(AFIB"),)
    Limits = AtrialLimits
    State = AtrialState
    limits: AtrialLimits
    state: AtrialState

    def __init__(self, policy: RhythmPolicy, ledger: Ledger, network: RhythmNetwork):
        super().__init__(policy, ledger, network)
        self._hold_s = policy.of(VentricularLimits).hold_s
        self.remember()

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        limits = policy.of(AtrialLimits)
        return {
            AF: "the network over beats finds neither order nor P wave, with a probability of at "
            f"least {expit(limits.af_on):.0%}, for {limits.af_min_s:g} s"
        }

    @classmethod
    def min_s(cls, policy: RhythmPolicy) -> dict[str, float]:
        return {AF: policy.of(AtrialLimits).af_min_s}

    @property
    def fibrillating(self) -> bool:
        """True if atrial fibrillation lasts or has just begun."""
        return AF in self.ledger.open or self.state.log_odds >= self.limits.af_onset

    @property
    def ruled_out(self) -> bool:
        """True if there is none, without doubt."""
        return not self.fibrillating and self.state.log_odds < self.limits.af_doubt

    def remember(self) -> None:
        """Keep both as they are now, before the next second is closed."""
        state, fibrillating = self.state, self.fibrillating
        state.was_fibrillating = fibrillating
        state.was_ruled_out = not fibrillating and state.log_odds < self.limits.af_doubt

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        state, network = self.state, self.network
        if beat.atrial and (before := signal.before(beat.sample)) is not None:
            state.take_p_wave(before)
        if not len(state.memory):
            state.memory = np.zeros(network.memory_size, dtype=np.float32)
        row = [(interval or 0) / FS, beat.atrial, *state.p_wave(), state.p_wave_beats]
        log_odds, memory = network.run(np.array([[row]], dtype=np.float32), state.memory[None])
        state.memory = memory[0]
        state.log_odds, before_now = log_odds[0, 0].tolist()
        if not state.moments:  # of the first interval
            state.moments.append(max(0, beat.sample - (interval or 0)))
        state.moments.append(beat.sample)
        if len(state.moments) > network.lag + 1:
            self._judge(state.moments[0], state.moments[1], before_now)
            del state.moments[0]

    def on_gap(self, start: int, end: int, history: History) -> None:
        if end - history.seen > self._hold_s * FS:
            if AF in self.ledger.open:
                self._end(history.seen)
            self.state = AtrialState(
                was_fibrillating=self.state.was_fibrillating, was_ruled_out=self.state.was_ruled_out
            )

    def check(self) -> None:
        state = self.state
        if state.p_waves[:, -1].min() < 0:
            raise ValueError("a mean power is negative")
        if len(state.memory) not in (0, self.network.memory_size):
            raise ValueError("the network over beats remembers otherwise")

    def _judge(self, start: int, beat: int, log_odds: float) -> None:
        """Take the verdict on a beat and the interval before it."""
        ledger = self.ledger
        if AF in ledger.open:
            ledger.confirm(AF, expit(log_odds))
            if log_odds < self.limits.af_off:
                self._end(start)
        elif log_odds >= self.limits.af_on:
            ledger.begin(AF, start, expit(log_odds))
        if AF in ledger.open:
            ledger.lasted(AF, beat)

    def _end(self, end: int) -> None:
        self.ledger.close(AF, max(end, self.ledger.open[AF].start))


def is_certainly_atrial(probabilities: Sequence[float], label: int, limits: AtrialLimits) -> bool:
    """True for a beat that is N or S without doubt, as the first network alone reads it."""
    return label in ATRIAL and probabilities[N] + probabilities[S] >= limits.af_min_atrial


def samples_before(ecg_60hz: NDArray[np.float32], sample: int) -> NDArray[np.float32] | None:
    """The samples before a beat, where its P wave lies; None if they are not at hand.

    Parameters
    ----------
    ecg_60hz : float32 [samples], mV
    sample : of the beat, at 360 Hz
    """
    at = sample * RATE // FS
    first, last = at + P_WAVE.start, at + P_WAVE.stop
    return ecg_60hz[first:last] if first >= 0 and last <= len(ecg_60hz) else None


def _detrend() -> NDArray[np.float64]:
    """A matrix that takes mean and slope off a P wave's samples."""
    basis = np.stack([np.ones(len(P_WAVE)), np.arange(len(P_WAVE)) - (len(P_WAVE) - 1) / 2])
    return np.eye(len(P_WAVE)) - basis.T @ np.linalg.inv(basis @ basis.T) @ basis


_DETREND = _detrend()
_REMEMBERED = np.array(P_WAVE_BEATS, dtype=np.float64)[:, None]
