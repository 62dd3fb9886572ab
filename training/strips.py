"""Beats drawn as on ECG paper: 25 mm/s, 10 mm/mV; the reference above, the report below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.detector import Detector
from runtime.findings import CLASSES
from training.detect import find
from training.recordings import FS, Record
from training.scores import align

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRIP_S = 8.0
HEIGHT_MV = (-1.5, 2.0)  # around the strip's median; what is taller is cut, as on paper
MARKS = (*CLASSES, "–")  # the last: no beat
_INCH_MM = 25.4
_ROW_MM = 50.0  # 35 mm of strip, its marks and its title


def draw_hardest(
    detector: Detector, records: Sequence[Record], path: Path, *, count: int = 6
) -> None:
    """Draw the records with the most S and V beats wrong, each at its densest stretch of them."""
    from tqdm import tqdm

    rows = []
    for record in tqdm(records, desc="hardest", unit="record"):
        beats, labels = find(detector, record)
        wrong = wrong_beats(record, beats, labels)
        if len(wrong):
            rows.append((len(wrong), record, beats, labels, densest(wrong)))
    rows = sorted(rows, key=lambda row: -row[0])[:count]
    figure, axes = sheet(len(rows))
    for place, (number, record, beats, labels, start) in zip(axes, rows, strict=True):
        strip(place, record, start, beats, labels)
        place.set_title(
            f"{record.name}, {record.leads[0]}, {int(start // 60)}:{start % 60:04.1f}; "
            f"in the whole record {number:,} of {len(record.beats):,} beats are "
            "wrong about S or V",
            loc="left",
            fontsize=8,
            pad=14,
        )
    figure.text(
        0.99,
        0.995,
        "above each strip the reference, below it the report; red where they differ",
        ha="right",
        va="top",
        fontsize=7,
        color="#606060",
    )
    figure.savefig(path, dpi=110)


def wrong_beats(
    record: Record, beats: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Samples, ascending, of S and V beats that the report misses, invents or mistakes."""
    samples, there, reported, _ = align(record.beats, record.labels, beats, labels)
    for begin, end in record.flutter:  # no beats are defined there
        there = np.where((samples >= begin) & (samples <= end), reported, there)
    concerned = np.isin(there, (1, 2)) | np.isin(reported, (1, 2))
    return np.sort(samples[concerned & (there != reported)])


def densest(samples: NDArray[np.int64], seconds: float = STRIP_S) -> float:
    """Start, s, of the stretch that holds the most of these (ascending) samples, in its middle."""
    ends = np.searchsorted(samples, samples + (seconds - 2.0) * FS, side="right")
    first = int(np.argmax(ends - np.arange(len(samples))))
    middle = (samples[first] + samples[ends[first] - 1]) / 2 / FS
    return float(max(0.0, middle - seconds / 2))


def sheet(rows: int) -> tuple[Figure, list[Axes]]:
    """A page for so many strips, in the size of paper."""
    from matplotlib.figure import Figure

    width = STRIP_S * 25 + 10
    figure = Figure(figsize=(width / _INCH_MM, max(rows, 1) * _ROW_MM / _INCH_MM))
    figure.set_layout_engine("none")  # whatever a notebook has set: the size is that of paper
    axes = figure.subplots(max(rows, 1), 1, squeeze=False)[:, 0].tolist()
    height = max(rows, 1) * _ROW_MM
    figure.subplots_adjust(
        left=5 / width, right=1 - 5 / width, bottom=6 / height, top=1 - 12 / height, hspace=0.4
    )
    for place in axes:
        place.set_axis_off()
    return figure, axes[:rows]


def strip(
    axes: Axes,
    record: Record,
    start: float,
    beats: NDArray[np.int64],
    labels: NDArray[np.int64],
    seconds: float = STRIP_S,
) -> None:
    """Draw one strip: beats that agree in grey, the others in red."""
    first = round(start * FS)
    ecg = record.signal[0, first : first + round(seconds * FS)]
    time = np.arange(len(ecg)) / FS
    low, high = HEIGHT_MV
    axes.set_axis_on()
    for step, colour, width in ((0.04, "#f6dcdc", 0.3), (0.2, "#eab8b8", 0.6)):
        axes.vlines(np.arange(0, seconds + 1e-6, step), low, high, colour, lw=width, zorder=0)
        axes.hlines(np.arange(low, high + 1e-6, step * 2.5), 0, seconds, colour, lw=width, zorder=0)
    axes.plot(time, np.clip(ecg - np.median(ecg), low, high), color="black", lw=0.8)
    samples, there, reported, _ = align(record.beats, record.labels, beats, labels)
    for sample, truth, label in zip(samples, there, reported, strict=True):
        if 0 <= sample - first < len(ecg):
            style: dict[str, Any] = {
                "fontsize": 8,
                "ha": "center",
                "color": "#c00000" if truth != label else "#606060",
                "fontweight": "bold" if truth != label else "normal",
            }
            axes.text((sample - first) / FS, high + 0.05, MARKS[truth], va="bottom", **style)
            axes.text((sample - first) / FS, low - 0.1, MARKS[label], va="top", **style)
    axes.set(xlim=(0, seconds), ylim=(low, high), xticks=[], yticks=[], aspect=0.4)
    axes.spines[:].set_color("#eab8b8")
