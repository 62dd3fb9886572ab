"""The wanted ratios and limits, each beside this run's figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.candidates import CARRIED, WINDOWS
from bench.http_servers import FLOOR, OURS
from bench.in_process import FOLLOWED, PUSH

Row = dict[str, Any]


def targets(results: dict[str, Any]) -> list[Row]:
    """Each wanted ratio or limit, this run's figure, and True if it is met."""
    return [
        *_latency_targets(results),
        *_http_targets(results),
        *_batch_targets(results),
        *_record_targets(results),
        *_footprint_targets(results),
    ]


def find(rows: Iterable[Row], **wanted: object) -> Row | None:
    """The first row that has these values."""
    return next(
        (row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None
    )


def p50(row: Row) -> float:
    """Median time of a call in one process, ms."""
    return float(row["end_to_end"]["p50_ms"])


def _latency_targets(results: dict[str, Any]) -> list[Row]:
    one = [row for row in results["rows"] if row["batch"] == 1]
    push = find(one, name=PUSH, provider="cpu")
    bare = find(one, name="ekg fused", provider="cpu")
    followed = find(one, name=FOLLOWED, provider="cpu")
    windows, carried = find(one, name=WINDOWS), find(one, name=CARRIED)
    if not (push and bare and windows and carried):
        return []
    return [
        _target(
            "`Stream.push` of one second against the bare graph",
            p50(push) / p50(bare),
            at_most=1.3,
            unit="times",
        ),
        *(
            [
                _target(
                    "the same, rhythm followed, with events and quality",
                    p50(followed) / p50(bare),
                    at_most=2.0,
                    unit="times",
                )
            ]
            if followed
            else []
        ),
        _target(
            f"{WINDOWS}, against `Stream.push`",
            p50(windows) / p50(push),
            at_least=10,
            unit="times",
        ),
        _target(
            f"{CARRIED}, against `Stream.push`",
            p50(carried) / p50(push),
            at_least=10,
            unit="times",
        ),
    ]


def _http_targets(results: dict[str, Any]) -> list[Row]:
    rows = (results.get("http") or {}).get("rows", [])
    ours, raw = find(rows, name=OURS, body="JSON"), find(rows, name=OURS, body="raw")
    floor = find(rows, name=FLOOR, body="JSON")
    if not (ours and raw and floor):
        return []
    found = [
        _target(
            "`/predict` JSON p50 against the empty route",
            ours["latency"]["p50_ms"] / floor["latency"]["p50_ms"],
            at_most=1.5,
            unit="times",
        )
    ]
    rates = {
        row["name"]: row["requests_per_s"]
        for row in rows
        if row["name"] not in (OURS, FLOOR) and row["body"] == "JSON"
    }
    found += [
        _target(
            f"JSON answers/s against {name}",
            ours["requests_per_s"] / rate,
            at_least=1,
            unit="times",
        )
        for name, rate in rates.items()
    ]
    if rates:
        found.append(
            _target(
                "raw answers/s against the best of their JSON",
                raw["requests_per_s"] / max(rates.values()),
                at_least=1.5,
                unit="times",
            )
        )
    return found


def _batch_targets(results: dict[str, Any]) -> list[Row]:
    product = [
        row
        for row in results["rows"]
        if row["name"] == PUSH and row["provider"] == "cpu" and row["batch"] > 1
    ]
    bare = [
        row for row in results["rows"] if row["name"] == "ekg fused" and row["provider"] == "cpu"
    ]
    if not (product and bare):
        return []
    found = [
        _target(
            "live patients a core, to beats",
            max(row["patients_per_core"] for row in product),
            at_least=10_000,
            digits=0,
        ),
        _target(
            "live patients a core, the graph alone",
            max(row["patients_per_core"] for row in bare),
            at_least=10_000,
            digits=0,
        ),
        _target(
            "the graph's share of one-thread sgemm",
            100 * max(row["share_of_sgemm"] for row in bare),
            at_least=40,
            unit="%",
        ),
    ]
    shares = [
        p50(graph) / p50(row)
        for row in results["rows"]
        if row["name"] == FOLLOWED
        and row["provider"] == "cpu"
        and row["batch"] == 64
        and (graph := find(bare, batch=64))
    ]
    if shares:
        found.append(
            _target(
                "the graph's share of 64 patients' second, rhythm followed",
                shares[0],
                at_least=0.6,
            )
        )
    for name, what in (("patients", "to beats"), ("patients followed", "rhythm followed")):
        patients = (results.get("scaling") or {}).get(name) or []
        if len(patients) > 1:
            costs = [row["us_per_patient"] for row in patients]
            found.append(
                _target(
                    f"cost of one of {patients[-1]['patients']} patients against the cheapest, "
                    f"{what}",
                    costs[-1] / min(costs),
                    at_most=1.1,
                    unit="times",
                )
            )
    return found


def _record_targets(results: dict[str, Any]) -> list[Row]:
    row = find((results.get("scaling") or {}).get("records") or [], hours=24)
    return (
        [
            _target(
                "a 24-hour record annotated, file to file, one core", row["s"], at_most=10, unit="s"
            )
        ]
        if row
        else []
    )


def _footprint_targets(results: dict[str, Any]) -> list[Row]:
    rows = results.get("footprint") or []
    server, whole = find(rows, name=f"{OURS}, 1 worker"), results.get("environment_mb")
    found = (
        [_target("the runtime's environment on disk", whole, at_most=200, unit="MB", digits=0)]
        if whole
        else []
    )
    if server and server["resident_mb"] is not None:
        found.append(
            _target("server resident", server["resident_mb"], at_most=120, unit="MB", digits=0)
        )
    if server:
        found.append(
            _target(
                "server's cold start to its first answer",
                server["cold_start_s"],
                at_most=1.0,
                unit="s",
            )
        )
    return found


def _target(
    what: str,
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    unit: str = "",
    digits: int = 2,
) -> Row:
    met = value >= at_least if at_least is not None else value <= (at_most or 0)
    limit = f"at least {at_least:,g}" if at_least is not None else f"at most {at_most:,g}"
    return {
        "what": what,
        "value": value,
        "met": bool(met),
        "wanted": f"{limit} {unit}".strip(),
        "measured": f"{value:,.{digits}f} {unit}".strip(),
    }
