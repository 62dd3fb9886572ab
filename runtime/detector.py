"""The detector: one loaded model that labels windows, records and live streams.

`predict` at the end is the one-line form.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import engine
from .deprecation import renamed_attribute
from .engine import Engine
from .errors import InputError, ModelError, ProviderError
from .findings import CLASSES, Beat, Event, Quality, Record, Result
from .model import providers
from .model.artifacts import DEFAULT_ARTIFACTS, Artifacts, GoldenRhythm, Run
from .model.contract import Contract
from .model.rhythm_network import RHYTHM_GRAPH, RhythmGraph
from .model.session import Session
from .rhythm import RhythmModel, RhythmPolicy, closed
from .signal.foreign import unlike_ecg
from .signal.gaps import gap_spans
from .signal.missing import missing_samples
from .signal.noise import is_strip
from .signal.policy import QualityPolicy
from .signal.quality import assess, assess_rows
from .signal.resample import of_each, thinned
from .signal.units import check_signal
from .stream import Stream

if TYPE_CHECKING:
    from .records import Annotation

__all__ = ["DEFAULT_ARTIFACTS", "Detector", "RhythmPolicy", "Stream", "load_rhythm", "predict"]

SHORTEST_S = 1.0  # a window this long can hold a beat and what is around it
RHYTHM_S = 5.0  # a rhythm takes several beats
PIECE_S = 60.0  # whole recordings are read to the end in pieces of this length
# Share of the golden recording's beats that a quantized network may find otherwise; INT8: 0.4 %.
MAX_DIFFERING_BEATS = 0.05
log = logging.getLogger("ekg")


class Detector:
    """A model on an execution provider. Made by `Detector.load`; safe to use from threads.

    Attributes
    ----------
    session : the loaded graph
    """

    def __init__(self, session: Session, contract: Contract, digest: bytes, rhythm: RhythmModel):
        self.session = session
        self._engine = Engine(contract, digest, session.run, rhythm)

    @classmethod
    def load(
        cls,
        artifacts: str | Path = DEFAULT_ARTIFACTS,
        *,
        provider: str = "auto",
        threads: int = 1,
        model: str | None = None,
    ) -> Detector:
        """Load the model, checked: its hashes, the provider, and both golden answers.

        Parameters
        ----------
        artifacts : the folder that export wrote
        provider : auto, cpu, coreml (or mps) or cuda; a named one runs every node or is refused
        threads : of ONNX Runtime; more than one (0 for all cores) helps large batches only
        model : file in the folder to load instead of the provider's own, ``ekg_fused_int8.onnx``

        Raises
        ------
        ModelFileError, ModelError
            A file is missing, altered, or gives another answer than it did when exported.
        ProviderError
            The provider is unknown, absent, or does not run the model.
        """
        files = Artifacts(artifacts)
        candidates = providers.choose(provider)
        for i, candidate in enumerate(candidates):
            name = model or providers.graph(candidate)
            try:
                session = Session(files.path(name), candidate, threads=threads)
                contract = Contract.read(session.metadata, name)
                if model and session.metadata.get("input") == "filtered signal":
                    raise ModelError(
                        f"{name} takes filtered signal; expected a graph that holds "
                        "its filter, such as ekg_fused.onnx."
                    )
                files.golden(name).check(session.run, candidate, contract.carry_size)
                detector = cls(session, contract, files.digest(name), load_rhythm(files))
                detector.check_golden_rhythm(files.golden_rhythm(name))
            except (ProviderError, ModelError) as error:
                if i + 1 == len(candidates):
                    raise
                log.warning("%s Using provider '%s' instead.", error, candidates[i + 1])
            else:
                return detector
        raise ProviderError("this ONNX Runtime has no provider that can be used.")

    @property
    def contract(self) -> Contract:
        """The contents of the model file's metadata."""
        return self._engine.contract

    @property
    def digest(self) -> bytes:
        """The model file's SHA-256, 32 bytes."""
        return self._engine.digest

    @property
    def provider(self) -> str:
        """The execution provider that runs the model: cpu, coreml or cuda."""
        return self.session.provider

    @property
    def rhythm_policy(self) -> RhythmPolicy:
        """The limits of rhythm events and of labels in the light of the rhythm; may be replaced."""
        return self._engine.rhythm.policy

    @rhythm_policy.setter
    def rhythm_policy(self, policy: RhythmPolicy) -> None:
        self._replace_rhythm(replace(self._engine.rhythm, policy=policy))

    @property
    def quality_policy(self) -> QualityPolicy:
        """The limits of the signal's quality; may be replaced."""
        return self._engine.rhythm.quality

    @quality_policy.setter
    def quality_policy(self, policy: QualityPolicy) -> None:
        self._replace_rhythm(replace(self._engine.rhythm, quality=policy))

    rhythm = renamed_attribute("Detector", "rhythm", "rhythm_policy", settable=True)

    def predict(
        self, window: ArrayLike, fs: float = 360, *, units: str = "mV", events: bool = False
    ) -> Result | list[Result]:
        """Label a signal of any length from one second.

        Parameters
        ----------
        window : [samples], or [batch, samples] for many at once (then a list is returned); NaN,
            None or masked if a sample is missing. What no heart can have made is missing too.
        fs : Hz, 100 to 20,000; above 1000 means of a few samples are read
        units : mV, uV or V
        events : look for rhythm events too; there are none in less than 5 s

        Raises
        ------
        InputError
            Says what is wrong with the signal, its rate or its units (if most is no ECG in mV).
        """
        ecg = check_signal(window, units=units, dimensions=(1, 2))
        if not len(rows := np.atleast_2d(ecg)):
            raise InputError("the batch has 0 rows; expected [batch, samples] with one at least.")
        rows, fs = thinned(rows, fs)
        rate = self._engine.start(fs, follow_rhythm=False).rate.fs
        seconds = rows.shape[1] / rate
        follow_rhythm = events and seconds >= RHYTHM_S
        patients = [self._engine.start(fs, follow_rhythm=follow_rhythm) for _ in rows]
        if rows.shape[1] < int(SHORTEST_S * rate):
            raise InputError(
                f"the signal has {ecg.shape[-1]} samples in {len(rows)} rows, "
                f"{seconds:.3g} s; expected at least {SHORTEST_S:g} s."
            )
        found = engine.push_whole(patients, rows)
        rhythm = self._engine.rhythm
        qualities = assess_rows(rows, rate, rhythm.quality, rhythm.noise)
        unlike = partial(unlike_ecg, limits=rhythm.quality.missing)
        for row, quality in enumerate(qualities):
            in_doubt = quality.missing > 0.5 or not (quality.ok or found[row].samples)
            if in_doubt and (place := unlike(rows[row], rate)) is not None:
                raise InputError(
                    f"most of the signal is beyond what a heart can make, such as sample {place} "
                    f"({rows[row][place]:g} mV{f' in row {row}' if ecg.ndim == 2 else ''}); are "
                    f"the units right? Expected ECG in {units}."
                )
        results = [
            _result(beats.to_beats(self.contract.fs), quality, closed(patient.events))
            for beats, quality, patient in zip(found, qualities, patients, strict=True)
        ]
        return results if ecg.ndim == 2 else results[0]

    def stream(self, fs: float = 360, *, events: bool = False) -> Stream:
        """A new live stream at this sampling rate, Hz.

        With ``events`` it follows the rhythm: it reports events, and the patient's usual QRS
        complex and RR interval join in deciding what is V, and what is N or S. In atrial
        fibrillation no beat is premature, so none is labelled S.
        """
        return Stream(self._engine.start(fs, follow_rhythm=events))

    def resume(self, token: bytes, *, recent: ArrayLike | None = None, units: str = "mV") -> Stream:
        """The stream that `Stream.save` wrote, on this machine or another.

        Parameters
        ----------
        recent : the last half minute that it had taken, [samples] in ``units``. Under another
            model than the token's it goes on from these: its first `push` gives the beats that the
            other had not given, and none twice; an event that lasts is reported again.

        Raises
        ------
        TokenError, InputError
            The token is damaged, or another model's without ``recent``, or that cannot be used.
        """
        return Stream.restore(token, self._engine, recent, units=units)

    def push(
        self, streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV"
    ) -> list[list[Beat]]:
        """`Stream.push` for the streams of many patients, as one batch."""
        return Stream.push_together(streams, chunks, units=units)

    def annotate(
        self,
        record: Record | str | os.PathLike[str] | Any,
        *,
        lead: str | None = None,
        fs: float | None = None,
        units: str | None = None,
        progress: Callable[[int], object] = int,
    ) -> Annotation:
        """Beats, rhythm events and quality of a whole recording, the rhythm followed.

        Parameters
        ----------
        record : a record that was read, or anything that `ekg.read` takes
        lead, fs, units : as `ekg.read` takes them
        progress : called with the seconds of each piece that is done

        Raises
        ------
        InputError, RecordError, MissingPackageError
            The recording cannot be read; see `ekg.read`.
        """
        from .records import Annotation, read  # a program that only streams needs no files

        record = read(record, lead=lead, fs=fs, units=units)
        signal, rate = thinned(record.signal, record.fs)
        stream, beats = self.stream(rate, events=True), []
        size, left_out = max(1, round(PIECE_S * rate)), set[float]()
        artefacts = set[tuple[float, float]]()
        for at in range(0, len(signal), size):
            piece = signal[at : at + size]
            beats += stream.push(piece)
            left_out.update(stream.left_out)
            artefacts.update(stream.artefacts)
            progress(round(len(piece) / rate))
        beats, events = beats + stream.finish(), closed(stream.events())
        rhythm, clock, strip = self._engine.rhythm, stream.fs / rate, is_strip(record.seconds)
        high = sorted(time * clock for time in left_out.union(stream.left_out))
        spans = sorted((a * clock, b * clock) for a, b in artefacts.union(stream.artefacts))
        beats, events = stream.in_time_of(rate, beats, events)
        judge = partial(assess, policy=rhythm.quality, noise=rhythm.noise, whole=strip)
        missing = missing_samples(signal, rate, self.quality_policy.missing)
        gaps, missing = gap_spans(missing, rate), of_each(missing, record.fs, len(record.signal))
        return Annotation(record, beats, events, judge, gaps, self.made_by, missing, high, spans)

    @property
    def made_by(self) -> str:
        """The model, in words, as files of its findings name it."""
        return f"ekg, model {self.digest.hex()[:8]}"

    def assess(self, ecg: NDArray[np.floating], fs: float, *, whole: bool = True) -> Quality:
        """The quality of a signal, second by second, and of a strip as a whole.

        Parameters
        ----------
        ecg : [samples], mV, at least one sample; NaN if one is missing
        fs : Hz
        whole : it is a whole recording, and no part of one
        """
        return assess(ecg, fs, self.quality_policy, self._engine.rhythm.noise, whole=whole)

    def with_network(self, run: Run, contract: Contract, digest: bytes | None = None) -> Detector:
        """The same rhythm behind another network, for comparisons.

        Parameters
        ----------
        run : function from signal and carry to frames and carry, as `Session.run`
        digest : 32 bytes that name the network; those of this one by default
        """
        other = copy(self)
        other._engine = Engine(contract, digest or self.digest, run, self._engine.rhythm)
        return other

    def check_golden_rhythm(self, golden: GoldenRhythm) -> None:
        """Refuse a model that finds other beats or events than it did when it was exported.

        Raises
        ------
        ModelError
            Names the first difference.
        """
        stream = self.stream(self.contract.fs, events=True)
        beats = stream.push(golden.microvolts, units="uV") + stream.finish()
        found = [(round(beat.time * self.contract.fs), CLASSES.index(beat.label)) for beat in beats]
        expected = [(sample, label) for sample, label, _ in golden.beats]
        events = closed(stream.events())
        near = [
            abs(beat.score - score)
            for beat, (_, _, score) in zip(beats, golden.beats, strict=False)
        ]
        near += [
            max(
                abs(event.confidence - confidence),
                abs(event.start - start),
                abs((event.end or 0.0) - end),
            )
            for event, (_, start, end, confidence) in zip(events, golden.events, strict=False)
        ]
        differing = len(set(found) ^ set(expected)) / len(expected)
        if not golden.exact:
            if differing <= MAX_DIFFERING_BEATS:
                return
            what = f"{differing:.0%} of the beats otherwise than expected"
        elif found != expected:
            what = (
                f"other beats than expected ({len(found)}, of which "
                f"{len(set(found) & set(expected))} are among the expected {len(expected)})"
            )
        elif [event.kind for event in events] != [kind for kind, *_ in golden.events]:
            what = "other rhythm events than expected"
        elif not max(near, default=0.0) <= golden.tolerance:
            what = f"a score that is off by {max(near):.2g}, allowed is {golden.tolerance:g}"
        else:
            return
        raise ModelError(
            f"provider {self.provider!r} finds {what} in the golden recording; it computes "
            "wrongly here, use another provider, or copy the artifacts again."
        )

    def _replace_rhythm(self, rhythm: RhythmModel) -> None:
        self._engine = replace(self._engine, rhythm=rhythm)


def predict(
    window: ArrayLike, fs: float = 360, *, backend: str = "auto", units: str = "mV"
) -> Result | list[Result]:
    """`Detector.predict` in one line, with the project's own artifacts; loads them once."""
    return _default_detector(backend).predict(window, fs, units=units)


@lru_cache(maxsize=4)
def _default_detector(backend: str) -> Detector:
    return Detector.load(provider=backend)


def load_rhythm(files: Artifacts | None = None) -> RhythmModel:
    """The rhythm that ships with a network, by default the project's own.

    Raises
    ------
    ModelFileError, ModelError
        The file is missing, altered, or belongs to another network than the folder holds.
    """
    files = files or Artifacts(DEFAULT_ARTIFACTS)
    beats = RhythmGraph(files.path(RHYTHM_GRAPH))
    files.golden_beats().check(beats.run, beats.memory_size)
    rhythm = RhythmModel.read(files.json("rhythm.json"), files.digest("rhythm.json"), beats)
    for name in (providers.graph("cpu"), RHYTHM_GRAPH):
        if name not in files.files or files.digest(name).hex() != rhythm.networks.get(name):
            raise ModelError(
                f"rhythm.json belongs to another network than {files.folder / name}; "
                "copy the artifacts again or run `make export`."
            )
    return rhythm


def _result(beats: list[Beat], quality: Quality, events: list[Event]) -> Result:
    anomalies = [beat for beat in beats if beat.anomaly]
    certain = max((event.confidence for event in events), default=0.0)
    if not beats:
        nothing = {"none": 1.0} | dict.fromkeys(CLASSES, 0.0)
        return Result("none", bool(events), certain, nothing, [], quality, events)
    worst = max(anomalies or beats, key=lambda beat: 1 - beat.probabilities[0])
    return Result(
        worst.label,
        bool(anomalies or events),
        max(certain, *(1 - beat.probabilities[0] for beat in beats)),
        {"none": 0.0} | dict(zip(CLASSES, worst.probabilities, strict=True)),
        beats,
        quality,
        events,
    )
