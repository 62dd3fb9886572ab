"""Shared by the routes: the model, the counts and bounds of the work on it, and refusals."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from flask import Response, g, request
from werkzeug.datastructures import MultiDict

from ..detector import Detector
from ..errors import InputError
from .admission import Admission
from .clients import Client
from .frame import PROBLEM, problem_body
from .gate import Gate, RefusedError
from .metrics import Metrics
from .service import Service

LARGE = 256 << 10  # bytes of a body whose work takes megabytes
DRAINING = "the server is shutting down; it finishes what it has accepted."


@dataclass
class Site:
    """One application's own; each module of `.routes` gets it.

    Attributes
    ----------
    model : the loaded detector
    service : answers to /predict and /stream
    admission : bound on the requests in work
    metrics : of all workers
    gate : who may ask
    specification : the OpenAPI document, JSON
    more : fields of /model that others add
    alone : held by the one long request that computes
    """

    model: Detector
    service: Service
    admission: Admission
    metrics: Metrics
    gate: Gate
    specification: bytes = b""
    more: dict[str, Any] = field(default_factory=dict)
    alone: Lock = field(default_factory=Lock)

    def keep_limit(self, client: Client | None) -> None:
        """Raise `RefusedError` if a client has asked as often as it may in this second."""
        if client and client.per_second and not self.metrics.within(client.name, client.per_second):
            raise RefusedError(
                429,
                f"the client {client.name} has asked {client.per_second} times in this second, its "
                "limit; expected fewer, for example requests with chunks of many patients.",
            )

    def readiness(self) -> dict[str, Any]:
        """Return what a server that is ready says.

        A worker takes no connection before its model gave the golden answer and is warm.
        """
        fields = {"status": "ready", "ready": True, "provider": self.model.provider}
        notice = self.metrics.notice()
        return fields | {"notice": notice} if notice else fields

    @contextmanager
    def long_work(self, octets: int) -> Iterator[None]:
        """Compute inside this on a body of that size; large ones one after another."""
        if octets <= LARGE:
            yield
            return
        with self.alone:
            try:
                yield
            finally:
                trim()


def trim() -> None:
    """Give back to the system what large work took."""
    if sys.platform == "linux":  # glibc would keep the memory
        ctypes.CDLL(None).malloc_trim(0)


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Response:
    """Return an RFC 9457 answer."""
    id_ = g.get("request_id", "")
    body, more = problem_body(status, detail, id_, request.path, headers, fields)
    return Response(body, status, more, content_type=PROBLEM)


def query_fields() -> dict[str, str]:
    """Return the query's fields, as `unrepeated` has them."""
    return unrepeated(request.args)


def unrepeated(query: MultiDict[str, str]) -> dict[str, str]:
    """Return the fields of a query.

    Raises
    ------
    InputError
        A field is there twice, with different values.
    """
    for name, values in query.lists():
        if len(set(values)) > 1:  # who meant the other would get a wrong answer
            raise InputError(
                f"{name[:40]!r} is in the query {len(values)} times with different "
                "values; expected one."
            )
    return query.to_dict()
