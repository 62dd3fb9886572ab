"""Live signal: chunks of any size and rate in, beats out, state that can be saved and moved."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from . import engine, token
from .deprecation import renamed_attribute
from .engine import Engine, Patient
from .findings import Beat, Event, Quality
from .rhythm import RhythmTracker


class Stream:
    """One patient's signal. Made by `Detector.stream` or `Detector.resume`.

    Not safe to push from two threads at once; two streams are.
    """

    def __init__(self, patient: Patient):
        self._patient = patient

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
        return self._patient.seconds

    @property
    def decided(self) -> float:
        """Everything before this moment is decided, s; `push` adds no beat before it."""
        return self._patient.decided

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
        return beats.to_beats(self._patient.engine.contract.fs)

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
        return engine.push_one(patient, (), end=True).to_beats(patient.engine.contract.fs)

    def events(self) -> list[Event]:
        """Rhythm events that began or ended since the last call, each given once.

        One that lasts has no end yet; it comes again, with its end. Events that are not taken
        before `save` are not in the token.
        """
        events, self._patient.events = self._patient.events, []
        return events

    def save(self) -> bytes:
        """The stream's whole state, about 23 kB; `Detector.resume` goes on from it.

        Raises
        ------
        InputError
            The stream is finished.
        """
        return token.pack(self._patient)

    @classmethod
    def restore(cls, saved: bytes, model: Engine) -> Stream:
        """The stream that `save` wrote; see `Detector.resume`."""
        return cls(token.unpack(saved, model))

    @staticmethod
    def push_together(
        streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV"
    ) -> list[list[Beat]]:
        """`push` for many streams, in as few runs of the network as possible.

        Either every chunk is taken, or, if one of them cannot be used, none.
        """
        patients = [stream._patient for stream in streams]
        return [
            beats.to_beats(patient.engine.contract.fs)
            for beats, patient in zip(
                engine.push(patients, chunks, units=units), patients, strict=True
            )
        ]
