"""From beats and signal to rhythm events: pauses, runs, fibrillation, each with its rule.

`Rhythm` is fed what a stream decides and gives events as they begin and end. It works second by
second on a fixed clock, so a stream cut anywhere gives the events of the whole. Where the signal
is bad (`runtime.signal.quality`) beats and their absence count for nothing. Limits are in
`RhythmPolicy`; `docs/rhythm.md` says how they were chosen and what they find.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import accumulate, chain, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import CLASSES, DOUBTFUL, UNREADABLE, Beat, Event, Flaw
from ..signal import features as waveform
from ..signal.quality import QualityPolicy, flaws_of, without_hum
from .baseline import Sinus, SinusPolicy
from .template import FIRST, LAST, SIZE, Morphology, MorphologyPolicy

FS = 360  # Hz, of the signal that `Rhythm.push` takes
MOST_BEATS = 100  # that a mean rate may be taken over
KEPT_S = 2  # of signal, in which beats still to be decided lie: a network is no later than 1.5 s
LARGEST_SAVED = 760  # numbers in a saved state, 3.0 kB: real ones have 390 to 650
ATRIAL_INTERVALS = 48  # intervals that atrial fibrillation is told from
ATRIAL_EVERY = 8  # intervals from one verdict on atrial fibrillation to the next
ONSET_INTERVALS, ONSET_EVERY = 24, 2  # the same, of whether it may just have begun
ATRIAL_FEATURES = ("conditional entropy", "scatter", "P wave")
RESTING = -5.0  # log-odds of any fibrillation where nothing is known yet
FIBRILLATION_LAG = 2  # s; what five-second windows tell together, they tell so much later
VF, VT, AF = "ventricular_fibrillation", "ventricular_tachycardia", "atrial_fibrillation"
# From the gravest to the mildest; a rhythm is named after the gravest event that lasts.
KINDS = (VF, "asystole", VT, "ventricular_run", "pause", AF, "supraventricular_run",
         "tachycardia", "bradycardia", "couplet", "bigeminy", "trigeminy")
_RUNS = (VT, "ventricular_run", "supraventricular_run")
_PATTERNS = ("bigeminy", "trigeminy")  # one and two other beats between


@dataclass(frozen=True)
class RhythmPolicy:
    """What makes an event.

    Attributes
    ----------
    pause_s, asystole_s : between two beats; without any beat
    asystole_vf_s : without any beat where the signal looks like fibrillation, which then is
        waited for
    slow, slow_beats : bradycardia is a mean rate below so many a minute over so many beats
    fast, fast_beats : tachycardia is one above
    hysteresis : beats a minute back inside the limit before either ends
    run_beats : V or S beats in a row that make a run; two V that make none are a couplet
    vt_rate : beats a minute from which on a run of V beats is ventricular tachycardia
    pattern_beats : V beats, each after one or two others, that make bi- or trigeminy
    least_confidence : mean score of its beats below which no run or pattern begins
    af_on, af_off : log-odds of irregularity at which atrial fibrillation begins and ends
    af_least_s : shorter episodes are not reported; it is known to last up to the middle of the
        intervals that tell it
    af_sure : least probability, N and S together, of a beat that atrial fibrillation is told
        from: beside a V beat taken for N any order is lost
    af_without_s : while it lasts no beat is labelled S
    af_onset : log-odds of the last `ONSET_INTERVALS` alone from which on it is taken to last,
        as far as labels go: it is told later, and until then its early beats would be S
    morphology : how the patient's usual QRS complex decides between V and what comes from the
        atria; None: it does not
    sinus : how the patient's usual interval decides between N and S; None: it does not. Nor
        does it while fibrillation is in doubt, the last log-odds not below ``af_off``
    vf_change : chance in a second that fibrillation begins where it was not, or ends
    vf_weight : of a window's log-odds; five windows see each second, so a fifth
    vf_doubt : taken off a window's log-odds, for the model was fitted on even odds
    vf_on, vf_off : log-odds of fibrillation, after all windows so far, at which it begins
        and ends
    vf_least_s : shorter episodes are not reported; every second more delays the alarm by one
    hold_s : so long an episode outlives signal that cannot be read
    """

    pause_s: float = 2.0
    asystole_s: float = 4.0
    asystole_vf_s: float = 10.0
    slow: float = 50.0
    slow_beats: int = 5
    fast: float = 120.0
    fast_beats: int = 10
    hysteresis: float = 5.0
    run_beats: int = 3
    vt_rate: float = 100.0
    pattern_beats: int = 3
    least_confidence: float = 0.7
    af_on: float = 1.0
    af_off: float = -1.0
    af_least_s: float = 30.0
    af_sure: float = 0.8
    af_without_s: bool = True
    af_onset: float = 2.5
    morphology: MorphologyPolicy | None = field(default_factory=MorphologyPolicy)
    sinus: SinusPolicy | None = field(default_factory=SinusPolicy)
    vf_change: float = 0.005
    vf_weight: float = 0.2
    vf_doubt: float = 0.6
    vf_on: float = 0.0
    vf_off: float = 0.0
    vf_least_s: float = 1.0
    hold_s: float = 30.0

    def __post_init__(self) -> None:
        for name, least in (("slow_beats", 1), ("fast_beats", 1), ("run_beats", 2),
                            ("pattern_beats", 2)):
            value = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= MOST_BEATS):
                raise InputError(f"{name} is {value!r}; expected a whole number from {least} to "
                                 f"{MOST_BEATS}, for a stream's state holds as many intervals.")
        if not 0 < self.vf_change <= 0.5:
            raise InputError(f"vf_change is {self.vf_change:g}; expected a chance in a second, "
                             "above 0 and up to 0.5.")
        if not (0 <= self.vf_weight <= 10 and abs(self.vf_doubt) <= 10):
            raise InputError(f"vf_weight is {self.vf_weight:g} and vf_doubt {self.vf_doubt:g}; "
                             "expected 0 to 10, and -10 to 10.")
        for name in (limit.name for limit in fields(self)):
            if getattr(self, name) != getattr(self, name):
                raise InputError(f"{name} is NaN; expected a number.")


class Rhythm:
    """The events of one signal. Times inside are samples at 360 Hz.

    Attributes
    ----------
    limit : sample at which the recording ends; later signal and beats are not its own
    morphology, sinus : the patient's usual QRS complex, and usual interval
    """

    def __init__(self, policy: RhythmPolicy | None = None, quality: QualityPolicy | None = None):
        self.policy, self.quality = policy or RhythmPolicy(), quality or QualityPolicy()
        self.limit: int | None = None
        self._signal = _Signal(self.quality)
        self._second = 0  # the next second to be judged
        self._waiting: list[_Beat] = []  # beats of seconds not judged yet
        self._open: dict[str, _Open] = {}
        self._events: list[Event] = []
        self._last: _Beat | None = None  # the last beat, unless a gap followed
        self._clear = 0  # since this sample there was neither a beat nor a flaw
        self._seen = 0  # the last beat's sample, whatever followed
        self._intervals: list[int] = []  # the last RR intervals without a gap
        self._rated = 0  # sample up to which a rate was told of, fast or slow
        self._atrial = Atria()
        self.morphology = Morphology(self.policy.morphology)
        self.sinus = Sinus(self.policy.sinus)
        self._run = _Run()
        self._pattern = _Pattern()
        self._atria_then = self._atria_now  # as it was before the last judgement
        self._odds = RESTING  # log-odds of fibrillation, after all windows so far
        self._flaw = 0  # bits of `Flaw`

    @property
    def heart_rate(self) -> float | None:
        """Beats a minute over the last few beats; None where they cannot be trusted, or are so
        long ago that the next one is overdue."""
        if self._second * FS - self._seen > self.policy.asystole_s * FS:
            return None
        recent = self._intervals[-8:]
        return 60.0 * FS / float(np.median(recent)) if len(recent) >= 2 else None

    @property
    def rhythm(self) -> str:
        """The gravest event that lasts; else ``unreadable`` or ``regular``."""
        lasting = [kind for kind in KINDS if kind in self._open]
        return lasting[0] if lasting else "unreadable" if self._flaw & _DOUBTFUL else "regular"

    @property
    def flaws(self) -> Flaw:
        """What is wrong with the newest second that was judged."""
        return Flaw(self._flaw)

    def push(self, beats: Iterable[Beat], signal: NDArray[np.float32], decided: float
             ) -> tuple[list[Beat], list[Event]]:
        """Take what a stream has decided; give the beats in the light of the rhythm, and events.

        The patient's usual QRS complex joins in deciding whether a beat is V (`.template`). In
        atrial fibrillation no beat from the atria is premature: there S becomes N. Elsewhere the
        patient's usual interval joins in deciding between the two (`.baseline`).

        Parameters
        ----------
        beats : in order of time, all before ``decided``
        signal : float32 [samples], mV at 360 Hz, what follows the signal pushed before
        decided : s; no beat will come before this moment

        Returns
        -------
        the beats, and the events that began or ended
        """
        take_together([self], [signal])
        return self.follow(beats, decided)

    def follow(self, beats: Iterable[Beat], decided: float) -> tuple[list[Beat], list[Event]]:
        """`push` without its signal, which `take_together` took."""
        read, coming, first = [], list(beats), 0
        while self._signal.windows and (self._second + 1) <= decided + 1e-9:
            end, last = (self._second + 2) * FS, first
            while last < len(coming) and round(coming[last].time * FS) < end:
                last += 1
            if last > first:
                read += self._read(coming[first:last])
                first = last
            self._judge(*self._signal.verdict(self._second))
        read += self._read(coming[first:])
        self._signal.forget()
        return read, self._drain()

    def _read(self, beats: Sequence[Beat]) -> list[Beat]:
        """The next beats, as the rhythm lets them be; they wait for their second's judgement.

        However the signal is cut, a beat is read in the light of what was judged up to two
        seconds before its own: that is known when it is decided, but what comes after may be or
        not.
        """
        read = []
        for beat in beats:
            sample = round(beat.time * FS)
            early = self._second >= sample // FS  # the second before the beat's is judged already
            fibrillating, followed = self._atria_then if early else self._atria_now
            atrial = from_atria(beat, self.policy)  # by the network alone, as its model was fitted
            if self.policy.morphology:
                beat = self.morphology.read(beat, self._signal.around(sample))
            if fibrillating and self.policy.af_without_s and beat.label in ("N", "S"):
                beat = _not_premature(beat)
            if self.policy.sinus:
                beat = self.sinus.read(beat, followed=followed)
            self._waiting.append(_Beat(sample, CLASSES.index(beat.label),
                                       float(np.float32(beat.score)), atrial))
            read.append(beat)
        return read

    @property
    def _atria_now(self) -> tuple[bool, bool]:
        """Whether atrial fibrillation lasts or has just begun, and whether it is ruled out."""
        fibrillating = AF in self._open or self._atrial.onset >= self.policy.af_onset
        return fibrillating, not fibrillating and self._atrial.odds < self.policy.af_off

    def finish(self) -> list[Event]:
        """The last events; what lasts ends with the signal."""
        end = self._signal.taken
        self._waiting = [beat for beat in self._waiting if beat.sample < end]
        for flaws, readable, odds, noise in self._signal.rest(self._second):
            self._judge(flaws, readable, odds, noise)
        self._end_run(complete=True)
        self._end_pattern()
        for kind in list(self._open):
            self._close(kind, end)
        return self._drain()

    def save(self) -> NDArray[np.float32]:
        """The whole state but for the signal short of a second, up to `LARGEST_SAVED` numbers."""
        at, signal, run, pattern = self._second * FS, self._signal, self._run, self._pattern
        last, sinus, usual = self._last, self.sinus, self.morphology
        head = [
            *divmod(self._second, _SPLIT), *_split(signal.taken - at), *_split(self._clear - at),
            *_split(self._seen - at), signal.low if signal.taken >= FS else 0.0,
            signal.high if signal.taken >= FS else 0.0, *signal.newest, self._flaw, self._odds,
            run.label, run.count, *_split(run.start - at), *_split(run.end - at), run.scores,
            pattern.gap, pattern.count, *_split(pattern.start - at), *_split(pattern.end - at),
            pattern.scores, pattern.others, pattern.last,
            self._atrial.since, self._atrial.fresh, self._atrial.odds, self._atrial.onset,
            sinus.usual is not None, sinus.usual or 0.0, sinus.beats, sinus.last is not None,
            *_split((sinus.last or 0) - at), sinus.atrial, *self._atria_then,
            *_split(self._rated - at), usual.alike, usual.rough, usual.beats]
        rows: tuple[Sequence[Sequence[float]], ...] = (
            [head], [[v] for v in signal.slow.tolist()], [[v] for v in signal.flaws],
            signal.windows,
            [(*_split(beat.sample - at), beat.label, beat.score, beat.atrial)
             for beat in (*self._waiting, *([last] if last else []))],
            [[bool(last)]], [[v] for v in self._intervals],
            [(interval, mark - at) for interval, mark in self._atrial.intervals],
            self._atrial.waves.tolist(),
            [(KINDS.index(kind), *_split(o.start - at), o.total, o.count, o.told,
              *_split(o.last - at)) for kind, o in self._open.items()],
            [[v] for v in ([] if usual.shape is None else usual.shape.tolist())])
        return np.array([*map(len, rows), *chain.from_iterable(chain.from_iterable(rows))],
                        dtype=np.float32)

    @classmethod
    def restore(cls, state: NDArray[np.float32], recent: NDArray[np.float32],
                policy: RhythmPolicy | None = None, quality: QualityPolicy | None = None
                ) -> Rhythm:
        """What `save` gave.

        Parameters
        ----------
        recent : float32 [samples], the last signal pushed, at least what is short of a second

        Raises
        ------
        ValueError
            The state is damaged.
        """
        rhythm = cls(policy, quality)
        try:
            (head,), slow, flaws, windows, beats, last, *rest = _unpack(state)
            rhythm._put_head(head, recent)
            at = rhythm._second * FS
            found = [_Beat(at + _joined(*b[:2]), int(b[2]), b[3], bool(b[4])) for b in beats]
            if last[0][0]:
                rhythm._last = found.pop()
            rhythm._waiting = found
            intervals, normal, waves, lasting, shape = rest
            rhythm._intervals = [max(1, int(v)) for v, in intervals]
            rhythm._atrial.intervals = [(max(1, int(v)), at + int(mark)) for v, mark in normal]
            rhythm._atrial.waves = np.array(waves, dtype=np.float32)
            rhythm._open = {KINDS[int(kind)]: _Open(at + _joined(a, b), total, int(count),
                                                    bool(told), at + _joined(c, d))
                            for kind, a, b, total, count, told, c, d in lasting}
            if shape:
                rhythm.morphology.shape = np.array(shape, dtype=np.float32).reshape(-1)
            signal = rhythm._signal
            signal.slow = np.array(slow, dtype=np.float32).reshape(-1)
            signal.base = max(0, rhythm._second - waveform.WINDOW_S // 2)
            signal.flaws, signal.windows = [int(v) for v, in flaws], [(a, b) for a, b in windows]
            rhythm._check()
        except (IndexError, TypeError, ValueError, OverflowError) as error:
            raise ValueError("the rhythm's state is damaged.") from error
        return rhythm

    def _put_head(self, head: Sequence[float], recent: NDArray[np.float32]) -> None:
        (a, b, c, d, e, f, g, h, low, high, odds, noise, flaw, sustained, label, count, i, j, k, m,
         scores, gap, times, n, o, p, q, total, others, last, since, fresh, atrial_odds, onset,
         known, usual, remembered, began, r, s, atrial, fibrillating, followed, t, u, alike, rough,
         normal_beats) = head
        self._second = at = _joined(a, b)
        at *= FS
        signal = self._signal
        signal.taken, self._clear, self._seen = (at + _joined(*pair)
                                                 for pair in ((c, d), (e, f), (g, h)))
        if signal.taken >= FS:
            signal.low, signal.high = low, high
        signal.newest, self._flaw = (odds, noise), int(flaw)
        self._odds, self._atrial.since, self._atrial.fresh = sustained, int(since), bool(fresh)
        self._atrial.odds, self._atrial.onset = atrial_odds, onset
        self._atria_then, self._rated = (bool(fibrillating), bool(followed)), at + _joined(t, u)
        sinus = self.sinus
        sinus.usual, sinus.beats = usual if known else None, remembered
        sinus.atrial = bool(atrial)
        sinus.last = at + _joined(r, s) if began else None
        self._run = _Run(int(label), int(count), at + _joined(i, j), at + _joined(k, m), scores)
        self._pattern = _Pattern(int(gap), int(times), at + _joined(n, o), at + _joined(p, q),
                                 total, int(others), last)
        usual_shape = self.morphology
        usual_shape.alike, usual_shape.rough, usual_shape.beats = alike, rough, normal_beats
        if signal.taken < 0 or signal.taken % FS > len(recent):
            raise ValueError("signal is missing")
        signal.recent = recent[max(0, len(recent) - signal.taken):].copy()
        signal.forget()

    def _check(self) -> None:
        """Refuse a state that `save` cannot have given."""
        signal = self._signal
        whole, base = signal.taken // FS, signal.base
        if not (
            0 <= self._second <= whole + 1
            and len(signal.flaws) == whole - base
            and len(signal.windows) == max(0, whole - base - waveform.WINDOW_S + 1)
            and len(signal.slow) == (whole - base) * waveform.RATE
            and all(0 <= flaw < 64 for flaw in signal.flaws)
            and all(0 <= beat.label < len(CLASSES) for beat in self._waiting)
            and len(self._atrial.intervals) <= ATRIAL_INTERVALS
            and self._atrial.waves.shape == (len(P_BEATS), len(P_WAVE) + 1)
            and min(self._run.count, self._pattern.count, *self._atrial.waves[:, -1].tolist()) >= 0
            and (self._pattern.count > 1) <= self._pattern.gap <= len(_PATTERNS)
            and ((shape := self.morphology.shape) is None or shape.shape == (SIZE,))
            and (shape is None) == (self.morphology.beats < 1)
            and abs(self.morphology.alike) < 4  # Fisher's z of 0.999
            and abs(self.morphology.rough) < 20
            and self.sinus.beats >= 1
            and abs(self.sinus.usual or 0.0) < 2  # log of 0.1 to 7 s
        ):
            raise ValueError("sizes do not fit")

    def _judge(self, flaws: int, readable: bool, odds: float, noise: float) -> None:
        """Go through one second, everything about it being known."""
        self._atria_then = self._atria_now
        start = self._second * FS
        end = min(start + FS, self._signal.taken)  # of the last second, where it is not whole
        self._second += 1
        if noise >= self.quality.noise:
            flaws |= _NOISE
        self._flaw = flaws
        self._fibrillation(start, end, odds if readable else None)
        beats = []
        if self._waiting and self._waiting[0].sample < end:
            beats = [beat for beat in self._waiting if beat.sample < end]
            self._waiting = self._waiting[len(beats):]
        if flaws & _DOUBTFUL or VF in self._open:
            self._gap(start, end)
            return
        # What looks like fibrillation is VF, or soon will be, unless it only looks so: hum may.
        longest = (self.policy.asystole_vf_s if readable and odds > self.policy.vf_doubt
                   else self.policy.asystole_s)
        for beat in beats:
            self._silent_until(beat.sample, longest)
            self._beat(beat)
        self._silent_until(end, longest)

    def _silent_until(self, now: int, longest: float) -> None:
        """Asystole, where so many s are without a beat."""
        if now - self._clear >= longest * FS and "asystole" not in self._open:
            self._stop()
            self._begin("asystole", self._clear, 1.0)

    def _stop(self) -> None:
        """What was made of beats is over with the last of them."""
        self._end_run(complete=True)
        self._end_pattern()
        for kind in ("tachycardia", "bradycardia"):
            if kind in self._open:
                self._close(kind, self._seen)
        self._last, self._intervals = None, []

    def _gap(self, start: int, end: int) -> None:
        """What lies in a bad second, or in fibrillation, is neither a beat nor a pause."""
        self._end_run(complete=False)
        self._end_pattern()
        self._last, self._clear, self._intervals = None, end, []
        for kind in set(self._open) - {VF, AF}:  # these outlive it
            self._close(kind, start if kind == "asystole" else self._seen)
        if end - self._seen > self.policy.hold_s * FS:
            if AF in self._open:
                self._end_atrial(self._seen)
            self._atrial.restart()

    def _beat(self, beat: _Beat) -> None:
        previous, policy = self._last, self.policy
        if "asystole" in self._open:
            self._close("asystole", beat.sample)
        self._last, self._clear, self._seen = beat, beat.sample, beat.sample
        for kind, lasting in self._open.items():
            if kind not in (VF, AF):
                lasting.add(beat.score)
        if previous is not None:
            interval = max(1, beat.sample - previous.sample)
            if interval >= policy.pause_s * FS:
                self._emit("pause", previous.sample, beat.sample, min(previous.score, beat.score))
            kept = max(policy.fast_beats, policy.slow_beats, policy.run_beats - 1, 8)
            self._intervals = [*self._intervals, interval][-kept:]
            self._rate(beat.sample)
            if previous.atrial and beat.atrial:
                self._follow_atria(interval, beat.sample)
        self._extend_run(beat)
        self._extend_pattern(beat)

    def _rate(self, now: int) -> None:
        """Bradycardia and tachycardia, with hysteresis."""
        policy = self.policy
        for kind, count, limit, sign in (
                ("bradycardia", policy.slow_beats, policy.slow, -1),
                ("tachycardia", policy.fast_beats, policy.fast, 1)):
            intervals = self._intervals[-count:]
            if len(intervals) < count:
                continue
            rate = 60.0 * FS * count / sum(intervals)
            if kind not in self._open and sign * (rate - limit) > 0:
                self._begin(kind, max(now - sum(intervals), self._rated),
                            self._last.score if self._last else 0.0)
            elif kind in self._open and sign * (rate - limit) < -policy.hysteresis:
                self._close(kind, now)
                # What one was made of does not make the next; two still tell the heart rate.
                self._intervals, self._rated = self._intervals[-2:], now

    def _extend_run(self, beat: _Beat) -> None:
        """Couplets and runs of V beats, runs of S beats."""
        run = self._run
        if beat.label != run.label:
            self._end_run(complete=True)
            if beat.label not in (_V, _S):
                return
            run = self._run = _Run(beat.label, 0, beat.sample, beat.sample, 0.0)
        run.count, run.end, run.scores = run.count + 1, beat.sample, run.scores + beat.score
        if "ventricular_run" in self._open:
            self._quicken(beat)
        if (run.count < self.policy.run_beats or run.confidence < self.policy.least_confidence
                or not self._open.keys().isdisjoint(_RUNS)):
            return
        rate = 60.0 * FS * (run.count - 1) / max(1, run.end - run.start)
        if run.label == _V:
            kind = VT if rate >= self.policy.vt_rate else "ventricular_run"
        elif AF not in self._open:  # where every beat is irregular, S means little
            kind = "supraventricular_run"
        else:
            return
        self._begin(kind, run.start, run.confidence)

    def _quicken(self, beat: _Beat) -> None:
        """A ventricular run that becomes as fast as a tachycardia is one from then on."""
        count = self.policy.run_beats - 1
        recent = self._intervals[-count:]
        if len(recent) == count and 60.0 * FS * count / sum(recent) >= self.policy.vt_rate:
            start = beat.sample - sum(recent)
            self._close("ventricular_run", start)
            self._begin(VT, start, self._run.confidence)

    def _end_run(self, *, complete: bool) -> None:
        run, self._run = self._run, _Run()
        if (complete and run.label == _V and run.count == 2 < self.policy.run_beats
                and run.confidence >= self.policy.least_confidence):
            self._emit("couplet", run.start, run.end, run.confidence)
        for kind in _RUNS:
            if kind in self._open:
                self._close(kind, run.end)

    def _extend_pattern(self, beat: _Beat) -> None:
        """Bigeminy and trigeminy: V beats with one or two others between."""
        pattern = self._pattern
        if beat.label != _V:
            pattern.others += 1
            if pattern.count >= 2 and pattern.others > pattern.gap:
                self._end_pattern()  # but its last beat may begin another
                self._pattern = _Pattern(0, 1, pattern.end, pattern.end, pattern.last,
                                         pattern.others, pattern.last)
            return
        if pattern.count >= 2 and pattern.others == pattern.gap:
            pattern.count += 1
            pattern.scores += beat.score
        elif pattern.count and pattern.others in (1, 2):
            self._end_pattern()
            pattern = self._pattern = _Pattern(pattern.others, 2, pattern.end, pattern.end,
                                               pattern.last + beat.score)
        else:
            self._end_pattern()
            pattern = self._pattern = _Pattern(0, 1, beat.sample, beat.sample, beat.score)
        pattern.others, pattern.end, pattern.last = 0, beat.sample, beat.score
        confidence = pattern.scores / pattern.count
        kind = _PATTERNS[pattern.gap - 1]
        if (pattern.count >= self.policy.pattern_beats and kind not in self._open
                and confidence >= self.policy.least_confidence):
            self._begin(kind, pattern.start, confidence)

    def _end_pattern(self) -> None:
        pattern, self._pattern = self._pattern, _Pattern()
        for kind in _PATTERNS:
            if kind in self._open:
                self._close(kind, pattern.end)

    def _follow_atria(self, interval: int, now: int) -> None:
        """Atrial fibrillation: intervals between N or S beats that follow no order, no P wave."""
        atria = self._atrial
        whole, recent = atria.add(interval, now, self._signal.before(now))
        if recent:
            atria.onset = atrial_odds("onset", atria, least=self.policy.af_onset)
        if not whole:
            return
        odds = atria.odds = atrial_odds("atrial", atria)
        start, atria.fresh = atria.start, False
        if AF in self._open:
            self._open[AF].add(_probability(odds))
            if odds < self.policy.af_off:
                self._end_atrial(atria.middle)
        elif odds >= self.policy.af_on:
            # Quietly: it is told once it has lasted.
            self._open[AF] = _Open(start, _probability(odds), 1, False)
        if AF in self._open:
            self._tell(AF, atria.middle)

    def _end_atrial(self, end: int) -> None:
        self._close(AF, max(end, self._open[AF].start))

    def _fibrillation(self, start: int, end: int, odds: float | None) -> None:
        """Ventricular fibrillation or flutter, on the signal alone; None: unreadable."""
        policy = self.policy
        # In float32, as it is saved.
        self._odds = float(np.float32(sustained(self._odds, odds, policy)))
        if odds is None:
            if VF in self._open and start - self._open[VF].last > policy.hold_s * FS:
                self._close(VF, self._open[VF].last)
                self._odds = RESTING
            return
        moment = max(0, start - FIBRILLATION_LAG * FS)
        if VF in self._open:
            self._open[VF].add(_probability(self._odds))
            self._open[VF].last = end
            if self._odds < policy.vf_off:
                self._close(VF, moment)
        elif self._odds >= policy.vf_on:
            self._open[VF] = _Open(moment, _probability(self._odds), 1, False, end)
        if VF in self._open:
            self._tell(VF, moment + FS)

    def _begin(self, kind: str, start: int, confidence: float) -> None:
        self._open[kind] = _Open(start, confidence, 1, True)
        self._emit(kind, start, None, confidence)

    def _tell(self, kind: str, until: int) -> None:
        """Report fibrillation once it is known to have lasted long enough."""
        lasting, policy = self._open[kind], self.policy
        least_s = policy.vf_least_s if kind == VF else policy.af_least_s
        if not lasting.told and until - lasting.start >= least_s * FS:
            lasting.told = True
            self._emit(kind, lasting.start, None, lasting.confidence)

    def _close(self, kind: str, end: int) -> None:
        if kind in (VF, AF):
            self._tell(kind, end)
        lasting = self._open.pop(kind)
        if lasting.told:
            self._emit(kind, lasting.start, max(end, lasting.start), lasting.confidence)

    def _emit(self, kind: str, start: int, end: int | None, confidence: float) -> None:
        self._events.append(Event(kind, start / FS, None if end is None else end / FS,
                                  round(confidence, 4), self._rule(kind)))

    def _drain(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _rule(self, kind: str) -> str:
        p = self.policy
        return {
            VF: "signal looks like fibrillation or flutter, log-odds over all windows at least "
                f"{p.vf_on:g}",
            "asystole": f"no beat for {p.asystole_s:g} s in readable signal, {p.asystole_vf_s:g} s "
                        "where it looks like fibrillation",
            VT: f"{p.run_beats} or more V beats in a row at {p.vt_rate:g}/min or more",
            "ventricular_run": f"{p.run_beats} or more V beats in a row below {p.vt_rate:g}/min",
            "pause": f"{p.pause_s:g} s or more between two beats",
            AF: f"{ATRIAL_INTERVALS} intervals without order or P wave, log-odds at least "
                f"{p.af_on:g}, for {p.af_least_s:g} s",
            "supraventricular_run": f"{p.run_beats} or more S beats in a row",
            "tachycardia": f"mean of {p.fast_beats} intervals above {p.fast:g}/min",
            "bradycardia": f"mean of {p.slow_beats} intervals below {p.slow:g}/min",
            "couplet": "two V beats in a row",
            "bigeminy": f"{p.pattern_beats} or more V beats, each after one other",
            "trigeminy": f"{p.pattern_beats} or more V beats, each after two others",
        }[kind]


def take_together(rhythms: Sequence[Rhythm], signals: Iterable[NDArray[np.float32]]) -> None:
    """Take the signal that follows for each of many patients, as `Rhythm.push` does for one.

    What is looked at in it, at once for all, takes a third of the time or less.
    """
    _take_together([rhythm._signal for rhythm in rhythms], [
        signal if rhythm.limit is None else signal[: max(0, rhythm.limit - rhythm._signal.taken)]
        for rhythm, signal in zip(rhythms, signals, strict=True)])


def sustained(before: float, odds: float | None, policy: RhythmPolicy) -> float:
    """Log-odds of fibrillation after one more second.

    A rhythm of two states that changes seldom (a hidden Markov model's forward pass): a second
    may change it, then the window's own log-odds count, where it could be read (else None).
    """
    share = policy.vf_change + (1 - 2 * policy.vf_change) * _probability(before)
    result = math.log(share / (1 - share))
    if odds is None:
        return result
    return result + policy.vf_weight * (min(max(odds, -6.0), 6.0) - policy.vf_doubt)


def _not_premature(beat: Beat) -> Beat:
    """The beat, given that what came from the atria came when it had to."""
    normal, early, *others = beat.probabilities
    return Beat(beat.time, "N", normal + early, (normal + early, 0.0, *others))


def from_atria(beat: Beat, policy: RhythmPolicy) -> bool:
    """Whether a beat is surely from the atria, N or S: fibrillation is told from such alone."""
    return beat.label in ("N", "S") and sum(beat.probabilities[:2]) >= policy.af_sure


def atrial_odds(name: str, atria: Atria, *, least: float = -math.inf) -> float:
    """Log-odds of atrial fibrillation, in float32, as they are saved.

    What `waveform.Model.log_odds` gives, but of a single row numpy takes ten times as long. Where
    after the P wave they cannot reach ``least`` whatever the intervals, these are not looked at:
    then it is the most they can be.
    """
    bias, columns, most = _plain_model(name)
    odds = most + _said(atria.p_wave(name), *columns[-1])
    if odds >= least:
        odds = bias
        for value, column in zip(atria.features(name), columns, strict=True):
            odds += _said(value, *column)
    return float(np.float32(odds))


def _said(value: float, mean: float, scale: float, weight: float) -> float:
    """What one feature adds to the log-odds."""
    return weight * min(max((value - mean) / scale, -waveform.LARGEST), waveform.LARGEST)


@cache
def _plain_model(name: str) -> tuple[float, list[tuple[float, float, float]], float]:
    """Bias; of each feature mean, scale and weight; and the most that is said without the P wave,
    added up in the same order, so that it is never less than what it is the most of."""
    model = waveform.models()[name]
    columns = list(zip(model.mean.tolist(), model.scale.tolist(), model.weights.tolist(),
                       strict=True))
    most = model.bias
    for column, ends in zip(columns[:-1], _INTERVALS_SAY, strict=True):
        most += max(_said(end, *column) for end in ends)
    return model.bias, columns, most


def irregularity(intervals: Sequence[int]) -> tuple[float, float]:
    """How far RR intervals are from any order: two features.

    How much rarer it is that two successive intervals both find a match (within 8 % of the
    median) than that one does: the conditional entropy of Lake and Moorman (Am J Physiol 300,
    2011), near 0 for any order. How many cells of 4 % the pairs of successive differences
    fill, after Lian et al. (Am J Cardiol 107, 2011), as a share of the pairs.

    Parameters
    ----------
    intervals : RR intervals between beats that are not V, in any unit
    """
    ordered, size = sorted(intervals), len(intervals)
    median = (ordered[(size - 1) // 2] + ordered[size // 2]) / 2  # of few, numpy's takes longer
    values = np.array(intervals, dtype=np.float64) / max(median, 1e-9)
    match = np.abs(values[:, None] - values) < 0.08
    single = (np.count_nonzero(match) - size) / (size * (size - 1))
    double = ((np.count_nonzero(match[1:, 1:] & match[:-1, :-1]) - (size - 1))
              / ((size - 1) * (size - 2)))
    cells = np.floor((values[1:] - values[:-1]) / 0.04).tolist()
    return (math.log((double + 0.005) / (single + 0.005)),
            len(set(pairwise(cells))) / (size - 2))


def before(slow: NDArray[np.float32], sample: int) -> NDArray[np.float32] | None:
    """What precedes a beat, where its P wave is sought; None where that is not at hand.

    Parameters
    ----------
    slow : [samples], mV at `waveform.RATE`
    sample : of the beat, at 360 Hz
    """
    at = sample * waveform.RATE // FS
    first, last = at + P_WAVE.start, at + P_WAVE.stop
    return slow[first:last] if first >= 0 and last <= len(slow) else None


def closed(events: Iterable[Event]) -> list[Event]:
    """Only the events that have ended, in order of their start."""
    return sorted((event for event in events if event.end is not None),
                  key=lambda event: (event.start, KINDS.index(event.kind)))


_S, _V = CLASSES.index("S"), CLASSES.index("V")
_DOUBTFUL, _UNREADABLE = int(DOUBTFUL), int(UNREADABLE)
_NOISE, _FLAT = int(Flaw.NOISE), int(Flaw.FLAT)
_SPLIT = 1 << 20  # float32 holds whole numbers to 2**24 only: a position becomes two
_WIDTHS = (48, 1, 1, 2, 5, 1, 1, 2, 16, 8, 1)  # numbers in a row of each part of the state


def _split(position: int) -> tuple[int, int]:
    return divmod(position, _SPLIT)


def _joined(high: float, low: float) -> int:
    return int(high) * _SPLIT + int(low)


def _unpack(state: NDArray[np.float32]) -> list[list[list[float]]]:
    """The parts of a state, each a list of rows."""
    numbers = np.asarray(state, dtype=np.float32)
    counts = numbers[: len(_WIDTHS)].astype(np.float64)
    sizes = counts * _WIDTHS
    if (len(counts) != len(_WIDTHS) or not np.isfinite(numbers).all() or (counts < 0).any()
            or (counts % 1).any() or len(_WIDTHS) + sizes.sum() != len(numbers)):
        raise ValueError("lengths do not fit")
    values, ends = numbers.astype(np.float64), accumulate(sizes.astype(np.int64).tolist(),
                                                          initial=len(_WIDTHS))
    return [values[at:end].reshape(-1, width).tolist()
            for (at, end), width in zip(pairwise(ends), _WIDTHS, strict=True)]


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))


@dataclass(frozen=True)
class _Beat:
    sample: int
    label: int
    score: float
    atrial: bool  # surely from the atria


@dataclass
class _Open:
    """An event that lasts: told or not yet; ``last`` is where it was last confirmed."""

    start: int
    total: float
    count: int
    told: bool
    last: int = 0

    def add(self, confidence: float) -> None:
        self.total, self.count = self.total + confidence, self.count + 1

    @property
    def confidence(self) -> float:
        return self.total / max(1, self.count)


@dataclass
class _Run:
    """Beats of one class in a row."""

    label: int = -1
    count: int = 0
    start: int = 0
    end: int = 0
    scores: float = 0.0

    @property
    def confidence(self) -> float:
        return self.scores / max(1, self.count)


@dataclass
class _Pattern:
    """V beats at equal distance: ``gap`` others between, ``others`` since the last."""

    gap: int = 0
    count: int = 0
    start: int = 0
    end: int = 0
    scores: float = 0.0
    others: int = 0
    last: float = 0.0


_INTERVALS_SAY = ((-math.inf, math.inf), (0.0, 1.0))  # what `irregularity` can give
P_WAVE = range(-18, -3)  # samples at `waveform.RATE` before an R peak: 300 to 50 ms
P_BEATS = (24, 12)  # beats that the mean P waves remember, half of those that the intervals see
_P_LONGEST = 120 * FS  # samples; intervals further apart belong to no one window


def _detrend() -> NDArray[np.float64]:
    """What takes mean and slope off a P wave's samples."""
    basis = np.stack([np.ones(len(P_WAVE)), np.arange(len(P_WAVE)) - (len(P_WAVE) - 1) / 2])
    return np.eye(len(P_WAVE)) - basis.T @ np.linalg.inv(basis @ basis.T) @ basis


_DETREND = _detrend()
_P_BEATS = np.array(P_BEATS, dtype=np.float64)[:, None]
_INTERVALS = {"atrial": ATRIAL_INTERVALS, "onset": ONSET_INTERVALS}
_ROWS = {"atrial": 0, "onset": 1}  # of the mean P waves
Features = tuple[float, float, float]


class Atria:
    """The last intervals between N or S beats, and what precedes these beats.

    Sinus beats have the same P wave before each; in atrial fibrillation nothing before the QRS
    is the same, so little of its power is left in the mean over beats.
    """

    def __init__(self) -> None:
        self.intervals: list[tuple[int, int]] = []  # RR, and the sample where it ends
        self.since = 0  # intervals since the last verdict
        self.fresh = True  # no earlier verdict spoke of any of them
        # For each of the two verdicts the mean over beats, mV, and last the mean power of single
        # ones, mV²; in float32, as they are saved.
        self.waves = np.zeros((len(P_BEATS), len(P_WAVE) + 1), dtype=np.float32)
        # Log-odds of fibrillation at the last verdict, and of its onset at that one's last.
        self.odds = self.onset = RESTING

    @property
    def middle(self) -> int:
        """Sample that the intervals speak of."""
        return self.intervals[len(self.intervals) // 2][1]

    @property
    def start(self) -> int:
        """Sample where fibrillation that they tell begins: the first of all, else the middle."""
        interval, mark = self.intervals[0]
        return max(0, mark - interval) if self.fresh else self.middle

    def restart(self) -> None:
        """What is told after a gap is told from beats after it."""
        self.intervals, self.fresh, self.onset = [], True, RESTING

    def add(self, interval: int, now: int, before: NDArray[np.float32] | None
            ) -> tuple[bool, bool]:
        """Take an interval and the samples before its beat (None where there are none).

        Returns
        -------
        whole, recent : whether a verdict is due on the last `ATRIAL_INTERVALS`, as it is each
            `ATRIAL_EVERY` of them, and on the last `ONSET_INTERVALS`, each `ONSET_EVERY`
        """
        if self.intervals and now - self.intervals[-1][1] > _P_LONGEST:
            self.restart()
        self.intervals.append((interval, now))
        del self.intervals[:-ATRIAL_INTERVALS]
        if before is not None:
            wave = _DETREND.dot(before)
            latest = np.empty(len(wave) + 1)
            latest[:-1], latest[-1] = wave, wave.dot(wave) / len(wave)
            self.waves += (latest - self.waves) / _P_BEATS
        self.since += 1
        known = len(self.intervals)
        recent = known >= ONSET_INTERVALS and self.since % ONSET_EVERY == 0
        whole = known == ATRIAL_INTERVALS and self.since >= ATRIAL_EVERY
        if whole:
            self.since = 0
        return whole, recent

    def features(self, name: str) -> Features:
        """`ATRIAL_FEATURES` for the model of this name."""
        intervals = [interval for interval, _ in self.intervals[-_INTERVALS[name]:]]
        return *irregularity(intervals), self.p_wave(name)

    def p_wave(self, name: str) -> float:
        """How much of the power of what precedes the beats is left in its mean, its log."""
        *wave, power = self.waves[_ROWS[name]].tolist()
        kept = sum([value * value for value in wave]) / len(wave) / (power + 1e-5)
        return math.log(kept + 0.01)


def _plain(flaws: Sequence[int], at: int) -> int:
    """Flaws of a second. Where the heart is slow and the signal clean a second between two beats
    is as flat as a loose lead's, but then those beside it are not."""
    beside = *flaws[max(0, at - 1) : at], *flaws[at + 1 : at + 2]
    return flaws[at] if any(flaw & _FLAT for flaw in beside) else flaws[at] & ~_FLAT


_UNKNOWN = -100.0  # log-odds of what cannot be told, signal shorter than a window


class _Signal:
    """Judges whole seconds of signal as soon as they are complete."""

    def __init__(self, policy: QualityPolicy):
        self.policy = policy
        self.taken = 0  # samples
        self.recent = np.zeros(0, dtype=np.float32)  # the last of it, `KEPT_S` or more
        self.low, self.high = np.inf, -np.inf  # the signal's extremes so far, mV
        # From two seconds before the next to be judged on: the signal at `waveform.RATE`, the
        # flaws of each second, and the log-odds of fibrillation and noise of the window that
        # starts there.
        self.base = 0  # that second
        self.slow = np.zeros(0, dtype=np.float32)
        self.flaws: list[int] = []
        self.windows: list[tuple[float, float]] = []
        self.newest = (_UNKNOWN, _UNKNOWN)  # window

    @property
    def pending(self) -> NDArray[np.float32]:
        """What is short of a second."""
        return self.recent[len(self.recent) - self.taken % FS:]

    def forget(self) -> None:
        """What is longer ago than any beat still to be decided."""
        if len(self.recent) > KEPT_S * FS:
            self.recent = self.recent[-KEPT_S * FS:].copy()

    def around(self, sample: int) -> NDArray[np.float32] | None:
        """A beat's QRS complex, from `FIRST` to `LAST`; None where that is not at hand."""
        at = sample - self.taken + len(self.recent)
        first, last = at + FIRST, at + LAST
        return self.recent[first:last] if first >= 0 and last <= len(self.recent) else None

    def before(self, sample: int) -> NDArray[np.float32] | None:
        """What precedes a beat of the second that is judged."""
        return before(self.slow, sample - self.base * FS)

    def verdict(self, second: int) -> tuple[int, bool, float, float]:
        """Flaws of a second, whether the window around it is readable, and its log-odds.

        Seconds are asked for one after the other; the window is forgotten where the next
        second has another.
        """
        around, flaws, readable = self.flaws[: waveform.WINDOW_S], 0, True
        if any(around):  # seldom
            flaws = _plain(around, min(second, waveform.WINDOW_S // 2))
            readable = not any(flaw & _UNREADABLE for flaw in around)
        result = flaws, readable, *self.windows[0]
        if second >= waveform.WINDOW_S // 2:
            self.base += 1
            self.slow = self.slow[waveform.RATE:]
            self.flaws.pop(0)
            self.windows.pop(0)
        return result

    def rest(self, second: int) -> list[tuple[int, bool, float, float]]:
        """The seconds up to the signal's end; the last window speaks of those after it."""
        pending = self.pending
        if len(pending) >= FS // 4:
            low = min(self.low, float(pending.min()))
            high = max(self.high, float(pending.max()))
            self.flaws += flaws_of(pending[None], FS, self.policy, np.array([low]),
                                   np.array([high])).tolist()
        elif len(pending):
            self.flaws.append(self.flaws[-1] if self.flaws else 0)
        verdicts, base = [], self.base
        for at in range(second, -(-self.taken // FS)):
            first = max(0, at - waveform.WINDOW_S // 2) - base
            around = self.flaws[first : first + waveform.WINDOW_S]
            window = self.windows[first] if first < len(self.windows) else self.newest
            readable = not any(flaw & _UNREADABLE for flaw in around)
            verdicts.append((_plain(self.flaws, at - base), readable, *window))
        return verdicts


def _take_together(signals: Sequence[_Signal], chunks: Sequence[NDArray[np.float32]]) -> None:
    """The signal that follows in each of them, whatever its length."""
    complete: dict[QualityPolicy, list[tuple[_Signal, NDArray[np.float32]]]] = {}
    for signal, chunk in zip(signals, chunks, strict=True):
        short = signal.taken % FS
        signal.recent = np.concatenate([signal.recent, chunk])
        signal.taken += len(chunk)
        whole = (short + len(chunk)) // FS * FS
        if whole:
            first = len(signal.recent) - len(chunk) - short
            seconds = complete.setdefault(signal.policy, [])
            seconds.append((signal, signal.recent[first : first + whole].reshape(-1, FS)))
    for policy, some in complete.items():
        _look_at(some, policy)


def _look_at(some: Sequence[tuple[_Signal, NDArray[np.float32]]], policy: QualityPolicy) -> None:
    """Whole seconds of each, [seconds, `FS`], one at least."""
    rows = np.concatenate([seconds for _, seconds in some])
    extremes = iter(zip(rows.min(axis=1).tolist(), rows.max(axis=1).tolist(), strict=True))
    rails = []
    for signal, seconds in some:
        for least, most in islice(extremes, len(seconds)):
            signal.low, signal.high = min(signal.low, least), max(signal.high, most)
            rails.append((signal.low, signal.high))
    flaws = iter(flaws_of(rows, FS, policy, *np.array(rails).T).tolist())
    # Means over 1/60 s null 60 Hz and let a fifth of 50 Hz through, as 10 Hz.
    slow = without_hum(rows, FS).reshape(-1, FS // waveform.RATE).mean(axis=1, dtype=np.float32)
    parts = np.split(slow, np.cumsum([len(seconds) for _, seconds in some[:-1]]) * waveform.RATE)
    pieces = []
    for (signal, seconds), part in zip(some, parts, strict=True):
        signal.flaws += islice(flaws, len(seconds))
        signal.slow = np.concatenate([signal.slow, part])
        known = len(signal.windows) * waveform.RATE
        pieces.append(waveform.windows(signal.slow[known:].astype(np.float64)))
    windows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if not len(windows):
        return
    features = waveform.features(windows)
    odds = zip(*(waveform.models()[name].log_odds(features).astype(np.float32).tolist()
                 for name in ("fibrillation", "noise")), strict=True)
    for (signal, _), piece in zip(some, pieces, strict=True):
        signal.windows += islice(odds, len(piece))
        signal.newest = signal.windows[-1] if len(piece) else signal.newest
