"""The connection to NATS, and what lies there: two logs and two key-value buckets.

``ecg.in.<patient>`` takes chunks. The broker itself files each under its partition, so every
publisher, an MQTT device too, needs to know the patient only. ``ecg.out.<patient>`` gives findings.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    DiscardPolicy,
    KeyValueConfig,
    StorageType,
    StreamConfig,
    StreamInfo,
    SubjectTransform,
)
from nats.js.errors import APIError, BucketNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from ..ekg import EkgError, InputError

IN, OUT = "ECG_IN", "ECG_OUT"
STATES, LEASES = "ecg-states", "ecg-leases"
DEFAULT_URL = "nats://127.0.0.1:4222"
WRONG_LAST_SEQUENCE = (10071, 10164)  # the broker's error codes
MAX_STATE_BYTES = 1 << 17  # a checkpoint is about 24 kB
STATES_TTL_S = 7 * 24 * 3600.0
CONNECT_S = 10.0
RECONNECT_S: Any = 0.25  # between two nodes that are tried; the client declares whole seconds

_PATIENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PARTITIONS = re.compile(r"partition\((\d+),1\)")
# What a broker that is away, or is electing a leader, gives; it passes.
PASSING = (nats.errors.Error, TimeoutError, OSError)


class BrokerError(EkgError):
    """The broker cannot be reached, or refuses something for good."""


@dataclass(frozen=True)
class Access:
    """How to reach the broker.

    Attributes
    ----------
    servers : URLs, of one node or of several
    user, password : of an account, if it wants them
    creds : file of a user's credentials, in place of them
    ca, cert, key : PEM files: who is trusted, and who we are
    """

    servers: tuple[str, ...] = (DEFAULT_URL,)
    user: str | None = None
    password: str | None = None
    creds: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Layout:
    """Size and keeping of the logs, set when they are made.

    Attributes
    ----------
    partitions : patients are shared out in so many parts; they bound the number of workers
    replicas : nodes that hold a copy of everything: 1, 3 or 5
    log_hours : signal and findings are kept so long
    log_gb : signal kept at most; a full log refuses chunks until it has room
    lease_s : a worker that is silent for so long has lost its partitions
    """

    partitions: int = 32
    replicas: int = 1
    log_hours: float = 24.0
    log_gb: float = 10.0
    lease_s: float = 10.0


def check_patient(name: str) -> str:
    """Return the name; raise `InputError` if it cannot be part of a subject."""
    if not _PATIENT.fullmatch(name):
        raise InputError(
            f"patient {name!r}: expected 1 to 64 letters, digits, hyphens or underscores."
        )
    return name


async def connect(
    access: Access, *, name: str, on_reconnect: Callable[[], None] | None = None
) -> Client:
    """Return a connection that looks for the broker for as long as it takes once it was there.

    Parameters
    ----------
    name : shown in the broker's lists of connections
    on_reconnect : called when the broker is back

    Raises
    ------
    BrokerError
        Nobody answers there within ten seconds, or refuses us.
    """
    last: list[Exception] = []

    async def back() -> None:
        if on_reconnect:
            on_reconnect()

    async def failed(error: Exception) -> None:
        last[:] = [error]

    options: dict[str, Any] = {}
    if access.creds:
        options["user_credentials"] = str(access.creds)
    if access.user:
        options |= {"user": access.user, "password": access.password or ""}
    if access.ca or access.cert:
        options["tls"] = _tls(access)
    client = Client()
    try:
        await asyncio.wait_for(
            client.connect(
                servers=list(access.servers),
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_S,
                connect_timeout=3,
                ping_interval=5,
                max_outstanding_pings=2,
                reconnected_cb=back,
                error_cb=failed,
                **options,
            ),
            CONNECT_S,
        )
    except asyncio.CancelledError:
        await client.close()
        raise
    except PASSING as error:
        await client.close()
        reason = str(last[0] if last else error) or "no answer"
        raise BrokerError(
            f"no broker takes us at {', '.join(access.servers)} ({reason}); "
            "expected a NATS server with JetStream."
        ) from error
    return client


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it is: the client takes a cancellation that meets it for a time-out."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.2)


def _tls(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=access.ca)
        if access.cert:
            context.load_cert_chain(access.cert, access.key)
    except OSError as error:  # ssl.SSLError is one
        raise BrokerError(
            f"the certificates cannot be read ({error.strerror or error}); expected PEM files."
        ) from error
    return context


@dataclass(frozen=True)
class Logs:
    """The broker with its logs and buckets, ready for use.

    Attributes
    ----------
    partitions : in so many parts the patients are shared out
    lease_s : a worker that is silent for so long has lost its partitions
    """

    js: JetStreamContext
    states: KeyValue
    leases: KeyValue
    partitions: int
    lease_s: float


async def open_logs(client: Client, layout: Layout) -> Logs:
    """Return logs and buckets, made after the layout if they are not there yet.

    Those that are there stay as they are: what they were made with holds for every worker.

    Raises
    ------
    BrokerError
        The broker has no JetStream, no room, or too few nodes for the replicas.
    """
    js = client.jetstream(timeout=5)
    kept: dict[str, Any] = {
        "storage": StorageType.FILE,
        "num_replicas": layout.replicas,
        "max_age": layout.log_hours * 3600,
        "duplicate_window": 120,
    }
    filed = f"ecg.part.{{{{partition({layout.partitions},1)}}}}.{{{{wildcard(1)}}}}"
    try:
        made = await _stream(
            js,
            StreamConfig(
                name=IN,
                subjects=["ecg.in.*"],
                subject_transform=SubjectTransform(src="ecg.in.*", dest=filed),
                max_bytes=int(layout.log_gb * 1e9),
                discard=DiscardPolicy.NEW,  # a publisher is told, and keeps what is not taken
                **kept,
            ),
        )
        await _stream(js, StreamConfig(name=OUT, subjects=["ecg.out.*"], **kept))
        states = await _bucket(js, layout, STATES, STATES_TTL_S, max_value_size=MAX_STATE_BYTES)
        leases = await _bucket(js, layout, LEASES, layout.lease_s)
        ttl = (await leases.status()).ttl
    except APIError as error:
        raise BrokerError(
            f"the broker cannot hold the logs of {layout.log_gb:g} GB on {layout.replicas} nodes: "
            f"{error.description}."
        ) from error
    except PASSING as error:
        raise BrokerError(
            f"the broker does not answer for JetStream ({error}); is it switched on there?"
        ) from error
    transform = made.config.subject_transform
    found = _PARTITIONS.search(transform.dest if transform else "")
    if not found:
        raise BrokerError(f"the stream {IN} was not made by `ekg worker`; expected its partitions.")
    return Logs(js, states, leases, int(found[1]), ttl or layout.lease_s)


async def _stream(js: JetStreamContext, config: StreamConfig) -> StreamInfo:
    try:
        return await js.stream_info(str(config.name))
    except NotFoundError:
        pass
    try:
        return await js.add_stream(config)
    except APIError:  # another worker may have been faster
        with contextlib.suppress(NotFoundError):
            return await js.stream_info(str(config.name))
        raise


async def _bucket(
    js: JetStreamContext, layout: Layout, name: str, ttl: float, **more: Any
) -> KeyValue:
    try:
        return await js.key_value(name)
    except BucketNotFoundError:
        pass
    config = KeyValueConfig(
        name, ttl=ttl, replicas=layout.replicas, storage=StorageType.FILE, **more
    )
    try:
        return await js.create_key_value(config)
    except APIError:
        with contextlib.suppress(BucketNotFoundError):
            return await js.key_value(name)
        raise
