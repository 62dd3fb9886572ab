"""The answers to hostile requests, counted by stage and status; those that must not be are kept."""

from __future__ import annotations

import http.client
import time
from collections import Counter

ANSWER_WITHIN_S = 15.0
JSON, RAW = "application/json", "application/octet-stream"


class Tally:
    """Answers by stage and status, and those that must not be."""

    def __init__(self) -> None:
        self.answers: dict[str, Counter[str]] = {}
        self.faults: list[str] = []
        self.slowest_s = 0.0

    def note(self, stage: str, status: int | None, kind: str, seconds: float, what: str) -> None:
        self.answers.setdefault(stage, Counter())[str(status or "closed")] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if status is not None and status >= 500:
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
                response.read()
                status, answered = response.status, response.headers.get_content_type()
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
