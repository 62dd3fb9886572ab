"""Patients' signals to the broker: each chunk is kept until the broker has it on its disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError
from numpy.typing import ArrayLike, NDArray

from ..chunk import Chunk, pack, unpack
from .broker import IN, PASSING

RETRY_S = 0.25


@dataclass
class Source:
    """A patient's signal from a recording.

    Attributes
    ----------
    signal : [samples], mV; NaN where one is missing
    fs : Hz
    offset_s : its chunks come so much after the others', so that not all come at once
    """

    patient: str
    signal: NDArray[np.floating]
    fs: float
    offset_s: float = 0.0


class Spool:
    """Chunks on disk until the broker has them: what a feed brought survives its reader's death."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")

    def left(self) -> list[bytes]:
        """Return the chunks that an earlier process left."""
        self._file.seek(0)
        data, at, chunks = self._file.read(), 0, []
        while at + 4 <= len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            if at + 4 + size > len(data):  # it died while it wrote this one
                break
            chunks.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        return chunks

    def append(self, chunk: bytes) -> None:
        """Keep a chunk."""
        self._file.write(len(chunk).to_bytes(4, "little") + chunk)
        self._file.flush()

    def clear(self) -> None:
        """Forget all of them: the broker has them."""
        self._file.truncate(0)

    def close(self) -> None:
        """Leave the file as it is."""
        self._file.close()


class Publisher:
    """Sends chunks in order, each patient's one after another.

    Attributes
    ----------
    sent, waiting, retries : chunks acknowledged; not yet; times that one had to be sent again
    """

    def __init__(self, client: Client, *, step_mv: float | None = None):
        self.sent = self.waiting = self.retries = 0
        self._js: JetStreamContext = client.jetstream(timeout=5)
        self._step_mv = step_mv

    async def send(self, patient: str, chunk: Chunk) -> None:
        """Send until the broker has it, however long it is away."""
        await self.send_bytes(patient, chunk, pack(chunk, step_mv=self._step_mv))

    async def send_bytes(self, patient: str, chunk: Chunk, data: bytes) -> None:
        """`send` for a chunk that is packed already."""
        last = "-last" if chunk.last else ""
        headers = {Header.MSG_ID.value: f"{patient}/{chunk.recording}/{chunk.first}{last}"}
        self.waiting += 1
        while True:
            try:
                await self._js.publish(f"ecg.in.{patient}", data, stream=IN, headers=headers)
            except (APIError, *PASSING):  # away, electing, or full: it is kept and sent again
                self.retries += 1
                await asyncio.sleep(RETRY_S)
            else:
                break
        self.waiting -= 1
        self.sent += 1

    async def last_sent(self, patient: str) -> Chunk | None:
        """Return the newest chunk that the broker has of a patient."""
        while True:
            try:
                found = await self._js.get_last_msg(IN, f"ecg.part.*.{patient}")
            except NotFoundError:
                return None
            except PASSING:
                await asyncio.sleep(RETRY_S)
            else:
                return unpack(found.data or b"")

    async def play(
        self, source: Source, *, chunk_s: float, pace: float | None, resume: bool = False
    ) -> None:
        """Send a recording, as a device would.

        Parameters
        ----------
        chunk_s : s of signal in a chunk
        pace : times real pace; None for as fast as the broker takes it
        resume : go on after what the broker has of this patient's last recording
        """
        recording, first = time.time_ns() // 1000, 0
        last = await self.last_sent(source.patient) if resume else None
        if last is not None:
            if last.last:
                return
            recording, first = last.recording, last.end
        started = time.monotonic() + source.offset_s
        size = max(1, round(chunk_s * source.fs))
        for at in range(first, max(len(source.signal), 1), size):
            samples = source.signal[at : at + size].astype(np.float32)
            end = at + len(samples)
            if pace is not None:
                due = started + (end - first) / source.fs / pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            ended = end == len(source.signal)
            await self.send(source.patient, Chunk(source.fs, recording, at, samples, last=ended))
        if first and first >= len(source.signal):
            nothing = np.zeros(0, np.float32)
            await self.send(source.patient, Chunk(source.fs, recording, first, nothing, last=True))

    async def follow(
        self,
        patient: str,
        pieces: Iterator[ArrayLike],
        fs: float,
        spool: Spool | None = None,
    ) -> None:
        """Send a live feed's pieces as they come.

        Parameters
        ----------
        pieces : read by a thread of its own, which does not wait for the broker
        spool : keeps the pieces on disk until the broker has them
        """
        for data in spool.left() if spool else []:
            await self.send_bytes(patient, unpack(data), data)
        if spool:
            spool.clear()
        kept: asyncio.Queue[tuple[Chunk, bytes] | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(pieces, fs, kept, spool))
        while (item := await kept.get()) is not None:
            await self.send_bytes(patient, *item)
            if spool and kept.empty():
                spool.clear()
        await reading
        if spool:
            spool.clear()

    async def _read(
        self,
        pieces: Iterator[ArrayLike],
        fs: float,
        kept: asyncio.Queue[tuple[Chunk, bytes] | None],
        spool: Spool | None,
    ) -> None:
        recording, first = time.time_ns() // 1000, 0

        def keep(samples: NDArray[np.floating], *, last: bool = False) -> int:
            chunk = Chunk(fs, recording, first, samples.astype(np.float32), last)
            data = pack(chunk, step_mv=self._step_mv)
            if spool:
                spool.append(data)
            kept.put_nowait((chunk, data))
            return chunk.end

        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                first = keep(np.asarray(piece))
            keep(np.zeros(0), last=True)
        finally:
            kept.put_nowait(None)
