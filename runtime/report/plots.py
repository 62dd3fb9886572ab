"""Pictures of a report as paths in SVG: strips on ECG paper, trends, and the whole signal.

The templates have the rest. A path of relative steps in whole units is drawn as exactly as the
signal was recorded, and takes a fifth of the bytes of a list of points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..findings import CLASSES
from .excerpts import STRIP_S, Excerpt, strip_beats
from .study import LEFT_OUT, MISSING, UNREADABLE, Floats, Study
from .summary import Summary, successive
from .words import KINDS

MM_S, MM_MV = 25.0, 10.0
MIN_PAPER_MV, MAX_PAPER_MV = 2.0, 5.0  # height of a strip's paper
FINE_MM = 0.05  # a unit of a strip's path, or less
MIN_RR_TEXT_S = 0.34  # between beats there is room for the interval in ms
CELLS = 900  # across the whole record
DOTS = (450, 60)  # of the tachogram, across and up
LORENZ_DOTS = 75
MAX_RR_S = 2.4  # of tachogram and Lorenz plot; longer ones stand at the edge
LINE_S, LINE_MM, LINE_COLUMN_MM = 60.0, 8.0, 0.2  # full disclosure
SHEET_LINES = 10
DISCLOSURE_MM_MV = (10.0, 5.0, 2.5, 1.25)  # the first with which a second's swing is low enough
USUAL_SWING_MM, MOST_SWING = 6.0, 8 * LINE_MM


@dataclass(frozen=True)
class Mark:
    """A beat of a strip: mm from its left, letter, the interval to the next in ms if it fits."""

    x: float
    label: str
    rr_x: float | None
    rr_ms: int


@dataclass(frozen=True)
class Strip:
    """A strip in mm, from its left upper corner.

    Attributes
    ----------
    height : of the paper
    unit : mm of a unit of `path`
    path : of the signal, as SVG has it
    marks : the beats that count
    event : left and right of the event; None if it is none
    left_out : left and right of what was not analysed
    seconds : left of each whole second, and the second
    """

    excerpt: Excerpt
    height: float
    unit: float
    path: str
    marks: Sequence[Mark]
    event: tuple[float, float] | None
    left_out: Sequence[tuple[float, float]]
    seconds: Sequence[tuple[float, int]]


def strip_of(summary: Summary, excerpt: Excerpt) -> Strip:
    """Draw ten seconds of signal at 25 mm/s and 10 mm/mV, unfiltered, every sample."""
    study, begin = summary.study, excerpt.strip_start
    record = study.record
    first, last = (round(t * record.fs) for t in (begin, begin + STRIP_S))
    ecg = study.signal(first, last)
    low, high = _paper(ecg)
    step = int(np.ceil(MM_S / record.fs / FINE_MM))  # units from sample to sample
    unit = MM_S / record.fs / step
    ys = np.rint((high - np.clip(np.nan_to_num(ecg), low, high)) * MM_MV / unit).astype(np.int64)
    start = round((first / record.fs - begin) * MM_S / unit)
    there = np.flatnonzero(np.diff(np.isfinite(ecg), prepend=False, append=False)).reshape(-1, 2)
    times, intervals = study.beat_times, study.intervals
    marks = []
    for i in strip_beats(summary, begin):
        rr = intervals[i] if i < len(intervals) else np.nan
        fits = rr >= MIN_RR_TEXT_S and times[i] + rr <= begin + STRIP_S
        x = (times[i] - begin) * MM_S
        marks.append(
            Mark(
                x,
                CLASSES[study.beat_labels[i]],
                x + rr * MM_S / 2 if fits else None,
                round(1000 * rr) if fits else 0,
            )
        )
    return Strip(
        excerpt,
        (high - low) * MM_MV,
        unit,
        "".join(
            f"M{start + i * step} {ys[i]}"
            + "".join(f"l{step} {d}" for d in np.diff(ys[i:end]).tolist())
            for i, end in there.tolist()
        ),
        marks,
        _inside(excerpt.start, excerpt.end, begin) if excerpt.end > excerpt.start else None,
        list(_inside_all(study, begin, STRIP_S, MM_S)),
        [
            ((second - begin) * MM_S, second)
            for second in range(int(np.ceil(begin)), int(begin + STRIP_S) + 1)
        ],
    )


def _inside(start: float, end: float, begin: float) -> tuple[float, float]:
    left, right = (min(max(t - begin, 0.0), STRIP_S) * MM_S for t in (start, end))
    return left, right


def _inside_all(
    study: Study, begin: float, seconds: float, scale: float
) -> Iterator[tuple[float, float]]:
    for reason in LEFT_OUT:
        spans = np.clip(study.left_out[reason] - begin, 0.0, min(seconds, study.seconds - begin))
        for start, end in spans[spans[:, 1] > spans[:, 0]].tolist():
            yield start * scale, end * scale


def _paper(ecg: Floats) -> tuple[float, float]:
    """The lowest and highest mV on a strip's paper, multiples of 0.5 mV."""
    ecg = ecg[np.isfinite(ecg)] if np.isfinite(ecg).any() else np.zeros(1)
    low, high = np.floor((ecg.min() - 0.1) * 2) / 2, np.ceil((ecg.max() + 0.1) * 2) / 2
    if high - low > MAX_PAPER_MV:  # around the level; what swings further is cut off
        level = np.round(np.median(ecg) * 2) / 2
        low, high = level - MAX_PAPER_MV / 2, level + MAX_PAPER_MV / 2
    while high - low < MIN_PAPER_MV:
        low, high = low - 0.5, high + (0.5 if high - low < MIN_PAPER_MV - 0.5 else 0.0)
    return float(low), float(high)


def band(edges: Floats, low: Floats, high: Floats, seconds: float, scale: Scale) -> str:
    """Return the path around an area that is bounded bin by bin, left out where it is NaN."""
    xs = (edges / seconds * CELLS).round(1)
    tops, bottoms = scale.y(high), scale.y(low)
    return "".join(
        f"M{xs[i]:g} {tops[i]:g}H{xs[i + 1]:g}V{max(bottoms[i], tops[i] + 0.4):g}H{xs[i]:g}z"
        for i in np.flatnonzero(np.isfinite(tops))
    )


def steps(edges: Floats, values: Floats, seconds: float, scale: Scale) -> str:
    """Return the path of a line that is level within a bin, broken where it is NaN."""
    xs, ys = (edges / seconds * CELLS).round(1), scale.y(values)
    parts, drawing = [], False
    for i, known in enumerate(np.isfinite(ys).tolist()):
        if known:
            parts.append(
                f"V{ys[i]:g}H{xs[i + 1]:g}" if drawing else f"M{xs[i]:g} {ys[i]:g}H{xs[i + 1]:g}"
            )
        drawing = known
    return "".join(parts)


@dataclass(frozen=True)
class Scale:
    """An upright axis: `low` and `high` at the foot and head of so many units, and its ticks."""

    low: float
    high: float
    height: float
    ticks: Sequence[float]

    def y(self, values: Floats) -> Floats:
        """Return the height of values from the head, NaN where they are."""
        return ((self.high - values) / (self.high - self.low) * self.height).round(1)

    def at(self, value: float) -> float:
        """Return the height of one value."""
        return float(self.y(np.array([value]))[0])


def scale_of(low: float, high: float, height: float) -> Scale:
    """Choose an axis that holds all values, with three to six ticks on round numbers."""
    step = next(
        (
            s * 10.0**power
            for power in range(-2, 6)
            for s in (1, 2, 2.5, 5)
            if (high - low) / (s * 10.0**power) <= 4
        ),
        high - low or 1.0,
    )
    first, last = np.floor(low / step), max(np.ceil(high / step), np.floor(low / step) + 1)
    return Scale(
        float(first * step),
        float(last * step),
        height,
        (np.arange(first, last + 1) * step).round(6).tolist(),
    )


def lanes(study: Study) -> list[tuple[str, str]]:
    """Return each kind of event and of time left out, and the path of when it lasted."""
    found = []
    for kind in KINDS:
        if len(spans := study.spans(kind)):
            found.append((kind, lane(spans.tolist(), study.seconds)))
    for reason in (MISSING, UNREADABLE):
        if len(spans := study.left_out[reason]):
            found.append((reason, lane(spans.tolist(), study.seconds)))
    return found


def lane(spans: Iterable[Sequence[float]], seconds: float) -> str:
    """Return the path of bars of height 1, each wide enough to be seen."""
    cells = np.zeros(CELLS + 1, dtype=np.int8)
    for start, end in spans:
        first = min(int(start / seconds * CELLS), CELLS - 2)
        cells[first : max(first + 2, int(np.ceil(end / seconds * CELLS)))] = 1
    edges = np.flatnonzero(np.diff(cells[:CELLS], prepend=0, append=0)).reshape(-1, 2)
    return "".join(f"M{first} 0h{last - first}v1h-{last - first}z" for first, last in edges)


def dots(xs: Floats, ys: Floats, across: int, up: int) -> list[str]:
    """Return the paths of points in a raster, rarest to densest in three steps.

    Parameters
    ----------
    xs, ys : from 0 to 1
    """
    counts = np.zeros((up, across), dtype=np.int64)
    columns = np.clip((xs * across).astype(np.int64), 0, across - 1)
    rows = np.clip(((1 - ys) * up).astype(np.int64), 0, up - 1)
    np.add.at(counts, (rows, columns), 1)
    if not counts.any():
        return []
    limits = np.quantile(counts[counts > 0], (0.5, 0.9))
    steps = (
        (counts > 0) & (counts <= limits[0]),
        (counts > limits[0]) & (counts <= limits[1]),
        counts > limits[1],
    )
    return ["".join(_rows_of(step)) for step in steps]


def _rows_of(cells: NDArray[np.bool_]) -> Iterator[str]:
    for row in np.flatnonzero(cells.any(axis=1)):
        edges = np.flatnonzero(np.diff(cells[row], prepend=False, append=False)).reshape(-1, 2)
        for first, last in edges.tolist():
            yield f"M{first} {row}h{last - first}v1h-{last - first}z"


def tachogram(study: Study) -> list[str]:
    """Return the paths of every RR interval over time."""
    whole = np.isfinite(study.intervals)
    return dots(
        study.beat_times[1:][whole] / study.seconds,
        study.intervals[whole] / MAX_RR_S,
        *DOTS,
    )


def lorenz(study: Study) -> list[str]:
    """Return the paths of each RR interval and the next."""
    pairs = successive(study) / MAX_RR_S
    return dots(pairs[:, 0], pairs[:, 1], LORENZ_DOTS, LORENZ_DOTS)


@dataclass(frozen=True)
class Line:
    """A minute of full disclosure in tenths of a mm.

    Attributes
    ----------
    start : s
    path : of the signal
    beats : class and path of those that are not N
    left_out : left and right of what was not analysed
    """

    start: float
    path: str
    beats: Sequence[tuple[str, str]]
    left_out: Sequence[tuple[float, float]]


def sheets(study: Study) -> Iterator[list[Line]]:
    """Draw the whole signal, a minute a line, least and greatest value of each column."""
    second = max(1, round(study.record.fs))
    # A second in each minute says how large the signal is.
    swings = [
        float(np.ptp(part))
        for at in range(0, len(study.record.signal), 60 * second)
        if len(part := _present(study.signal(at, at + second)))
    ]
    usual = float(np.median(swings)) if swings else 0.0
    mm_mv = next((one for one in DISCLOSURE_MM_MV if one * usual <= USUAL_SWING_MM), 1.25)
    sheet: list[Line] = []
    for start in np.arange(0.0, study.seconds, LINE_S).tolist():
        sheet.append(_line(study, start, mm_mv))
        if len(sheet) == SHEET_LINES:
            yield sheet
            sheet = []
    if sheet:
        yield sheet


def _present(ecg: Floats) -> Floats:
    return ecg[np.isfinite(ecg)]


def _line(study: Study, start: float, mm_mv: float) -> Line:
    record, columns = study.record, round(STRIP_S * MM_S / LINE_COLUMN_MM)
    first = round(start * record.fs)
    ecg = study.signal(first, round((start + LINE_S) * record.fs))
    known = _present(ecg)
    middle = float(np.median(known)) if len(known) else 0.0
    # In tenths of a mm; what swings over the neighbours' lines is cut off.
    ys = np.clip((middle - np.nan_to_num(ecg, nan=middle)) * 10 * mm_mv, -MOST_SWING, MOST_SWING)
    ys = np.rint(ys + 5 * LINE_MM).astype(np.int64)
    places = np.arange(len(ys)) / (LINE_S * record.fs) * columns
    edges = np.flatnonzero(np.diff(places.astype(np.int64), prepend=-1))
    lows, highs = np.minimum.reduceat(ys, edges).tolist(), np.maximum.reduceat(ys, edges).tolist()
    drawn = [f"V{high}V{low}" for low, high in zip(lows, highs, strict=True)]
    at = range(*np.searchsorted(study.beat_times, (start, start + LINE_S)).tolist())
    beats: dict[str, list[str]] = {}
    for i in at:
        label = CLASSES[study.beat_labels[i]]
        if label != "N":
            x = int((study.beat_times[i] - start) / LINE_S * columns)
            left, right = max(0, x - 2), min(len(drawn), x + 3)
            if left < right:
                part = "h2".join(drawn[left:right])
                beats.setdefault(label, []).append(f"M{2 * left} {lows[left]}{part}")
    return Line(
        start,
        f"M0 {lows[0]}" + "h2".join(drawn),
        [(label, "".join(parts)) for label, parts in beats.items()],
        list(_inside_all(study, start, LINE_S, 2 * columns / LINE_S)),
    )
