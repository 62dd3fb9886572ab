"""The figures of a report: runs, episodes, hours, rates of events, and the trend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.findings import Event, Flaw
from runtime.report import Study
from runtime.report.summary import MAX_BINS, Run, Summary, event_rate, nights, row_edges, trend_of


def row_of(
    make_study: Callable[..., Study], beat: Callable, letters: str, rr: float = 0.8
) -> Study:
    """A study of beats in a row, a dot being a pause."""
    time, beats = 1.0, []
    for letter in letters:
        time += 2.5 if letter == "." else rr
        if letter != ".":
            beats.append(beat(time, letter))
    return make_study(time + 2, beats)


def test_isolated_beats_pairs_and_runs_are_counted_apart(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    figures = Summary(row_of(make_study, beat, "NVNVVNVVVNVVVVNSNSSNVN")).classes
    v, s = figures["V"], figures["S"]
    assert (v.count, v.isolated, v.pairs, v.runs) == (11, 2, 1, 2)
    assert (s.count, s.isolated, s.pairs, s.runs) == (3, 1, 1, 0)
    assert v.longest is not None
    assert v.longest.beats == 4
    assert v.share == pytest.approx(11 / 22)


def test_a_pause_parts_a_run(make_study: Callable[..., Study], beat: Callable) -> None:
    v = Summary(row_of(make_study, beat, "NVVV.VVVVN")).classes["V"]
    assert (v.runs, v.longest and v.longest.beats) == (2, 4)


@given(st.lists(st.sampled_from("NSVFQ."), max_size=80).map("".join))
def test_every_beat_is_in_one_run(
    make_study: Callable[..., Study], beat: Callable, letters: str
) -> None:
    summary = Summary(row_of(make_study, beat, letters))
    from runtime.report.summary import runs_of

    for k, label in enumerate("NSVFQ"):
        runs = runs_of(summary.study, k)
        assert sum(run.beats for run in runs) == letters.count(label)
        figures = summary.classes[label]
        if label != "N":
            assert figures.isolated + figures.pairs + figures.runs == len(runs)
    assert sum(figures.count for figures in summary.classes.values()) == len(
        letters
    ) - letters.count(".")


def test_the_fastest_run_is_not_the_longest(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    slow = [beat(10 + 0.8 * i, "V") for i in range(6)]
    fast = [beat(20 + 0.4 * i, "V") for i in range(3)]
    v = Summary(make_study(30, [beat(9.0), *slow, beat(16), *fast])).classes["V"]
    assert v.longest == Run(10.0, pytest.approx(14.0), 6, pytest.approx(75.0))
    assert v.fastest == Run(20.0, pytest.approx(20.8), 3, pytest.approx(150.0))


def test_a_bradycardia_has_its_least_rate_and_a_tachycardia_its_greatest(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    intervals = [0.8] * 10 + [1.3] * 12 + [1.1] * 5 + [0.8] * 10 + [0.45] * 12 + [0.8] * 10
    times = np.cumsum(intervals)
    slow = Event("bradycardia", float(times[9]), float(times[27]), 0.9, "")
    fast = Event("tachycardia", float(times[36]), float(times[50]), 0.9, "")
    run = Event("ventricular_run", float(times[9]), float(times[12]), 0.9, "")
    pause = Event("pause", 1.0, 3.0, 0.9, "")
    study = make_study(70, [beat(t) for t in times], [slow, fast])
    assert event_rate(study, slow) == pytest.approx(60 / 1.3)
    assert event_rate(study, fast) == pytest.approx(60 / 0.45)
    assert event_rate(study, run) == pytest.approx(60 / 1.3)
    assert event_rate(study, pause) is None
    summary = Summary(study)
    assert summary.rate is not None
    assert summary.rate.least is not None
    assert summary.rate.least.value == pytest.approx(60 / 1.3)


def test_burden_is_a_share_of_the_time_that_was_analysed(
    make_study: Callable[..., Study],
) -> None:
    flaws = np.zeros(100, dtype=np.int64)
    flaws[10:30] = int(Flaw.FLAT)
    events = [
        Event("atrial_fibrillation", 20.0, 60.0, 0.9, ""),
        Event("ventricular_fibrillation", 90.0, 100.0, 0.9, ""),
    ]
    summary = Summary(make_study(100, events=events, flaws=flaws))
    atrial = summary.episodes_of("atrial_fibrillation")
    assert (atrial.count, atrial.longest) == (1, 40.0)
    assert atrial.seconds == pytest.approx(30.0)
    assert atrial.share == pytest.approx(30 / 70)
    fibrillation = summary.episodes_of("ventricular_fibrillation")
    assert fibrillation.seconds == pytest.approx(10.0)
    assert fibrillation.share == pytest.approx(0.1)


@pytest.mark.parametrize("start", [None, datetime(2026, 2, 3, 9, 14)])
@pytest.mark.parametrize("seconds", [4.0, 500.0, 1806.0, 9000.0, 86_400.0, 400_000.0])
def test_rows_cover_the_record_and_begin_on_the_hour(
    seconds: float, start: datetime | None
) -> None:
    edges = row_edges(seconds, start)
    assert (edges[0], edges[-1]) == (0.0, seconds)
    assert (np.diff(edges) > 0).all()
    assert len(edges) < 60
    if start and seconds > 7200:
        assert edges[1] == (24 * 60 - 9 * 60 - 14) * 60 if seconds > 2e5 else 46 * 60


def test_rows_add_up(make_study: Callable[..., Study], beat: Callable) -> None:
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.5, 1.2, 10_000))
    labels = rng.choice(list("NNNSVFQ"), len(times))
    flaws = (rng.random(10_000) < 0.1).astype(np.int64)
    events = [Event("pause", t, t + 2.0, 0.9, "") for t in (100.0, 5000.0, 5001.0)]
    beats = [beat(t, k) for t, k in zip(times, labels, strict=True) if t < 8000]
    summary = Summary(make_study(8000, beats, events, fs=10, flaws=flaws[:8000]))
    rows = list(summary.rows())
    assert sum(row.beats for row in rows) == len(summary.study.beat_times)
    for k, label in enumerate("NSVFQ"):
        assert sum(row.counts[k] for row in rows) == summary.classes[label].count
    assert sum(row.analysed_s for row in rows) == pytest.approx(summary.study.analysed_s)
    assert sum(row.pauses for row in rows) == 3
    rates = [row.least for row in rows if row.least is not None]
    assert summary.rate is not None
    assert summary.rate.least is not None
    assert min(rates) == summary.rate.least.value


@pytest.mark.parametrize("seconds", [0.4, 7, 30, 1806, 86_400, 400_000])
def test_a_trend_has_few_bins_and_every_beat(
    make_study: Callable[..., Study], beat: Callable, seconds: float
) -> None:
    times = np.linspace(0, seconds, 500, endpoint=False)
    study = make_study(seconds, [beat(t, "V") for t in times], fs=10)
    trend = trend_of(study)
    assert len(trend.edges) <= MAX_BINS + 1
    assert (trend.edges[0], trend.edges[-1]) == (0, study.seconds)


def test_nights_are_from_ten_to_six() -> None:
    begin = datetime(2026, 2, 3, 21, 0)
    assert nights(begin, 86_400.0).tolist() == [[3600.0, 9 * 3600.0]]
    assert nights(datetime(2026, 2, 3, 5, 0), 7200.0).tolist() == [[0.0, 3600.0]]
    assert len(nights(None, 86_400.0)) == 0
