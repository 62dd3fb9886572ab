"""Bigeminy and trigeminy: V beats with one or two other beats between."""

from __future__ import annotations

from dataclasses import dataclass

from ...beats import V
from ...model.rhythm_network import RhythmNetwork
from ..policy import RhythmPolicy, Section
from ..state import Moment, Number, Whole, saved
from .family import MAX_BEATS, Family, History, Kind, Signal, TrackedBeat
from .ledger import Ledger
from .runs import RunLimits

PATTERNS = ("bigeminy", "trigeminy")  # one and two other beats between


@dataclass(frozen=True)
class PatternLimits(Section):
    """``pattern_beats`` : V beats, each after one or two others, that make a pattern."""

    section = "patterns"
    about = "patterns"
    bounds = {"pattern_beats": (2, MAX_BEATS)}

    pattern_beats: int


@dataclass(slots=True)
class PatternState:
    """V beats at equal distance.

    Attributes
    ----------
    gap : other beats between two of them; 0 as long as there is only one
    count : the V beats
    start, end : samples of the first and the last of them
    scores, last_score : the sum of their scores, and the last one's
    others : other beats since the last
    """

    gap: int = saved(Whole(0, len(PATTERNS)), 0)
    count: int = saved(Whole(0, 1 << 24), 0)
    start: int = saved(Moment(), 0)
    end: int = saved(Moment(), 0)
    scores: float = saved(Number(), 0.0)
    others: int = saved(Whole(0, 1 << 24), 0)
    last_score: float = saved(Number(), 0.0)


class Patterns(Family):
    """V beats that return after the same number of other beats."""

    name = "patterns"
    kinds = (Kind("bigeminy", 20, "(B", "V"), Kind("trigeminy", 10, "(T", "V"))
    Limits = PatternLimits
    State = PatternState
    limits: PatternLimits
    state: PatternState

    def __init__(self, policy: RhythmPolicy, ledger: Ledger, network: RhythmNetwork):
        super().__init__(policy, ledger, network)
        self._min_confidence = policy.of(RunLimits).min_confidence

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        beats = policy.of(PatternLimits).pattern_beats
        return {
            "bigeminy": f"{beats} or more V beats, each after one other",
            "trigeminy": f"{beats} or more V beats, each after two others",
        }

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        if self.ledger.open:
            self.confirm(beat.score)
        pattern = self.state
        if beat.label != V:
            pattern.others += 1
            if pattern.count >= 2 and pattern.others > pattern.gap:
                self._end()  # but its last beat may begin another
                self.state = PatternState(
                    0,
                    1,
                    pattern.end,
                    pattern.end,
                    pattern.last_score,
                    pattern.others,
                    pattern.last_score,
                )
            return
        if pattern.count >= 2 and pattern.others == pattern.gap:
            pattern.count += 1
            pattern.scores += beat.score
        elif pattern.count and pattern.others in (1, 2):
            self._end()
            pattern = self.state = PatternState(
                pattern.others, 2, pattern.end, pattern.end, pattern.last_score + beat.score
            )
        else:
            self._end()
            pattern = self.state = PatternState(0, 1, beat.sample, beat.sample, beat.score)
        pattern.others, pattern.end, pattern.last_score = 0, beat.sample, beat.score
        confidence = pattern.scores / pattern.count
        kind = PATTERNS[pattern.gap - 1]
        if (
            pattern.count >= self.limits.pattern_beats
            and kind not in self.ledger.open
            and confidence >= self._min_confidence
        ):
            self.ledger.begin(kind, pattern.start, confidence)

    def on_standstill(self, history: History) -> None:
        self._end()

    def on_gap(self, start: int, end: int, history: History) -> None:
        self._end()

    def on_end(self, end: int) -> None:
        self._end()

    def check(self) -> None:
        if (self.state.count > 1) > self.state.gap:
            raise ValueError("a pattern of several beats has no distance")

    def _end(self) -> None:
        pattern, self.state = self.state, PatternState()
        self.close(pattern.end)
