"""Atrial fibrillation: RR intervals that follow no order, and no P wave before the beats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...beats import ATRIAL, N, S
from ...model.contract import FS
from ...signal.features import LARGEST, RATE
from ..policy import RhythmPolicy, Section
from ..state import Flag, Matrix, Near, Number, Row, Rows, Whole, saved, single
from .family import Family, History, Kind, Signal, TrackedBeat
from .ledger import Ledger
from .ventricular import RESTING, VentricularLimits, expit

AF = "atrial_fibrillation"
INTERVALS = {"atrial": 48, "onset": 24}  # that a verdict of each model is made from
EVERY = {"atrial": 8, "onset": 2}  # intervals from one verdict to the next
FEATURES = ("conditional entropy", "scatter", "P wave")
# The extremes that the first two can have; see `irregularity`.
_IRREGULARITY_RANGE = ((-math.inf, math.inf), (0.0, 1.0))
P_WAVE = range(-18, -3)  # samples at 60 Hz before an R peak: 300 to 50 ms
# Beats that the mean P waves remember, half of those that the intervals see.
P_WAVE_BEATS = {"atrial": 24, "onset": 12}
LONGEST_GAP = 120 * FS  # samples; intervals further apart belong to no one window


@dataclass(frozen=True)
class AtrialLimits(Section):
    """Limits of atrial fibrillation.

    Attributes
    ----------
    af_on, af_off : log-odds at which it begins and ends
    af_min_s : shorter episodes are not reported; an episode is known to last up to the middle of
        the intervals that show it
    af_min_atrial : smallest probability, N and S together, of a beat that it is judged by: a V
        beat taken for N makes any rhythm look irregular
    af_suppresses_s : while it lasts no beat is labelled S
    af_onset : log-odds of the last 24 intervals alone from which on labels are chosen as in
        fibrillation: it is reported later, and until then its early beats would be S
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


class LinearModel(NamedTuple):
    """A logistic model of a few features.

    Attributes
    ----------
    bias : log-odds if every feature has its mean
    columns : mean, scale and weight of each feature
    max_log_odds : the largest that any intervals could give, without the P wave
    """

    bias: float
    columns: tuple[tuple[float, float, float], ...]
    max_log_odds: float

    @classmethod
    def from_dict(cls, fit: Any) -> LinearModel:
        """The model as ``artifacts/rhythm.json`` has it.

        Raises
        ------
        ValueError
            The numbers are not those of a model of `FEATURES`.
        """
        columns = tuple(
            zip(*(map(float, fit[name]) for name in ("mean", "scale", "weights")), strict=True)
        )
        numbers = [float(fit["bias"]), *chain.from_iterable(columns)]
        if not (
            len(columns) == len(FEATURES)
            and all(scale > 0 for _, scale, _ in columns)
            and all(map(math.isfinite, numbers))
        ):
            raise ValueError(f"a model of intervals does not fit its {len(FEATURES)} features")
        # Added up in the order of `log_odds`, so that with the P wave it is never less.
        max_log_odds = float(fit["bias"])
        for column, ends in zip(columns, _IRREGULARITY_RANGE, strict=False):
            max_log_odds += max(contribution(end, *column) for end in ends)
        return cls(float(fit["bias"]), columns, max_log_odds)

    def to_dict(self) -> dict[str, Any]:
        """The model as JSON has it, with six decimals."""
        columns = zip(("mean", "scale", "weights"), zip(*self.columns, strict=True), strict=True)
        return {name: [round(value, 6) for value in column] for name, column in columns} | {
            "bias": round(self.bias, 6)
        }

    def log_odds(self, features: Sequence[float]) -> float:
        """Above 0: more likely than not, at equal odds before."""
        log_odds = self.bias
        for value, column in zip(features, self.columns, strict=True):
            log_odds += contribution(value, *column)
        return log_odds


def contribution(value: float, mean: float, scale: float, weight: float) -> float:
    """The part of one feature in the log-odds; beyond `LARGEST` deviations it grows no more."""
    return weight * min(max((value - mean) / scale, -LARGEST), LARGEST)


class Interval(NamedTuple):
    """An RR interval between two atrial beats, and the sample at which it ends."""

    length: int
    end: int


def _no_p_waves() -> NDArray[np.float32]:
    return np.zeros((len(P_WAVE_BEATS), len(P_WAVE) + 1), dtype=np.float32)


@dataclass
class AfFeatures:
    """The last intervals between N or S beats, and the signal that precedes these beats.

    Sinus beats have the same P wave before each; in atrial fibrillation nothing before the QRS
    complex is the same, so little of its power is left in the mean over beats.

    Attributes
    ----------
    intervals : the last 48 at most
    intervals_since_verdict : of the model "atrial"
    first_window : True if no earlier verdict covered any of the intervals
    p_wave_means : float32 [2, 16], for each model the mean over beats, mV, and last the mean power
        of single ones, mV²
    log_odds, onset_log_odds : of fibrillation at the last verdict of each model
    was_fibrillating, was_ruled_out : as they were before the last second was closed
    """

    intervals: list[Interval] = saved(
        Rows(Row(Interval, (Whole(1, 1 << 24), Near())), INTERVALS["atrial"]), make=list
    )
    intervals_since_verdict: int = saved(Whole(0, 1 << 24), 0)
    first_window: bool = saved(Flag(), True)
    p_wave_means: NDArray[np.float32] = saved(
        Matrix((len(P_WAVE_BEATS), len(P_WAVE) + 1)), make=_no_p_waves
    )
    log_odds: float = saved(Number(-1000.0, 1000.0), RESTING)
    onset_log_odds: float = saved(Number(-1000.0, 1000.0), RESTING)
    was_fibrillating: bool = saved(Flag(), False)
    was_ruled_out: bool = saved(Flag(), False)

    @property
    def middle(self) -> int:
        """Sample that a verdict on the intervals holds for."""
        return self.intervals[len(self.intervals) // 2].end

    @property
    def start(self) -> int:
        """Sample at which fibrillation begins: the intervals' middle.

        In the first window it is the first interval's start.
        """
        first = self.intervals[0]
        return max(0, first.end - first.length) if self.first_window else self.middle

    def restart(self) -> None:
        """Forget the intervals: after a gap only beats after it count."""
        self.intervals, self.first_window, self.onset_log_odds = [], True, RESTING

    def add(self, length: int, end: int, before: NDArray[np.float32] | None) -> tuple[bool, bool]:
        """Take an interval and the samples before its beat (None if there are none).

        Returns
        -------
        whether a verdict is due of the model "atrial", and of "onset"
        """
        if self.intervals and end - self.intervals[-1].end > LONGEST_GAP:
            self.restart()
        self.intervals.append(Interval(length, end))
        del self.intervals[: -INTERVALS["atrial"]]
        if before is not None:
            wave = _DETREND.dot(before)
            latest = np.empty(len(wave) + 1)
            latest[:-1], latest[-1] = wave, wave.dot(wave) / len(wave)
            self.p_wave_means += (latest - self.p_wave_means) / _P_WAVE_BEATS
        self.intervals_since_verdict += 1
        known = len(self.intervals)
        onset = known >= INTERVALS["onset"] and self.intervals_since_verdict % EVERY["onset"] == 0
        atrial = known == INTERVALS["atrial"] and self.intervals_since_verdict >= EVERY["atrial"]
        if atrial:
            self.intervals_since_verdict = 0
        return atrial, onset

    def features(self, model: str) -> tuple[float, ...]:
        """`FEATURES` for the model of this name."""
        lengths = [interval.length for interval in self.intervals[-INTERVALS[model] :]]
        return *irregularity(lengths), self.p_wave(model)

    def p_wave(self, model: str) -> float:
        """The share of the power before the beats that is left in its mean, its logarithm."""
        *wave, power = self.p_wave_means[_ROWS[model]].tolist()
        kept = sum([value * value for value in wave]) / len(wave) / (power + 1e-5)
        return math.log(kept + 0.01)

    def log_odds_of(
        self, name: str, model: LinearModel, *, min_log_odds: float = -math.inf
    ) -> float:
        """Log-odds of atrial fibrillation, in float32, as they are saved.

        If with this P wave no intervals could reach ``min_log_odds``, they are not examined: then
        it is the largest value that any could give.
        """
        log_odds = model.max_log_odds + contribution(self.p_wave(name), *model.columns[-1])
        if log_odds >= min_log_odds:
            log_odds = model.log_odds(self.features(name))
        return single(log_odds)


class Atrial(Family):
    """Atrial fibrillation, and what it means for labels: in it no atrial beat is premature."""

    name = "atrial"
    kinds = (Kind(AF, 70, "(AFIB"),)
    Limits = AtrialLimits
    State = AfFeatures
    limits: AtrialLimits
    state: AfFeatures

    def __init__(self, policy: RhythmPolicy, ledger: Ledger, models: Mapping[str, Any]):
        super().__init__(policy, ledger, models)
        self._hold_s = policy.of(VentricularLimits).hold_s
        self.remember()

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        limits = policy.of(AtrialLimits)
        return {
            AF: f"{INTERVALS['atrial']} intervals without order or P wave, with a probability of "
            f"at least {expit(limits.af_on):.0%}, for {limits.af_min_s:g} s"
        }

    @classmethod
    def min_s(cls, policy: RhythmPolicy) -> dict[str, float]:
        return {AF: policy.of(AtrialLimits).af_min_s}

    @property
    def fibrillating(self) -> bool:
        """True if atrial fibrillation lasts or has just begun."""
        return AF in self.ledger.open or self.state.onset_log_odds >= self.limits.af_onset

    @property
    def ruled_out(self) -> bool:
        """True if there is none, without doubt."""
        return not self.fibrillating and self.state.log_odds < self.limits.af_off

    def remember(self) -> None:
        """Keep both as they are now, before the next second is closed."""
        state, fibrillating = self.state, self.fibrillating
        state.was_fibrillating = fibrillating
        state.was_ruled_out = not fibrillating and state.log_odds < self.limits.af_off

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        previous = history.previous
        if interval is None or previous is None or not (previous.atrial and beat.atrial):
            return
        limits, state, ledger = self.limits, self.state, self.ledger
        atrial, onset = state.add(interval, beat.sample, signal.before(beat.sample))
        if onset:
            state.onset_log_odds = state.log_odds_of(
                "onset", self.models["onset"], min_log_odds=limits.af_onset
            )
        if not atrial:
            return
        log_odds = state.log_odds = state.log_odds_of("atrial", self.models["atrial"])
        start, state.first_window = state.start, False
        if AF in ledger.open:
            ledger.confirm(AF, expit(log_odds))
            if log_odds < limits.af_off:
                self._end(state.middle)
        elif log_odds >= limits.af_on:
            ledger.begin(AF, start, expit(log_odds))
        if AF in ledger.open:
            ledger.lasted(AF, state.middle)

    def on_gap(self, start: int, end: int, history: History) -> None:
        if end - history.seen > self._hold_s * FS:
            if AF in self.ledger.open:
                self._end(history.seen)
            self.state.restart()

    def check(self) -> None:
        if self.state.p_wave_means[:, -1].min() < 0:
            raise ValueError("a mean power is negative")

    def _end(self, end: int) -> None:
        self.ledger.close(AF, max(end, self.ledger.open[AF].start))


def is_certainly_atrial(probabilities: Sequence[float], label: int, limits: AtrialLimits) -> bool:
    """True for a beat that atrial fibrillation is judged by, as the network alone reads it."""
    return label in ATRIAL and probabilities[N] + probabilities[S] >= limits.af_min_atrial


def irregularity(intervals: Sequence[int]) -> tuple[float, float]:
    """Two measures of how far RR intervals are from any order.

    The conditional entropy of Lake and Moorman (Am J Physiol 300, 2011), near 0 for any order: how
    much rarer two successive intervals both find a match (within 8 % of the median) than one does.
    And, after Lian et al. (Am J Cardiol 107, 2011), how many cells of 4 % the pairs of successive
    differences fill, as a share of the pairs.

    Parameters
    ----------
    intervals : RR intervals between beats that are not V, in any unit
    """
    ordered, size = sorted(intervals), len(intervals)
    median = (ordered[(size - 1) // 2] + ordered[size // 2]) / 2  # of few, numpy's takes longer
    values = np.array(intervals, dtype=np.float64) / max(median, 1e-9)
    match = np.abs(values[:, None] - values) < 0.08
    one = (np.count_nonzero(match) - size) / (size * (size - 1))
    two = (np.count_nonzero(match[1:, 1:] & match[:-1, :-1]) - (size - 1)) / (
        (size - 1) * (size - 2)
    )
    cells = np.floor((values[1:] - values[:-1]) / 0.04).tolist()
    return math.log((two + 0.005) / (one + 0.005)), len(set(pairwise(cells))) / (size - 2)


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
_P_WAVE_BEATS = np.array(list(P_WAVE_BEATS.values()), dtype=np.float64)[:, None]
_ROWS = {name: row for row, name in enumerate(P_WAVE_BEATS)}
