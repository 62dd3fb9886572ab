"""How far behind a worker is, as its `/metrics` say."""

from __future__ import annotations

import asyncio
import time

import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")

from runtime import Detector
from runtime.simulate import simulate
from scale.live.broker import Layout, connect, open_logs
from scale.live.local import LocalBroker
from scale.live.publisher import Publisher, Source
from scale.live.worker import Settings, Worker

FS = 250
CHUNKS = 30
WAITED_S = 1.0


def test_who_is_behind_says_by_how_much(
    broker: LocalBroker, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lag is the age of the newest chunk taken while others wait, and 0 once none does."""
    monkeypatch.setattr("scale.live.log.PULL", 4)  # it takes no more at a time
    lags, pending = [], []

    async def story() -> None:
        client = await connect(broker.access, name="test")
        await open_logs(client, Layout(partitions=4, lease_s=2.0, log_gb=0.2))
        began = time.monotonic()
        source = Source("p0", simulate(float(CHUNKS), fs=FS, seed=0).signal, FS)
        await Publisher(client).play(source, chunk_s=1.0, pace=None)
        published_s = time.monotonic() - began
        await client.close()
        await asyncio.sleep(WAITED_S)

        worker = Worker(detector, broker.access, Layout(partitions=4, lease_s=2.0), Settings())
        working = asyncio.create_task(worker.run())
        figure = worker.metrics.registry.get_sample_value
        async with asyncio.timeout(60):
            while (figure("ekg_worker_chunks_total") or 0) < CHUNKS or lags[-1] != 0:
                lags.append(figure("ekg_worker_lag_seconds") or 0.0)
                pending.append(figure("ekg_worker_pending_chunks") or 0.0)
                await asyncio.sleep(0.05)
        assert max(pending) >= CHUNKS // 2
        assert WAITED_S - published_s <= max(lags) <= time.monotonic() - began
        worker.stop()
        await working

    asyncio.run(story())
