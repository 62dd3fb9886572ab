"""A worker: takes the partitions that are its share, and turns their chunks into findings.

A turn is: take what has arrived, push all patients' chunks together, publish what was found, save
the states that are due. A state is saved only after everything found up to it is out, and whoever
reads the chunks after it finds the same again; so a worker may end anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from ..chunk import unpack
from ..ekg import Detector, InputError
from ..model import model_name
from .broker import IN, PASSING, Access, Layout, connect, ended, open_logs
from .checkpoints import Checkpoints, LostStateError
from .findings import NotOursError, Outlet, Published
from .leases import Leases
from .log import Entry, LogReader
from .metrics import Metrics
from .patients import Arrived, Finding, Followed, Patients, Tally

TURN_S = 0.2  # chunks that arrive within it share a run of the network


@dataclass(frozen=True)
class Settings:
    """How a worker works.

    Attributes
    ----------
    checkpoint_s : a patient's state is saved so often
    warm_up_s : of the log's signal that a new model is shown before it takes a patient over
    metrics_port : of ``/metrics``; 0 for any, None for none
    metrics_host : address that it listens on
    """

    checkpoint_s: float = 60.0
    warm_up_s: float = 600.0
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"


@dataclass(eq=False)
class Kept:
    """A patient of a partition, with what is out and what is saved.

    Attributes
    ----------
    saved : number in the log up to which the state is saved
    revision : of the saved state; 0 if there is none
    due : when to save next, `time.monotonic`
    since : chunks received before are not for this stream, ns since 1970
    """

    followed: Followed
    saved: int
    due: float
    revision: int = 0
    since: int = 0
    published: Published = field(default_factory=Published)

    @property
    def changed(self) -> bool:
        """True if chunks were taken since the state was saved."""
        return self.followed.seq > self.saved


@dataclass(eq=False)
class Partition:
    """A partition in work.

    Attributes
    ----------
    term : of the lease
    mark, mark_revision : number in the log up to which all of it is saved, as written last
    """

    number: int
    term: int
    log: LogReader
    mark: int
    mark_revision: int
    mark_due: float
    patients: dict[str, Kept]


class Worker:
    """One worker of many. `run` works until `stop`."""

    def __init__(self, detector: Detector, access: Access, layout: Layout, settings: Settings):
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}".replace(".", "-")
        self.metrics = Metrics()
        self._detector, self._access, self._layout = detector, access, layout
        self._settings = settings
        self._patients = Patients(detector)
        self._counted = Tally()
        self._partitions: dict[int, Partition] = {}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Save all states, hand the partitions over and end `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop`.

        Raises
        ------
        BrokerError
            There is no broker to begin with.
        """
        self._client = await connect(
            self._access, name=f"ekg worker {self.name}", on_reconnect=self._mend
        )
        try:
            self._logs = await open_logs(self._client, self._layout)
            self._checkpoints = Checkpoints(self._client, self._logs)
            self._outlet = Outlet(self._logs.js, model_name(self._detector))
            self._leases = Leases(self._logs, self.name)
            if self._settings.metrics_port is not None:
                self.metrics.serve(self._settings.metrics_port, self._settings.metrics_host)
            renewing = asyncio.create_task(self._leases.keep())
            try:
                while not self._stop.is_set():
                    if renewing.done():
                        renewing.result()  # raises what ended it
                    began = time.monotonic()
                    await self._turn()
                    spent = time.monotonic() - began
                    self.metrics.busy.set(min(1.0, spent / TURN_S))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(max(0.01, TURN_S - spent)):
                            await self._stop.wait()
            finally:
                await ended(renewing)
            await self._hand_over(list(self._partitions.values()))
            await self._leases.leave()
        finally:
            await self._client.close()

    async def _turn(self) -> None:
        try:
            await self._settle()
            work = await self._arrivals()
            if work:
                await asyncio.to_thread(self._patients.take, _pushed(work))
                await self._publish(work)
            await self._save_due()
        except PASSING:  # the broker is away: what is in memory waits
            self.metrics.retries.inc()
            await asyncio.sleep(TURN_S)
        self._count()

    def _mend(self) -> None:
        for partition in self._partitions.values():
            partition.log.mend()

    async def _settle(self) -> None:
        """Open what was claimed, drop what was lost, hand over what others should have."""
        for partition in list(self._partitions.values()):
            if not self._leases.holds(partition.number, partition.term):
                await self._drop(partition)
                self.metrics.lost.inc()
        await self._hand_over(
            [self._partitions[one] for one in self._leases.unwanted & set(self._partitions)]
        )
        for number, term in sorted(self._leases.held().items()):
            if number not in self._partitions and number not in self._leases.unwanted:
                with contextlib.suppress(LostStateError):  # the lease will tell whose it is
                    self._partitions[number] = await self._open(number, term)

    async def _open(self, number: int, term: int) -> Partition:
        """Go on where the partition's states are."""
        loaded = await self._checkpoints.load(number, self._detector)
        now = time.monotonic()
        patients, since = {}, None
        for saved in loaded.patients:
            one = saved.followed
            kept = Kept(one, one.seq, now + self._settings.checkpoint_s, saved.revision)
            if saved.stale:  # another model's: show ours the signal from before that state
                kept.since = one.received - round(self._settings.warm_up_s * 1e9)
                await self._outlet.read(one.patient, kept.published)
                boundary = max(one.seq, kept.published.chunk)
                kept.followed = Followed(one.patient, boundary=boundary)
                kept.published.boundary = boundary
                since = min(since or kept.since, kept.since)
            patients[one.patient] = kept
        log = LogReader(self._client, self._logs.js, IN, f"ecg.part.{number}.*", loaded.mark)
        if since is not None:
            log.start_at(datetime.fromtimestamp(since / 1e9, UTC))
        return Partition(number, term, log, loaded.mark, loaded.revision, now, patients)

    async def _arrivals(self) -> list[tuple[Partition, Kept, list[Arrived]]]:
        work: dict[str, tuple[Partition, Kept, list[Arrived]]] = {}
        partitions = list(self._partitions.values())
        taken = await asyncio.gather(
            *(one.log.take() for one in partitions), return_exceptions=True
        )
        for partition, entries in zip(partitions, taken, strict=True):
            if isinstance(entries, PASSING):
                self.metrics.retries.inc()
                continue
            if isinstance(entries, BaseException):
                raise entries
            for entry in entries:
                patient = entry.subject.rpartition(".")[2]
                kept = partition.patients.get(patient)
                if kept is None:
                    if entry.seq <= partition.mark:
                        continue  # its state was kept for a week, and then forgotten
                    kept = Kept(Followed(patient), entry.seq - 1, self._first_due())
                    partition.patients[patient] = kept
                if entry.seq > kept.followed.seq and entry.received >= kept.since:
                    work.setdefault(patient, (partition, kept, []))[2].append(_decoded(entry))
        return list(work.values())

    def _first_due(self) -> float:
        """A moment for a new patient's first checkpoint: not all at once."""
        spread = 0.5 + secrets.randbelow(1000) / 2000
        return time.monotonic() + self._settings.checkpoint_s * spread

    async def _publish(self, work: Sequence[tuple[Partition, Kept, list[Arrived]]]) -> None:
        def sent(finding: Finding) -> None:
            self.metrics.findings.labels(finding.kind).inc()
            self.metrics.latency_s.observe(max(0.0, (time.time_ns() - finding.received) / 1e9))

        done = await asyncio.gather(
            *(
                self._outlet.publish(
                    kept.followed.patient,
                    kept.published,
                    kept.followed.take_found(),
                    partial(self._leases.holds, partition.number, partition.term),
                    sent,
                )
                for partition, kept, _ in work
            ),
            return_exceptions=True,
        )
        for (partition, _, _), result in zip(work, done, strict=True):
            if isinstance(result, NotOursError):
                await self._drop(partition)
            elif isinstance(result, BaseException):
                raise result

    async def _save_due(self) -> None:
        now = time.monotonic()
        for partition in list(self._partitions.values()):
            due = [one for one in partition.patients.values() if one.changed and one.due <= now]
            await self._save(partition, due)

    async def _save(self, partition: Partition, patients: Sequence[Kept]) -> bool:
        """Save these patients' states and the partition's mark; False if it is another's now."""
        try:
            await asyncio.gather(*(self._save_one(partition, kept) for kept in patients))
            await self._save_mark(partition)
        except LostStateError:
            await self._drop(partition)
            return False
        return True

    async def _save_one(self, partition: Partition, kept: Kept) -> None:
        seq = kept.followed.seq
        kept.revision = await self._checkpoints.save(partition.number, kept.followed, kept.revision)
        kept.saved, kept.due = seq, time.monotonic() + self._settings.checkpoint_s
        self.metrics.checkpoints.inc()

    async def _save_mark(self, partition: Partition, *, now: bool = False) -> None:
        if not now and time.monotonic() < partition.mark_due:
            return
        changed = [one.saved for one in partition.patients.values() if one.changed]
        mark = min(changed, default=partition.log.seq)
        if mark > partition.mark:
            partition.mark_revision = await self._checkpoints.mark(
                partition.number, mark, partition.mark_revision
            )
            partition.mark = mark
        partition.mark_due = time.monotonic() + self._settings.checkpoint_s / 4

    async def _hand_over(self, partitions: Sequence[Partition]) -> None:
        """Save and let go, so that another worker goes on at once."""
        for partition in partitions:
            with contextlib.suppress(*PASSING):  # else the other replays from older states
                patients = [one for one in partition.patients.values() if one.changed]
                if await self._save(partition, patients):
                    await self._save_mark(partition, now=True)
            await self._drop(partition)
            await self._leases.give_back(partition.number)

    async def _drop(self, partition: Partition) -> None:
        """Forget a partition; if the lease is still ours, it is opened again from what is saved."""
        if self._partitions.pop(partition.number, None):
            await partition.log.close()

    def _count(self) -> None:
        metrics, tally = self.metrics, self._patients.tally
        metrics.partitions.set(len(self._partitions))
        metrics.workers.set(self._leases.workers)
        metrics.patients.set(sum(len(part.patients) for part in self._partitions.values()))
        metrics.pending.set(sum(part.log.pending for part in self._partitions.values()))
        behind = [part.log.behind_s for part in self._partitions.values()]
        metrics.lag_s.set(max(behind, default=0.0))
        for name in ("chunks", "samples", "missing", "doubled", "refused"):
            now = getattr(tally, name)
            getattr(metrics, name).inc(now - getattr(self._counted, name))
            setattr(self._counted, name, now)
        for name in ("conflicts", "retries"):
            counter = getattr(metrics, name)
            counter.inc(getattr(self._outlet, name))
            setattr(self._outlet, name, 0)


def _pushed(
    work: Sequence[tuple[Partition, Kept, list[Arrived]]],
) -> list[tuple[Followed, list[Arrived]]]:
    return [(kept.followed, arrived) for _, kept, arrived in work]


def _decoded(entry: Entry) -> Arrived:
    try:
        return Arrived(entry.seq, entry.received, unpack(entry.data))
    except InputError as error:
        return Arrived(entry.seq, entry.received, str(error))
