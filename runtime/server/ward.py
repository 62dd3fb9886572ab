"""Many live patients as the central page asks for them: the signal in sight, and all that is found.

Whoever has the patients (`.central` here, a reader of a log elsewhere) puts signal and findings
in; the page asks for what is new. Only the last seconds of signal are held, and of findings the
newest; alarms, their limits and their acknowledgement are the page's own.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from flask import Blueprint, Flask, Response, jsonify, redirect, request
from numpy.typing import NDArray
from werkzeug.wrappers import Response as WerkzeugResponse

from ..errors import InputError
from ..rhythm import RATE_INTERVALS, heart_rate
from .frame import HEADERS, PROBLEM, problem_body
from .routes.kinds import kinds_script

PAGE = "static/central.html"
HOLD_S = 20.0  # of each patient's signal
HELD_FINDINGS = 20_000
SILENT_S = 5.0  # without a sample, or where there is none without a finding: no vital signs
STALE_S = 6.0  # after its last beat a rate is none any more
WAIT_S = 1.0  # for something new, before an empty answer
NO_RATE = frozenset(("asystole", "ventricular_fibrillation"))
EXPECTED = (
    'expected {"since": a number or null, "signal": {name of a patient: [recording, number of '
    "the first sample]}}."
)


@dataclass
class Bed:
    """One patient.

    Attributes
    ----------
    fs : Hz
    recording : changes when sample numbers begin anew
    chunks : of signal, mV, without a gap between them
    end : number of the sample after the last one
    beats : times of the last ones, s from the recording's start
    decided : s; what lies before is known
    lasting : events that go on, kind -> start in s
    rhythm : as a stream names it; empty if nobody says
    heard : `time.monotonic` of the last sample or finding
    ended : no more comes
    """

    fs: float = 0.0
    recording: int = 0
    chunks: deque[NDArray[np.float32]] = field(default_factory=deque)
    end: int = 0
    beats: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_INTERVALS + 1))
    decided: float = 0.0
    lasting: dict[str, float] = field(default_factory=dict)
    rhythm: str = ""
    heard: float = 0.0
    ended: bool = False

    @property
    def start(self) -> int:
        """Number of the oldest sample that is held."""
        return self.end - sum(map(len, self.chunks))

    @property
    def rate(self) -> float | None:
        """Heart rate, beats a minute; None if there is none now."""
        if (
            self.silent
            or NO_RATE & self.lasting.keys()
            or (self.beats and self.decided - self.beats[-1] > STALE_S)
        ):
            return None
        return heart_rate([b - a for a, b in pairwise(self.beats)])

    @property
    def silent(self) -> bool:
        """True if nothing comes, though it should."""
        return not self.ended and time.monotonic() - self.heard > SILENT_S

    def since(self, sample: int) -> tuple[int, NDArray[np.float32]]:
        """Return the signal from this sample on, and the number of its first one."""
        first, parts, at = min(max(sample, self.start), self.end), [], self.end
        for chunk in reversed(self.chunks):
            at -= len(chunk)
            parts.append(chunk[max(0, first - at) :])
            if at <= first:
                break
        return first, np.concatenate([np.zeros(0, np.float32), *reversed(parts)])

    def state(self) -> dict[str, Any]:
        """The patient as the page gets it."""
        rate = self.rate
        return {
            "fs": self.fs,
            "recording": self.recording,
            "rate": None if rate is None else round(rate),
            "events": self.lasting,
            "rhythm": self.rhythm,
            "silent": self.silent,
            "ended": self.ended,
        }


class Ward:
    """All patients. Safe between threads.

    Parameters
    ----------
    title : of the page
    counts : gives what the page shows beside the patients, or None
    """

    def __init__(self, title: str, counts: Callable[[], Mapping[str, Any]] | None = None):
        self.title, self._counts = title, counts
        self._start = os.urandom(8).hex()  # another process counts findings anew
        self._beds: dict[str, Bed] = {}
        self._findings: deque[dict[str, Any]] = deque(maxlen=HELD_FINDINGS)
        self._seq = 0
        self._news = threading.Condition(threading.RLock())

    def take_signal(
        self, name: str, fs: float, first: int, samples: NDArray[np.float32], recording: int = 0
    ) -> None:
        """Take the next samples of a patient.

        Parameters
        ----------
        first : number of the first sample; what was taken before is left out, a gap is filled
            with missing samples
        """
        with self._news:
            bed = self._bed(name, fs, recording)
            if not bed.chunks or first - bed.end > HOLD_S * fs:
                bed.chunks.clear()
                bed.end = first
            if first > bed.end:
                samples = np.concatenate([np.full(first - bed.end, np.nan, np.float32), samples])
            else:
                samples = samples[bed.end - first :]
            if len(samples):
                bed.chunks.append(samples)
                bed.end += len(samples)
                while bed.end - bed.start - len(bed.chunks[0]) > HOLD_S * fs:
                    bed.chunks.popleft()
            self._news.notify_all()

    def take_beat(self, name: str, fs: float, at: float, label: str, recording: int = 0) -> None:
        """Take a beat, s from the recording's start."""
        with self._news:
            bed = self._bed(name, fs, recording)
            if recording == bed.recording:  # not a late one of the recording before
                bed.beats.append(at)
                bed.decided = max(bed.decided, at)
            self._find({"kind": "beat", "patient": name, "time": round(at, 4), "label": label})

    def take_event(
        self,
        name: str,
        fs: float,
        event: str,
        start: float,
        end: float | None,
        recording: int = 0,
    ) -> None:
        """Take an event when it begins, with no end, and again with its end; s."""
        with self._news:
            bed = self._bed(name, fs, recording)
            if recording != bed.recording:
                pass
            elif end is None:
                bed.lasting[event] = start
            elif bed.lasting.get(event, start) <= start:
                bed.lasting.pop(event, None)
            self._find(
                {"kind": "event", "patient": name, "event": event, "start": start, "end": end}
            )

    def follow(self, name: str, *, decided: float, rhythm: str = "", ended: bool = False) -> None:
        """Say how far a patient's signal is decided, s, and the rhythm there."""
        with self._news:
            bed = self._beds[name]
            bed.decided, bed.rhythm, bed.ended = decided, rhythm, ended
            if ended:
                bed.lasting.clear()
            self._news.notify_all()

    def news(self, since: int | None, wanted: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        """Return all patients' states, the findings after `since`, and the signal of some.

        Waits a moment if there is nothing yet.

        Parameters
        ----------
        since : number of the last finding that is known; None for the present state alone
        wanted : name -> recording that is known, and number of its first sample that is not
        """
        counts = self._counts and dict(self._counts())  # before: it may ask for our states
        with self._news:
            self._news.wait_for(lambda: self._is_new(since, wanted), WAIT_S)
            oldest = self._findings[0]["seq"] if self._findings else 1
            known = since is not None and oldest - 1 <= since <= self._seq
            return {
                "start": self._start,
                "title": self.title,
                "seq": self._seq,
                "patients": self.states(),
                "findings": [
                    one for one in self._findings if since is not None and one["seq"] > since
                ],
                "lost": since is not None and not known,
                "signal": {
                    name: self._signal(self._beds[name], *place)
                    for name, place in wanted.items()
                    if name in self._beds
                },
                "counts": counts,
            }

    def states(self) -> dict[str, dict[str, Any]]:
        """Return each patient's state as the page gets it."""
        with self._news:
            return {name: bed.state() for name, bed in sorted(self._beds.items())}

    def _bed(self, name: str, fs: float, recording: int) -> Bed:
        bed = self._beds.get(name)
        if bed is None or (recording > bed.recording or fs != bed.fs):
            bed = self._beds[name] = Bed(fs, recording)
        bed.heard = time.monotonic()
        return bed

    def _find(self, finding: dict[str, Any]) -> None:
        self._seq += 1
        self._findings.append({"seq": self._seq, **finding})
        self._news.notify_all()

    def _is_new(self, since: int | None, wanted: Mapping[str, tuple[int, int]]) -> bool:
        return (
            since is None
            or self._seq != since
            or any(
                bed.recording != wanted[name][0] or bed.end > wanted[name][1]
                for name, bed in self._beds.items()
                if name in wanted
            )
        )

    def _signal(self, bed: Bed, recording: int, sample: int) -> dict[str, Any]:
        first, samples = bed.since(sample if recording == bed.recording else 0)
        return {
            "recording": bed.recording,
            "first": first,
            "mv": base64.b64encode(samples.astype("<f4").tobytes()).decode(),
        }


def ward_routes(ward: Ward) -> Blueprint:
    """Return what the page ``static/central.html`` asks for."""
    routes = Blueprint("ward", __name__)

    @routes.post("/central/news")
    def news() -> Response:
        return jsonify(ward.news(*_question(request.get_json(silent=True))))

    return routes


def ward_application(ward: Ward) -> Flask:
    """Return an application of the central page alone, without a model."""
    app = Flask(__name__, root_path=str(Path(__file__).parent))
    app.register_blueprint(ward_routes(ward))

    @app.get("/")
    def page() -> WerkzeugResponse:
        return redirect(PAGE)

    @app.get("/static/kinds.js")
    def kinds_module() -> Response:
        return Response(kinds_script(), content_type="text/javascript; charset=utf-8")

    @app.errorhandler(InputError)
    def refused(error: InputError) -> Response:
        body, fields = problem_body(400, str(error), "", request.path)
        return Response(body, 400, fields, content_type=PROBLEM)

    @app.after_request
    def depart(response: Response) -> Response:
        response.headers.extend({k: v for k, v in HEADERS.items() if k not in response.headers})
        return response

    return app


def _question(body: Any) -> tuple[int | None, dict[str, tuple[int, int]]]:
    try:
        since, wanted = body["since"], body["signal"]
        places = {str(name): (place[0], place[1]) for name, place in wanted.items()}
    except (TypeError, KeyError, IndexError, AttributeError):
        raise InputError(f"the body is no question for news; {EXPECTED}") from None
    if not all(type(n) is int and n >= 0 for n in (since or 0, *sum(places.values(), ()))):
        raise InputError(f"the body's numbers are no whole numbers from 0 on; {EXPECTED}")
    return since, places
