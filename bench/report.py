"""The results as JSON, as Markdown and drawn, each beside its target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.candidates import CARRIED, WINDOWS
from bench.in_process import PUSH
from bench.over_http import BATCHING, FLOOR, OURS

Row = dict[str, Any]


def write(results: dict[str, Any], folder: Path) -> None:
    """``results.json``, ``README.md`` and the plots."""
    from bench import plots

    folder.mkdir(parents=True, exist_ok=True)
    results["targets"] = targets(results)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    drawn = plots.draw(results, folder)
    (folder / "README.md").write_text(markdown(results, drawn))


def targets(results: dict[str, Any]) -> list[Row]:
    """Each wanted ratio or limit, this run's figure, and True if it is met."""
    return [
        *_latency_targets(results),
        *_http_targets(results),
        *_batch_targets(results),
        *_record_targets(results),
        *_footprint_targets(results),
    ]


def markdown(results: dict[str, Any], plots: Sequence[str] = ()) -> str:
    """The whole report."""
    machine = results["machine"]
    sgemm = ", ".join(f"{name} {rate:.0f}" for name, rate in results["sgemm_gflops"].items())
    parts = [
        f"# {machine['cpu']}, {machine['cores']} cores",
        "",
        f"{results['when']}, {machine['system']} {machine['architecture']}, Python "
        f"{machine['python']}, {', '.join(f'{k} {v}' for k, v in results['versions'].items())}. "
        f"Model {results['model']}. Load average before {results['load_before']:.2f}, after "
        f"{results['load_after']:.2f}. Written by `{results['command']}`.",
        "",
        f"One-thread float32 matrix product, GFLOP/s: {sgemm}; the best of them counts. One "
        f"second of signal is {results['flops_per_second_of_signal'] / 1e6:.2f} MFLOP.",
        "",
        "## What was wanted",
        "",
        _table(
            ("", "wanted", "measured", ""),
            (
                (row["what"], row["wanted"], row["measured"], "yes" if row["met"] else "**no**")
                for row in results["targets"]
            ),
        ),
        "",
        *(f"![{name.removesuffix('.png')}]({name})\n" for name in plots),
        "## One process",
        "",
        "One second of signal of each patient a call, one thread (plain ONNX Runtime: its "
        "defaults). Candidates take turns. From float32 in mV to probabilities, the rows of "
        "`Stream.push` apart, which do more: to beats and, where the rhythm is followed, to "
        "events and quality too. Times in ms, a percentile only where a call lies beyond it "
        "(p99 from 100 calls on); windows/s: patients' seconds labelled in one, which is times "
        "real time; patients: live ones a core can serve; sgemm: share of the matrix product's "
        "rate.",
        "",
    ]
    for batch in sorted({row["batch"] for row in results["rows"]}):
        rows = [row for row in results["rows"] if row["batch"] == batch]
        parts += [
            f"Batch {batch}",
            "",
            _table(
                (
                    "",
                    "provider",
                    "filter",
                    "model",
                    "p50",
                    "p95",
                    "p99",
                    "windows/s",
                    "patients",
                    "sgemm",
                    "against the reference",
                ),
                (_process_cells(row) for row in sorted(rows, key=_p50)),
            ),
            "",
        ]
    if results.get("http"):
        parts += [
            "## Over HTTP",
            "",
            f"`POST /predict`, one second of signal, keep-alive, the server with one worker on "
            f"one core, the load from another. p50 to p99: one connection, ms; answers/s: "
            f"{results['http']['connections']} connections; CPU: the server's processor time for "
            "one of those answers, ms. The ekg server answers the requests that wait together as "
            f'one batch; the others do not, the rows with "{BATCHING.removeprefix(", ")}" '
            "apart.",
            "",
            _table(
                ("", "body", "p50", "p95", "p99", "answers/s", "CPU", "its answer"),
                (_http_cells(row) for row in results["http"]["rows"]),
            ),
            "",
        ]
    if results.get("footprint"):
        parts += [
            "## Before it does anything",
            "",
            "Installed: the packages and all they require. Resident: all processes, what they "
            "share counted once. Cold start: from starting the process to the first answer.",
            "",
            _table(
                ("", "installed MB", "resident MB", "cold start s"),
                (
                    (
                        row["name"],
                        f"{row['installed_mb']:.0f}",
                        _figure(row["resident_mb"], 0),
                        f"{row['cold_start_s']:.2f}",
                    )
                    for row in results["footprint"]
                ),
            ),
            "",
        ]
    if results.get("scaling"):
        parts += _scaling(results["scaling"])
    reasons: dict[str, list[str]] = {}
    for row in results["refused"]:
        reasons.setdefault(row["reason"], []).append(row["what"])
    parts += [
        "## What did not run, and why",
        "",
        *(f"- {'; '.join(what)}: {reason}" for reason, what in reasons.items()),
        "",
    ]
    return "\n".join(parts)


def find(rows: Iterable[Row], **wanted: object) -> Row | None:
    """The first row that has these values."""
    return next(
        (row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None
    )


def _latency_targets(results: dict[str, Any]) -> list[Row]:
    one = [row for row in results["rows"] if row["batch"] == 1]
    push = find(one, name=PUSH, provider="cpu")
    bare = find(one, name="ekg fused", provider="cpu")
    windows, carried = find(one, name=WINDOWS), find(one, name=CARRIED)
    if not (push and bare and windows and carried):
        return []
    return [
        _target(
            "`Stream.push` of one second against the bare graph",
            _p50(push) / _p50(bare),
            at_most=1.5,
            unit="times",
        ),
        _target(
            f"{WINDOWS}, against `Stream.push`",
            _p50(windows) / _p50(push),
            at_least=10,
            unit="times",
        ),
        _target(
            f"{CARRIED}, against `Stream.push`",
            _p50(carried) / _p50(push),
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
    patients = (results.get("scaling") or {}).get("patients") or []
    if len(patients) > 1:
        costs = [row["us_per_patient"] for row in patients]
        found.append(
            _target(
                f"cost of one of {patients[-1]['patients']} patients against the cheapest",
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
                "a 24-hour record annotated, file to file, one core", row["s"], at_most=15, unit="s"
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
                at_most=1.5,
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


def _process_cells(row: Row) -> tuple[str, ...]:
    timing = row["end_to_end"]
    stages = [
        f"{row['stages'][stage]['p50_ms']:.3f}" if stage in row["stages"] else ""
        for stage in ("filter", "model")
    ]
    name = f"**{row['name']}**" if row["ours"] else row["name"]
    return (
        name,
        row["provider"],
        *stages,
        *_percentiles(timing, 3),
        f"{row['windows_per_s']:,.0f}",
        f"{row['patients_per_core']:,.0f}",
        f"{100 * row['share_of_sgemm']:.0f} %",
        row["agreement"],
    )


def _http_cells(row: Row) -> tuple[str, ...]:
    name = f"**{row['name']}**" if row["name"] == OURS else row["name"]
    return (
        name,
        row["body"],
        *_percentiles(row["latency"], 2),
        f"{row['requests_per_s']:,.0f}",
        _figure(row["cpu_ms"], 2),
        row["agreement"],
    )


def _percentiles(timing: Row, digits: int) -> list[str]:
    """The three, each blank if fewer than one call lies beyond it: it is the slowest call."""
    return [
        _figure(timing[f"p{of}_ms"] if timing["calls"] * (100 - of) >= 100 else None, digits)
        for of in (50, 95, 99)
    ]


def _figure(value: float | None, digits: int) -> str:
    """A number, blank if there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def _scaling(scaling: dict[str, Any]) -> list[str]:
    # Earlier results have no processor time: there the wall clock alone was counted.
    longer = (
        "; ms and µs by the wall clock, patients a core by that or the processor time, "
        "whichever is longer"
        if any("cpu_ms" in row for row in scaling["patients"])
        else ""
    )
    return [
        "## Cost as work grows",
        "",
        "Live patients in one `Detector.push` of a second each, to their beats, one thread"
        f"{longer}:",
        "",
        _table(
            ("patients", "ms", "µs a patient", "patients a core"),
            (
                (
                    f"{row['patients']:,}",
                    f"{row['ms']:.2f}",
                    f"{row['us_per_patient']:.1f}",
                    f"{row['patients_per_core']:,.0f}",
                )
                for row in scaling["patients"]
            ),
        ),
        "",
        "`python -m runtime annotate` from WFDB file to annotation file, one core, start of the "
        "process included:",
        "",
        _table(
            ("hours", "s", "times real time"),
            (
                (f"{row['hours']:g}", f"{row['s']:.1f}", f"{row['times_real_time']:,.0f}")
                for row in scaling["records"]
            ),
        ),
        "",
        "Processes with a thread each, all at once:",
        "",
        _table(
            ("cores", "live patients"),
            ((str(row["cores"]), f"{row['patients']:,.0f}") for row in scaling["cores"]),
        ),
        "",
        "### Capacity",
        "",
        "Only the first row is measured. The others go by the core's one-thread sgemm alone "
        "(`python -m bench.compare --quick` measures both on your machine); memory, other work "
        "and heat are not in it. A GPU does not go by its sgemm with layers this small: "
        "`python -m bench.cuda` measures it, nothing here extrapolates to it.",
        "",
        _table(
            ("", "GFLOP/s a core", "live patients a core", ""),
            (
                (
                    row["machine"],
                    f"{row['gflops']:.0f}",
                    f"{row['patients_per_core']:,.0f}",
                    "measured" if row["measured"] else "extrapolated",
                )
                for row in scaling["capacity"]
            ),
        ),
        "",
    ]


def _p50(row: Row) -> float:
    return float(row["end_to_end"]["p50_ms"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
