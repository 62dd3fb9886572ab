"""The results as JSON, as Markdown and drawn, each beside its target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.http_servers import BATCHING, OURS
from bench.targets import Row, p50, targets


def write(results: dict[str, Any], folder: Path) -> None:
    """``results.json``, ``README.md`` and the plots."""
    from bench import plots

    folder.mkdir(parents=True, exist_ok=True)
    results["targets"] = targets(results)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    drawn = plots.draw(results, folder)
    (folder / "README.md").write_text(markdown(results, drawn))


def markdown(results: dict[str, Any], plots: Sequence[str] = ()) -> str:
    """The whole report."""
    machine = results["machine"]
    sgemm = ", ".join(f"{name} {rate:.0f}" for name, rate in results["sgemm_gflops"].items())
    took = f" in {results['took_s'] / 60:.1f} min" if "took_s" in results else ""
    parts = [
        f"# {machine['cpu']}, {machine['cores']} cores",
        "",
        f"{results['when']}, {machine['system']} {machine['architecture']}, Python "
        f"{machine['python']}, {', '.join(f'{k} {v}' for k, v in results['versions'].items())}. "
        f"Model {results['model']}. Load average before {results['load_before']:.2f}, after "
        f"{results['load_after']:.2f}. Written by `{results['command']}`{took}.",
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
                (_process_cells(row) for row in sorted(rows, key=p50)),
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
    if "parts_s" in results:
        parts += [
            "## How long each part took",
            "",
            "The processor's seconds are of all processes that have ended.",
            "",
            _table(
                ("", "wall, s", "processor, s"),
                (
                    (part, f"{took['wall']:.0f}", f"{took['processor']:.0f}")
                    for part, took in results["parts_s"].items()
                ),
            ),
            "",
        ]
    parts += [
        "## What did not run, and why",
        "",
        *(f"- {'; '.join(what)}: {reason}" for reason, what in reasons.items()),
        "",
    ]
    return "\n".join(parts)


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
        _patients(scaling["patients"]),
        "",
        *(
            ["The same with the rhythm followed, events and quality:", "", _patients(rows), ""]
            if (rows := scaling.get("patients followed"))
            else []
        ),
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


def _patients(rows: Iterable[dict[str, Any]]) -> str:
    return _table(
        ("patients", "ms", "µs a patient", "patients a core"),
        (
            (
                f"{row['patients']:,}",
                f"{row['ms']:.2f}",
                f"{row['us_per_patient']:.1f}",
                f"{row['patients_per_core']:,.0f}",
            )
            for row in rows
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
