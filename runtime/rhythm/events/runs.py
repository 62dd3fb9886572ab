"""Runs of V or S beats: couplet, ventricular run and tachycardia, supraventricular run."""

from __future__ import annotations

from dataclasses import dataclass

from ...beats import S, V
from ...findings import CLASSES
from ...model.contract import FS
from ...model.rhythm_network import RhythmNetwork
from ..policy import RhythmPolicy, Section
from ..state import Moment, Number, Whole, saved
from .atrial import AF
from .family import MAX_BEATS, Family, History, Kind, Signal, TrackedBeat
from .ledger import Ledger
from .silence import SilenceLimits

VT, VENTRICULAR_RUN = "ventricular_tachycardia", "ventricular_run"
SUPRAVENTRICULAR_RUN, COUPLET = "supraventricular_run", "couplet"
NO_RUN = -1


_LASTING = (VT, VENTRICULAR_RUN, SUPRAVENTRICULAR_RUN)


@dataclass(frozen=True)
class RunLimits(Section):
    """Limits of runs.

    Attributes
    ----------
    run_beats : V or S beats in a row that make a run; two V that make none are a couplet
    vt_bpm : beats a minute from which on a run of V beats is ventricular tachycardia
    min_confidence : mean score of its beats below which no run or pattern begins
    """

    section = "runs"
    about = "runs"
    bounds = {"run_beats": (2, MAX_BEATS), "vt_bpm": (0, 1000), "min_confidence": (0, 1)}

    run_beats: int
    vt_bpm: float
    min_confidence: float


@dataclass(slots=True)
class RunState:
    """Beats of one class in a row.

    Attributes
    ----------
    label : of its beats, V or S; `NO_RUN` if there is none
    count : its beats
    start, end : samples of its first and its last beat
    scores : sum of its beats' scores
    """

    label: int = saved(Whole(NO_RUN, len(CLASSES) - 1), NO_RUN)
    count: int = saved(Whole(0, 1 << 24), 0)
    start: int = saved(Moment(), 0)
    end: int = saved(Moment(), 0)
    scores: float = saved(Number(), 0.0)

    @property
    def confidence(self) -> float:
        """Mean score of its beats."""
        return self.scores / max(1, self.count)


class Runs(Family):
    """V or S beats in a row. A pause ends a run: none contains one."""

    name = "runs"
    kinds = (
        Kind(VT, 100, "(VT", "V"),
        Kind(VENTRICULAR_RUN, 90, "(IVR", "V"),
        Kind(SUPRAVENTRICULAR_RUN, 60, "(SVTA", "S"),
        Kind(COUPLET, 30, made_of="V"),
    )
    Limits = RunLimits
    State = RunState
    limits: RunLimits
    state: RunState

    def __init__(self, policy: RhythmPolicy, ledger: Ledger, network: RhythmNetwork):
        super().__init__(policy, ledger, network)
        self._pause = policy.of(SilenceLimits).pause_s * FS

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        limits = policy.of(RunLimits)
        return {
            VT: f"{limits.run_beats} or more V beats in a row, {limits.run_beats} of them at "
            f"{limits.vt_bpm:g}/min or more",
            VENTRICULAR_RUN: f"{limits.run_beats} or more V beats in a row, none of them so fast "
            f"as {limits.vt_bpm:g}/min",
            SUPRAVENTRICULAR_RUN: f"{limits.run_beats} or more S beats in a row",
            COUPLET: "two V beats in a row",
        }

    @classmethod
    def intervals_needed(cls, policy: RhythmPolicy) -> int:
        return policy.of(RunLimits).run_beats - 1

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        if self.ledger.open:
            self.confirm(beat.score)
        if beat.label != self.state.label or (interval or 0) >= self._pause:
            if self.state.label == NO_RUN and beat.label not in (V, S) and not self.ledger.open:
                return  # nearly always
            self._end_run(complete=True)
            if beat.label not in (V, S):
                return
            self.state = RunState(beat.label, 0, beat.sample, beat.sample)
        run, limits = self.state, self.limits
        run.count, run.end, run.scores = run.count + 1, beat.sample, run.scores + beat.score
        if VENTRICULAR_RUN in self.ledger.open:
            self._quicken(beat, history)
        if (
            run.count < limits.run_beats
            or run.confidence < limits.min_confidence
            or not self.ledger.open.keys().isdisjoint(_LASTING)
        ):
            return
        if run.label == V:
            rate = 60.0 * FS * (run.count - 1) / max(1, run.end - run.start)
            kind = VT if rate >= limits.vt_bpm else VENTRICULAR_RUN
        elif AF not in self.ledger.open:  # in which every beat is irregular, so S means little
            kind = SUPRAVENTRICULAR_RUN
        else:
            return
        self.ledger.begin(kind, run.start, run.confidence)

    def on_standstill(self, history: History) -> None:
        self._end_run(complete=True)

    def on_gap(self, start: int, end: int, history: History) -> None:
        self._end_run(complete=False)

    def on_end(self, end: int) -> None:
        self._end_run(complete=True)

    def _quicken(self, beat: TrackedBeat, history: History) -> None:
        """A ventricular run that becomes as fast as a tachycardia is one from then on."""
        count = self.limits.run_beats - 1
        recent = history.intervals[-count:]
        if len(recent) == count and 60.0 * FS * count / sum(recent) >= self.limits.vt_bpm:
            start = beat.sample - sum(recent)
            self.ledger.close(VENTRICULAR_RUN, start)
            self.ledger.begin(VT, start, self.state.confidence)

    def _end_run(self, *, complete: bool) -> None:
        run, self.state = self.state, RunState()
        if (
            complete
            and run.label == V
            and run.count == 2 < self.limits.run_beats
            and run.confidence >= self.limits.min_confidence
        ):
            self.ledger.note(COUPLET, run.start, run.end, run.confidence)
        self.close(run.end)
