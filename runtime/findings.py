"""Findings in a signal, as plain values: records, beats, events, quality, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = ("N", "S", "V", "F", "Q")  # AAMI EC57's
IMPOSSIBLE_RANGE_MV = 20.0  # no surface ECG swings so far: a loose electrode, or wrong units


@dataclass(frozen=True)
class Record:
    """One lead of one recording.

    Attributes
    ----------
    name : of the record
    lead : name of the lead
    fs : Hz
    signal : float64 [samples], mV, as the file has it; NaN if a sample is missing
    gaps : share of the samples that are missing
    choice : why it is this lead, as "by its name"; empty if it was asked for or is the only one
    notes : what else a reader of the results should know of the file, a clause each
    start : when the signal begins, as the file states it and without a zone; None if it does not;
        in the year 1 if the file gives the time without the date
    header : what the file says of the patient and the recording, a line each
    leads : names of all leads of the recording, of which this is one
    """

    name: str
    lead: str
    fs: float
    signal: NDArray[np.float64]
    gaps: float
    choice: str = ""
    notes: tuple[str, ...] = ()
    start: datetime | None = None
    header: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()

    @property
    def units(self) -> str:
        """Unit of the signal, whatever the file had: mV."""
        return "mV"

    @property
    def seconds(self) -> float:
        """Length, s."""
        return len(self.signal) / self.fs

    def __repr__(self) -> str:
        start = f", from {self.start.isoformat(' ', 'seconds')}" if self.start else ""
        missing = f", {self.gaps:.2%} missing" if self.gaps else ""
        return (
            f"Record({self.name!r}, lead {self.lead}, {self.seconds:.6g} s at {self.fs:g} Hz in "
            f"{self.units}{start}{missing})"
        )


@dataclass(frozen=True, slots=True)  # of a day there are 100,000
class Beat:
    """One heart beat.

    Attributes
    ----------
    time : s from the recording's start, at the R peak
    label : AAMI class: N, S (supraventricular), V (ventricular), F (fusion), Q (paced, unknown)
    score : the probability of this label, 0 to 1
    probabilities : of N, S, V, F and Q, given that there is a beat; sum 1
    """

    time: float
    label: str
    score: float
    probabilities: tuple[float, ...] = field(repr=False)

    @property
    def anomaly(self) -> bool:
        """True for every class but N."""
        return self.label != "N"

    def to_dict(self) -> dict[str, Any]:
        """The beat as JSON has it."""
        return {"time": round(self.time, 4), "label": self.label, "score": round(self.score, 4)}


@dataclass(frozen=True)
class Event:
    """Something in the rhythm that is worth knowing.

    Attributes
    ----------
    kind : one of `ekg.rhythm.kinds`
    start : s from the recording's start
    end : s; None while it lasts. The same event comes again, with its end, when it is over. One
        that later seconds contradict, as of ventricular fibrillation, ends where it began.
    confidence : 0 to 1: mean score of its beats, or the model's probability
    rule : the rule that was met, in words
    """

    kind: str
    start: float
    end: float | None
    confidence: float
    rule: str

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON has it; one that lasts has no end yet."""
        return {
            "kind": self.kind,
            "start": round(self.start, 4),
            "end": None if self.end is None else round(self.end, 4),
            "confidence": self.confidence,
            "rule": self.rule,
        }


class Flaw(IntFlag):
    """Faults of a second of signal; several may hold at once."""

    NONE = 0
    FLAT = 1
    CLIPPED = 2
    BASELINE = 4
    NOISE = 8
    POWERLINE = 16
    RAILED = 32
    MISSING = 64  # long enough to hide a beat
    FAST = 128  # the heart beats faster than beats are found


# Nothing is read from such a second: no beat of it counts, and no absence of beats.
UNREADABLE = Flaw.FLAT | Flaw.RAILED
# Beats may be false here; fibrillation, which looks like noise, is still looked for.
DOUBTFUL = UNREADABLE | Flaw.BASELINE | Flaw.NOISE


LEFT_OUT = "a deflection too high for this heart, as of an electrode that pops, is left out"
ARTEFACT = "so many Q beats are artefact that looked like V or S beats: {}"
NOISY = "the recording is noise as a whole: it cannot be read"
# One lead alone cannot separate the two.
FLAT_LINE = (
    "the signal is flat: an electrode is off, or the heart stands still; no asystole is reported"
)


@dataclass(frozen=True)
class Quality:
    """Fitness of a signal to be read.

    Attributes
    ----------
    flat : share of the seconds in which the signal hardly moves (lead off)
    clipped : share of the seconds whose peaks are cut off, or that are at the amplifier's end
    range_mv : largest less smallest value of the signal, mV
    baseline, noise, powerline : share of the seconds with baseline wander, with muscle or motion
        noise (judged from 5 s of signal on), with mains hum
    missing : share of the samples that are missing, or that no heart can have made
    fast : share of the seconds in which the heart beats faster than all its beats are found, 210
        to 900 times a minute (judged from 2 s of signal on)
    seconds : the flaws of each second
    artefacts : start and end, s, of artefact that looked like a V or S beat; known of annotated
        records alone
    noisy : a recording of 6 to 60 s is noise as a whole, as a cardiologist calls a strip; None of
        any other, and of a part of one
    """

    flat: float
    clipped: float
    range_mv: float
    baseline: float = 0.0
    noise: float = 0.0
    powerline: float = 0.0
    missing: float = 0.0
    fast: float = 0.0
    seconds: tuple[Flaw, ...] = field(default=(), repr=False)
    artefacts: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    noisy: bool | None = None

    @classmethod
    def of_second(cls, flaws: Flaw) -> Quality:
        """Return the quality of one second; its range is not known and 0."""
        flat, baseline, noise, powerline, missing, fast = (
            float(flaw in flaws)
            for flaw in (
                Flaw.FLAT,
                Flaw.BASELINE,
                Flaw.NOISE,
                Flaw.POWERLINE,
                Flaw.MISSING,
                Flaw.FAST,
            )
        )
        cut_off = float(bool(flaws & (Flaw.CLIPPED | Flaw.RAILED)))
        return cls(flat, cut_off, 0.0, baseline, noise, powerline, missing, fast, (flaws,))

    @property
    def ok(self) -> bool:
        """True if nothing makes beats doubtful.

        Hum is filtered out and does not, nor do missing samples too few to hide a beat.
        """
        return (
            self.flat == self.clipped == self.baseline == self.noise == self.fast == 0
            and not any(flaws & Flaw.MISSING for flaws in self.seconds)
            and self.range_mv <= IMPOSSIBLE_RANGE_MV
            and not self.noisy
        )

    @property
    def warning(self) -> str:
        """A clause on a signal that is flat throughout; empty for any other."""
        return FLAT_LINE if self.flat == 1 else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Clauses on what a reader of the beats should know, one for each doubt; empty if none.

        Hum is filtered out and is no doubt.
        """
        if self.warning:
            return (self.warning,)
        left_out = self.missing == 0 and any(flaws & Flaw.MISSING for flaws in self.seconds)
        said = (NOISY,) * bool(self.noisy) + (LEFT_OUT,) * left_out
        if self.artefacts:
            said += (ARTEFACT.format(len(self.artefacts)),)
        return said + tuple(
            words.format("the signal" if share == 1 else f"{share:.2%} of the signal")
            for share, words in (
                (self.missing, "{} is missing"),
                (self.fast, "in {} the heart is too fast for all its beats to be found"),
                (self.flat, "{} is flat, as with an electrode off: no asystole is reported"),
                (self.clipped, "in {} peaks are cut off, or it is at the amplifier's end"),
                (self.baseline, "in {} the baseline wanders: beats may be false"),
                (self.noise, "in {} there is muscle or motion noise: beats may be false"),
                (float(self.range_mv > IMPOSSIBLE_RANGE_MV), "{} spans more mV than an ECG does"),
            )
            if share > 0
        )

    def to_dict(self) -> dict[str, object]:
        """The quality as JSON has it, without the single seconds."""
        shares = {
            name: round(getattr(self, name), 4)
            for name in ("flat", "clipped", "baseline", "noise", "powerline", "missing", "fast")
        }
        return {
            "ok": self.ok,
            **shares,
            "range_mv": round(self.range_mv, 4),
            "noisy": self.noisy,
        }


@dataclass(frozen=True)
class Result:
    """Everything found in a signal.

    Attributes
    ----------
    label : class of the most anomalous beat: S, V, F or Q; N if all beats are normal; none if
        there is no beat
    anomaly : True if any beat is not N, or there is a rhythm event
    score : how anomalous, 0 to 1: the largest probability, over the beats, of not being N, or
        the largest confidence of an event
    probabilities : none, N, S, V, F, Q -> probability, for the beat that gave the label
    beats : all beats, in order of time
    quality : whether the signal was fit to be read
    events : rhythm events, in order of start; empty if they were not looked for
    """

    label: str
    anomaly: bool
    score: float
    probabilities: dict[str, float]
    beats: list[Beat]
    quality: Quality
    events: list[Event] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it, the server's too; ``notes`` only if there are any."""
        notes = self.quality.notes
        return {
            "label": self.label,
            "anomaly": self.anomaly,
            "score": round(self.score, 4),
            "probabilities": {k: round(v, 4) for k, v in self.probabilities.items()},
            "beats": [beat.to_dict() for beat in self.beats],
            "quality": self.quality.to_dict(),
            "events": [event.to_dict() for event in self.events],
            **({"notes": [*notes]} if notes else {}),
        }

    def __repr__(self) -> str:
        quality = "good" if self.quality.ok else "flat" if self.quality.flat == 1 else "doubtful"
        score = round(self.score, 4)  # as JSON has it, so that both print the same
        return (
            f"Result({self.label}, {'anomaly' if self.anomaly else 'no anomaly'}, score "
            f"{score:.2f}: {len(self.beats)} beats, {len(self.events)} events, signal {quality})"
        )
