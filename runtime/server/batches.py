"""Requests for the detector: short ones that came in together as one batch, long ones in a thread.

The event loop (`.asgi`) works on the short ones itself, for there are many of them and what is
around each costs as much as the network; nobody is waited for to fill a batch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

from ..errors import EkgError
from .admission import WAIT_S, Admission
from .frame import PROBLEM, problem_body, problem_of
from .service import Fields
from .site import Site, unrepeated
from .wire import JSON, MAX_TOKEN, RAW, dump, read_chunks, read_window

# Bytes of signal that the loop may work on itself, some milliseconds at the worst; a token of
# /stream comes on top.
SHORT = {JSON: 16 << 10, RAW: 8 << 10}
# Lists in such a request: in a batch every patient is one, and costs a good part of a request.
LISTS = 8
# Of the event loop, where several ask at once: it reads what has come, begins to answer it, and so
# on. A batch of six costs a third less a request than one of two.
PASSES = 3
log = logging.getLogger("ekg")


class Answer(NamedTuple):
    """Status, media type, body, and headers beside those of every answer."""

    status: int
    media_type: str
    body: bytes
    headers: dict[str, str]


@dataclass(eq=False, slots=True)
class Asked:
    """A request, once its head is there.

    Attributes
    ----------
    size : bytes of the body, as announced or as they came
    client : name of who asks, if it has one
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    id: str
    media_type: str
    started: float
    size: int
    body: bytes = b""
    client: str = ""
    answer: asyncio.Future[Answer] | None = None

    @property
    def short(self) -> bool:
        """True if the loop may work on it itself."""
        token = MAX_TOKEN if self.path == "/stream" else 0
        return self.size <= SHORT.get(self.media_type, 0) + token and (
            self.media_type != JSON or self.body.count(b"[") <= LISTS
        )


class Batches:
    """The work on /predict and /stream of one worker.

    Parameters
    ----------
    site : the application's
    """

    def __init__(self, site: Site):
        self._site = site
        in_work = site.metrics.in_work
        # A queue of each: short requests do not wait behind long ones.
        self._short, self._long = Admission(in_work), Admission(in_work, work_s=WAIT_S)
        self._lane = ThreadPoolExecutor(1)
        self._together: dict[str, list[Asked]] = {"/predict": [], "/stream": []}

    def queue(self, asked: Asked) -> Admission:
        """Return the bound on requests such as this one."""
        return self._short if asked.short else self._long

    async def answer(self, asked: Asked) -> Answer:
        """Answer a request whose body is there, with those that are there as well."""
        loop = asyncio.get_running_loop()
        if not asked.short:
            self._long.enter()
            return await loop.run_in_executor(self._lane, self._compute_long, asked)
        self._short.enter()
        together = self._together[asked.path]
        together.append(asked)
        if len(together) > 1:
            asked.answer = loop.create_future()
            return await asked.answer
        await asyncio.sleep(0)  # those that came in with it join
        for _ in range(PASSES if len(together) > 1 else 0):
            await asyncio.sleep(0)  # and those whose requests came meanwhile
        self._together[asked.path] = []
        answers = self._results(together, self._short)
        for other, answer in zip(together[1:], answers[1:], strict=True):
            if other.answer is not None and not other.answer.done():
                other.answer.set_result(answer)
        return answers[0]

    def close(self) -> None:
        """Take no more."""
        self._lane.shutdown(wait=False)

    def _compute_long(self, asked: Asked) -> Answer:
        with self._site.long_work(asked.size):
            return self._results([asked], self._long)[0]

    def _results(self, requests: Sequence[Asked], queue: Admission) -> list[Answer]:
        """Answer requests of one route as one batch, and give back their places in the queue."""
        started = time.perf_counter()
        try:
            fields = self._fields(requests)
        except Exception as error:
            # One of many may be bad; the others are not to suffer from it. Nothing was counted
            # yet: the service counts what it answers, all of a batch or none.
            if len(requests) > 1:
                return [answer for asked in requests for answer in self._results([asked], queue)]
            answers = [refusal(requests[0], error)]
        else:
            answers = [
                Answer(200, JSON, dump(one | self._origin(asked)), {})
                for asked, one in zip(requests, fields, strict=True)
            ]
        queue.leave((time.perf_counter() - started) / len(requests), len(requests))
        return answers

    def _origin(self, asked: Asked) -> Fields:
        latency_ms = round(1000 * (time.perf_counter() - asked.started), 3)
        return {"provider": self._site.model.provider, "latency_ms": latency_ms}

    def _fields(self, requests: Sequence[Asked]) -> list[Fields]:
        service = self._site.service
        if requests[0].path == "/predict":
            return service.predict(
                [read_window(one.body, one.media_type, _fields_of(one.query)) for one in requests]
            )
        return service.stream(
            [read_chunks(one.body, one.media_type, _fields_of(one.query)) for one in requests]
        )


def refusal(asked: Asked, error: Exception) -> Answer:
    """Answer what went wrong; what was not foreseen stands in the log only."""
    known = isinstance(error, EkgError)
    status, more, fields = problem_of(error) if known else (500, {}, {})  # type: ignore[arg-type]
    detail = str(error)
    if status == 500:
        log.error("unexpected error", exc_info=error, extra={"fields": {"id": asked.id}})
        detail = "the server failed on this request; its log says where."
    body, more = problem_body(status, detail, asked.id, asked.path, more, fields)
    return Answer(status, PROBLEM, body, more)


@lru_cache(maxsize=64)  # they are mostly alike
def _fields_of(query: str) -> dict[str, str]:
    """Return a query's fields as Flask reads them."""
    return unrepeated(
        MultiDict(parse_qsl(query, keep_blank_values=True, errors="werkzeug.url_quote"))
    )
