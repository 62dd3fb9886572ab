"""The detector: one loaded model that labels windows, records and live streams.

`predict` at the end is the one-line form.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .errors import InputError, ModelError, ProviderError
from .findings import CLASSES, Beat, Event, Quality, Result
from .model import providers
from .model.artifacts import Artifacts, Contract, Golden
from .model.session import Run, Session
from .rhythm.follow import Rhythm, RhythmPolicy, closed
from .signal.quality import assess_rows
from .signal.units import check_signal
from .stream import Stream, push_together, push_whole

SHORTEST_S = 1.0  # a window this long can hold a beat and what is around it
RHYTHM_S = 5.0  # a rhythm takes several beats
DEFAULT_ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"
log = logging.getLogger("ekg")


class Detector:
    """A model on an execution provider. Made by `Detector.load`; safe to use from threads.

    Attributes
    ----------
    session : the loaded graph
    contract : what the model file says of itself
    digest : the model file's SHA-256, 32 bytes
    rhythm : what makes a rhythm event; may be replaced
    """

    def __init__(self, session: Session, contract: Contract, digest: bytes):
        self.session, self.contract, self.digest = session, contract, digest
        self.rhythm = RhythmPolicy()

    @classmethod
    def load(cls, artifacts: str | Path = DEFAULT_ARTIFACTS, *, provider: str = "auto",
             threads: int = 1, model: str | None = None) -> Detector:
        """Load the model, checked: its hash, the provider, and the golden answer.

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
                    raise ModelError(f"{name} takes filtered signal; expected a graph that holds "
                                     "its filter, such as ekg_fused.onnx.")
                check_golden(session.run, candidate, contract, files.golden(name))
            except (ProviderError, ModelError) as error:
                if i + 1 == len(candidates):
                    raise
                log.warning("%s Using provider '%s' instead.", error, candidates[i + 1])
            else:
                return cls(session, contract, files.digest(name))
        raise ProviderError("this ONNX Runtime has no provider that can be used.")

    @property
    def provider(self) -> str:
        """The execution provider that runs the model: cpu, coreml or cuda."""
        return self.session.provider

    def predict(self, window: ArrayLike, fs: float = 360, *, units: str = "mV",
                events: bool = False) -> Result | list[Result]:
        """Label a signal of any length from one second.

        Parameters
        ----------
        window : [samples], or [batch, samples] for many at once (then a list is returned)
        fs : Hz, 100 to 1000
        units : mV, uV or V
        events : whether to look for rhythm events too; none are in less than 5 s

        Raises
        ------
        InputError
            Says what is wrong with the signal, its rate or its units.
        """
        ecg = check_signal(window, units=units, dimensions=(1, 2))
        rows = np.atleast_2d(ecg)
        if not len(rows):
            raise InputError("the batch has 0 rows; expected [batch, samples] with one at least.")
        streams = [self.stream(fs) for _ in rows]
        seconds = rows.shape[1] / streams[0].fs
        if events and seconds >= RHYTHM_S:
            for stream in streams:
                stream.rhythm = Rhythm(self.rhythm)
        if rows.shape[1] < int(SHORTEST_S * streams[0].fs):
            raise InputError(f"the signal has {rows.shape[1]} samples in {len(rows)} rows, "
                             f"{seconds:.3g} s at {fs:g} Hz; expected at least "
                             f"{SHORTEST_S:g} s.")
        found = push_whole(streams, rows)
        results = [_result(beats, quality, closed(stream.events()))
                   for beats, quality, stream in zip(
                       found, assess_rows(rows, streams[0].fs), streams, strict=True)]
        return results if ecg.ndim == 2 else results[0]

    def stream(self, fs: float = 360, *, events: bool = False) -> Stream:
        """A new live stream at this sampling rate, Hz.

        With ``events`` it follows the rhythm: it tells events, and decides what is V by the
        patient's usual QRS complex, and between N and S by the usual interval, but labels no beat
        S in atrial fibrillation, where none is early.
        """
        return Stream(self.contract, self.digest, self.session.run, fs,
                      Rhythm(self.rhythm) if events else None)

    def resume(self, token: bytes) -> Stream:
        """The stream that `Stream.save` wrote, on this machine or another.

        Raises
        ------
        TokenError
            The token is damaged or another model's.
        """
        return Stream.restore(token, self.contract, self.digest, self.session.run, self.rhythm)

    def push(self, streams: Sequence[Stream], chunks: Sequence[ArrayLike], *, units: str = "mV"
             ) -> list[list[Beat]]:
        """`Stream.push` for the streams of many patients, as one batch."""
        return push_together(streams, chunks, units=units)


def predict(window: ArrayLike, fs: float = 360, *, backend: str = "auto", units: str = "mV"
            ) -> Result | list[Result]:
    """`Detector.predict` in one line, with the project's own artifacts; loads them once."""
    return _default_detector(backend).predict(window, fs, units=units)


@lru_cache(maxsize=4)
def _default_detector(backend: str) -> Detector:
    return Detector.load(provider=backend)


def check_golden(run: Run, provider: str, contract: Contract, golden: Golden) -> None:
    """Refuse a provider that answers differently than the model did when it was exported."""
    carry = np.zeros((1, contract.carry_size), dtype=np.float32)
    for chunk, expected in zip(golden.ecg, golden.probabilities, strict=True):
        probabilities, carry = run(chunk[None], carry)
        worst = float(np.abs(probabilities[0] - expected).max())
        if not worst <= golden.tolerance:
            raise ModelError(
                f"provider {provider!r} answers the golden input differently than the "
                f"exported model did (by {worst:.2g}, allowed is {golden.tolerance:g}); it "
                "computes wrongly here, use another provider.")


def _result(beats: list[Beat], quality: Quality, events: list[Event]) -> Result:
    anomalies = [beat for beat in beats if beat.anomaly]
    certain = max((event.confidence for event in events), default=0.0)
    if not beats:
        return Result("none", bool(events), certain, {"none": 1.0} | dict.fromkeys(CLASSES, 0.0),
                      [], quality, events)
    worst = max(anomalies or beats, key=lambda beat: 1 - beat.probabilities[0])
    return Result(worst.label, bool(anomalies or events),
                  max(certain, *(1 - beat.probabilities[0] for beat in beats)),
                  {"none": 0.0} | dict(zip(CLASSES, worst.probabilities, strict=True)),
                  beats, quality, events)
