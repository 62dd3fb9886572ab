"""Live signal: chunks of any size and rate in, beats out, state that can be saved and moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numpy.typing import ArrayLike

from . import engine, token
from .deprecation import renamed_attribute
from .engine import NO_SEAM, Engine, Patient, Seam, moved
from .findings import Beat, Event, Quality
from .rhythm import RhythmTracker
from .rhythm.artefact import SPAN_S


class Stream:
    """One patient's signal. Made by `Detector.stream` or `Detector.resume`.

    Not safe to push from two threads at once; two streams are.
    """

    def __init__(self, patient: Patient, began: token.Began | None = None):
        self._patient = patient
        before, self._seam, now = began or token.Began(0, Seam(), Seam())
        self._before, self._last_beat = before, now.beat
        # Found in the signal that warmed it up, and not handed out yet.
        self._beats: list[Beat] = []
        self._events: list[Event] = []

    @property
    def fs(self) -> float:
        """Sampling rate, Hz."""
        return self._patient.rate.fs

    @property
    def tracker(self) -> RhythmTracker | None:
        """Follows the rhythm and the signal's quality; None if it is not followed."""
        return self._patient.tracker

    rhythm = renamed_attribute("Stream", "rhythm", "tracker")

    @property
    def seconds(self) -> float:
        """Signal taken so far, s."""
        return self._origin + self._patient.seconds

    @property
    def decided(self) -> float:
        """Everything before this moment is decided, s; `push` adds no beat before it.

        But for the first beat under a newer model, which may lie up to 0.1 s before.
        """
        return max(self._seam.decided, self._origin + self._patient.decided)

    @property
    def latency(self) -> float:
        """From an R peak to its label at the latest, s, not counting the wait for a chunk.

        It includes 0.09 s for an R peak before the frame that found it, which is rare.
        """
        return self._patient.latency

    def push(self, samples: ArrayLike, *, units: str = "mV") -> list[Beat]:
        """Take the next samples, give the beats they decide.

        Parameters
        ----------
        samples : [samples], any number, at the stream's rate; NaN, None or masked if one is
            missing. What no heart can have made is missing too.
        units : mV, uV or V

        Raises
        ------
        InputError
            The samples cannot be used; the stream stands as before, as if not pushed.
        """
        beats = engine.push_one(self._patient, samples, units=units)
        return self._given(beats.to_beats(self._patient.engine.contract.fs))

    def assess(self, samples: ArrayLike, *, units: str = "mV") -> Quality:
        """The quality of the samples that come next, one at least; takes nothing.

        `Detector.assess`, and what is known from the signal before: where a gap began that goes on,
        and that the heart is too fast.

        Raises
        ------
        InputError
            The samples cannot be used.
        """
        return self._patient.assess(samples, units=units)

    def finish(self) -> list[Beat]:
        """The beats of the last seconds, which were waiting for signal that does not come.

        The last value is held for as long as the network looks ahead. After this the stream
        takes no more.
        """
        patient = self._patient
        if patient.end is not None:
            return []
        beats = engine.push_one(patient, (), end=True)
        return self._given(beats.to_beats(patient.engine.contract.fs))

    def events(self) -> list[Event]:
        """Rhythm events that began or ended since the last call, each given once.

        One that lasts has no end yet; it comes again, with its end. Events that are not taken
        before `save` are not in the token.
        """
        events, warm = self._patient.events, self._events
        if not (events or warm):  # nearly always
            return []
        self._patient.events, self._events = [], []
        return warm + moved(events, self._origin)

    @property
    def left_out(self) -> list[float]:
        """Times, s, of the last deflections too high for this heart, as of an electrode that pops.

        They are no beats. Empty unless the rhythm is followed; not saved.
        """
        template = self.tracker and self.tracker.template
        if not template:
            return []
        fs = self._patient.engine.contract.fs
        return [self._origin + sample / fs for sample in template.left_out]

    @property
    def artefacts(self) -> list[tuple[float, float]]:
        """Start and end, s, of the last artefacts that looked like V or S beats, which are Q.

        Empty unless the rhythm is followed; not saved.
        """
        artefacts = self.tracker and self.tracker.artefacts
        if not artefacts:
            return []
        fs, origin = self._patient.engine.contract.fs, self._origin
        moments = [origin + sample / fs for sample in artefacts.found]
        return [(max(moment - SPAN_S, 0.0), moment + SPAN_S) for moment in moments]

    @property
    def noisy(self) -> bool | None:
        """True if the signal so far is noise as a whole, as a cardiologist calls a strip.

        It is judged from 6 to 60 s, and means most when the recording has ended. None of shorter
        and longer signal, unless the rhythm is followed, and if this model did not see its start.
        """
        tracker = self.tracker
        return None if tracker is None or self._origin else tracker.seconds.noisy

    def save(self) -> bytes:
        """The stream's whole state, about 23 kB; `Detector.resume` goes on from it.

        Raises
        ------
        InputError
            The stream is finished.
        """
        now = Seam(0, self.decided, self._last_beat)
        return token.pack(self._patient, token.Began(self._before, self._seam, now))

    @classmethod
    def restore(
        cls, saved: bytes, model: Engine, recent: ArrayLike | None = None, *, units: str = "mV"
    ) -> Stream:
        """The stream that `save` wrote; see `Detector.resume`."""
        patient, began, anew = token.resume(saved, model, recent)
        stream = cls(patient, began)
        if anew and recent is not None:
            stream._beats = stream.push(recent, units=units)
            stream._events = began.seam.lasting(stream.events())
        return stream

    @staticmethod
    def push_together(
        streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV"
    ) -> list[list[Beat]]:
        """`push` for many streams, in as few runs of the network as possible.

        Either every chunk is taken, or, if one of them cannot be used, none.
        """
        patients = [stream._patient for stream in streams]
        return [
            stream._given(beats.to_beats(stream._patient.engine.contract.fs))
            for beats, stream in zip(
                engine.push(patients, chunks, units=units), streams, strict=True
            )
        ]

    def in_time_of(
        self, rate: float, beats: list[Beat], events: list[Event]
    ) -> tuple[list[Beat], list[Event]]:
        """What it found, in the time of a rate, Hz, to which its own is only the nearest ratio."""
        clock = self.fs / rate
        if clock == 1:
            return beats, events
        return [replace(beat, time=beat.time * clock) for beat in beats], [
            replace(one, start=one.start * clock, end=None if one.end is None else one.end * clock)
            for one in events
        ]

    @property
    def _origin(self) -> float:
        """Seconds of the recording before the first sample that this model saw."""
        return self._before / self._patient.rate.fs

    def _given(self, beats: list[Beat]) -> list[Beat]:
        """The beats to hand out, in the recording's time."""
        if self._seam.decided > NO_SEAM:
            beats = self._beats + self._seam.fresh(beats, self._origin)
            self._beats = []
        if beats:
            self._last_beat = beats[-1].time
        return beats
