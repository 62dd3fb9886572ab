"""A live signal shown on the monitor page: ``python -m runtime stream SOURCE --page PORT``.

The server keeps nothing of a patient, so the signal is held by the one who has it: this process
reads the source, keeps its last hour, and serves the page together with the model, on this machine
only. The page requests samples by number, so that nothing is missed or taken twice.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator

import numpy as np
from flask import Blueprint, Flask, Response
from numpy.typing import ArrayLike, NDArray
from werkzeug.serving import WSGIRequestHandler, make_server

from ..detector import Detector
from ..errors import InputError
from ..signal.missing import LARGEST_MV
from ..signal.resample import resampler
from ..signal.units import MILLIVOLTS
from .app import create_app
from .site import Site, problem, query_fields

HOLD_S = 3600.0  # as long as the page holds
WAIT_S = 1.0  # for the next sample, before an empty answer
ANSWER_S = 60.0  # of signal at most


class Feed:
    """The samples of a live source, the newest hour of them; safe between threads.

    Attributes
    ----------
    start : no other feed's; if it changes, sample numbers and rate are another signal's
    """

    def __init__(self, fs: float, name: str):
        self.fs, self.name = fs, name
        self.start = os.urandom(8).hex()
        self._chunks: list[NDArray[np.float32]] = []
        self._start = self._end = 0  # samples
        self._ended = False
        self._news = threading.Condition()

    def append(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, mV; the oldest go."""
        with self._news:
            self._chunks.append(samples)
            self._end += len(samples)
            while self._end - self._start - len(self._chunks[0]) > HOLD_S * self.fs:
                self._start += len(self._chunks.pop(0))
            self._news.notify_all()

    def end(self) -> None:
        """End the signal: no more comes."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def since(self, sample: int) -> tuple[int, NDArray[np.float32], bool]:
        """Return the signal from this sample on: its first number, its mV, True if it is the last.

        Waits a moment if there is nothing yet.
        """
        with self._news:
            self._news.wait_for(lambda: self._end > sample or self._ended, WAIT_S)
            first = min(max(sample, self._start), self._end)
            max_samples, at, parts = int(ANSWER_S * self.fs), self._end, []
            for chunk in reversed(self._chunks):  # mostly the newest alone is needed
                at -= len(chunk)
                parts.append(chunk[max(0, first - at) :])
                if at <= first:
                    break
            samples = np.concatenate([np.zeros(0, np.float32), *reversed(parts)])[:max_samples]
            return first, samples, self._ended and first + len(samples) == self._end


def page(detector: Detector, feed: Feed) -> Flask:
    """The server's application, with the feed on it."""

    def routes(site: Site) -> Blueprint:
        live = Blueprint("feed", __name__)
        # From /model the page learns that there is a feed; elsewhere it does not try.
        site.more["feed"] = {"name": feed.name, "fs": feed.fs, "start": feed.start}

        @live.get("/feed")
        def samples() -> Response:
            start = query_fields().get("from", "0")
            if not (start.isascii() and start.isdecimal() and len(start) < 16):
                return problem(400, "'from' is no sample number; expected 0 or more.")
            first, signal, ended = feed.since(int(start))
            return Response(
                signal.astype("<f4").tobytes(),
                content_type="application/octet-stream",
                headers={
                    "X-EKG-From": str(first),
                    "X-EKG-Ended": str(int(ended)),
                    "X-EKG-Start": feed.start,
                },
            )

        return live

    return create_app(detector, more=[routes])


def show(
    detector: Detector,
    chunks: Iterable[ArrayLike],
    fs: float,
    *,
    units: str = "mV",
    name: str = "Live feed",
    port: int = 8000,
) -> int:
    """Serve the page on 127.0.0.1 and feed it the chunks, until Ctrl-C.

    Raises
    ------
    InputError
        No stream has such a rate or such units; nothing is served.
    """
    if units not in MILLIVOLTS:
        raise InputError(f"units {units!r} are unknown; expected one of {', '.join(MILLIVOLTS)}.")
    # As a stream would, but before the page says that all is well.
    feed, errors = Feed(resampler(fs, detector.contract.fs).fs, name), list[Exception]()
    server = make_server(
        "127.0.0.1", port, page(detector, feed), threaded=True, request_handler=Quiet
    )

    def read() -> None:
        try:
            for samples in sane(chunks, MILLIVOLTS[units]):
                feed.append(samples)
        except Exception as error:
            errors.append(error)
            server.shutdown()
        finally:
            feed.end()

    threading.Thread(target=read, daemon=True).start()
    print(f"live on http://127.0.0.1:{server.port} (Ctrl-C stops)", flush=True)
    server.serve_forever()
    for error in errors:
        raise error
    return 0


def sane(chunks: Iterable[ArrayLike], scale: float) -> Iterator[NDArray[np.float32]]:
    """The chunks times ``scale``, in mV; NaN if a value is beyond what an amplifier gives.

    The first such value is said.
    """
    warned = False
    for chunk in chunks:
        with np.errstate(over="ignore"):  # beyond float64 is beyond any amplifier too
            mv = scale * np.asarray(chunk, np.float64)
        beyond = np.abs(mv) > LARGEST_MV
        if beyond.any() and not warned:
            warned = True
            print(
                f"warning: a sample is beyond ±{LARGEST_MV:g} mV (are the units right?); such a "
                "sample is missing.",
                file=sys.stderr,
            )
        yield np.where(beyond, np.nan, mv).astype(np.float32)


class Quiet(WSGIRequestHandler):
    """Without a line for each request: the page asks several times a second."""

    protocol_version = "HTTP/1.1"  # a connection that stays

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""
