"""Many patients' chunks into findings, without a broker: gaps, doubles, recordings, batches.

Everything here depends on the chunks in their order alone, not on how many arrive together, so
whoever replays them from a checkpoint finds the same beats and events under the same numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..chunk import Chunk
from ..ekg import Beat, Detector, Event, InputError, Stream

MAX_GAP_S = 600.0  # more missing signal ends the stream, and another begins after it
MAX_MV = 500.0  # beyond any amplifier: a stream takes such a sample as missing, a note says so
PUSH_S = 60.0  # of one patient's signal at most in one push
BEAT, EVENT, NOTE = "beat", "event", "note"


class Arrived(NamedTuple):
    """A chunk, its number in the log, and when the broker took it.

    Attributes
    ----------
    seq : number in the log
    received : ns since 1970, by the broker's clock
    chunk : the chunk, or the sentence that says why it is none
    """

    seq: int
    received: int
    chunk: Chunk | str


class Finding(NamedTuple):
    """A beat, an event or a note of one patient.

    Attributes
    ----------
    kind : beat, event or note
    stream : number in the log of the chunk that the stream began with
    number : of this kind, from 1 on, since the stream's start
    recording : that it lies in
    id : made of patient, recording and sample; the same whoever finds it
    chunk, received : of the chunk that decided it
    body : what else is published of it; a beat's has its ``sample``
    """

    kind: str
    stream: int
    number: int
    recording: int
    id: str
    chunk: int
    received: int
    body: dict[str, Any]


@dataclass(eq=False)
class Followed:
    """A patient in work.

    Attributes
    ----------
    recording, fs : of the newest recording; Hz
    origin : number of the sample that the stream began with
    next : number of the sample expected next
    stream : None before the first chunk, after a recording's end, and of a rate that none takes
    started : number in the log of the chunk that the stream began with: it names the stream
    seq : number in the log of the last chunk taken
    received : when the broker took it, ns since 1970
    boundary : number in the log of the last chunk that another model decided about; what it
        decided and what comes after do not share a push
    numbers : of findings of each kind since the stream's start
    said : notes that are made once a recording
    """

    patient: str
    recording: int = 0
    fs: float = 0.0
    origin: int = 0
    next: int = 0
    stream: Stream | None = None
    started: int = 0
    seq: int = 0
    received: int = 0
    boundary: int = 0
    numbers: dict[str, int] = field(default_factory=lambda: {BEAT: 0, EVENT: 0, NOTE: 0})
    said: set[str] = field(default_factory=set)
    found: list[Finding] = field(default_factory=list)

    def take_found(self) -> list[Finding]:
        """The findings since the last call."""
        found, self.found = self.found, []
        return found

    def decided(self, beats: Iterable[Beat]) -> None:
        """Number the beats that a push decided, then the events."""
        assert self.stream is not None
        for beat in beats:
            sample = self._sample(beat.time)
            self._find(
                BEAT,
                str(sample),
                sample=sample,
                time=round(sample / self.fs, 4),
                label=beat.label,
                score=round(beat.score, 4),
            )
        for event in self.stream.events():
            self._event(event)

    def note(self, text: str, *, once: str = "") -> None:
        """Say something that a reader should know; ``once`` in a recording under this name."""
        if once in self.said:
            return
        if once:
            self.said.add(once)
        # The place in the log tells two of one sample apart.
        self._find(NOTE, f"note@{self.next}.{self.seq}", sample=self.next, text=text)

    def _event(self, event: Event) -> None:
        start = self._sample(event.start)
        end = None if event.end is None else self._sample(event.end)
        self._find(
            EVENT,
            f"{event.kind}@{start}" + ("" if end is None else "-end"),
            event=event.kind,
            start=start,
            end=end,
            confidence=event.confidence,
        )

    def _find(self, kind: str, name: str, **body: Any) -> None:
        self.numbers[kind] += 1
        self.found.append(
            Finding(
                kind,
                self.started,
                self.numbers[kind],
                self.recording,
                f"{self.patient}/{self.recording}/{name}",
                self.seq,
                self.received,
                {"fs": self.fs, **body},
            )
        )

    def _sample(self, seconds: float) -> int:
        assert self.stream is not None
        return self.origin + round(seconds * self.stream.fs)


@dataclass
class Tally:
    """What was taken and what was wrong with it, counted since the start."""

    chunks: int = 0
    samples: int = 0
    missing: int = 0
    doubled: int = 0
    refused: int = 0


class Patients:
    """Takes chunks of many patients, a batch at a time.

    Attributes
    ----------
    tally : counts of all that was taken
    """

    def __init__(self, detector: Detector):
        self._detector = detector
        self.tally = Tally()

    def take(self, work: Iterable[tuple[Followed, Iterable[Arrived]]]) -> None:
        """Push each patient's chunks, in as few runs as possible; findings lie in `Followed`."""
        waiting = [(one, deque(arrived)) for one, arrived in work]
        while waiting:
            ready = []
            for one, arrived in waiting:
                samples = self._gather(one, arrived)
                if samples is not None:
                    ready.append((one, samples))
            if ready:
                found = self._detector.push(
                    [one.stream for one, _ in ready if one.stream], [mv for _, mv in ready]
                )
                for (one, _), beats in zip(ready, found, strict=True):
                    one.decided(beats)
            waiting = [(one, arrived) for one, arrived in waiting if arrived]

    def _gather(self, one: Followed, arrived: deque[Arrived]) -> NDArray[np.float32] | None:
        """The samples of the next push, up to where something other than samples comes."""
        parts: list[NDArray[np.float32]] = []
        size = 0
        while arrived and size < max(1.0, PUSH_S * one.fs):
            chunk = arrived[0].chunk
            if parts and one.seq <= one.boundary < arrived[0].seq:
                break
            if isinstance(chunk, Chunk) and self._interrupts(one, chunk):
                if parts:  # what was before goes first
                    break
                if one.stream:
                    self._finish(one)
                if chunk.recording == one.recording and chunk.last and not len(chunk.samples):
                    self._pass(one, arrived.popleft())
                    continue
                self._start(one, chunk, arrived[0])
            samples = self._samples(one, arrived.popleft())
            if samples is not None:
                parts.append(samples)
                size += len(samples)
            if isinstance(chunk, Chunk) and chunk.last and one.stream:
                if parts:  # pushed first; an empty chunk that says the same is still to come
                    arrived.appendleft(
                        Arrived(
                            one.seq,
                            one.received,
                            Chunk(one.fs, one.recording, one.next, chunk.samples[:0], last=True),
                        )
                    )
                else:
                    self._finish(one)
                break
        return np.concatenate(parts) if parts else None

    def _interrupts(self, one: Followed, chunk: Chunk) -> bool:
        """True if the chunk does not continue the stream that is in work."""
        if chunk.recording != one.recording:
            return chunk.recording > one.recording
        return one.stream is not None and (
            chunk.fs != one.fs or chunk.first - one.next > MAX_GAP_S * one.fs
        )

    def _start(self, one: Followed, chunk: Chunk, arrived: Arrived) -> None:
        if chunk.recording != one.recording:
            one.said = set()
        elif chunk.first > one.next:
            self._pass(one, arrived)
            one.note(f"{chunk.first - one.next} samples are missing; the stream begins anew.")
        one.recording, one.fs = chunk.recording, chunk.fs
        one.origin = one.next = chunk.first
        one.started = arrived.seq
        one.numbers = dict.fromkeys(one.numbers, 0)
        try:
            one.stream = self._detector.stream(chunk.fs, events=True)
        except InputError as error:
            self._pass(one, arrived)
            one.stream = None
            one.note(f"the recording is refused: {error}")

    def _finish(self, one: Followed) -> None:
        assert one.stream is not None
        one.decided(one.stream.finish())
        one.stream = None

    def _pass(self, one: Followed, arrived: Arrived) -> None:
        one.seq, one.received = arrived.seq, arrived.received

    def _samples(self, one: Followed, arrived: Arrived) -> NDArray[np.float32] | None:
        """The chunk's samples that continue the stream, NaN if missing; None if it has none."""
        self._pass(one, arrived)
        self.tally.chunks += 1
        chunk = arrived.chunk
        if isinstance(chunk, str):
            self.tally.refused += 1
            one.note(chunk)
            return None
        if chunk.recording < one.recording or one.stream is None:
            self.tally.refused += 1
            return None
        samples = chunk.samples
        if chunk.first < one.next:
            self.tally.doubled += min(len(samples), one.next - chunk.first)
            samples = samples[one.next - chunk.first :]
        gap = max(0, chunk.first - one.next)
        if gap and len(samples):
            one.note(f"{gap} samples are missing before sample {chunk.first}.")
            samples = np.concatenate([np.full(gap, np.nan, np.float32), samples])
        if not len(samples):
            return None
        far = np.abs(samples) > MAX_MV  # NaN is not
        if far.any():
            one.note(
                f"samples beyond ±{MAX_MV:g} mV are taken as missing; are the units right?",
                once="far",
            )
        one.next += len(samples)
        self.tally.samples += len(samples)
        self.tally.missing += int((np.isnan(samples) | far).sum())
        return samples
