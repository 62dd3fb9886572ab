"""The answers to hostile requests, counted by stage and status; those that must not be are kept."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from multiprocessing import get_context
from multiprocessing.connection import Connection as Connected
from multiprocessing.synchronize import Event

from bench.load import Connection, Failed, Request

ANSWER_WITHIN_S = 15.0
JSON, RAW = "application/json", "application/octet-stream"


class Tally:
    """Answers by stage and status, and those that must not be. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers: dict[str, Counter[str]] = {}
        self.faults: list[str] = []
        self.slowest_s = 0.0

    def note(self, stage: str, status: int | None, kind: str, seconds: float, what: str) -> None:
        with self._lock:
            self.answers.setdefault(stage, Counter())[str(status or "closed")] += 1
            self.slowest_s = max(self.slowest_s, seconds)
        if status is not None and status >= 500 and status != 503:  # that is honest
            self.faults.append(f"{stage}: {status} on {what[:300]}")
        if status is not None and status >= 400 and kind != "application/problem+json":
            self.faults.append(f"{stage}: {status} answered as {kind!r} on {what[:300]}")
        if seconds > ANSWER_WITHIN_S:
            self.faults.append(f"{stage}: {seconds:.1f} s for {what[:300]}")


class Sender:
    """Sends anything, over a connection that is kept as long as it lasts."""

    def __init__(self, port: int, tally: Tally):
        self._port, self._tally = port, tally
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN_S)

    def send(
        self,
        stage: str,
        path: str,
        body: bytes,
        kind: str = JSON,
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> None:
        started = time.monotonic()
        status, answered = None, ""
        for _ in range(2):  # a kept connection may have been closed in the meantime
            try:
                self._connection.request(
                    method, path, body, {"Content-Type": kind} | (headers or {})
                )
                response = self._connection.getresponse()
                text = response.read()
                status, answered = response.status, response.headers.get_content_type()
                if method != "HEAD" and answered.endswith("json"):
                    json.loads(text, parse_constant=_no_number)
                break
            except ValueError as error:
                self._tally.faults.append(f"{stage}: no JSON ({error}) to {method} {path}")
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if isinstance(error, TimeoutError):
                    break
        self._tally.note(
            stage,
            status,
            answered,
            time.monotonic() - started,
            f"{method} {path} {kind} {body[:200]!r}",
        )
        if status is None:
            self._tally.faults.append(f"{stage}: no answer to {method} {path} {body[:200]!r}")


def _no_number(name: str) -> float:
    raise ValueError(name)


class Innocent:
    """A client that asks for a second of signal, again and again, while others misbehave.

    It is a process of its own: beside the attackers' threads it would measure how long it waits for
    them, not for the server.

    Attributes
    ----------
    waits_s : of its requests
    health_s : of the health checks between them, each on a connection of its own
    refused, lost : answers that were none, and connections that ended
    """

    def __init__(self, port: int, request: Request):
        processes = get_context("spawn")
        self._done, self._begun = processes.Event(), processes.Event()
        self._found, end = processes.Pipe(duplex=False)
        self._process = processes.Process(
            target=_ask, args=(port, request, self._begun, self._done, end)
        )
        self.waits_s: list[float] = []
        self.health_s: list[float] = []
        self.refused = self.lost = 0

    def __enter__(self) -> Innocent:
        self._process.start()
        self._begun.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.waits_s, self.health_s, self.refused, self.lost = self._found.recv()
        self._process.join()


def _ask(port: int, request: Request, begun: Event, done: Event, found: Connected) -> None:
    """Ask until the end, and send what was measured."""
    waits_s: list[float] = []
    health_s: list[float] = []
    refused = lost = 0
    begun.set()
    while not done.is_set():
        try:
            with Connection(port, request) as connection:
                while not done.wait(0.02):
                    started = time.perf_counter()
                    connection.ask()
                    waits_s.append(time.perf_counter() - started)
                    if len(waits_s) % 10 == 0:
                        health_s.append(_probe(port))
        except Failed as error:
            refused += "503" in str(error)
            lost += "503" not in str(error)
        except OSError:
            lost += 1
    found.send((waits_s, health_s, refused, lost))


def _probe(port: int) -> float:
    """Return how long a health check takes, s."""
    started = time.perf_counter()
    probe = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN_S)
    probe.request("GET", "/health/live")
    probe.getresponse().read()
    probe.close()
    return time.perf_counter() - started
