"""Live streams through a broker: what a reader keeps is what the detector finds, come what may."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")

from nats.js.errors import NotFoundError

from runtime import Detector
from runtime.simulate import simulate
from scale.chunk import Chunk, pack
from scale.live.broker import OUT, Access, Layout, connect, open_logs
from scale.live.central import Central, follow
from scale.live.checkpoints import Checkpoints
from scale.live.local import LocalBroker
from scale.live.publisher import Publisher, Source
from scale.live.reader import Recogniser, findings
from scale.live.worker import Settings, Worker

FS = 250
SECONDS = 30.0
PATIENTS = [
    Source(f"p{i}", simulate(SECONDS, fs=FS, seed=i, ectopic=0.3).signal, FS) for i in range(6)
]
LAYOUT = Layout(partitions=4, lease_s=2.0, log_gb=0.2)
SETTINGS = Settings(checkpoint_s=0.4)
Found = list[tuple[str, str, str]]  # patient, id without patient and recording, label


def expected(detector: Detector, sources: Sequence[Source] = PATIENTS) -> Found:
    """What the detector finds without any broker."""
    found = []
    for source in sources:
        stream = detector.stream(source.fs, events=True)
        beats = stream.push(source.signal) + stream.finish()
        found += [(source.patient, f"{round(beat.time * FS)}", beat.label) for beat in beats]
        found += [
            (
                source.patient,
                f"{event.kind}@{round(event.start * FS)}" + ("-end" if event.end else ""),
                "",
            )
            for event in stream.events()
        ]
    return sorted(found)


class Ward:
    """Workers, a publisher and a reader of one broker, in this process."""

    def __init__(self, broker: LocalBroker, detector: Detector):
        self.access, self.detector = broker.access, detector
        self.workers: list[Worker] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, detector: Detector | None = None, **settings: float) -> Worker:
        worker = Worker(
            detector or self.detector, self.access, LAYOUT, replace(SETTINGS, **settings)
        )
        self.workers.append(worker)
        self.tasks.append(asyncio.create_task(worker.run()))
        await asyncio.sleep(0.1)
        return worker

    async def crash(self, number: int) -> None:
        """End a worker where it stands: nothing is saved, nothing handed over."""
        while not self.tasks[number].done():  # a wait that ends at this moment takes no cancel
            self.tasks[number].cancel()
            await asyncio.wait([self.tasks[number]], timeout=1)

    async def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def publish(
        self, pace: float | None = 10.0, sources: Sequence[Source] = PATIENTS
    ) -> None:
        client = await connect(self.access, name="test")
        publisher = Publisher(client)
        await asyncio.gather(
            *(publisher.play(source, chunk_s=1.0, pace=pace) for source in sources)
        )
        await client.close()

    async def read(self, at_least: int, within_s: float = 60.0) -> list[dict[str, Any]]:
        """The log of findings from its start, once it is so long and no longer grows."""
        client = await connect(self.access, name="test")
        messages: list[dict[str, Any]] = []

        async def collect() -> None:
            async for message in findings(client, from_start=True):
                messages.append(message)

        collecting = asyncio.create_task(collect())
        until, seen = time.monotonic() + within_s, -1
        while time.monotonic() < until and (len(messages) < at_least or len(messages) > seen):
            seen = len(messages)
            await asyncio.sleep(0.3)
        collecting.cancel()
        await client.close()
        return messages


def figure(worker: Worker, name: str) -> float:
    """A worker's metric."""
    found = worker.metrics.registry.get_sample_value(f"ekg_worker_{name}")
    assert found is not None
    return found


def kept(messages: Sequence[dict[str, Any]]) -> Found:
    """What a reader keeps; it has recognised nothing as lost, and the log holds nothing twice."""
    recogniser = Recogniser()
    new = [message for message in messages if recogniser.is_new(message)]
    assert (recogniser.lost, recogniser.doubled) == (0, 0)
    return sorted(
        (message["patient"], message["id"].rpartition("/")[2], message.get("label", ""))
        for message in new
        if message["kind"] != "note"
    )


def run(
    broker: LocalBroker,
    detector: Detector,
    story: Callable[[Ward], Awaitable[None]],
    at_least: int | None = None,
) -> list[dict[str, Any]]:
    """Play a story to its end; gives the whole log of findings, of so many messages."""

    async def play() -> list[dict[str, Any]]:
        ward = Ward(broker, detector)
        try:
            await story(ward)
            return await ward.read(at_least or len(expected(detector)))
        finally:
            await ward.stop()

    return asyncio.run(play())


def test_two_workers_share_the_patients(broker: LocalBroker, detector: Detector) -> None:
    async def story(ward: Ward) -> None:
        first, second = await ward.start(), await ward.start()
        await ward.publish()
        await ward.read(1)
        async with asyncio.timeout(30):
            while {figure(worker, "partitions") for worker in (first, second)} != {2.0}:
                await asyncio.sleep(0.1)

    messages = run(broker, detector, story)
    assert kept(messages) == expected(detector)
    beat = next(message for message in messages if message["kind"] == "beat")
    assert beat["time"] == round(beat["sample"] / FS, 4)
    assert beat["id"] == f"{beat['patient']}/{beat['recording']}/{beat['sample']}"


def test_crashed_workers_lose_and_double_nothing(broker: LocalBroker, detector: Detector) -> None:
    async def story(ward: Ward) -> None:
        await ward.start()
        await ward.start()
        publishing = asyncio.create_task(ward.publish())
        for number in range(3):
            await asyncio.sleep(0.7)
            await ward.crash(number)
            await ward.start()
        await publishing

    assert kept(run(broker, detector, story)) == expected(detector)


def test_a_crash_between_publishing_and_saving(
    broker: LocalBroker, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saves, crashes = Checkpoints.save, [], []

    async def crash(self: Checkpoints, *arguments: Any) -> int:
        saves.append(1)
        if len(crashes) < 4 and len(saves) % 2 == 0:
            crashes.append(1)
            raise RuntimeError("the worker ends here")
        return await save(self, *arguments)

    monkeypatch.setattr(Checkpoints, "save", crash)

    async def story(ward: Ward) -> None:
        await ward.start()
        publishing = asyncio.create_task(ward.publish(pace=3.0))
        while not publishing.done():
            await asyncio.sleep(0.2)
            if ward.tasks[-1].done():
                await ward.start()
        for _ in range(20):  # it may end while it works off the rest
            await asyncio.sleep(0.2)
            if ward.tasks[-1].done():
                await ward.start()

    assert kept(run(broker, detector, story)) == expected(detector)
    assert len(crashes) == 4


def test_two_that_think_they_own_a_patient(
    broker: LocalBroker, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without leases every worker works on every patient: the log itself still takes each once."""
    from scale.live.leases import Leases

    everything = dict.fromkeys(range(LAYOUT.partitions), 1)
    monkeypatch.setattr(Leases, "held", lambda self: everything)
    monkeypatch.setattr(Leases, "holds", lambda self, partition, term: True)

    async def story(ward: Ward) -> None:
        workers = [await ward.start() for _ in range(3)]
        await ward.publish()
        await ward.read(len(expected(detector)))
        assert sum(figure(worker, "conflicts_total") for worker in workers) > 0

    assert kept(run(broker, detector, story)) == expected(detector)


def test_the_broker_may_go_away_and_come_back(broker: LocalBroker, detector: Detector) -> None:
    async def story(ward: Ward) -> None:
        await ward.start()
        await ward.start()
        publishing = asyncio.create_task(ward.publish())
        for _ in range(2):
            await asyncio.sleep(0.8)
            broker.kill()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(broker.start)
        await publishing

    assert kept(run(broker, detector, story)) == expected(detector)


def test_workers_that_come_late_find_everything_in_the_log(
    broker: LocalBroker, detector: Detector
) -> None:
    async def story(ward: Ward) -> None:
        client = await connect(ward.access, name="test")
        await open_logs(client, LAYOUT)
        await client.close()
        await ward.publish(pace=None)
        await ward.start()

    assert kept(run(broker, detector, story)) == expected(detector)


def test_a_new_model_takes_over_with_the_memory_of_the_old_one(
    broker: LocalBroker, detector: Detector
) -> None:
    """The same network under another name: what it finds is what the old one would have found."""
    fresh = detector.with_network(
        detector.session.run, detector.contract, bytes(reversed(detector.digest))
    )

    async def story(ward: Ward) -> None:
        await ward.start(warm_up_s=3600.0)
        publishing = asyncio.create_task(ward.publish())
        await asyncio.sleep(1.5)
        await ward.start(fresh, warm_up_s=3600.0)
        ward.workers[0].stop()
        await ward.tasks[0]
        await publishing

    messages = run(broker, detector, story)
    assert kept(messages) == expected(detector)
    assert len({message["model"] for message in messages}) == 2


def test_a_gap_and_a_damaged_chunk_are_said(broker: LocalBroker, detector: Detector) -> None:
    source = PATIENTS[0]

    async def story(ward: Ward) -> None:
        await ward.start()
        await asyncio.sleep(1)
        client = await connect(ward.access, name="test")
        publisher = Publisher(client)
        for first in (0, FS, FS // 2):  # half of the third came before
            await publisher.send("p0", Chunk(FS, 1, first, source.signal[first : first + FS]))
        js = client.jetstream()
        await js.publish("ecg.in.p0", b"not a chunk")
        await publisher.send("p0", Chunk(20.0, 2, 0, source.signal[:20], last=True))
        await ward.read(2)
        worker = ward.workers[0]
        assert figure(worker, "doubled_samples_total") == FS
        assert figure(worker, "refused_chunks_total") >= 1
        await client.close()

    notes = [message for message in run(broker, detector, story, 1) if message["kind"] == "note"]
    assert notes[0]["text"].startswith("11 bytes are no chunk of signal")
    assert notes[1]["text"].startswith("the recording is refused: ")


def test_a_full_log_refuses_and_the_publisher_keeps(broker: LocalBroker) -> None:
    """Nothing is dropped unsaid: the chunk is sent again until there is room."""

    async def story() -> None:
        client = await connect(broker.access, name="test")
        logs = await open_logs(client, replace(LAYOUT, log_gb=2e-5))
        publisher = Publisher(client)
        chunk = Chunk(FS, 1, 0, PATIENTS[0].signal[: 4 * FS])
        sending = asyncio.create_task(
            publisher.play(Source("full", PATIENTS[0].signal, FS), chunk_s=4.0, pace=None)
        )
        while not publisher.retries:
            await asyncio.sleep(0.05)
        assert len(pack(chunk)) < 5000
        assert publisher.waiting == 1
        sent = publisher.sent
        await logs.js.purge_stream("ECG_IN")
        while publisher.sent == sent:
            await asyncio.sleep(0.05)
        sending.cancel()
        await client.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_no_broker_is_one_sentence() -> None:
    from scale.live import broker as module

    async def story() -> None:
        await connect(Access(("nats://127.0.0.1:9",)), name="test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CONNECT_S", 0.5)
        with pytest.raises(
            module.BrokerError, match=r"no broker takes us at nats://127\.0\.0\.1:9"
        ):
            asyncio.run(story())


def test_the_central_view_has_signal_and_findings(broker: LocalBroker, detector: Detector) -> None:
    async def play() -> None:
        ward, central = Ward(broker, detector), Central()
        await ward.start()
        await until(lambda: _has_logs(ward.access))
        following = asyncio.create_task(follow(central, ward.access))
        await asyncio.sleep(0.5)
        await ward.publish(sources=PATIENTS[:2])
        due = len(expected(detector, PATIENTS[:2]))
        await until(lambda: _has(central, due))
        following.cancel()
        await ward.stop()
        news = central.ward.news(None, {source.patient: (0, 0) for source in PATIENTS[:2]})
        assert (central.state()["lost"], central.state()["doubled"]) == (0, 0)
        for source in PATIENTS[:2]:
            part = news["signal"][source.patient]
            samples = np.frombuffer(base64.b64decode(part["mv"]), "<f4")
            end = part["first"] + len(samples)
            assert end == len(source.signal)
            np.testing.assert_allclose(samples, source.signal[part["first"] :], atol=1e-6)

    asyncio.run(play())


async def _has(central: Central, due: int) -> bool:
    return bool(central.state()["findings"] >= due)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(600):
        if await true():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it never came true")


async def _has_logs(access: Access) -> bool:
    client = await connect(access, name="test")
    try:
        await client.jetstream(timeout=5).stream_info(OUT)
    except NotFoundError:
        return False
    finally:
        await client.close()
    return True
