"""Partitions shared among the workers that are there, by leases in a bucket that forgets.

A lease is a key that lives only while its holder renews it, and each change names the revision it
follows: of two that want it, one is refused. Who could not renew in time acts as if it had lost
the lease before the broker says so; a worker that was frozen finds that out as it wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NoKeysError

from .broker import PASSING, Logs

RENEWALS = 4  # in a lease's life
TRUSTED = 0.75  # of its life a holder trusts it


@dataclass
class _Lease:
    """A lease that we hold.

    Attributes
    ----------
    term : revision of the claim
    revision : of the last renewal
    renewed : when that was asked for, `time.monotonic`
    """

    term: int
    revision: int
    renewed: float


class Leases:
    """The partitions that this worker holds.

    Attributes
    ----------
    name : of the worker; no other's
    unwanted : partitions that others should have; `give_back` when their states are saved
    workers : that are there, this one included
    """

    def __init__(self, logs: Logs, name: str):
        self.name = name
        self.workers = 1
        self.unwanted: set[int] = set()
        self._logs = logs
        self._held: dict[int, _Lease] = {}

    @property
    def renew_every_s(self) -> float:
        """Time between two renewals, s."""
        return self._logs.lease_s / RENEWALS

    def held(self) -> dict[int, int]:
        """Return the partitions that are surely ours now, each with its term.

        A partition that was lost and claimed again has another term.
        """
        trusted = time.monotonic() - TRUSTED * self._logs.lease_s
        return {one: lease.term for one, lease in self._held.items() if lease.renewed > trusted}

    def holds(self, partition: int, term: int) -> bool:
        """True if this partition is surely ours now, and was all the time in this term."""
        return self.held().get(partition) == term

    async def keep(self) -> None:
        """Renew what is held and claim a fair share of the rest, for ever."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(*PASSING):  # while it is away what is held runs out
                await self._round()
            await asyncio.sleep(max(0.1, began + self.renew_every_s - time.monotonic()))

    async def _round(self) -> None:
        bucket = self._logs.leases
        await bucket.put(f"worker.{self.name}", b"")
        await asyncio.gather(*(self._renew(one) for one in list(self._held)))
        try:
            keys = await bucket.keys()
        except NoKeysError:
            keys = []
        workers = {key for key in keys if key.startswith("worker.")} | {f"worker.{self.name}"}
        taken = {int(key.partition(".")[2]) for key in keys if key.startswith("partition.")}
        self.workers = len(workers)
        share = -(-self._logs.partitions // len(workers))
        held = sorted(self._held)
        self.unwanted = set(held[share:])
        free = sorted(set(range(self._logs.partitions)) - taken - set(held))
        # Workers look through the free ones from different ends, so that few collide.
        start = sum(map(ord, self.name)) % max(1, len(free))
        wanted = (free[start:] + free[:start])[: max(0, share - len(held))]
        await asyncio.gather(*(self._claim(one) for one in wanted))

    async def _renew(self, partition: int) -> None:
        lease, began = self._held[partition], time.monotonic()
        try:
            lease.revision = await self._logs.leases.update(
                f"partition.{partition}", self.name.encode(), last=lease.revision
            )
            lease.renewed = began
        except KeyWrongLastSequenceError:
            await self._recover(partition, lease, began)

    async def _recover(self, partition: int, lease: _Lease, began: float) -> None:
        """See whose the lease is: a renewal may have counted although its answer was lost."""
        with contextlib.suppress(KeyNotFoundError):
            entry = await self._logs.leases.get(f"partition.{partition}")
            if entry.value == self.name.encode() and entry.revision:
                lease.revision, lease.renewed = entry.revision, began
                return
        if self._held.get(partition) is lease:  # not given back meanwhile
            del self._held[partition]

    async def _claim(self, partition: int) -> None:
        began = time.monotonic()
        with contextlib.suppress(KeyWrongLastSequenceError):  # another was faster
            revision = await self._logs.leases.create(f"partition.{partition}", self.name.encode())
            self._held[partition] = _Lease(term=revision, revision=revision, renewed=began)

    async def give_back(self, partition: int) -> None:
        """Let go of a partition, whose states are saved, so that another can take it at once."""
        lease = self._held.pop(partition, None)
        if lease is not None:
            with contextlib.suppress(*PASSING):  # else it runs out
                await self._logs.leases.delete(f"partition.{partition}", last=lease.revision)

    async def leave(self) -> None:
        """Take this worker off the list of those that are there."""
        with contextlib.suppress(*PASSING):
            await self._logs.leases.delete(f"worker.{self.name}")
