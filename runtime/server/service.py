"""The answers of ``/predict`` and ``/stream``, whoever carried the request.

`.app` carries requests through Flask, `.asgi` past it; both come here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..detector import Detector, Stream
from ..errors import InputError, StaleTokenError
from ..findings import DOUBTFUL, Beat, Flaw, Quality, Record, Result
from ..signal.resample import thinned
from ..signal.units import check_signal
from .metrics import Metrics
from .wire import (
    Chunk,
    Window,
    at_row,
    encode_token,
    rhythm_fields,
)

Fields = dict[str, Any]
PIECES = 300  # of a recording that is answered as a whole: each has a quality of its own
PIECE_S = (4.0, 120.0)  # at least and at most


class Service:
    """The detector behind the two routes that carry signal. Safe to use from threads."""

    def __init__(self, model: Detector, metrics: Metrics):
        self.model, self._metrics = model, metrics

    def predict(self, windows: Sequence[Window]) -> list[Fields]:
        """Label the windows of any number of requests, those of one length and rate as one batch.

        Raises
        ------
        InputError
            One of them cannot be used; none is answered.
        """
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, window in enumerate(windows):
            key: tuple[object, ...] = window.fs, window.units, window.signal.shape
            groups.setdefault(key if window.signal.ndim == 1 else (i,), []).append(i)
        found: dict[int, list[Result]] = {}
        for members in groups.values():
            window = windows[members[0]]
            signal = (
                window.signal
                if len(members) == 1
                else np.stack([windows[i].signal for i in members])
            )
            result = self.model.predict(signal, window.fs, units=window.units, events=True)
            results = result if isinstance(result, list) else [result]
            if len(members) == 1:
                found[members[0]] = results
            else:
                found |= {i: [one] for i, one in zip(members, results, strict=True)}
        everyone = [one for results in found.values() for one in results]
        self._metrics.windows([one.label for one in everyone])
        self._metrics.beats([beat.label for one in everyone for beat in one.beats])
        return [
            {"results": [one.to_dict() for one in found[i]]}
            if window.signal.ndim == 2
            else found[i][0].to_dict()
            for i, window in enumerate(windows)
        ]

    def stream(self, requests: Sequence[tuple[list[Chunk], bool]]) -> list[Fields]:
        """Take the chunks of any number of requests, each with one or many, as one batch.

        Raises
        ------
        InputError
            One of them cannot be used; none is taken.
        """
        streams, signals, qualities = [], [], []
        for chunks, many in requests:
            for i, chunk in enumerate(chunks):
                try:
                    streams.append(self._stream(chunk))
                    signal = check_signal(chunk.signal, units=chunk.units, dimensions=(1,))
                except InputError as error:
                    raise at_row(error, i, many) from None
                signals.append(signal)
                qualities.append(streams[-1].assess(signal) if len(signal) else None)
        found = self.model.push(streams, signals)
        answers = [
            _answer(live, beats, quality, end=chunk.end)
            for chunk, live, quality, beats in zip(
                (chunk for chunks, _ in requests for chunk in chunks),
                streams,
                qualities,
                found,
                strict=True,
            )
        ]
        self._metrics.beats([beat["label"] for answer in answers for beat in answer["beats"]])
        each = iter(answers)
        return [
            {"results": [next(each) for _ in chunks]} if many else next(each)
            for chunks, many in requests
        ]

    def whole(self, record: Record) -> Iterator[Fields]:
        """Answer a whole recording as `annotate` does, piece by piece.

        Each answer is that of a stream. `samples` says how many of the recording it answers for:
        with its token a client goes on if it does not get the next one. `unreadable` has start and
        end, s, of each stretch of seconds whose beats are in doubt, or in which some may hide.

        Raises
        ------
        InputError
            The recording's rate is none that is taken.
        """
        signal, rate = thinned(record.signal, record.fs)
        live = self.model.stream(rate, events=True)
        shortest, longest = PIECE_S
        seconds = round(min(longest, max(shortest, len(signal) / rate / PIECES)))
        size, of_file = round(seconds * rate), round(record.fs / rate)
        for at in range(0, len(signal), size):
            piece = signal[at : at + size]
            quality = live.assess(piece)
            end = at + size >= len(signal)
            answer = _answer(live, live.push(piece), quality, end=end, rate=rate)
            self._metrics.beats([beat["label"] for beat in answer["beats"]])
            samples = len(record.signal) if end else of_file * (at + size)
            yield answer | {"samples": samples, "unreadable": _unreadable(quality, at / rate)}

    def _stream(self, chunk: Chunk) -> Stream:
        if chunk.token is None:
            if chunk.recent is not None:
                raise InputError("'recent' is there without 'carry'; expected both, or none.")
            # read_chunks refuses a chunk with neither rate nor token
            return self.model.stream(chunk.fs, events=True)  # type: ignore[arg-type]
        live = self.model.resume(chunk.token, recent=chunk.recent, units=chunk.units)
        if chunk.fs is not None and abs(self.model.stream(chunk.fs).fs - live.fs) > 0.01:
            raise StaleTokenError(
                f"fs is {chunk.fs:g} Hz but the stream was started at "
                f"{live.fs:g} Hz; a stream keeps its rate."
            )
        return live


def _answer(
    live: Stream,
    beats: list[Beat],
    quality: Quality | None,
    *,
    end: bool,
    rate: float | None = None,
) -> Fields:
    """What a stream has found; in the time of that rate, if the stream's own is only near it."""
    beats = beats + live.finish() if end else beats
    rate = rate or live.fs
    clock = live.fs / rate
    beats, events = live.in_time_of(rate, beats, live.events())
    if end and quality:
        quality = replace(quality, noisy=live.noisy)
    return {
        "beats": [beat.to_dict() for beat in beats],
        "carry": None if end else encode_token(live.save()),
        "decided": round(clock * live.decided, 4),
        "seconds": round(clock * live.seconds, 4),
        "quality": quality.to_dict() if quality else None,
        **rhythm_fields(live.tracker, events),
        **_notes(live, end=end),
    }


def _unreadable(quality: Quality, start: float) -> list[list[float]]:
    bad = [bool(flaws & (DOUBTFUL | Flaw.MISSING)) for flaws in quality.seconds]
    edges = np.flatnonzero(np.diff(bad, prepend=False, append=False))
    return [[start + first, start + last] for first, last in edges.reshape(-1, 2).tolist()]


def _notes(live: Stream, *, end: bool) -> Fields:
    """Clauses on the last second that was judged, and at the end on a strip as a whole.

    A chunk is too short to say that it is flat.
    """
    tracker = live.tracker
    notes: tuple[str, ...] = ()
    if tracker is not None:
        known = Quality.of_second(tracker.flaws)
        notes = replace(known, noisy=live.noisy if end else None).notes
    return {"notes": [*notes]} if notes else {}
