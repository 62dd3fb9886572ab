"""The signal of a patient, judged second by second as soon as each is complete.

Of every second its flaws are kept, and of the five seconds around it the log-odds of fibrillation
and of noise. The clock is fixed to the recording's start, so that cuts make no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..findings import UNREADABLE, Flaw
from ..model.contract import FS
from ..signal import features as waveform
from ..signal.fast import beats_fast
from ..signal.features import FEATURES, RATE, WINDOW_S
from ..signal.gaps import Gap
from ..signal.hum import without_hum
from ..signal.loops import window_loops
from ..signal.noise import NoiseMemory, kept_log_odds
from ..signal.quality import flaws_of
from .events.atrial import samples_before
from .events.family import Second
from .model import RhythmModel
from .state import Flag, Matrix, Maybe, Moment, Number, Row, Rows, Vector, Whole, saved
from .template import FIRST, LAST

KEPT_S = 3  # of signal with the beats still to be decided: a network is no later than 1.5 s
UNKNOWN = -100.0  # log-odds as long as the signal is shorter than a window
MAX_PENDING_SECONDS = 64  # judged and not yet closed
ALL_FLAWS = sum(int(flaw) for flaw in Flaw)
_KEPT = KEPT_S * FS
_FLAT, _UNREADABLE = int(Flaw.FLAT), int(UNREADABLE)
_NOISE, _FAST = int(Flaw.NOISE), int(Flaw.FAST)


class Extremes(NamedTuple):
    """The signal's lowest and highest value so far, mV."""

    low: float
    high: float


class Window(NamedTuple):
    """Log-odds of five seconds of signal, and whether the heart is too fast in them."""

    fibrillation: float
    noise: float
    lasting_noise: float
    fast: bool


WINDOW = Row(Window, (Number(), Number(), Number(), Flag()))
MEMORY = Row(NoiseMemory, (Matrix((len(FEATURES),)), Number(0.0), Number()))


@dataclass(slots=True)
class SecondsState:
    """The part of a patient's signal that is still needed.

    Attributes
    ----------
    taken : samples so far
    extremes : of the whole seconds so far; None before the first
    newest : the last window
    noise_memory : of the windows so far; None before the first
    ecg_60hz : float32 [samples], mV at 60 Hz, from two seconds before the next to be closed on
    flaws : of these seconds, bits of `Flaw`
    windows : the windows that start with these seconds
    """

    taken: int = saved(Moment(), 0)
    extremes: Extremes | None = saved(Maybe(Row(Extremes, (Number(), Number()))))
    newest: Window = saved(WINDOW, Window(UNKNOWN, UNKNOWN, UNKNOWN, False))
    noise_memory: NoiseMemory | None = saved(Maybe(MEMORY))
    ecg_60hz: NDArray[np.float32] = saved(
        Vector(MAX_PENDING_SECONDS * RATE), make=lambda: np.zeros(0, dtype=np.float32)
    )
    flaws: list[int] = saved(Rows(Whole(0, ALL_FLAWS), MAX_PENDING_SECONDS), make=list)
    windows: list[Window] = saved(Rows(WINDOW, MAX_PENDING_SECONDS), make=list)


class Seconds:
    """The seconds of one patient's signal.

    Attributes
    ----------
    state : the part that is still needed
    next : the next second to be closed
    recent : float32 [samples], mV at 360 Hz, the last of the signal, `KEPT_S` or more
    base : the second that the state's signal, flaws and windows begin with
    limit : sample at which the recording ends; later signal is not its own
    """

    def __init__(self, model: RhythmModel):
        self.model = model
        self.state = SecondsState()
        self.next = self.base = 0
        self.recent = np.zeros(0, dtype=np.float32)
        self.limit: int | None = None

    @property
    def noisy(self) -> bool | None:
        """Whether the signal so far is noise as a whole; see `NoiseModel.noisy`."""
        state, model = self.state, self.model
        limit = model.quality.strip_noise_log_odds
        return model.noise.noisy(state.noise_memory, state.taken / FS, limit)

    def ready(self, decided: float) -> int:
        """Return how many seconds can be closed: before this moment, their windows known."""
        windows, second = len(self.state.windows), self.next
        if not windows:
            return 0
        if second < WINDOW_S // 2:  # the first window is also that of these
            windows += WINDOW_S // 2 - second
        ready = int(decided + 1e-9) - second
        return 0 if ready < 0 else ready if ready < windows else windows

    def restore(self, second: int, state: SecondsState, recent: NDArray[np.float32]) -> None:
        """Go on from a saved state.

        Parameters
        ----------
        second : the next to be closed
        recent : float32 [samples], the last of the signal, at least since the last whole second

        Raises
        ------
        ValueError
            The state cannot have been saved.
        """
        self.next, self.base, self.state = second, max(0, second - WINDOW_S // 2), state
        whole = state.taken // FS
        judged = whole - self.base
        if not (
            state.taken >= 0
            and state.taken % FS <= len(recent)
            and second <= whole + 1
            and len(state.flaws) == judged
            and len(state.windows) == max(0, judged - WINDOW_S + 1)
            and len(state.ecg_60hz) == judged * RATE
        ):
            raise ValueError("the sizes of the signal's parts do not fit")
        self.recent = recent[max(0, len(recent) - state.taken) :].copy()
        self.forget()

    def forget(self) -> None:
        """Drop signal that is longer ago than any beat still to be decided."""
        recent = self.recent
        if len(recent) > _KEPT:
            self.recent = recent[-_KEPT:].copy()

    def around(self, sample: int) -> NDArray[np.float32] | None:
        """The signal around an R peak, from `FIRST` to `LAST` of it; None if not at hand."""
        recent = self.recent
        last = sample + LAST - self.state.taken  # from the end
        first = len(recent) + last - (LAST - FIRST)
        if last > 0 or first < 0:
            return None
        return recent[first : first + LAST - FIRST]

    def between(self, first: int, last: int) -> NDArray[np.float32] | None:
        """The signal between two samples; before the recording and after its end the ends go on.

        None if it is not at hand any more.
        """
        recent, taken = self.recent, self.state.taken
        begun = taken - len(recent)
        if begun <= first and last <= taken:  # nearly always
            return recent[first - begun : last - begun]
        if first < begun and begun > 0:
            return None
        inside = recent[max(first, 0) - begun : max(last - begun, 0)]
        return np.pad(inside, (max(-first, 0), max(last - taken, 0)), mode="edge")

    def around_outside(self, gaps: Sequence[Gap]) -> Callable[[int], NDArray[np.float32] | None]:
        """`around`, but None for beats of which a part is missing."""

        def around(sample: int) -> NDArray[np.float32] | None:
            first, last = sample + FIRST, sample + LAST
            cut = any(gap.start < last and gap.end > first for gap in gaps)
            return None if cut else self.around(sample)

        return around

    def before(self, sample: int) -> NDArray[np.float32] | None:
        """The samples at 60 Hz before a beat of the second that is closed."""
        return samples_before(self.state.ecg_60hz, sample - self.base * FS)

    def close(self) -> Second:
        """Close the next second, and drop what no later one needs."""
        state, second = self.state, self.next
        around, flaws, readable = state.flaws[:WINDOW_S], 0, True
        if any(around):  # seldom
            flaws = _without_slow_heart(around, min(second, WINDOW_S // 2))
            readable = not any(flaw & _UNREADABLE for flaw in around)
        closed = self._second(flaws, readable, state.windows[0])
        self.next = second + 1
        if second >= WINDOW_S // 2:
            self.base += 1
            state.ecg_60hz = state.ecg_60hz[RATE:]
            state.flaws.pop(0)
            state.windows.pop(0)
        return closed

    def rest(self) -> Iterator[Second]:
        """Close the seconds up to the signal's end; the last window stands for those after it."""
        state, begun = self.state, self.base
        pending = self.recent[len(self.recent) - state.taken % FS :]
        if len(pending) >= FS // 4:
            low, high = _wider(state.extremes, float(pending.min()), float(pending.max()))
            state.flaws += flaws_of(
                pending[None], FS, self.model.quality, np.array([low]), np.array([high])
            ).tolist()
        elif len(pending):
            state.flaws.append(state.flaws[-1] if state.flaws else 0)
        while self.next * FS < state.taken:
            first = self.base - begun
            around = state.flaws[first : first + WINDOW_S]
            window = state.windows[first] if first < len(state.windows) else state.newest
            readable = not any(flaw & _UNREADABLE for flaw in around)
            flaws = _without_slow_heart(state.flaws, self.next - begun)
            closed = self._second(flaws, readable, window)
            self.next += 1
            self.base = max(0, self.next - WINDOW_S // 2)
            yield closed

    def _second(self, flaws: int, readable: bool, window: Window) -> Second:
        limits, (fibrillation, noise, lasting_noise, fast) = self.model.quality, window
        if noise >= limits.noise_log_odds or lasting_noise >= limits.lasting_noise_log_odds:
            flaws |= _NOISE
        if fast and not flaws & _FLAT:
            flaws |= _FAST
        start, end = self.next * FS, self.state.taken
        end = start + FS if start + FS < end else end
        return Second(start, end, flaws, readable, fibrillation)


def take_together(patients: Sequence[Seconds], chunks: Sequence[NDArray[np.float32]]) -> None:
    """Take the signal that follows for each of many patients, whatever its length.

    Computing for all of them at once takes a third of the time or less.

    Parameters
    ----------
    chunks : float32 [samples] each, mV at 360 Hz
    """
    chunks = list(chunks)
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, (seconds, chunk) in enumerate(zip(patients, chunks, strict=True)):
        state = seconds.state
        if seconds.limit is not None:
            chunk = chunks[i] = chunk[: max(0, seconds.limit - state.taken)]
        place = len(chunk), len(seconds.recent), state.taken % FS, len(state.ecg_60hz)
        alike.setdefault((id(seconds.model), len(state.windows), *place), []).append(i)
    complete: dict[int, list[tuple[Seconds, NDArray[np.float32]]]] = {}
    for (model, _, size, kept, short, _), members in alike.items():
        some = [patients[i] for i in members]
        if window_loops is not None:
            _take_by_loops(some, [chunks[i] for i in members])
            continue
        line = np.concatenate([part for i in members for part in (patients[i].recent, chunks[i])])
        line = line.reshape(len(some), kept + size)
        for seconds, row in zip(some, line, strict=True):
            seconds.recent = row
            seconds.state.taken += size
        first, count = kept - short, (short + size) // FS
        if count:
            rows = line[:, first : first + count * FS].reshape(len(some), count, FS)
            complete.setdefault(model, []).extend(zip(some, rows, strict=True))
    for judged in complete.values():
        _judge(judged, judged[0][0].model)


def _judge(some: Sequence[tuple[Seconds, NDArray[np.float32]]], model: RhythmModel) -> None:
    """Judge whole seconds of each patient, [seconds, `FS`], one at least."""
    signals = []
    for (patient, _), part in zip(some, _parts(some, model), strict=True):
        state = patient.state
        state.ecg_60hz = np.concatenate([state.ecg_60hz, part])
        signals.append(state.ecg_60hz[len(state.windows) * RATE :])
    counts = [waveform.count_windows(len(signal)) for signal in signals]
    if not any(counts):
        return
    features, again = waveform.measure_windows(signals)
    noise = model.noise
    fibrillation, noisy = kept_log_odds((model.fibrillation, noise.window), features)
    fast, at = beats_fast(again, model.quality.fast), 0
    for (patient, _), count in zip(some, counts, strict=True):
        if count:
            state, own = patient.state, slice(at, at + count)
            followed, state.noise_memory = noise.follow(
                features[own], fibrillation[own], state.noise_memory
            )
            state.windows += map(Window, fibrillation[own], noisy[own], followed, fast[own])
            state.newest, at = state.windows[-1], own.stop


def _parts(
    some: Sequence[tuple[Seconds, NDArray[np.float32]]], model: RhythmModel
) -> list[NDArray[np.float32]]:
    """Take the flaws of whole seconds of each patient; gives their signal less its hum at 60 Hz."""
    rows = np.concatenate([seconds for _, seconds in some])
    ranges = iter(zip(rows.min(axis=1).tolist(), rows.max(axis=1).tolist(), strict=True))
    rails = []
    for patient, seconds in some:
        for low, high in islice(ranges, len(seconds)):
            patient.state.extremes = _wider(patient.state.extremes, low, high)
            rails.append(patient.state.extremes)
    flaws = iter(flaws_of(rows, FS, model.quality, *np.array(rails).T).tolist())
    for patient, seconds in some:
        patient.state.flaws += islice(flaws, len(seconds))
    # Means over 1/60 s null 60 Hz and let a fifth of 50 Hz through, as 10 Hz.
    at_60hz = without_hum(rows, FS).reshape(-1, FS // RATE).mean(axis=1, dtype=np.float32)
    return np.split(at_60hz, np.cumsum([len(seconds) for _, seconds in some[:-1]]) * RATE)


def _take_by_loops(some: list[Seconds], chunks: list[NDArray[np.float32]]) -> None:
    """`take_together` by the compiled loops, which calls of numpy would hold up.

    Parameters
    ----------
    some : patients of one model who are equally far, and whose chunks are equally long
    """
    model, patients, one = some[0].model, len(some), some[0]
    size, kept, begun = len(chunks[0]), len(one.recent), len(one.state.ecg_60hz)
    first = kept - one.state.taken % FS
    count = (kept + size - first) // FS
    line = np.empty((patients, kept + size), dtype=np.float32)
    at_60hz = np.empty((patients, begun + count * RATE), dtype=np.float32)
    means = np.empty((patients, len(FEATURES)), dtype=np.float32)
    types = Extremes, Window, NoiseMemory
    limits = *model.plain_limits, *model.verdict_limits
    rest = window_loops.take(some, chunks, line, at_60hz, means, *types, *limits)
    for patient, seconds in groupby(rest, itemgetter(0)):  # seldom
        _, places, low, high = zip(*seconds, strict=True)
        rows = line[patient, first : first + count * FS].reshape(count, FS)[list(places)]
        found = flaws_of(rows, FS, model.quality, np.array(low), np.array(high)).tolist()
        for place, flaws in zip(places, found, strict=True):
            some[patient].state.flaws[place - count] = flaws


def _wider(extremes: Extremes | None, low: float, high: float) -> Extremes:
    if extremes is None:
        return Extremes(low, high)
    return Extremes(min(extremes.low, low), max(extremes.high, high))


def _without_slow_heart(flaws: Sequence[int], at: int) -> int:
    """Flaws of a second, less a flat line that is only the pause between two beats.

    If the heart is slow and the signal clean, a second between two beats is as flat as a loose
    lead's, but then those beside it are not.
    """
    beside = *flaws[max(0, at - 1) : at], *flaws[at + 1 : at + 2]
    return flaws[at] if any(flaw & _FLAT for flaw in beside) else flaws[at] & ~_FLAT
