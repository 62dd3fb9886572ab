"""Many signals played at real pace and shown on the central page, as ``ekg central`` does.

This process has the signals and owns the patients' states, so it follows all of them as one batch;
the page shows what is found. On this machine only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from werkzeug.serving import make_server

from ..detector import Detector, Stream
from .app import create_app
from .feed import Quiet
from .ward import PAGE, Ward, ward_routes

CHUNK_S = 0.25


@dataclass(frozen=True)
class Played:
    """A recording that is played: its name, rate in Hz and signal in mV."""

    name: str
    fs: float
    signal: NDArray[np.floating]


def play(detector: Detector, recordings: Sequence[Played], ward: Ward) -> None:
    """Play the recordings to their ends at real pace, and put into the ward what is found."""
    streams = [detector.stream(one.fs, events=True) for one in recordings]
    began, pushed = time.monotonic(), 0
    left = list(zip(recordings, streams, strict=True))
    while left:
        pushed += 1
        time.sleep(max(0.0, began + pushed * CHUNK_S - time.monotonic()))
        pieces = [_piece(one, pushed) for one, _ in left]
        for (one, _), piece in zip(left, pieces, strict=True):
            ward.take_signal(one.name, one.fs, _at(one, pushed - 1), piece)
        found = detector.push([stream for _, stream in left], pieces)
        going = []
        for (one, stream), beats in zip(left, found, strict=True):
            ended = _at(one, pushed) >= len(one.signal)
            clock = stream.fs / one.fs  # of odd rates a stream takes the nearest ratio of its own
            for beat in [*beats, *(stream.finish() if ended else ())]:
                ward.take_beat(one.name, one.fs, beat.time * clock, beat.label)
            for event in stream.events():
                end = None if event.end is None else event.end * clock
                ward.take_event(one.name, one.fs, event.kind, event.start * clock, end)
            _follow(ward, one, stream, ended)
            if not ended:
                going.append((one, stream))
        left = going


def _follow(ward: Ward, one: Played, stream: Stream, ended: bool) -> None:
    tracker = stream.tracker
    rhythm = tracker.current if tracker is not None and not ended else ""
    ward.follow(one.name, decided=stream.decided, rhythm=rhythm, ended=ended)


def _at(one: Played, pushed: int) -> int:
    return min(len(one.signal), round(pushed * CHUNK_S * one.fs))


def _piece(one: Played, pushed: int) -> NDArray[np.float32]:
    return one.signal[_at(one, pushed - 1) : _at(one, pushed)].astype(np.float32)


def show(detector: Detector, recordings: Sequence[Played], port: int) -> None:
    """Serve the page on 127.0.0.1 and play the recordings, until Ctrl-C.

    Raises
    ------
    InputError
        No stream has such a rate; nothing is served.
    """
    for one in recordings:
        detector.stream(one.fs)
    ward, errors = Ward("All patients"), list[Exception]()
    app = create_app(detector, more=[lambda site: ward_routes(ward)])
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    threading.Thread(
        target=_guarded, args=(errors, server.shutdown, detector, recordings, ward), daemon=True
    ).start()
    url = f"http://127.0.0.1:{server.server_port}/{PAGE}"
    print(f"{len(recordings)} patients on {url} (Ctrl-C stops)", flush=True)
    server.serve_forever()
    for error in errors:
        raise error


def _guarded(
    errors: list[Exception],
    stop: Callable[[], None],
    detector: Detector,
    recordings: Sequence[Played],
    ward: Ward,
) -> None:
    try:
        play(detector, recordings, ward)
    except Exception as error:
        errors.append(error)
        stop()
