"""The central view: all live patients on the central page; what was lost or came twice is counted.

It reads both logs as any reader does: chunks for the traces, findings for all that is written and
alarmed of. Only the last seconds of signal are held.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from flask import Flask, Response, jsonify
from nats.aio.client import Client
from nats.js.errors import NoKeysError, NotFoundError
from werkzeug.serving import make_server

from ..chunk import Chunk, unpack
from ..ekg import InputError
from ..ekg_server import Quiet, Ward, ward_application
from .broker import IN, LEASES, PASSING, Access, connect, ended
from .log import Entry, LogReader
from .reader import POLL_S, Recogniser, findings

WORKERS_EVERY_S = 1.0


class Central:
    """The state behind the page. Safe between threads.

    Parameters
    ----------
    expected : patient and ``label@sample`` or event of every finding that has to come, if a trial
        knows that; the page then counts what is foreign too
    """

    def __init__(self, expected: Collection[tuple[str, str]] = ()):
        self.ward = Ward("All patients", self._figures)
        self._lock = threading.Lock()
        self._labels: dict[str, Counter[str]] = {}
        self._recogniser = Recogniser()
        self._workers: dict[str, int] = {}
        self._expected, self._came = frozenset(expected), Counter[tuple[str, str]]()
        self._delays: deque[float] = deque(maxlen=2000)
        self.remarks: deque[str] = deque(maxlen=6)

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message of the log of findings."""
        with self._lock:
            if not self._recogniser.is_new(message):
                return
            patient, kind, fs = message["patient"], message["kind"], message["fs"]
            labels = self._labels.setdefault(patient, Counter())
            self._delays.append(max(0.0, time.time() - message["received"] / 1e9))
            if kind == "note":
                self.remarks.append(f"{patient}: {message['text']}")
                return
            if self._expected:
                self._came[patient, finding_name(message)] += 1
            if kind == "beat":
                labels[message["label"]] += 1
        recording = message["recording"]
        if kind == "beat":
            self.ward.take_beat(patient, fs, message["sample"] / fs, message["label"], recording)
        else:
            start, end = message["start"] / fs, message["end"]
            end = None if end is None else end / fs
            self.ward.take_event(patient, fs, message["event"], start, end, recording)

    def take_signal(self, patient: str, chunk: Chunk) -> None:
        """Take a chunk of the log of signal."""
        self.ward.take_signal(patient, chunk.fs, chunk.first, chunk.samples, chunk.recording)
        if chunk.last:
            self.ward.follow(patient, decided=chunk.end / chunk.fs, ended=True)

    def workers(self, held: Mapping[str, int]) -> None:
        """Set the workers that are there, with the number of partitions that each holds."""
        with self._lock:
            self._workers = dict(held)

    def state(self) -> dict[str, Any]:
        """All that is counted."""
        beds = self.ward.states()
        with self._lock:
            state: dict[str, Any] = {
                "patients": {
                    name: {"labels": dict(labels), **beds.get(name, {})}
                    for name, labels in sorted(self._labels.items())
                },
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

    def _figures(self) -> dict[str, Any]:
        """What the page shows beside the patients: name, value, True if that is bad."""
        state = self.state()
        figures = [("Findings", state["findings"], False)]
        figures += [
            (name.capitalize(), state[name], state[name] > 0) for name in ("lost", "doubled")
        ]
        if "foreign" in state:
            figures += [
                ("To come", state["to_come"], False),
                ("Foreign", state["foreign"], state["foreign"] > 0),
            ]
        figures.append(("From chunk to finding, s", state["delay_s"], False))
        figures += [
            (f"Partitions of {name}", held, False) for name, held in state["workers"].items()
        ]
        if not state["workers"]:
            figures.append(("Workers", 0, True))
        return {"figures": figures, "remarks": state["remarks"]}


def finding_name(message: Mapping[str, Any]) -> str:
    """Return ``label@sample`` of a beat, ``kind@sample`` of an event, with ``-end`` at its end."""
    name = str(message["id"]).rpartition("/")[2]
    return f"{message['label']}@{name}" if message["kind"] == "beat" else name


def application(central: Central) -> Flask:
    """The central page, and at /state all that is counted."""
    app = ward_application(central.ward)

    @app.get("/state")
    def state() -> Response:
        return jsonify(central.state())

    return app


@contextlib.contextmanager
def served(central: Central, port: int) -> Iterator[str]:
    """Serve the page on this machine; gives its address."""
    server = make_server(
        "127.0.0.1", port, application(central), threaded=True, request_handler=Quiet
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
    watching = [
        asyncio.create_task(_watch_workers(central, client)),
        asyncio.create_task(_watch_signal(central, client)),
    ]
    try:
        async for message in findings(client, since=since, from_start=from_start):
            central.take(message)
    finally:
        for task in watching:
            await ended(task)
        await client.close()


async def show(access: Access, port: int, *, since: datetime | None = None) -> None:
    """Serve the page of all patients until this is cancelled."""
    central = Central()
    with served(central, port) as url:
        print(f"all patients on {url} (Ctrl-C stops)", flush=True)
        await follow(central, access, since=since)


async def _watch_signal(central: Central, client: Client) -> None:
    """Take the chunks that come from now on."""
    js = client.jetstream(timeout=5)
    log: LogReader | None = None
    while True:
        entries: list[Entry] = []
        with contextlib.suppress(*PASSING, NotFoundError):  # the broker is away, or has no log yet
            if log is None:
                newest = (await js.stream_info(IN)).state.last_seq
                log = LogReader(client, js, IN, "ecg.part.*.*", newest)
            entries = await log.take()
        for entry in entries:
            with contextlib.suppress(InputError):  # a worker notes what is damaged
                central.take_signal(entry.subject.rpartition(".")[2], unpack(entry.data))
        if not entries:
            await asyncio.sleep(POLL_S)


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
