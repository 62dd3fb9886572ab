"""A patient's rhythm: beats in the light of the patient, and events, second by second.

`RhythmTracker` is given what a stream decides and gives it back relabelled, with the events that
begin and end. It works on a fixed clock, so a stream cut anywhere gives the answers of the whole.
In bad signal neither beats nor their absence count. ``docs/rhythm.md`` says how the limits
were chosen and what they find.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..beats import ATRIAL, NO_BEAT, Beats, as_block, choose_label
from ..deprecation import renamed_attribute
from ..findings import DOUBTFUL, Event, Flaw
from ..model.contract import FS
from ..signal.gaps import Gap
from ..signal.loops import single
from .artefact import ECTOPIC, NOTHING_BEFORE, Artefacts
from .baseline import BaselineLimits, BaselineState, RrBaseline
from .events import FAMILIES, Ledger, rules
from .events.atrial import Atrial, AtrialBeat, AtrialLimits, is_certainly_atrial
from .events.family import Family, History, Second, TrackedBeat
from .events.rates import RATE_INTERVALS, heart_rate
from .events.silence import SilenceLimits
from .model import RhythmModel
from .ordinary import UNSEEN, Context, context
from .seconds import Seconds
from .template import Known, QrsTemplate, TemplateLimits, TemplateState
from .tracker_state import TrackerState, schema

HOOKS = ("on_second", "on_beats", "on_beat", "on_gap", "on_standstill", "is_standstill")
_DOUBTFUL, _MISSING = int(DOUBTFUL), int(Flaw.MISSING)


class RhythmTracker:
    """The rhythm of one patient. Positions inside are samples at 360 Hz.

    Parameters
    ----------
    model : policies and models
    weights : factor for each class before the largest wins, of the network's contract

    Attributes
    ----------
    seconds : the signal, judged second by second
    template : the patient's usual QRS complex; None if the policy leaves it out
    rr_baseline : the patient's usual RR interval; None if the policy leaves it out
    artefacts : decides which V and S beats are artefact; None if the policy leaves it out, or the
        usual QRS complex
    context : what the compiled loops need of the patient (`.ordinary`). None leaves all to rules,
        as it has to be where another template, baseline or verdict is put in
    """

    def __init__(self, model: RhythmModel, weights: Sequence[float]):
        self.model, policy = model, model.policy
        self.seconds = Seconds(model)
        self.template = (
            QrsTemplate(policy.of(TemplateLimits), weights, model.first_beats)
            if policy.has(TemplateLimits)
            else None
        )
        self.rr_baseline = (
            RrBaseline(policy.of(BaselineLimits)) if policy.has(BaselineLimits) else None
        )
        self.artefacts = Artefacts.of(policy, model.artefact)
        self._weights = weights
        self._atrial_limits = policy.of(AtrialLimits)
        silence = policy.of(SilenceLimits)
        self._standstill = silence.asystole_s * FS
        self._silence = min(self._standstill, silence.asystole_vf_s * FS) - 1
        self._state, self._history = TrackerState(), History()
        min_s = {kind: s for family in FAMILIES for kind, s in family.min_s(policy).items()}
        self._ledger = Ledger(rules(policy), min_s)
        self._families = [family(policy, self._ledger, model.beats) for family in FAMILIES]
        # Most families need few of the hooks; the others are not called, a thousand times an hour.
        self._hooks = {
            hook: [
                getattr(one, hook)
                for one in self._families
                if getattr(type(one), hook) is not getattr(Family, hook)
            ]
            for hook in HOOKS
        }
        self._on_beat, self._is_standstill = self._hooks["on_beat"], self._hooks["is_standstill"]
        self._atrial = next(one for one in self._families if isinstance(one, Atrial))
        most = max(RATE_INTERVALS, *(family.intervals_needed(policy) for family in FAMILIES))
        self._max_intervals = most
        self.context = self._context()

    @property
    def heart_rate(self) -> float | None:
        """Beats a minute over the last intervals: see `.events.rates.heart_rate`.

        None if they cannot be trusted, or are so long ago that the next one is overdue.
        """
        if self.seconds.next * FS - self._history.seen > self._standstill:
            return None
        return heart_rate([samples / FS for samples in self._history.intervals])

    @property
    def current(self) -> str:
        """The gravest event that lasts; else ``unreadable`` or ``regular``."""
        gravest = self._ledger.gravest
        if gravest is not None:
            return gravest
        return "unreadable" if self._state.flaws & (_DOUBTFUL | _MISSING) else "regular"

    rhythm = renamed_attribute("RhythmTracker", "rhythm", "current")

    @property
    def flaws(self) -> Flaw:
        """Flaws of the newest second that was closed."""
        return Flaw(self._state.flaws)

    def follow(
        self, beats: Beats, decided: float, gaps: Sequence[Gap] = ()
    ) -> tuple[Beats, list[Event]]:
        """Take the beats that a stream has decided; its signal was taken by `take_together`.

        The patient's usual QRS complex joins in deciding whether a beat is V (`.template`). In
        atrial fibrillation no atrial beat is premature, so S becomes N. Elsewhere the
        patient's usual interval joins in deciding between the two (`.baseline`).

        Parameters
        ----------
        beats : in order of time, all before ``decided``, as the network labels them
        decided : s; no beat will come before this moment
        gaps : missing samples, in order, at 360 Hz, since ten seconds before the last that was
            followed; no beat lies in them

        Returns
        -------
        the beats in the light of the rhythm, and the events that began or ended
        """
        limits, seconds, certain = self._atrial_limits, self.seconds, []
        samples, rows, labels = beats
        known: Sequence[Known | None] = [None] * len(samples)
        if samples:
            # As the first network alone reads them: so the second one was trained.
            certain = [
                is_certainly_atrial(row, label, limits)
                for row, label in zip(rows, labels, strict=True)
            ]
            if self.template is not None:
                around = seconds.around_outside(gaps) if gaps else seconds.around
                _, rows, labels = self.template.relabel(beats, around)
                known = self.template.known
            rows, labels = [*rows], [*labels]  # its own
        at, count, ready = 0, len(samples), seconds.ready(decided)
        if ready > 1:
            self._foresee(zip(samples, labels, certain, strict=True), (seconds.next + ready) * FS)
        for left in range(ready, -1, -1):
            end = (seconds.next + 2) * FS
            while at < count and (not left or samples[at] < end):
                beat = samples[at], rows[at], labels[at], certain[at], known[at]
                rows[at], labels[at] = self._relabel(*beat, gaps)
                at += 1
            if left:
                self._close(seconds.close(), gaps)
        self._atrial.settle()
        seconds.forget()
        found = Beats(samples, rows, labels)
        if NO_BEAT in labels:
            found = as_block(row for row in zip(*found, strict=True) if row[2] != NO_BEAT)
        return found, self._ledger.drain()

    def close_next(self) -> list[Event]:
        """Close the next second, whose beats were relabelled by the loops."""
        self._close(self.seconds.close(), ())
        self.seconds.forget()
        return self._ledger.drain()

    def finish(self, gaps: Sequence[Gap] = ()) -> list[Event]:
        """The last events; what lasts ends with the signal. ``gaps`` as of `follow`."""
        end = self.seconds.state.taken
        for second in self.seconds.rest():
            self._close(second, gaps)
        for family in self._families:
            family.on_end(end)
        return self._ledger.drain()

    def save(self) -> NDArray[np.float32]:
        """The whole state but for the signal short of a second, up to `LARGEST_SAVED` numbers."""
        return schema().pack(
            self.seconds.next,
            {
                "tracker": self._state,
                "seconds": self.seconds.state,
                "history": self._history,
                "template": self.template.state if self.template else TemplateState(),
                "rr_baseline": self.rr_baseline.state if self.rr_baseline else BaselineState(),
                "ledger": self._ledger.save(),
            }
            | {one.name: one.state for one in self._families},
        )

    @classmethod
    def restore(
        cls,
        packed: NDArray[np.float32],
        recent: NDArray[np.float32],
        model: RhythmModel,
        weights: Sequence[float],
    ) -> RhythmTracker:
        """The tracker that `save` wrote.

        Parameters
        ----------
        recent : float32 [samples], the last signal taken, at least since the last whole second

        Raises
        ------
        ValueError
            The state is damaged.
        """
        second, states = schema().unpack(packed)
        tracker = cls(model, weights)
        tracker.seconds.restore(second, states["seconds"], recent)
        tracker._state, tracker._history = states["tracker"], states["history"]
        tracker.context = tracker._context()
        tracker._ledger.restore(states["ledger"])
        states["template"].check()
        if tracker.template is not None:
            tracker.template.state = states["template"]
        if tracker.rr_baseline is not None:
            tracker.rr_baseline.state = states["rr_baseline"]
        for family in tracker._families:
            family.state = states[family.name]
            family.check()
        return tracker

    def _context(self) -> Context | None:
        states = self.seconds, self._state, self._history, self._ledger
        parts = *states, self.template, self.rr_baseline
        limits = tuple(self._weights), self._silence, self._max_intervals
        return context(self.model, parts, self._families, limits)

    def _foresee(self, coming: Iterable[tuple[int, int, bool]], end: int) -> None:
        """Let the network over beats read all beats up to a sample at once."""
        waiting = [(beat.sample, beat.label, beat.atrial) for beat in self._state.waiting]
        before = self.seconds.before
        read = [one for one in (*waiting, *coming) if one[0] < end and one[1] != NO_BEAT]
        if read:
            self._atrial.foresee([AtrialBeat(at, atrial, before(at)) for at, _, atrial in read])

    def _relabel(
        self,
        sample: int,
        row: list[float],
        label: int,
        certain: bool,
        known: Known | None,
        gaps: Sequence[Gap],
    ) -> tuple[list[float], int]:
        """Relabel the next beat by the rhythm; it then waits for its second to be closed.

        However the signal is cut, a beat is read in the light of the seconds up to two before its
        own: these are closed when it is decided, later ones may be or not. In the first seconds
        none may be, for the first waits for a whole window.
        """
        if label == NO_BEAT:
            self._interrupt_baseline([Gap(sample, sample + 1)])
            self._state.waiting.append(TrackedBeat(sample, label, 0.0, False))
            return row, label
        atrial = self._atrial
        if sample < UNSEEN:
            fibrillating, sinus_certain = False, True
        elif self.seconds.next >= sample // FS:  # the second before the beat's is closed already
            fibrillating = atrial.state.was_fibrillating
            sinus_certain = atrial.was_ruled_out
        else:
            fibrillating, sinus_certain = atrial.fibrillating, atrial.ruled_out
        probabilities: Sequence[float] = row
        if fibrillating and self._atrial_limits.af_suppresses_s and label in ATRIAL:
            n, s, *others = row
            probabilities = [n + s, 0.0, *others]
        before = NOTHING_BEFORE
        if self.rr_baseline is not None:
            if gaps:
                self._interrupt_baseline(gap for gap in gaps if gap.start < sample)
            baseline = self.rr_baseline.state
            before = baseline.previous, baseline.previous_atrial, baseline.log_interval
            probabilities = self.rr_baseline.read(
                sample, label, probabilities, sinus_certain=sinus_certain
            )
        if probabilities is not row:
            row = list(probabilities)
            label = choose_label(row, self._weights, ATRIAL)
        if label in ECTOPIC and known is not None and self.artefacts is not None:
            between = self.seconds.between
            row, label = self.artefacts.read(row, label, known, before, sample, between)
        self._state.waiting.append(TrackedBeat(sample, label, single(row[label]), certain))
        return row, label

    def _close(self, second: Second, gaps: Sequence[Gap]) -> None:
        """Go through one second: its signal, then its beats and gaps."""
        self._atrial.remember()
        state = self._state
        state.flaws = second.flaws
        for on_second in self._hooks["on_second"]:
            on_second(second)
        beats: list[TrackedBeat] = []
        if state.waiting and state.waiting[0].sample < second.end:
            beats = [beat for beat in state.waiting if beat.sample < second.end]
            state.waiting = state.waiting[len(beats) :]
        if away := [Gap(one.sample, one.sample + 1) for one in beats if one.label == NO_BEAT]:
            gaps = sorted([*gaps, *away])
            beats = [beat for beat in beats if beat.label != NO_BEAT]
        if gaps:
            gaps = [
                Gap(max(gap.start, second.start), min(gap.end, second.end))
                for gap in gaps
                if gap.start < second.end and gap.end > second.start
            ]
            self._interrupt_baseline(gaps)
            state.flaws |= _MISSING if gaps else 0
        if second.flaws & _DOUBTFUL or (
            self._ledger.open and any(family.hides_beats for family in self._families)
        ):
            self._interrupt(second.start, second.end)
            return
        for gap in gaps:
            before = [beat for beat in beats if beat.sample < gap.start]
            beats = beats[len(before) :]
            self._take_all(before, gap.start, second)
            self._interrupt(gap.start, gap.end)
        self._take_all(beats, second.end, second)

    def _interrupt(self, start: int, end: int) -> None:
        """Know nothing about beats from this sample to that."""
        history = self._history
        for on_gap in self._hooks["on_gap"]:
            on_gap(start, end, history)
        history.previous, history.clear, history.intervals = None, end, []

    def _interrupt_baseline(self, gaps: Iterable[Gap]) -> None:
        """Let no interval span one of these gaps."""
        if self.rr_baseline is not None:
            baseline = self.rr_baseline.state
            for gap in gaps:
                if baseline.previous is not None and baseline.previous < gap.end:
                    baseline.previous = None

    def _silent_until(self, now: int, second: Second) -> None:
        """End what a standstill ends: no beat came up to this sample."""
        if now - self._history.clear < self._silence:  # nearly always: nothing stands still yet
            return
        for is_standstill in self._is_standstill:
            if is_standstill(now, second, self._history):
                for on_standstill in self._hooks["on_standstill"]:
                    on_standstill(self._history)
                self._history.previous, self._history.intervals = None, []

    def _take_all(self, beats: Sequence[TrackedBeat], until: int, second: Second) -> None:
        """Hand over beats that no gap parts; up to the sample ``until`` there is no other."""
        if beats:
            for on_beats in self._hooks["on_beats"]:
                on_beats(beats, self.seconds)
        for beat in beats:
            self._silent_until(beat.sample, second)
            self._take(beat)
        self._silent_until(until, second)

    def _take(self, beat: TrackedBeat) -> None:
        """Hand a beat to every family, then make it the last one."""
        history, interval, sample = self._history, None, beat.sample
        if history.previous is not None:
            interval = max(1, sample - history.previous.sample)
            intervals = history.intervals
            intervals.append(interval)
            if len(intervals) > self._max_intervals:
                del intervals[: -self._max_intervals]
        for on_beat in self._on_beat:
            on_beat(beat, interval, history, self.seconds)
        history.previous, history.clear, history.seen = beat, sample, sample
