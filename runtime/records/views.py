"""An annotated record to look at: a strip on ECG paper, and a page for notebooks."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..findings import CLASSES
from .packages import need

if TYPE_CHECKING:
    from .annotation import Annotation

# The colours and shapes of the monitor page: each class has both, and its letter.
COLOURS = {"N": "#4c5b66", "S": "#8f5200", "V": "#b3261e", "F": "#7b2f9e", "Q": "#0a5cad"}
MARKERS = {"N": "o", "S": "^", "V": "s", "F": "D", "Q": "P"}
INK, QUIET, ALARM = "#14202b", "#55636f", "#b3261e"
PAPER, FINE, BOLD = "#fffafa", "#fbe4e3", "#f2bdba"
FINE_S, BOLD_S, FINE_MV, BOLD_MV = 0.04, 0.2, 0.1, 0.5  # the squares of ECG paper
LONGEST_GRID_S = 30.0  # of more seconds the squares are a blur
MIN_PAPER_MV = 2.0
# Inches a second and a mV: as on paper, which runs at 25 mm a second and has 10 mm a mV.
WIDTH_S, HEIGHT_MV = 1.0, 0.4
MAX_WIDTH_S = 14.0
MAX_LISTED = 10  # events
STRIP_S, STRIP_PX, PX_MV = 10.0, 900, 36
MAX_POINTS = 2000  # of the strip's line


def plot(annotation: Annotation, start_s: float, seconds: float, axes: Any) -> Any:
    """Draw a stretch of signal; see `Annotation.plot`."""
    first, ecg = _part(annotation, start_s, seconds)
    fs = annotation.record.fs
    begin, end = first / fs, (first + len(ecg)) / fs
    low, high = _paper(ecg)
    if axes is None:
        pyplot = need("matplotlib.pyplot", "to draw a record")
        size = (WIDTH_S * min(seconds, MAX_WIDTH_S) + 1, HEIGHT_MV * (high - low) + 1)
        axes = pyplot.subplots(figsize=size, layout="constrained")[1]
    axes.set(xlim=(begin, end), ylim=(low, high), facecolor=PAPER, xlabel="s", ylabel="mV")
    if seconds <= LONGEST_GRID_S:
        for step_s, step_mv, colour in ((FINE_S, FINE_MV, FINE), (BOLD_S, BOLD_MV, BOLD)):
            marks = np.arange(np.ceil(begin / step_s), end / step_s) * step_s
            axes.vlines(marks, low, high, color=colour, linewidth=0.5, zorder=0)
            marks = np.arange(np.ceil(low / step_mv), high / step_mv) * step_mv
            axes.hlines(marks, begin, end, color=colour, linewidth=0.5, zorder=0)
    axes.plot((first + np.arange(len(ecg))) / fs, ecg, color=INK, linewidth=0.8)
    for at, until in annotation.gaps:
        axes.axvspan(max(at, begin), min(until, end), color=QUIET, alpha=0.2, linewidth=0)
    top = high - 0.17 * (high - low)
    inside = range(*np.searchsorted(annotation.times, (begin, end)))
    for label in CLASSES:
        times = [annotation.beats[i].time for i in inside if annotation.beats[i].label == label]
        axes.plot(
            times,
            [top] * len(times),
            MARKERS[label],
            color=COLOURS[label],
            markersize=5,
            label=label,
        )
        for time in times:
            axes.text(time, top + 0.05 * (high - low), label, color=COLOURS[label], ha="center")
    for event in annotation.events:
        stop = annotation.record.seconds if event.end is None else event.end
        if event.start < end and stop > begin:
            at, until = max(event.start, begin), min(stop, end)
            axes.axvspan(at, until, color=ALARM, alpha=0.08, linewidth=0)
            text = event.kind.replace("_", " ")
            axes.text(at, low + 0.03 * (high - low), text, color=ALARM, clip_on=True)
    record = annotation.record
    axes.set_title(f"{record.name}, lead {record.lead}", loc="left")
    return axes


def html(annotation: Annotation) -> str:
    """A page for notebooks: a strip, the counts, the events; nothing but the standard library."""
    record, rate, quality = annotation.record, annotation.heart_rate, annotation.quality
    counts = Counter(beat.label for beat in annotation.beats)
    first = annotation.events[0].start - 1.0 if annotation.events else 0.0
    beats = ", ".join(f"{counts[label]} {label}" for label in CLASSES if counts[label])
    rows = [
        ("record", f"{record.name}, lead {record.lead}, {record.seconds:.6g} s, {record.fs:g} Hz"),
        ("beats", beats or "none"),
        ("heart rate", "unknown" if rate is None else f"{rate:.0f}/min"),
        ("signal", "good" if quality.ok else _flaws(annotation)),
        *((event.kind.replace("_", " "), _event(event)) for event in _listed(annotation)),
    ]
    if len(annotation.events) > MAX_LISTED:
        rows.append(("", f"and {len(annotation.events) - MAX_LISTED} more events"))
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<div>{_svg(annotation, first)}<table>{cells}</table></div>"


def _listed(annotation: Annotation) -> list[Any]:
    return list(annotation.events[:MAX_LISTED])


def _event(event: Any) -> str:
    end = "the end" if event.end is None else f"{event.end:.2f} s"
    return (
        f"{event.start:.2f} s to {end}: {event.rule} (confidence {round(event.confidence, 4):.2f})"
    )


def _flaws(annotation: Annotation) -> str:
    known = annotation.quality.to_dict()
    said = ["noise as a whole"] * bool(known["noisy"])
    said += [
        f"{name}: {share:.0%}"
        for name, share in known.items()
        if isinstance(share, float) and share and name != "range_mv"
    ]
    return ", ".join(said) or f"its range of {known['range_mv']} mV is impossible"


def _svg(annotation: Annotation, start_s: float) -> str:
    """A strip of ten seconds, its beats named."""
    first, ecg = _part(annotation, start_s, STRIP_S)
    fs, every = annotation.record.fs, max(1, len(ecg) // MAX_POINTS)
    low, high = _paper(ecg)
    height = round((high - low) * PX_MV)

    def x(seconds: float) -> float:
        return round((seconds - first / fs) / STRIP_S * STRIP_PX, 1)

    points = " ".join(
        f"{x((first + i) / fs)},{(high - ecg[i]) * PX_MV:.1f}"
        for i in range(0, len(ecg), every)
        if np.isfinite(ecg[i])
    )
    grid = "".join(
        f"<path d='M{x(first / fs + mark)} 0V{height}' stroke='{BOLD}'/>"
        for mark in np.arange(0.0, STRIP_S, BOLD_S)
    ) + "".join(
        f"<path d='M0 {(high - mark) * PX_MV:.1f}H{STRIP_PX}' stroke='{BOLD}'/>"
        for mark in np.arange(np.ceil(low / BOLD_MV), high / BOLD_MV) * BOLD_MV
    )
    inside = range(*np.searchsorted(annotation.times, (first / fs, first / fs + STRIP_S)))
    names = "".join(
        f"<text x='{x(beat.time)}' y='14' text-anchor='middle' "
        f"fill='{COLOURS[beat.label]}'>{beat.label}</text>"
        for beat in (annotation.beats[i] for i in inside)
    )
    return (
        f"<svg viewBox='0 0 {STRIP_PX} {height}' width='{STRIP_PX}' "
        f"style='background:{PAPER};max-width:100%' font-family='sans-serif' font-size='13' "
        f"role='img' aria-label='ten seconds from {first / fs:.2f} s on'>{grid}"
        f"<polyline points='{points}' fill='none' stroke='{INK}'/>{names}</svg>"
    )


def _part(annotation: Annotation, start_s: float, seconds: float) -> tuple[int, Any]:
    """First sample and signal of a stretch, moved into the record."""
    record = annotation.record
    size = round(seconds * record.fs)
    first = max(0, min(round(start_s * record.fs), len(record.signal) - size))
    return first, record.signal[first : first + size]


def _paper(ecg: Any) -> tuple[float, float]:
    """Lowest and highest mV of the paper: the signal and room for the beats' names above it."""
    known = ecg[np.isfinite(ecg)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    room = 0.4 * max(high - low, MIN_PAPER_MV)
    middle, half = (low + high) / 2, max(high - low, MIN_PAPER_MV) / 2
    return middle - half - 0.4 * room, middle + half + room
