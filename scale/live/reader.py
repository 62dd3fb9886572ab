"""The findings as a reader keeps them: each once; what was missed or came twice is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from .broker import OUT, PASSING, BrokerError
from .log import LogReader

POLL_S = 0.1


@dataclass
class Recogniser:
    """Tells a finding that is new from one that came before, by the numbers it carries.

    Attributes
    ----------
    kept, lost, doubled : findings that were new; that never came; that came again
    """

    kept: int = 0
    lost: int = 0
    doubled: int = 0
    _numbers: dict[str, list[int]] = field(default_factory=dict)

    def is_new(self, message: Mapping[str, Any]) -> bool:
        """Take a message; False if it was taken before."""
        numbers, patient = message["n"], message["patient"]
        before = self._numbers.get(patient)
        if before is not None:
            steps = [now - then for now, then in zip(numbers, before, strict=True)]
            if max(steps) <= 0:
                self.doubled += 1
                return False
            self.lost += sum(steps) - 1
        self._numbers[patient] = numbers
        self.kept += 1
        return True


async def findings(
    client: Client, *, patient: str = "*", since: datetime | None = None, from_start: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """Give the findings as they come, for ever.

    Parameters
    ----------
    patient : one, or all of them
    since : from this moment of the log on; else what is new from now on
    from_start : from the log's start on

    Raises
    ------
    BrokerError
        There is no log of findings.
    """
    js: JetStreamContext = client.jetstream(timeout=5)
    try:
        newest = (await js.stream_info(OUT)).state.last_seq
    except NotFoundError as error:
        raise BrokerError(
            "the broker has no log of findings yet; start `ekg worker`, which makes it."
        ) from error
    seq = newest if since is None and not from_start else 0
    log = LogReader(client, js, OUT, f"ecg.out.{patient}", seq)
    if since is not None:
        log.start_at(since)
    try:
        while True:
            entries = []
            try:
                entries = await log.take()
            except PASSING:
                log.mend()
            for entry in entries:
                yield orjson.loads(entry.data)
            if not entries:
                await asyncio.sleep(POLL_S)
    finally:
        await log.close()
