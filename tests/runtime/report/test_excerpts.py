"""The choice of strips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime.findings import Event
from runtime.report import Study
from runtime.report.excerpts import STRIP_S, choose_excerpts


def test_longest_events_surest_couplets_and_beats_are_chosen(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    events = [
        Event("pause", 20.0, 22.2, 0.99, ""),
        Event("pause", 80.0, 83.0, 0.5, ""),
        Event("pause", 50.0, 52.5, 0.6, ""),
        Event("couplet", 110.0, 110.9, 0.7, ""),
        Event("couplet", 130.0, 130.4, 0.9, ""),
    ]
    beats = [beat(160, "V", 0.7), beat(190, "V", 0.95), beat(192, "V", 0.9), beat(220, "V", 0.8)]
    chosen = choose_excerpts(make_study(300, beats, events), 2)
    assert [(e.kind, e.start) for e in chosen] == [
        ("pause", 50),
        ("pause", 80),
        ("couplet", 110),
        ("couplet", 130),
        ("V", 190),
        ("V", 220),
    ]
    assert chosen[1].caption == "Pause, 3.0 s, confidence 0.50"
    assert [e.start for e in choose_excerpts(make_study(300, beats, events), 1)] == [80, 130, 190]


def test_slowest_and_fastest_heart_rate_are_chosen(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    times = np.cumsum([*[0.8] * 30, *[1.5] * 12, *[0.8] * 30, *[0.4] * 12, *[0.8] * 30])
    slowest, fastest = choose_excerpts(make_study(150, [beat(t) for t in times]), 1)
    assert (slowest.kind, slowest.caption) == ("slowest", "Slowest heart rate: 40/min")
    assert (fastest.kind, fastest.caption) == ("fastest", "Fastest heart rate: 150/min")
    assert times[30] <= slowest.start <= times[42]
    assert times[72] <= fastest.start <= times[84]


def test_strips_stay_inside_the_record(make_study: Callable[..., Study]) -> None:
    events = [
        Event("couplet", 0.1, 0.5, 0.9, "x"),
        Event("atrial_fibrillation", 1.0, 30.0, 0.8, "x"),
    ]
    starts = [e.strip_start for e in choose_excerpts(make_study(30, [], events), 2)]
    assert len(starts) == 2
    assert all(0 <= start <= 30 - STRIP_S for start in starts)


def test_files_are_named_by_kind_and_time(make_study: Callable[..., Study]) -> None:
    (excerpt,) = choose_excerpts(make_study(7200, [], [Event("pause", 3725.0, 3728.0, 0.9, "")]), 1)
    assert excerpt.file == "pause-1.02.05.png"
