"""Paths of the pictures: strips to scale, rasters, scales, full disclosure."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.findings import Event
from runtime.report import Study, plots
from runtime.report.excerpts import choose_excerpts
from runtime.report.summary import Summary


def points(path: str) -> np.ndarray:
    """The points of a path of M and l, [points, 2]."""
    found: list[tuple[float, float]] = []
    for letter, x, y in re.findall(r"([Ml])(-?\d+) (-?\d+)", path):
        if letter == "M":
            found.append((float(x), float(y)))
        else:
            found.append((found[-1][0] + float(x), found[-1][1] + float(y)))
    return np.array(found)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 360.0, 1000.0])
def test_a_strip_is_to_scale_and_every_sample_is_drawn(
    make_study: Callable[..., Study], fs: float
) -> None:
    rng = np.random.default_rng(1)
    signal = np.cumsum(rng.normal(0, 0.02, round(60 * fs)))
    signal = np.clip(signal - signal.mean(), -1.4, 1.4)
    events = [Event("pause", 20.5, 23.0, 0.9, "a rule")]
    summary = Summary(make_study(60, events=events, fs=fs, signal=signal))
    (excerpt,) = choose_excerpts(summary, 1)
    strip = plots.strip_of(summary, excerpt)
    drawn = points(strip.path) * strip.unit
    first = round(excerpt.strip_start * fs)
    assert len(drawn) == round(10 * fs)
    millimetres = (np.arange(len(drawn)) + first) / fs * 25 - excerpt.strip_start * 25
    np.testing.assert_allclose(drawn[:, 0], millimetres, atol=0.06)
    level = drawn[:, 1] + 10 * signal[first : first + len(drawn)]
    np.testing.assert_allclose(level, level.mean(), atol=0.05)  # 10 mm to the mV
    assert strip.event == pytest.approx(
        ((20.5 - excerpt.strip_start) * 25, (23 - excerpt.strip_start) * 25)
    )


def test_marks_are_the_beats_that_count_with_their_intervals(
    make_study: Callable[..., Study], beat: Callable, minute: np.ndarray
) -> None:
    beats = [beat(t, "V" if t == 20.5 else "N") for t in np.arange(0.5, 60)]
    events = [
        Event("ventricular_fibrillation", 24.2, 30.0, 0.9, ""),
        Event("pause", 20.5, 23.0, 0.9, ""),
    ]
    summary = Summary(make_study(60, beats, events, signal=minute))
    pause = next(e for e in choose_excerpts(summary, 9) if e.kind == "pause")
    strip = plots.strip_of(summary, pause)
    shown = [t for t in np.arange(0.5, 60) if pause.strip_start <= t < 24.2]
    assert [mark.label for mark in strip.marks] == ["V" if t == 20.5 else "N" for t in shown]
    assert {mark.rr_ms for mark in strip.marks[:-1]} == {1000}
    assert strip.marks[-1].rr_x is None
    ((left, right),) = strip.left_out
    assert (left, right) == pytest.approx(((24.2 - pause.strip_start) * 25, 250.0))


def test_a_gap_is_a_break_in_the_line(make_study: Callable[..., Study]) -> None:
    signal = np.zeros(3600)
    signal[1000:1100] = np.nan
    events = [Event("couplet", 4.0, 5.0, 0.9, "")]
    summary = Summary(make_study(10, events=events, signal=signal))
    strip = plots.strip_of(summary, choose_excerpts(summary, 1)[0])
    assert strip.path.count("M") == 2
    assert len(points(strip.path)) == 3500


@given(st.floats(0, 300), st.floats(0, 300))
def test_a_scale_holds_all_values_on_round_ticks(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scale = plots.scale_of(low, high, 100)
    assert scale.low <= low + 1e-6
    assert scale.high >= high - 1e-6
    assert 2 <= len(scale.ticks) <= 7
    assert scale.at(scale.ticks[0]) == 100
    assert scale.at(scale.ticks[-1]) == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=200))
def test_every_point_is_in_the_raster(where: list[tuple[float, float]]) -> None:
    xs, ys = (np.array([p[i] for p in where], dtype=np.float64) for i in (0, 1))
    cells = {(min(int(x * 40), 39), min(int((1 - y) * 20), 19)) for x, y in where}
    drawn = set()
    for path in plots.dots(xs, ys, 40, 20):
        for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path):
            drawn |= {(int(x) + i, int(y)) for i in range(int(width))}
    assert drawn == cells


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 200)), max_size=20))
def test_every_event_can_be_seen_in_its_lane(spans: list[tuple[float, float]]) -> None:
    spans = [(start, min(start + length, 900.0)) for start, length in spans]
    bars = re.findall(r"M(\d+) 0h(\d+)v1h-\d+z", plots.lane(spans, 900.0))
    for start, end in spans:
        assert any(
            int(x) <= start + 2 and int(x) + int(width) >= min(end, 898) for x, width in bars
        )
    assert all(int(width) >= 2 and int(x) + int(width) <= 900 for x, width in bars)


def test_full_disclosure_has_every_minute_and_every_extreme(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    signal = np.zeros(700 * 100)
    signal[61 * 100 + 7] = 0.5  # one sample
    study = make_study(700, [beat(5.0, "V"), beat(6.0)], fs=100, signal=signal)
    sheets = list(plots.sheets(study))
    assert [len(sheet) for sheet in sheets] == [10, 2]
    lines = [line for sheet in sheets for line in sheet]
    assert [line.start for line in lines] == [60.0 * i for i in range(12)]
    assert [label for label, _ in lines[0].beats] == ["V"]
    swings = [set(re.findall(r"V(-?\d+)", line.path)) for line in lines]
    assert [len(heights) for heights in swings] == [1, 2, *[1] * 10]
