"""A log's messages in order, none left out, whatever happens to the broker."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from .broker import PASSING

PULL = 512  # messages that may be under way to us, which bounds the memory
HEARTBEAT_S = 2.0
EXPIRES_S = 30.0
_SILENT_S = 3 * HEARTBEAT_S  # the consumer is gone: its node was killed, or it was forgotten


class Entry(NamedTuple):
    """A message of a log.

    Attributes
    ----------
    seq : number in the log
    received : when the broker took it, ns since 1970
    subject : that it was filed under
    """

    seq: int
    received: int
    subject: str
    data: bytes


class LogReader:
    """Reads a log, or a part of it, from a place on.

    A consumer of JetStream does the work. It keeps no place for us: ours is with us, so a consumer
    that is lost is replaced by another from where we are.

    Attributes
    ----------
    seq : number in the log of the last message taken, or that which was given
    pending : messages in the log after the newest that arrived
    """

    def __init__(self, client: Client, js: JetStreamContext, stream: str, subject: str, seq: int):
        self._client, self._js = client, js
        self._stream, self._filter = stream, subject
        self.seq, self.pending = seq, 0
        self._since: datetime | None = None
        self._taken_received = 0
        self._buffer: list[Entry] = []
        self._subscription: Subscription | None = None
        self._next = self._inbox = ""  # subjects of requests for more, and of what they bring
        self._consumer_seq = 0
        self._under_way = 0
        self._heard = 0.0
        self._broken = True

    def start_at(self, since: datetime) -> None:
        """Begin at this moment instead of at a number."""
        self._since, self.seq = since, 0

    def mend(self) -> None:
        """Ask for a new consumer: the broker was away."""
        self._broken = True

    @property
    def behind_s(self) -> float:
        """Age of the last message taken while others wait, s; 0 if none waits."""
        waiting = self._taken_received and (self.pending or self._buffer)
        return max(0.0, time.time() - self._taken_received / 1e9) if waiting else 0.0

    @property
    def _newest(self) -> int:
        return self._buffer[-1].seq if self._buffer else self.seq

    async def take(self) -> list[Entry]:
        """Return what has arrived; waits for nothing but the broker.

        Raises
        ------
        nats.errors.Error
            The broker is away. Nothing is lost; the next call tries again.
        """
        if self._broken or time.monotonic() - self._heard > _SILENT_S:
            await self._open()
        if self._under_way < PULL // 2:
            await self._pull()
        taken, self._buffer = self._buffer, []
        if taken:
            self.seq, self._since = taken[-1].seq, None
            self._taken_received = taken[-1].received
        return taken

    async def close(self) -> None:
        """Take no more."""
        if self._subscription:
            subscription, self._subscription = self._subscription, None
            with contextlib.suppress(*PASSING):  # with the connection it is gone anyway
                await subscription.unsubscribe()

    async def _open(self) -> None:
        self._broken = True  # what the old consumer still brings is brought again
        await self.close()
        at = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._newest + 1,
        )
        if self._since and not self._buffer:
            at = ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=self._since
            )
        made = await self._js.add_consumer(
            self._stream,
            at.evolve(
                filter_subject=self._filter,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=60.0,
                num_replicas=1,
                mem_storage=True,
            ),
        )
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{made.name}"
        self._consumer_seq = self._under_way = 0
        self._broken, self._heard = False, time.monotonic()
        inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(inbox, cb=self._receiver(inbox))
        self._inbox = inbox

    async def _pull(self) -> None:
        batch = PULL - self._under_way
        request = {
            "batch": batch,
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        self._under_way += batch
        await self._client.publish(self._next, json.dumps(request).encode(), reply=self._inbox)

    def _receiver(self, inbox: str) -> Callable[[Msg], Awaitable[None]]:
        async def receive(msg: Msg) -> None:
            if inbox != self._inbox or self._broken:  # of a consumer that was given up
                return
            self._heard = time.monotonic()
            status = (msg.headers or {}).get("Status")
            if status is None:
                self._arrived(msg)
            elif status == "408":  # the request is over; says how many it did not bring
                left = int((msg.headers or {}).get("Nats-Pending-Messages", self._under_way))
                self._under_way = max(0, self._under_way - left)
            elif status != "100":  # a consumer that was deleted, a server that stops
                self._broken = True

        return receive

    def _arrived(self, msg: Msg) -> None:
        meta = msg.metadata
        if meta.sequence.consumer != self._consumer_seq + 1:  # one was lost on the way
            self._broken = True
            return
        self._consumer_seq += 1
        self._under_way -= 1
        self.pending = meta.num_pending
        # A replica that is behind begins earlier than it was asked to.
        if meta.sequence.stream <= self._newest:
            return
        received = round(meta.timestamp.timestamp() * 1e6) * 1000
        self._buffer.append(Entry(meta.sequence.stream, received, msg.subject, msg.data))
