"""Atrial fibrillation: the second network reads every beat, and remembers the patient.

What it reads are the RR intervals, and how much of the signal before the beats is the same before
each: sinus beats have the same P wave, in atrial fibrillation nothing before the QRS complex is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...beats import ATRIAL, N, S
from ...model.contract import FS
from ...model.rhythm_network import MAX_LAG, MAX_MEMORY, RhythmGraph, RhythmNetwork
from ...signal.features import RATE
from ...signal.loops import interval_loops, single
from ..policy import RhythmPolicy, Section
from ..state import Flag, Matrix, Maybe, Moment, Number, Rows, Vector, Whole, clipped, saved
from .family import Family, History, Kind, Signal, TrackedBeat
from .ledger import Ledger
from .ventricular import RESTING, VentricularLimits, expit

AF = "atrial_fibrillation"
P_WAVE = range(-18, -3)  # samples at 60 Hz before an R peak: 300 to 50 ms
P_WAVE_BEATS = (24, 12)  # that the mean P waves remember
# Intervals beyond are not known: the beat before was missed, or a gap lies between.
SHORTEST_S, LONGEST_S = 0.15, 6.0
SHORTEST_COUNTED_S, LONGEST_COUNTED_S = 0.2, 4.0
USUAL_S, P_WAVE_LEFT = 0.8, -2.0  # what the inputs are compared with
INPUTS = len(RhythmGraph.INPUTS)
EVEN_BEATS = 8  # whose intervals are even or not
KNOWN_BEATS = 100  # from so many on a patient is known
_FIRST, _LAST = P_WAVE.start, P_WAVE.stop


@dataclass(frozen=True)
class AtrialLimits(Section):
    """Limits of atrial fibrillation.

    Attributes
    ----------
    af_on, af_off : log-odds at which it begins and ends, of a beat in the light of those after it
    af_min_s : shorter episodes are not reported; one so young ends below `af_on` already
    af_min_atrial : smallest probability, N and S together, of a beat that is certainly atrial: a V
        beat taken for N makes any rhythm look irregular
    af_suppresses_s : while it lasts no beat is labelled S
    af_onset : log-odds of the latest beat from which on labels are chosen as in fibrillation: it
        is reported later, and until then its early beats would be S
    af_doubt : log-odds of the latest beat from which on fibrillation is not ruled out: the usual
        interval neither decides between N and S nor learns
    af_even : deviation of the log of the last `EVEN_BEATS` intervals below which they are too even
        for fibrillation, as in flutter of which every second or third wave is conducted
    af_unknown : added to log-odds before they are told as a probability, as far as the patient is
        not known by as many beats as `KNOWN_BEATS`: the network learnt from as many strips in
        fibrillation as others, and few are
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
    af_even: float
    af_unknown: float


class AtrialBeat(NamedTuple):
    """A beat as the network reads it.

    Attributes
    ----------
    sample : of its R peak
    atrial : True if it is certainly N or S
    before : float32 [15], the samples before it, mV; None if they are not at hand
    """

    sample: int
    atrial: bool
    before: NDArray[np.float32] | None


@dataclass(slots=True)
class AtrialState:
    """What is remembered of a patient's atria.

    Attributes
    ----------
    memory : float32 [memory_size], of the network; empty before the first beat
    previous : sample of the last beat; None if a gap followed
    log_interval : of the last beat, as the network reads it; None if it is not known
    moments : samples of the last beats, those that are still to be judged last
    p_waves : float32 [2, 16], for each of `P_WAVE_BEATS` the mean over beats, mV, and last the
        mean power of single ones, mV²
    p_wave_beats : beats in these means, `P_WAVE_BEATS` at most
    even_beats, even_mean, even_square : beats in the mean log of the last intervals, as the network
        reads them, that mean, and the mean square of what they differ from it
    beats : that the network has read, `KNOWN_BEATS` at most
    since : sample of the last beat when fibrillation was found that lasts; None if none does
    log_odds : of fibrillation at the last beat
    was_fibrillating, was_log_odds : as they were before the last second was closed
    """

    memory: NDArray[np.float32] = saved(
        Vector(MAX_MEMORY), make=lambda: np.zeros(0, dtype=np.float32)
    )
    previous: int | None = saved(Maybe(Moment()))
    log_interval: float | None = saved(Maybe(Number(-2.0, 2.0)))
    moments: list[int] = saved(Rows(Moment(), MAX_LAG + 1), make=list)
    p_waves: NDArray[np.float32] = saved(
        Matrix((len(P_WAVE_BEATS), len(P_WAVE) + 1)),
        make=lambda: np.zeros((len(P_WAVE_BEATS), len(P_WAVE) + 1), dtype=np.float32),
    )
    p_wave_beats: int = saved(Whole(0, max(P_WAVE_BEATS)), 0)
    even_beats: int = saved(Whole(0, EVEN_BEATS), 0)
    even_mean: float = saved(Number(-2.0, 2.0), 0.0)
    even_square: float = saved(Number(0.0, 16.0), 0.0)
    beats: int = saved(Whole(0, KNOWN_BEATS), 0)
    since: int | None = saved(Maybe(Moment()))
    log_odds: float = saved(Number(-1000.0, 1000.0), RESTING)
    was_fibrillating: bool = saved(Flag(), False)
    was_log_odds: float = saved(Number(-1000.0, 1000.0), RESTING)

    def take_p_wave(self, before: NDArray[np.float32]) -> None:
        """Take the samples before a beat, float32 [15], contiguous, into the means."""
        if self.p_wave_beats < _MOST_BEATS:
            self.p_wave_beats += 1
        if interval_loops is not None:
            learnt = _LEARNT[self.p_wave_beats]
            interval_loops.take_p_wave(before, _DETREND, self.p_waves, learnt)
            return
        latest = np.empty(len(P_WAVE) + 1, dtype=np.float32)
        wave = np.dot(_DETREND, before, out=latest[:-1])
        latest[-1] = wave.dot(wave) / len(P_WAVE)
        self.p_waves += (latest - self.p_waves) * _LEARNT[self.p_wave_beats, :, None]

    def p_wave(self) -> list[float]:
        """For each mean, the logarithm of the share of the power that is left in it."""
        if interval_loops is not None:
            return interval_loops.p_wave(self.p_waves)  # type: ignore[no-any-return]
        kept = (self.p_waves * self.p_waves).dot(_WAVE_MEAN)
        pairs = zip(kept.tolist(), self.p_waves[:, -1].tolist(), strict=True)
        return [math.log(left / (power + 1e-5) + 0.01) for left, power in pairs]

    def take_interval(self, log_interval: float) -> None:
        """Take an interval, as the network reads it, into mean and mean square."""
        beats = self.even_beats = min(self.even_beats + 1, EVEN_BEATS)
        late = log_interval - self.even_mean
        square = late * late * (1 - 1 / beats) - self.even_square
        # In float32, as a state is saved.
        self.even_mean = single(self.even_mean + late / beats)
        self.even_square = single(self.even_square + square / beats)

    def is_even(self, limits: AtrialLimits) -> bool:
        """True if the last intervals are too even for fibrillation."""
        return self.even_beats == EVEN_BEATS and self.even_square < limits.af_even**2

    def take_all(self, beats: list[AtrialBeat]) -> NDArray[np.float32]:
        """Take the next beats: what the network reads of them, float32 [beats, 1, inputs]."""
        if interval_loops is None:
            return np.array([[self.take(beat, beat.before)] for beat in beats], dtype=np.float32)
        rows = np.empty((len(beats), 1, INPUTS), dtype=np.float32)
        interval_loops.take_beats(self, beats, *FOR_LOOPS, rows)
        return rows

    def take(
        self, beat: TrackedBeat | AtrialBeat, before: NDArray[np.float32] | None
    ) -> list[float]:
        """Take the next beat, and the samples before it: what the network reads of it."""
        if beat.atrial and before is not None:
            self.take_p_wave(before)
        length, change, counted = None, 0.0, self.p_wave_beats
        if self.previous is not None:
            interval = (beat.sample - self.previous) / FS
            if SHORTEST_S < interval < LONGEST_S:
                counts = clipped(interval, SHORTEST_COUNTED_S, LONGEST_COUNTED_S)
                length = single(math.log(counts / USUAL_S))
        if length is not None and self.log_interval is not None:
            change = length - self.log_interval
        self.previous, self.log_interval = beat.sample, length
        left = [share - P_WAVE_LEFT for share in self.p_wave()] if counted else [0.0, 0.0]
        known = length is not None
        return [length or 0.0, known, beat.atrial, *left, counted / _MOST_BEATS, change]


@dataclass
class _Foreseen:
    """Beats that are about to come, the network's log-odds of each, and the state after them.

    ``taken`` : of the beats, that have come
    """

    beats: list[AtrialBeat]
    log_odds: list[tuple[float, float]]
    after: AtrialState
    taken: int = 0


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
        self._foreseen: _Foreseen | None = None
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

    @property
    def was_ruled_out(self) -> bool:
        """`ruled_out` as it was before the last second was closed."""
        state = self.state
        return not state.was_fibrillating and state.was_log_odds < self.limits.af_doubt

    def probability(self, log_odds: float) -> float:
        """What log-odds of the network say of this patient, 0 to 1."""
        unknown = 1.0 - self.state.beats / KNOWN_BEATS
        return expit(log_odds + self.limits.af_unknown * unknown)

    def remember(self) -> None:
        """Keep it as it is now, before the next second is closed."""
        state = self.state
        state.was_fibrillating, state.was_log_odds = self.fibrillating, state.log_odds

    def foresee(self, beats: list[AtrialBeat]) -> None:
        """Read all beats that are about to come in one run of the network, not second by second.

        As they come `on_beats` takes the answers. A gap ends that.
        """
        after = replace(self.state, p_waves=self.state.p_waves.copy())
        self._foreseen = _Foreseen(beats, self._read(after, beats), after)

    def settle(self) -> None:
        """Forget what was foreseen and has not come."""
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is None:
            return
        if foreseen.taken < len(foreseen.beats):
            self._read(self.state, foreseen.beats[: foreseen.taken])
            return
        for name in _READ:
            setattr(self.state, name, getattr(foreseen.after, name))

    def on_beats(self, beats: Sequence[TrackedBeat], signal: Signal) -> None:
        state, foreseen = self.state, self._foreseen
        if not state.moments:
            state.moments.append(beats[0].sample if state.previous is None else state.previous)
        state.moments += [beat.sample for beat in beats]
        if foreseen is None:
            before = signal.before
            near = [AtrialBeat(at, atrial, before(at)) for at, _, _, atrial in beats]
            log_odds = self._read(state, near)
        else:
            first, foreseen.taken = foreseen.taken, foreseen.taken + len(beats)
            log_odds = foreseen.log_odds[first : foreseen.taken]
            if foreseen.taken == len(foreseen.beats):
                self.settle()
        later = len(beats)
        for latest, (state.log_odds, before_now) in zip(beats, log_odds, strict=True):
            later -= 1
            state.beats = min(state.beats + 1, KNOWN_BEATS)
            if len(state.moments) - later > self.network.lag + 1:
                self._judge(state.moments[0], state.moments[1], latest.sample, before_now)
                del state.moments[0]

    def _read(self, state: AtrialState, beats: list[AtrialBeat]) -> list[tuple[float, float]]:
        """Read beats: log-odds at each, and lately, `RESTING` if too even; ``state`` goes on."""
        if not beats:
            return []
        if not len(state.memory):
            state.memory = np.zeros(self.network.memory_size, dtype=np.float32)
        rows = state.take_all(beats)
        log_odds, memory = self.network.run(rows, state.memory.reshape(1, 1, -1))
        state.memory = memory[0, 0]
        found = []
        for row, (now, lately) in zip(rows[:, 0].tolist(), log_odds[:, 0].tolist(), strict=True):
            if row[1]:  # the interval is known
                state.take_interval(row[0])
            found.append((now, min(lately, RESTING) if state.is_even(self.limits) else lately))
        return found

    def on_gap(self, start: int, end: int, history: History) -> None:
        self.settle()
        self.state.previous = None
        if end - history.seen > self._hold_s * FS:
            if AF in self.ledger.open:
                self._end(history.seen)
            self.state = AtrialState(
                was_fibrillating=self.state.was_fibrillating, was_log_odds=self.state.was_log_odds
            )

    def check(self) -> None:
        state = self.state
        if state.p_waves[:, -1].min() < 0:
            raise ValueError("a mean power is negative")
        if len(state.memory) not in (0, self.network.memory_size):
            raise ValueError("the network over beats remembers otherwise")

    def _judge(self, start: int, beat: int, latest: int, log_odds: float) -> None:
        """Take the verdict on a beat and the interval before it, at the latest beat."""
        ledger, limits, state = self.ledger, self.limits, self.state
        if AF in ledger.open:
            ledger.confirm(AF, self.probability(log_odds))
            young = state.since is not None and latest - state.since < limits.af_min_s * FS
            if log_odds < (limits.af_on if young else limits.af_off):
                self._end(start)
        elif log_odds >= limits.af_on:
            state.since = latest
            ledger.begin(AF, start, self.probability(log_odds))
        if AF in ledger.open:
            ledger.lasted(AF, beat)

    def _end(self, end: int) -> None:
        self.state.since = None
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
    first, last = at + _FIRST, at + _LAST
    return ecg_60hz[first:last] if first >= 0 and last <= len(ecg_60hz) else None


def _detrend() -> NDArray[np.float32]:
    """A matrix that takes mean and slope off a P wave's samples."""
    basis = np.stack([np.ones(len(P_WAVE)), np.arange(len(P_WAVE)) - (len(P_WAVE) - 1) / 2])
    detrend = np.eye(len(P_WAVE)) - basis.T @ np.linalg.inv(basis @ basis.T) @ basis
    return detrend.astype(np.float32)


# Of the state, what reading beats changes.
_READ = (
    *("memory", "p_waves", "p_wave_beats", "previous", "log_interval"),
    *("even_beats", "even_mean", "even_square"),
)
_DETREND, _MOST_BEATS = _detrend(), max(P_WAVE_BEATS)
# By how much each mean follows a beat, when it is the first, the second, and so on.
_LEARNT = np.array(
    [[1 / min(max(count, 1), size) for size in P_WAVE_BEATS] for count in range(_MOST_BEATS + 1)],
    dtype=np.float32,
)
# Of a beat's interval, as the compiled loops take them.
_NUMBERS = np.array(
    [
        *(FS, SHORTEST_S, LONGEST_S, SHORTEST_COUNTED_S, LONGEST_COUNTED_S),
        *(USUAL_S, P_WAVE_LEFT, _MOST_BEATS),
    ]
)
FOR_LOOPS = _NUMBERS, _DETREND, _LEARNT
_WAVE_MEAN = np.array([1 / len(P_WAVE)] * len(P_WAVE) + [0.0], dtype=np.float32)
