"""The heart rate, and bradycardia and tachycardia, which are made of it, with hysteresis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...model.contract import FS
from ..policy import RhythmPolicy, Section
from ..state import Moment, saved
from .family import MAX_BEATS, Family, History, Kind, Signal, TrackedBeat

BRADYCARDIA, TACHYCARDIA = "bradycardia", "tachycardia"
# A heart rate is the mean over so many intervals, everywhere: in a stream's answer, in a report,
# and, as shipped, in the events. So none can contradict another.
RATE_INTERVALS = 8
MIN_RATE_INTERVALS = 2  # of a stream that has just begun, or goes on after a gap


def heart_rate(intervals_s: Sequence[float]) -> float | None:
    """Return the beats a minute over the last `RATE_INTERVALS` RR intervals; None of fewer than 2.

    Parameters
    ----------
    intervals_s : s, in order of time
    """
    recent = intervals_s[-RATE_INTERVALS:]
    return 60.0 * len(recent) / sum(recent) if len(recent) >= MIN_RATE_INTERVALS else None


@dataclass(frozen=True)
class RateLimits(Section):
    """Limits of the heart rate.

    Attributes
    ----------
    bradycardia_bpm, bradycardia_beats : bradycardia is a mean rate below so many beats a minute
        over so many intervals
    tachycardia_bpm, tachycardia_beats : tachycardia is one above
    hysteresis_bpm : beats a minute back inside the limit before either ends
    """

    section = "rates"
    about = "the heart rate"
    bounds = {
        "bradycardia_bpm": (0, 1000),
        "bradycardia_beats": (1, MAX_BEATS),
        "tachycardia_bpm": (0, 1000),
        "tachycardia_beats": (1, MAX_BEATS),
        "hysteresis_bpm": (0, 1000),
    }

    bradycardia_bpm: float
    bradycardia_beats: int
    tachycardia_bpm: float
    tachycardia_beats: int
    hysteresis_bpm: float


@dataclass(slots=True)
class RateState:
    """``rated_until`` : sample up to which a rate was reported, fast or slow."""

    rated_until: int = saved(Moment(), 0)


class Rates(Family):
    """A heart rate that stays below or above its limit."""

    name = "rates"
    kinds = (Kind(TACHYCARDIA, 50), Kind(BRADYCARDIA, 40))
    Limits = RateLimits
    State = RateState
    limits: RateLimits
    state: RateState

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        limits = policy.of(RateLimits)
        return {
            TACHYCARDIA: f"mean of {limits.tachycardia_beats} intervals above "
            f"{limits.tachycardia_bpm:g}/min",
            BRADYCARDIA: f"mean of {limits.bradycardia_beats} intervals below "
            f"{limits.bradycardia_bpm:g}/min",
        }

    @classmethod
    def intervals_needed(cls, policy: RhythmPolicy) -> int:
        limits = policy.of(RateLimits)
        return max(limits.bradycardia_beats, limits.tachycardia_beats)

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        if self.ledger.open:
            self.confirm(beat.score)
        if interval is None:
            return
        limits, now, known = self.limits, beat.sample, history.intervals
        count = limits.tachycardia_beats
        if not self.ledger.open and count == limits.bradycardia_beats <= len(known):
            rate = 60.0 * FS * count / sum(known[-count:])
            if limits.bradycardia_bpm <= rate <= limits.tachycardia_bpm:
                return  # nearly always
        for kind, count, limit, sign in (
            (BRADYCARDIA, limits.bradycardia_beats, limits.bradycardia_bpm, -1),
            (TACHYCARDIA, limits.tachycardia_beats, limits.tachycardia_bpm, 1),
        ):
            if len(known) < count:
                continue
            lasted = sum(known[-count:])
            beyond = sign * (60.0 * FS * count / lasted - limit)
            if kind in self.ledger.open:
                if beyond < -limits.hysteresis_bpm:
                    self.ledger.close(kind, now)
                    self.state.rated_until = now
            elif beyond > 0:
                self.ledger.begin(kind, max(now - lasted, self.state.rated_until), beat.score)

    def on_standstill(self, history: History) -> None:
        self.close(history.seen)

    def on_gap(self, start: int, end: int, history: History) -> None:
        self.close(history.seen)
