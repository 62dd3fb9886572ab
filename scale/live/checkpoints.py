"""Patients' states in a key-value bucket: a line of JSON, then the stream's token.

A key is ``<partition>.<patient>``. The partition's mark, ``<partition>.=mark``, is the number in
the log up to which every patient of the partition is in such a state: who takes it over reads from
there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import NamedTuple

import nats.errors
import orjson
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from ..ekg import Detector, TokenError
from .broker import STATES, Logs
from .log import Entry, LogReader
from .patients import BEAT, EVENT, NOTE, Followed

LOAD_S = 30.0
_MARK = "=mark"  # no patient's name
_FIELDS = ("recording", "fs", "origin", "next", "started", "seq", "received")


class LostStateError(Exception):
    """Another worker has written this state since we read it: ours is not to be gone on with."""


class Saved(NamedTuple):
    """A patient as it was saved.

    Attributes
    ----------
    followed : with its stream, unless that is stale
    revision : of the key
    stale : the token is another model's: the stream has to be found again from the log
    """

    followed: Followed
    revision: int
    stale: bool


def pack(one: Followed) -> bytes:
    """Return the state's bytes; its findings must have been taken."""
    head = {name: getattr(one, name) for name in _FIELDS}
    head |= {"numbers": one.numbers, "said": sorted(one.said), "ended": one.stream is None}
    return orjson.dumps(head) + b"\n" + (one.stream.save() if one.stream else b"")


def unpack(patient: str, data: bytes, detector: Detector) -> tuple[Followed, bool]:
    """Return the patient of these bytes, and True if the stream has to be found again."""
    line, _, token = data.partition(b"\n")
    head = orjson.loads(line)
    one = Followed(patient, **{name: head[name] for name in _FIELDS})
    one.numbers = {kind: head["numbers"][kind] for kind in (BEAT, EVENT, NOTE)}
    one.said = set(head["said"])
    if not head["ended"]:
        try:
            one.stream = detector.resume(token)
        except TokenError:
            return one, True
    return one, False


class Loaded(NamedTuple):
    """A partition as it was saved.

    Attributes
    ----------
    mark, revision : number in the log up to which all of it is saved; of the mark's key
    """

    mark: int
    revision: int
    patients: list[Saved]


class Checkpoints:
    """The bucket of states."""

    def __init__(self, client: Client, logs: Logs):
        self._client, self._js, self._bucket = client, logs.js, logs.states

    async def save(self, partition: int, one: Followed, revision: int) -> int:
        """Write a patient's state over the revision that was read or written last; 0 for none.

        Raises
        ------
        LostStateError
        """
        return await self._write(f"{partition}.{one.patient}", pack(one), revision)

    async def mark(self, partition: int, seq: int, revision: int) -> int:
        """Write that all of a partition is saved up to this number in the log."""
        return await self._write(f"{partition}.{_MARK}", str(seq).encode(), revision)

    async def load(self, partition: int, detector: Detector) -> Loaded:
        """Return what is saved of a partition, and keep its former holder from saving more.

        Of several nodes one may be behind, and would give older states than the mark promises. So
        the mark is written again, and the bucket is read until that writing comes by.

        Raises
        ------
        LostStateError
            Another takes the partition at this moment.
        nats.errors.Error
            The broker is away.
        """
        mark, revision = 0, 0
        with contextlib.suppress(KeyNotFoundError):
            marked = await self._bucket.get(f"{partition}.{_MARK}")
            mark, revision = int(marked.value or 0), marked.revision or 0
        revision = await self.mark(partition, mark, revision)
        prefix = f"$KV.{STATES}.{partition}."
        log = LogReader(self._client, self._js, f"KV_{STATES}", f"{prefix}*", 0)
        newest: dict[str, Entry] = {}
        until = time.monotonic() + LOAD_S
        try:
            while log.seq < revision:
                entries = await log.take()
                newest |= {entry.subject[len(prefix) :]: entry for entry in entries}
                if not entries:
                    await asyncio.sleep(0.01)
                    if time.monotonic() > until:
                        raise nats.errors.TimeoutError
        finally:
            await log.close()
        newest.pop(_MARK, None)
        patients = []
        for patient, entry in newest.items():
            one, stale = unpack(patient, entry.data, detector)
            patients.append(Saved(one, entry.seq, stale))
        return Loaded(mark, revision, patients)

    async def _write(self, key: str, value: bytes, revision: int) -> int:
        try:
            return await self._bucket.update(key, value, last=revision)
        except KeyWrongLastSequenceError as error:
            raise LostStateError(key) from error
