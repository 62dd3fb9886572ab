"""The plots: latency by provider, throughput by batch, HTTP, and cost as work grows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bench.http_servers import OURS
from bench.in_process import FOLLOWED, PUSH

OURS_COLOUR, OTHER_COLOUR = "#1f6fb4", "#b0b0b0"


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    """Draw the results that there are; gives the files' names."""
    figures = {
        "latency.png": _latency(results["rows"]),
        "throughput.png": _throughput(results["rows"]),
    }
    if results.get("http") and results["http"]["rows"]:
        figures["http.png"] = _http(results["http"]["rows"])
    if results.get("scaling"):
        figures["scaling.png"] = _scaling(results["scaling"])
    for name, figure in figures.items():
        figure.suptitle(
            f"{results['machine']['cpu']}, {results['machine']['cores']} cores",
            fontsize=9,
            color="#606060",
            x=0.99,
            ha="right",
        )
        figure.savefig(folder / name, dpi=130)
        plt.close(figure)
    return list(figures)


def _latency(rows: list[dict[str, Any]]) -> Figure:
    one = sorted(
        (row for row in rows if row["batch"] == 1), key=lambda row: -row["end_to_end"]["p50_ms"]
    )
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(one) + 1.3), layout="constrained")
    places = range(len(one))
    for place, row in zip(places, one, strict=True):  # on a log scale a bar's length has no meaning
        colour, timing = OURS_COLOUR if row["ours"] else OTHER_COLOUR, row["end_to_end"]
        axes.plot([timing["p50_ms"], timing["p95_ms"]], [place, place], color=colour, linewidth=1.5)
        axes.plot(timing["p50_ms"], place, "o", color=colour, markersize=9)
        axes.annotate(
            f"{timing['p50_ms']:.2f}",
            (timing["p50_ms"], place),
            (0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_yticks(places, [f"{row['name']} ({row['provider']})" for row in one])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel("ms for a second of signal: median, and line to the 95th percentile")
    axes.grid(alpha=0.3, axis="x")
    axes.margins(y=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Latency of one patient", loc="left")
    return figure


def _throughput(rows: list[dict[str, Any]]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    names = list(dict.fromkeys((row["name"], row["provider"], row["ours"]) for row in rows))
    others = itertools.cycle(plt.get_cmap("tab10").colors)  # type: ignore[attr-defined]
    for name, provider, ours in names:
        line = sorted(
            (row["batch"], row["patients_per_core"])
            for row in rows
            if (row["name"], row["provider"]) == (name, provider)
        )
        axes.plot(
            *zip(*line, strict=True),
            marker="o",
            markersize=4,
            linewidth=2 if ours else 1.2,
            color="black" if name in (PUSH, FOLLOWED) else next(others),
            linestyle=":" if name == FOLLOWED else "-" if ours else "--",
            label=f"{name} ({provider})",
        )
    axes.set(xscale="log", yscale="log", xlabel="patients in a call", ylabel="live patients a core")
    axes.set_xticks(
        sorted({row["batch"] for row in rows}),
        [str(batch) for batch in sorted({row["batch"] for row in rows})],
        minor=False,
    )
    axes.minorticks_off()
    axes.grid(alpha=0.3, which="both")
    axes.set_title("Throughput by batch", loc="left")
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, loc="outside right center")
    return figure


def _http(rows: list[dict[str, Any]]) -> Figure:
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 0.42 * len(rows) + 1.3), layout="constrained", sharey=True
    )
    ordered = sorted(rows, key=lambda row: row["requests_per_s"])
    labels = [f"{row['name']}, {row['body']}" for row in ordered]
    ours = [row["name"] == OURS for row in ordered]
    _bars(
        left,
        labels,
        [row["latency"]["p50_ms"] for row in ordered],
        ours,
        "{:.2f}",
        ends=[row["latency"]["p95_ms"] for row in ordered],
    )
    left.set_xlabel("ms: median (bar), 95th percentile (line)")
    left.set_title("POST /predict of one second", loc="left")
    _bars(right, labels, [row["requests_per_s"] for row in ordered], ours, "{:,.0f}")
    right.set_xlabel("answers a second from one core")
    return figure


def _scaling(scaling: dict[str, Any]) -> Figure:
    figure, (patients, records, cores) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    patients.plot(
        [row["patients"] for row in scaling["patients"]],
        [row["us_per_patient"] for row in scaling["patients"]],
        "o-",
        color=OURS_COLOUR,
    )
    patients.set(
        xscale="log", xlabel="patients in a call", ylabel="µs a patient and second", ylim=(0, None)
    )
    records.plot(
        [row["hours"] for row in scaling["records"]],
        [row["s"] for row in scaling["records"]],
        "o-",
        color=OURS_COLOUR,
    )
    records.set(xlabel="hours of record", ylabel="s, file to file", ylim=(0, None), xlim=(0, None))
    cores.bar(
        [str(row["cores"]) for row in scaling["cores"]],
        [row["patients"] for row in scaling["cores"]],
        color=OURS_COLOUR,
        width=0.5,
    )
    cores.set(xlabel="cores", ylabel="live patients, to beats")
    for axes, title in ((patients, "Patients"), (records, "Record length"), (cores, "Cores")):
        axes.set_title(title, loc="left")
        axes.grid(alpha=0.3, axis="y")
    return figure


def _bars(
    axes: Axes,
    labels: list[str],
    values: list[float],
    ours: list[bool],
    style: str,
    *,
    ends: list[float] | None = None,
) -> None:
    places = list(range(len(labels)))
    axes.barh(places, values, color=[OURS_COLOUR if mine else OTHER_COLOUR for mine in ours])
    axes.set_yticks(places, labels)
    furthest = values if ends is None else [max(pair) for pair in zip(values, ends, strict=True)]
    if ends is not None:
        axes.hlines(places, values, ends, color="#404040", linewidth=1)
    for place, value, end in zip(places, values, furthest, strict=True):
        axes.annotate(
            style.format(value),
            (end, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
