"""Pictures of a report: a record's overview, and strips on ECG paper. Needs ``matplotlib``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..findings import CLASSES
from .excerpts import STRIP_S, Excerpt
from .study import Study, Trend
from .words import CLASS_NAMES, FLAW_NAMES, KINDS, clock, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours and shapes of the monitor page: each class has both, and its letter.
COLOURS = {"N": "#4c5b66", "S": "#8f5200", "V": "#b3261e", "F": "#7b2f9e", "Q": "#0a5cad"}
MARKERS = {"N": "o", "S": "^", "V": "s", "F": "D", "Q": "P"}
INK, QUIET, ALARM, WARN = "#14202b", "#55636f", "#b3261e", "#b97400"
PAPER, FINE, BOLD = "#fffafa", "#fbe4e3", "#f2bdba"
DPI = 127.0  # five pixels to the millimetre, so that every line of the grid is crisp
INCH_MM = 25.4
MM_S, MM_MV = 25.0, 10.0
MIN_PAPER_MV, MAX_PAPER_MV = 2.0, 6.0  # height of a strip's paper
MARGIN_MM, LINE_MM, LANE_MM, FOOT_MM = 6.0, 5.0, 6.0, 5.0
COLOURS_KEPT = 96  # of a picture
CELLS = 1200  # across the overview's lanes: about one a pixel


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG; a palette takes a third of the bytes and looks the same."""
    from PIL import Image  # which matplotlib brings

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor="white")
    with Image.open(drawn) as picture:
        small = picture.convert("RGB").quantize(
            COLOURS_KEPT, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    small.save(path, optimize=True)


def strip(study: Study, excerpt: Excerpt) -> Figure:
    """Ten seconds of signal at 25 mm/s and 10 mm/mV, beats and event marked."""
    from matplotlib.figure import Figure

    record, begin = study.record, excerpt.strip_start
    first, last = (round(t * record.fs) for t in (begin, begin + STRIP_S))
    ecg = np.where(study.missing[first:last], np.nan, record.signal[first:last])
    low, high = _paper(ecg)
    width, height = STRIP_S * MM_S, (high - low) * MM_MV + LANE_MM
    head_mm = LINE_MM * (2 if excerpt.rule else 1) + 1
    wide, high_mm = width + 2 * MARGIN_MM, height + head_mm + FOOT_MM
    figure = Figure(figsize=(wide / INCH_MM, high_mm / INCH_MM), dpi=DPI)
    axes = figure.add_axes((MARGIN_MM / wide, FOOT_MM / high_mm, width / wide, height / high_mm))
    top = high + LANE_MM / MM_MV
    axes.set(xlim=(begin, begin + STRIP_S), ylim=(low, top), facecolor=PAPER)
    _grid(axes, begin, low, top)
    axes.plot(
        (first + np.arange(len(ecg))) / record.fs,
        ecg,
        color=INK,
        linewidth=0.8,
        solid_joinstyle="round",
        clip_box=axes.bbox,
    )
    for second in range(int(begin), int(np.ceil(begin + STRIP_S))):
        if second < len(study.doubtful) and study.doubtful[second]:
            axes.axvspan(second, second + 1, color=QUIET, alpha=0.16, linewidth=0)
    for i in range(*np.searchsorted(study.times, (begin, begin + STRIP_S))):
        beat, colour = study.beats[i], COLOURS[study.beats[i].label]
        if beat.anomaly:
            axes.axvspan(beat.time - 0.1, beat.time + 0.1, color=colour, alpha=0.13, linewidth=0)
        lane = top - 0.55 * LANE_MM / MM_MV
        axes.plot(
            beat.time - 0.045,
            lane,
            MARKERS[beat.label],
            color=colour,
            markeredgewidth=0,
            markersize=3.5 if beat.label == "N" else 6,
        )
        axes.text(
            beat.time + 0.025,
            lane,
            beat.label,
            color=colour,
            fontsize=8,
            weight="bold",
            va="center_baseline",
        )
    if excerpt.end > excerpt.start:
        axes.plot(
            [excerpt.start, excerpt.end],
            [low, low],
            color=ALARM,
            linewidth=5,
            solid_capstyle="butt",
        )
    axes.set_yticks([])
    seconds = np.arange(np.ceil(begin), begin + STRIP_S + 1e-6)
    axes.set_xticks(seconds, [clock(t) for t in seconds], fontsize=7, color=QUIET)
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_color(BOLD)
    lines = [
        (0, f"{clock(excerpt.start, 1)}  {excerpt.caption}", 9, "bold", INK),
        (1, f"{record.name}, {record.lead}, 25 mm/s, 10 mm/mV", 8, "normal", QUIET),
    ]
    if excerpt.rule:
        lines.append((0, excerpt.rule, 8, "normal", QUIET))
    for i, (side, words, size, weight, colour) in enumerate(lines):
        line_mm = head_mm - (0.5 + i // 2) * LINE_MM
        axes.annotate(
            words,
            (side, 1),
            (0, line_mm * 72 / INCH_MM),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=size,
            weight=weight,
            color=colour,
            ha="right" if side else "left",
            va="center",
            parse_math=False,
        )
    return figure


def _paper(ecg: np.ndarray) -> tuple[float, float]:
    """The lowest and highest mV on a strip's paper, multiples of 0.5 mV."""
    ecg = ecg[np.isfinite(ecg)]
    if not len(ecg):
        return -MIN_PAPER_MV / 2, MIN_PAPER_MV / 2
    low, high = np.floor((ecg.min() - 0.1) * 2) / 2, np.ceil((ecg.max() + 0.1) * 2) / 2
    if high - low > MAX_PAPER_MV:  # around the level; what swings further is cut off
        level = np.round(np.median(ecg) * 2) / 2
        low, high = level - MAX_PAPER_MV / 2, level + MAX_PAPER_MV / 2
    while high - low < MIN_PAPER_MV:
        low, high = low - 0.5, high + (0.5 if high - low < MIN_PAPER_MV - 0.5 else 0.0)
    return float(low), float(high)


def _grid(axes: Axes, begin: float, low: float, top: float) -> None:
    """Millimetre paper; bold every five, in the middle of a pixel."""
    for mm, colour in ((1, FINE), (5, BOLD)):
        xs = np.arange(begin, begin + STRIP_S, mm / MM_S)
        ys = np.arange(low, top, mm / MM_MV)
        axes.vlines(xs, low, top, color=colour, linewidth=72 / DPI, zorder=0.5)
        axes.hlines(ys, begin, begin + STRIP_S, color=colour, linewidth=72 / DPI, zorder=0.5)


def overview(study: Study, trend: Trend) -> Figure:
    """Heart rate, anomalies, rhythm events and quality over the whole record."""
    from matplotlib.figure import Figure

    kinds = [kind for kind in KINDS if any(event.kind == kind for event in study.events)]
    flaws = [i for i, shares in enumerate(trend.flaws) if shares.any()]
    heights = [2.1, 1.5, 0.2 * max(1, len(kinds)), 0.2 * max(1, len(flaws))]
    figure = Figure(figsize=(262 / INCH_MM, sum(heights) + 1.5), dpi=DPI, layout="constrained")
    rate, anomalies, events, quality = figure.subplots(4, sharex=True, height_ratios=heights)
    edges = trend.edges
    _rate(rate, trend)
    _anomalies(anomalies, trend)
    spans = [
        (kind, [(e.start, e.end or e.start) for e in study.events if e.kind == kind])
        for kind in kinds
    ]
    cells = np.array([_cells(of_kind, study.seconds) for _, of_kind in spans]).reshape(-1, CELLS)
    _lanes(
        events,
        np.linspace(0, edges[-1], CELLS + 1),
        cells,
        [f"{title(kind)} ({len(of_kind)})" for kind, of_kind in spans],
        ALARM,
        "no rhythm event",
    )
    names = list(FLAW_NAMES.values())
    shares = trend.flaws[flaws]
    _lanes(
        quality,
        edges,
        np.where(shares > 0, 0.35 + 0.65 * shares, 0.0),
        [names[i] for i in flaws],
        WARN,
        "nothing wrong with the signal",
    )
    for axes, name in (
        (rate, "Heart rate, /min"),
        (anomalies, "Not normal, beats/min"),
        (events, "Rhythm events"),
        (quality, "Signal quality"),
    ):
        axes.set_title(name, loc="left", fontsize=9, weight="bold", color=INK)
        axes.tick_params(labelsize=8, colors=QUIET)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#c4ccd2")
    ticks = _ticks(edges[-1])
    quality.set_xticks(ticks, [clock(t) for t in ticks])
    quality.set_xlim(0, edges[-1])
    return figure


def _rate(axes: Axes, trend: Trend) -> None:
    low, median, high = trend.rate
    edges = trend.edges
    axes.fill_between(
        edges,
        np.append(low, low[-1:]),
        np.append(high, high[-1:]),
        step="post",
        color="#0b6b63",
        alpha=0.22,
        linewidth=0,
    )
    axes.stairs(median, edges, color="#0b6b63", linewidth=1.2, baseline=None)
    axes.grid(axis="y", color="#e4e9ec", linewidth=0.7)
    if np.isnan(median).all():
        axes.set_yticks([])
        axes.text(
            0.5,
            0.5,
            "no heart rate",
            transform=axes.transAxes,
            ha="center",
            va="center",
            color=QUIET,
            fontsize=9,
        )
    else:
        axes.set_ylim(max(0.0, np.nanmin(low) - 10), np.nanmax(high) + 10)


def _anomalies(axes: Axes, trend: Trend) -> None:
    below = np.zeros(len(trend.edges) - 1)
    for label, counts in zip(CLASSES[1:], trend.anomalies, strict=True):
        if counts.any():
            axes.stairs(
                below + counts,
                trend.edges,
                baseline=below,
                fill=True,
                color=COLOURS[label],
                label=f"{label}  {CLASS_NAMES[label]}",
            )
        below = below + counts
    axes.set_ylim(0, max(1.0, 1.08 * float(below.max())))
    axes.grid(axis="y", color="#e4e9ec", linewidth=0.7)
    axes.set_axisbelow(True)
    if below.any():
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=4,
            fontsize=8,
            frameon=False,
            borderaxespad=0.1,
            handlelength=1,
        )


def _lanes(
    axes: Axes, edges: np.ndarray, shares: np.ndarray, names: list[str], colour: str, nothing: str
) -> None:
    """A row for each name, as strongly coloured as its share of each bin."""
    from matplotlib.colors import LinearSegmentedColormap

    axes.set_yticks(range(len(names)), names)
    if not names:
        axes.set_ylim(-0.5, 0.5)
        axes.text(
            0.5,
            0.5,
            nothing,
            transform=axes.transAxes,
            ha="center",
            va="center",
            color=QUIET,
            fontsize=9,
        )
        return
    colours = LinearSegmentedColormap.from_list("", ["#f5f7f8", colour])
    axes.pcolormesh(edges, np.arange(len(names) + 1) - 0.5, shares, cmap=colours, vmin=0, vmax=1)
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="white", linewidth=1.5)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _cells(spans: list[tuple[float, float]], seconds: float) -> np.ndarray:
    """Mark the cells that spans touch, 0 or 1 [CELLS]; each span at least three, to be seen."""
    cells = np.zeros(CELLS)
    for start, end in spans:
        first, last = int(start / seconds * CELLS), int(end / seconds * CELLS)
        cells[max(0, first - (last - first < 2)) : max(last, first + 1) + 1] = 1.0
    return cells


def _ticks(seconds: float) -> np.ndarray:
    step = next(
        (
            s
            for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
            if seconds / s <= 13
        ),
        np.ceil(seconds / 13 / 3600) * 3600,
    )
    return np.arange(0.0, seconds + 1e-6, step)
