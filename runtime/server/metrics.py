"""Prometheus metrics, counted over all worker processes.

Every worker counts in a row of its own in memory that gunicorn's master shares out
(`.gunicorn_conf`); the worker that answers ``/metrics`` sums the rows. A worker that dies leaves
its row to its successor, and the memory outlives a reload, so no count is lost or doubled and
nothing grows; no disk is involved that could be full. The last row is no worker's: it holds what
the health checks say beside ready. Outside gunicorn a process counts for itself.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..findings import CLASSES
from ..model.providers import ONNX_NAMES
from .clients import MAX_CLIENTS

ROW_BYTES = 16384
OTHER = "other"  # a route or a status that is none of the known
CODES = (
    *("200", "400", "401", "404", "405", "409", "413", "414", "415", "417", "421", "429", "431"),
    *("500", "503", OTHER),
)
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS = ("none", *CLASSES)

Series = tuple[str, ...]  # a metric's name, then its label values


# Places that no route moves. The first eight are gauges: gunicorn_conf.child_exit clears them when
# a worker has gone.
_FIXED: tuple[Series, ...] = (
    ("ekg_requests_in_work",),
    *(("ekg_workers", provider) for provider in ONNX_NAMES),
    *(("unused", str(i)) for i in range(7 - len(ONNX_NAMES))),
    *(("ekg_windows_total", label) for label in LABELS),
    *(("ekg_beats_total", label) for label in CLASSES),
    ("ekg_log_lines_lost_total",),
    ("ekg_worker_starts_total",),
)
_CLIENTS_LENGTH = (MAX_CLIENTS + 1) * (len(CODES) + 2)
_FIRST_BUCKET = str(BUCKETS_S[0])  # the others follow it
_LENGTH = ROW_BYTES // 8


def _of_routes(routes: Sequence[str]) -> Iterator[Series]:
    yield from (("ekg_requests_total", route, code) for route in routes for code in CODES)
    for route in routes:
        yield from (("bucket", route, str(le)) for le in (*BUCKETS_S, "+Inf"))
        yield ("sum", route)


def _of_client(name: str) -> Iterator[Series]:
    yield from (("ekg_client_requests_total", name, code) for code in CODES)
    yield from (("second", name), ("taken", name))  # the last in which it asked, and how often


_memory: bytearray | memoryview = bytearray(2 * ROW_BYTES)
_row = 0
_clients: tuple[str, ...] | None = None  # names in the order of their places


def attach(memory: memoryview, row: int, clients: Sequence[str] = ()) -> None:
    """Count in this row of shared memory from now on; its gauges start from zero.

    Parameters
    ----------
    clients : every one that the server has had, so that none counts in another's place
    """
    global _memory, _row, _clients
    _memory, _row, _clients = memory, row, tuple(clients)
    memory[row * ROW_BYTES : row * ROW_BYTES + 64] = bytes(64)


class Metrics:
    """A worker's counters, and the sum over all workers. Safe to use from threads."""

    def __init__(self) -> None:
        self._all = memoryview(_memory)[:-ROW_BYTES].cast("d")
        self._notice = memoryview(_memory)[-ROW_BYTES:]
        self._own = self._all[_row * _LENGTH : (_row + 1) * _LENGTH]
        self._lock = threading.Lock()
        self.count_each((), ())

    def count_each(self, routes: Iterable[str], clients: Iterable[str]) -> None:
        """Count the requests to each of these rules for itself, those to others together.

        So with clients, of which a reload may bring others: gunicorn's master gives each a place.

        Raises
        ------
        ValueError
            A row of shared memory does not hold so many.
        """
        self.routes = (*sorted(set(routes)), OTHER)
        self._clients = _clients if _clients is not None else tuple(clients)[:MAX_CLIENTS]
        series = [*_FIXED, *_of_routes(self.routes)]
        series += [one for name in (OTHER, *self._clients) for one in _of_client(name)]
        self._place = {one: i for i, one in enumerate(series)}
        if len(_FIXED) + len([*_of_routes(self.routes)]) + _CLIENTS_LENGTH > _LENGTH:
            raise ValueError(
                f"{len(self.routes)} routes are more than the metrics have room for; "
                "raise ROW_BYTES here and in gunicorn_conf.py."
            )

    def request(self, route: str, code: int, seconds: float, client: str = "") -> None:
        """Count an answered request.

        Parameters
        ----------
        route : the rule, never the path that was sent
        client : its name; nothing if nobody has one
        """
        route = route if route in self.routes else OTHER
        status = str(int(code)) if str(int(code)) in CODES else OTHER
        bucket = self._place["bucket", route, _FIRST_BUCKET] + bisect_left(BUCKETS_S, seconds)
        with self._lock:
            self._own[self._place["ekg_requests_total", route, status]] += 1
            self._own[bucket] += 1
            self._own[self._place["sum", route]] += seconds
            if client:
                name = client if client in self._clients else OTHER
                self._own[self._place["ekg_client_requests_total", name, status]] += 1

    def within(self, client: str, per_second: int) -> bool:
        """Take one of the requests that a client has in this second, at all workers together.

        Returns
        -------
        bool
            False if it has had them all.
        """
        name, now = client if client in self._clients else OTHER, float(int(time.time()))
        second, taken = self._place["second", name], self._place["taken", name]
        with self._lock:
            if self._own[second] != now:
                self._own[taken], self._own[second] = 0.0, now
            seconds, counts = self._all[second::_LENGTH], self._all[taken::_LENGTH]
            rows = [i for i, moment in enumerate(seconds) if moment == now]
            if sum(counts[i] for i in rows) >= per_second:
                return False
            self._own[taken] += 1
            return True

    def windows(self, labels: Sequence[str]) -> None:
        """Count labelled windows."""
        self._count("ekg_windows_total", labels)

    def beats(self, labels: Sequence[str]) -> None:
        """Count decided beats."""
        self._count("ekg_beats_total", labels)

    def log_line_lost(self) -> None:
        """Count a log line that could not be written."""
        with self._lock:
            self._own[self._place[("ekg_log_lines_lost_total",)]] += 1

    def in_work(self, change: int) -> None:
        """Count so many requests more, or less, that this worker has taken."""
        with self._lock:
            self._own[self._place[("ekg_requests_in_work",)]] += change

    def provider(self, name: str) -> None:
        """Record that this worker's model is ready, and the provider that it really runs on."""
        self._own[self._place["ekg_workers", name]] = 1
        self._own[self._place[("ekg_worker_starts_total",)]] += 1

    def has_served(self) -> bool:
        """Return whether any worker of this server was ever ready."""
        return self._sum(("ekg_worker_starts_total",)) > 0

    def notice(self) -> str:
        """Return what the health checks say beside ready; mostly nothing."""
        return bytes(self._notice).rstrip(b"\0").decode(errors="replace")

    def set_notice(self, sentence: str) -> None:
        """Let the health checks of all workers say this; the master clears it at a reload."""
        self._notice[:] = sentence.encode()[:ROW_BYTES].ljust(ROW_BYTES, b"\0")

    def render(self) -> str:
        """All of it in Prometheus' text format, version 0.0.4."""
        lines = []
        for name, kind, text, label_names in FAMILIES:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += (
                self._histogram(name) if kind == "histogram" else self._plain(name, label_names)
            )
        return "\n".join(lines) + "\n"

    def _plain(self, name: str, label_names: Sequence[str]) -> Iterator[str]:
        for series in self._place:
            if series[0] == name:
                value = self._sum(series)
                # Of many pairs with a code only those that occurred are of interest.
                if value or "code" not in label_names:
                    yield _line(name, dict(zip(label_names, series[1:], strict=True)), value)

    def _histogram(self, name: str) -> Iterator[str]:
        for route in self.routes:
            count = 0.0
            counts = []
            for le in (*BUCKETS_S, "+Inf"):
                count += self._sum(("bucket", route, str(le)))
                counts.append((str(le), count))
            if count:  # routes that nobody has used are left out
                yield from (
                    _line(f"{name}_bucket", {"route": route, "le": le}, so_far)
                    for le, so_far in counts
                )
                yield _line(f"{name}_sum", {"route": route}, self._sum(("sum", route)))
                yield _line(f"{name}_count", {"route": route}, count)

    def _count(self, name: str, labels: Sequence[str]) -> None:
        with self._lock:
            for label in labels:
                self._own[self._place[name, label]] += 1

    def _sum(self, series: Series) -> float:
        return sum(self._all[self._place[series] :: _LENGTH])


class Family(NamedTuple):
    """A metric as Prometheus knows it."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES = (
    Family("ekg_requests_total", "counter", "Requests answered.", ("route", "code")),
    Family(
        "ekg_request_seconds", "histogram", "From a request's arrival to its answer.", ("route",)
    ),
    Family(
        "ekg_client_requests_total", "counter", "Requests answered, by client.", ("client", "code")
    ),
    Family("ekg_windows_total", "counter", "Signals labelled by /predict, by label.", ("label",)),
    Family("ekg_beats_total", "counter", "Beats decided, by AAMI class.", ("label",)),
    Family("ekg_requests_in_work", "gauge", "Requests taken and not yet answered."),
    Family(
        "ekg_workers",
        "gauge",
        "Workers, by the execution provider they really run on.",
        ("provider",),
    ),
    Family("ekg_log_lines_lost_total", "counter", "Log lines that could not be written."),
    Family("ekg_worker_starts_total", "counter", "Workers that came to serve."),
)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"
