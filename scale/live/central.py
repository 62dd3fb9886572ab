"""The central view: all live patients on one page, and whether anything was lost or doubled.

It reads the log of findings as any reader does and keeps a patient's newest findings only. The page
shows what the log says, no signal: for one patient's signal there is the monitor page.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify
from nats.aio.client import Client
from nats.js.errors import NoKeysError
from werkzeug.serving import WSGIRequestHandler, make_server

from .broker import LEASES, PASSING, Access, connect, ended
from .reader import Recogniser, findings

PAGE = Path(__file__).with_name("central.html")
RATE_BEATS = 8  # a heart rate is of the last intervals
SILENT_S = 15.0  # of a patient without a finding: shown as silent
WORKERS_EVERY_S = 1.0


@dataclass
class Seen:
    """What the page shows of a patient."""

    labels: Counter[str] = field(default_factory=Counter)
    samples: deque[int] = field(default_factory=lambda: deque(maxlen=RATE_BEATS + 1))
    lasting: dict[str, int] = field(default_factory=dict)
    note: str = ""
    fs: float = 0.0
    heard: float = 0.0  # time.monotonic
    delay_s: float = 0.0

    def take(self, message: Mapping[str, Any]) -> None:
        """Take the next finding."""
        self.heard, self.fs = time.monotonic(), message["fs"]
        self.delay_s = max(0.0, time.time() - message["received"] / 1e9)
        if message["kind"] == "beat":
            self.labels[message["label"]] += 1
            self.samples.append(message["sample"])
        elif message["kind"] == "note":
            self.note = message["text"]
        elif message["end"] is None:
            self.lasting[message["event"]] = message["start"]
        else:
            self.lasting.pop(message["event"], None)

    def state(self) -> dict[str, Any]:
        """The patient as the page gets it."""
        intervals = [b - a for a, b in zip(self.samples, list(self.samples)[1:], strict=False)]
        usual = statistics.median(intervals) if intervals else 0
        return {
            "rate": round(60 * self.fs / usual) if usual > 0 else None,
            "beats": sum(self.labels.values()),
            "labels": dict(self.labels),
            "events": sorted(self.lasting),
            "note": self.note,
            "silent": time.monotonic() - self.heard > SILENT_S,
        }


class Central:
    """The state behind the page. Safe between threads.

    Parameters
    ----------
    expected : patient and ``label@sample`` or event of every finding that has to come, if a trial
        knows that; the page then counts what is foreign too
    """

    def __init__(self, expected: Collection[tuple[str, str]] = ()):
        self._lock = threading.Lock()
        self._patients: dict[str, Seen] = {}
        self._recogniser = Recogniser()
        self._workers: dict[str, int] = {}
        self._expected, self._came = frozenset(expected), Counter[tuple[str, str]]()
        self._delays: deque[float] = deque(maxlen=2000)
        self.remarks: deque[str] = deque(maxlen=6)

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message of the log."""
        with self._lock:
            if not self._recogniser.is_new(message):
                return
            seen = self._patients.setdefault(message["patient"], Seen())
            seen.take(message)
            self._delays.append(seen.delay_s)
            if self._expected and message["kind"] != "note":
                self._came[message["patient"], finding_name(message)] += 1

    def workers(self, held: Mapping[str, int]) -> None:
        """Set the workers that are there, with the number of partitions that each holds."""
        with self._lock:
            self._workers = dict(held)

    def state(self) -> dict[str, Any]:
        """All of it, as the page gets it."""
        with self._lock:
            state: dict[str, Any] = {
                "patients": {name: one.state() for name, one in sorted(self._patients.items())},
                "workers": self._workers,
                "findings": self._recogniser.kept,
                "lost": self._recogniser.lost,
                "doubled": self._recogniser.doubled,
                "delay_s": round(statistics.median(self._delays), 2) if self._delays else None,
                "remarks": list(self.remarks),
            }
            if self._expected:
                came = set(self._came)
                state["due"] = len(self._expected)
                state["to_come"] = len(self._expected - came)
                state["foreign"] = len(came - self._expected)
            return state


def finding_name(message: Mapping[str, Any]) -> str:
    """Return ``label@sample`` of a beat, ``kind@sample`` of an event, with ``-end`` at its end."""
    name = str(message["id"]).rpartition("/")[2]
    return f"{message['label']}@{name}" if message["kind"] == "beat" else name


class _Quiet(WSGIRequestHandler):
    """Without a line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def application(central: Central) -> Flask:
    """The page, and the state that it asks for every second."""
    app = Flask(__name__)

    @app.get("/")
    def page() -> Response:
        return Response(PAGE.read_text(encoding="utf-8"), content_type="text/html; charset=utf-8")

    @app.get("/state")
    def state() -> Response:
        return jsonify(central.state())

    return app


@contextlib.contextmanager
def served(central: Central, port: int) -> Iterator[str]:
    """Serve the page on this machine; gives its address."""
    server = make_server(
        "127.0.0.1", port, application(central), threaded=True, request_handler=_Quiet
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def follow(
    central: Central, access: Access, *, since: datetime | None = None, from_start: bool = False
) -> None:
    """Feed the page, for ever."""
    client = await connect(access, name="ekg tail")
    watching = asyncio.create_task(_watch_workers(central, client))
    try:
        async for message in findings(client, since=since, from_start=from_start):
            central.take(message)
    finally:
        await ended(watching)
        await client.close()


async def show(access: Access, port: int, *, since: datetime | None = None) -> None:
    """Serve the page of all patients until this is cancelled."""
    central = Central()
    with served(central, port) as url:
        print(f"all patients on {url} (Ctrl-C stops)", flush=True)
        await follow(central, access, since=since)


async def _watch_workers(central: Central, client: Client) -> None:
    while True:
        with contextlib.suppress(*PASSING):  # else the page shows those of before
            bucket = await client.jetstream().key_value(LEASES)
            try:
                keys = await bucket.keys()
            except NoKeysError:
                keys = []
            held = {key.partition(".")[2]: 0 for key in keys if key.startswith("worker.")}
            for key in keys:
                if key.startswith("partition."):
                    name = ((await bucket.get(key)).value or b"").decode()
                    held[name] = held.get(name, 0) + 1
            central.workers(held)
        await asyncio.sleep(WORKERS_EVERY_S)
