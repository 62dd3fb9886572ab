"""Prometheus metrics, counted over all worker processes.

Every worker counts in a row of its own in memory that gunicorn's master shares out
(`.gunicorn_conf`); whichever worker is asked sums the rows. A worker that dies leaves its
row to its successor, so no count is lost or doubled and nothing grows; no disk is involved that
could be full. Outside gunicorn a process counts for itself.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from ..findings import CLASSES
from ..model.providers import ONNX_NAMES

ROW_BYTES = 8192
ROUTES = ("/", "/predict", "/stream", "/model", "/metrics", "/openapi.json", "/health/live",
          "/health/ready", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/<name>",
          "/v2/models/<name>/ready", "/v2/models/<name>/infer", "/static/<path:filename>", "other")
CODES = ("200", "400", "401", "404", "405", "409", "413", "415", "500", "503", "other")
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS = ("none", *CLASSES)

Series = tuple[str, ...]  # a metric's name, then its label values


def _layout() -> Iterator[Series]:
    # The first eight are gauges: gunicorn_conf.child_exit clears them when a worker has gone.
    yield ("ekg_requests_in_work",)
    yield from (("ekg_workers", provider) for provider in ONNX_NAMES)
    yield from (("unused", str(i)) for i in range(7 - len(ONNX_NAMES)))
    yield from (("ekg_requests_total", route, code) for route in ROUTES for code in CODES)
    for route in ROUTES:
        yield from (("bucket", route, str(le)) for le in (*BUCKETS_S, "+Inf"))
        yield ("sum", route)
    yield from (("ekg_windows_total", label) for label in LABELS)
    yield from (("ekg_beats_total", label) for label in CLASSES)
    yield ("ekg_log_lines_lost_total",)


_PLACE = {series: i for i, series in enumerate(_layout())}
_FIRST_BUCKET = str(BUCKETS_S[0])  # the others follow it
_LENGTH = ROW_BYTES // 8
assert len(_PLACE) <= _LENGTH

_memory: bytearray | memoryview = bytearray(ROW_BYTES)
_row = 0


def attach(memory: memoryview, row: int) -> None:
    """Count in this row of shared memory from now on; its gauges start from zero."""
    global _memory, _row
    _memory, _row = memory, row
    memory[row * ROW_BYTES : row * ROW_BYTES + 64] = bytes(64)


class Metrics:
    """This worker's counters, and the sum over all workers. Safe to use from threads."""

    def __init__(self) -> None:
        self._all = memoryview(_memory).cast("d")
        self._own = self._all[_row * _LENGTH : (_row + 1) * _LENGTH]
        self._lock = threading.Lock()

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count an answered request. ``route`` is the rule, never the path that was sent."""
        route = route if route in ROUTES else "other"
        status = str(int(code)) if str(int(code)) in CODES else "other"
        bucket = _PLACE["bucket", route, _FIRST_BUCKET] + bisect_left(BUCKETS_S, seconds)
        with self._lock:
            self._own[_PLACE["ekg_requests_total", route, status]] += 1
            self._own[bucket] += 1
            self._own[_PLACE["sum", route]] += seconds

    def windows(self, labels: Sequence[str]) -> None:
        """Count labelled windows."""
        self._count("ekg_windows_total", labels)

    def beats(self, labels: Sequence[str]) -> None:
        """Count decided beats."""
        self._count("ekg_beats_total", labels)

    def log_line_lost(self) -> None:
        """Count a log line that could not be written."""
        with self._lock:
            self._own[_PLACE[("ekg_log_lines_lost_total",)]] += 1

    def in_work(self, change: int) -> None:
        """This worker has taken so many requests more, or less."""
        with self._lock:
            self._own[_PLACE[("ekg_requests_in_work",)]] += change

    def provider(self, name: str) -> None:
        """The execution provider that this worker's model really runs on."""
        self._own[_PLACE["ekg_workers", name]] = 1

    def render(self) -> str:
        """All of it in Prometheus' text format, version 0.0.4."""
        lines = []
        for name, kind, text, label_names in _FAMILIES:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += (self._histogram(name) if kind == "histogram"
                      else self._plain(name, label_names))
        return "\n".join(lines) + "\n"

    def _plain(self, name: str, label_names: Sequence[str]) -> Iterator[str]:
        for series in _PLACE:
            if series[0] == name:
                value = self._sum(series)
                # Of the many pairs of route and code only those that occurred are of interest.
                if value or name != "ekg_requests_total":
                    yield _line(name, dict(zip(label_names, series[1:], strict=True)), value)

    def _histogram(self, name: str) -> Iterator[str]:
        for route in ROUTES:
            count = 0.0
            counts = []
            for le in (*BUCKETS_S, "+Inf"):
                count += self._sum(("bucket", route, str(le)))
                counts.append((str(le), count))
            if count:  # routes that nobody has used say nothing
                yield from (_line(f"{name}_bucket", {"route": route, "le": le}, so_far)
                            for le, so_far in counts)
                yield _line(f"{name}_sum", {"route": route}, self._sum(("sum", route)))
                yield _line(f"{name}_count", {"route": route}, count)

    def _count(self, name: str, labels: Sequence[str]) -> None:
        with self._lock:
            for label in labels:
                self._own[_PLACE[name, label]] += 1

    def _sum(self, series: Series) -> float:
        return sum(self._all[_PLACE[series] :: _LENGTH])


_FAMILIES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("ekg_requests_total", "counter", "Requests answered.", ("route", "code")),
    ("ekg_request_seconds", "histogram", "From a request's arrival to its answer.", ("route",)),
    ("ekg_windows_total", "counter", "Signals labelled by /predict, by label.", ("label",)),
    ("ekg_beats_total", "counter", "Beats decided, by AAMI class.", ("label",)),
    ("ekg_requests_in_work", "gauge", "Requests taken and not yet answered.", ()),
    ("ekg_workers", "gauge", "Workers, by the execution provider they really run on.",
     ("provider",)),
    ("ekg_log_lines_lost_total", "counter", "Log lines that could not be written.", ()),
)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"
