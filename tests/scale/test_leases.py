"""Partitions among workers: a fair share each, and nobody's while its holder is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")

from scale.live.broker import Layout, connect, open_logs
from scale.live.leases import Leases
from scale.live.local import LocalBroker

LAYOUT = Layout(partitions=9, lease_s=1.0, log_gb=0.01)


async def until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.05)


def run(broker: LocalBroker, story: Callable[[Callable[[str], Leases]], Awaitable[None]]) -> None:
    """Play a story with workers that renew their leases."""

    async def play() -> None:
        client = await connect(broker.access, name="test")
        logs = await open_logs(client, LAYOUT)
        tasks = []

        def worker(name: str) -> Leases:
            leases = Leases(logs, name)
            tasks.append(asyncio.create_task(leases.keep(), name=name))
            return leases

        try:
            await story(worker)
        finally:
            for task in tasks:
                task.cancel()
            await client.close()

    asyncio.run(play())


async def give_back_unwanted(leases: Leases) -> None:
    """As a worker does once the states are saved."""
    while True:
        for partition in set(leases.unwanted):
            await leases.give_back(partition)
        await asyncio.sleep(0.05)


def test_workers_share_fairly_and_nothing_is_held_twice(broker: LocalBroker) -> None:
    async def story(worker: Callable[[str], Leases]) -> None:
        workers = [worker(name) for name in ("a", "b", "c")]
        giving = [asyncio.create_task(give_back_unwanted(one)) for one in workers]
        await until(lambda: sorted(len(one.held()) for one in workers) == [3, 3, 3])
        held = [partition for one in workers for partition in one.held()]
        assert sorted(held) == list(range(9))
        for task in giving:
            task.cancel()

    run(broker, story)


def test_a_worker_that_is_silent_loses_its_partitions(broker: LocalBroker) -> None:
    async def story(worker: Callable[[str], Leases]) -> None:
        first = worker("first")
        await until(lambda: len(first.held()) == 9)
        terms = first.held()
        frozen = next(task for task in asyncio.all_tasks() if task.get_name() == "first")
        frozen.cancel()
        second = worker("second")
        await until(lambda: len(second.held()) == 9)
        assert first.held() == {}
        assert not any(first.holds(partition, term) for partition, term in terms.items())

    run(broker, story)


def test_a_claim_after_a_loss_is_another_term(broker: LocalBroker) -> None:
    async def story(worker: Callable[[str], Leases]) -> None:
        one = worker("one")
        await until(lambda: len(one.held()) == 9)
        partition, term = next(iter(one.held().items()))
        await one.give_back(partition)
        assert partition not in one.held()
        await until(lambda: partition in one.held())
        assert not one.holds(partition, term)

    run(broker, story)


def test_without_a_broker_leases_run_out(broker: LocalBroker) -> None:
    async def story(worker: Callable[[str], Leases]) -> None:
        one = worker("one")
        await until(lambda: len(one.held()) == 9)
        broker.pause()
        try:
            await until(lambda: not one.held())
        finally:
            broker.wake()
        await until(lambda: len(one.held()) == 9)

    with contextlib.suppress(asyncio.CancelledError):
        run(broker, story)


def test_what_is_given_back_during_a_renewal_is_not_held(broker: LocalBroker) -> None:
    async def story(worker: Callable[[str], Leases]) -> None:
        one = worker("one")
        await until(lambda: len(one.held()) == 9)
        for partition in [*range(9)] * 5:  # some of these fall into a renewal
            await asyncio.gather(one.give_back(partition), asyncio.sleep(0.02))
            held = one.held()
            assert all(one.holds(each, term) for each, term in held.items())
        await until(lambda: len(one.held()) == 9)

    run(broker, story)
