"""The choice of strips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime.findings import Event
from runtime.report import Study
from runtime.report.excerpts import STRIP_S, Excerpt, choose_excerpts
from runtime.report.summary import Summary


def choose(study: Study, most: int) -> list[Excerpt]:
    return choose_excerpts(Summary(study), most)


def test_one_of_each_kind_comes_before_a_second(make_study: Callable[..., Study]) -> None:
    events = [
        *(Event("couplet", t, t + 0.5, 0.9, "") for t in np.arange(10.0, 200.0, 20.0)),
        *(Event("pause", t, t + 2.5, 0.9, "") for t in np.arange(300.0, 500.0, 20.0)),
        Event("ventricular_tachycardia", 600.0, 603.0, 0.8, ""),
    ]
    study = make_study(700, events=events, fs=50)
    assert [e.kind for e in choose(study, 2)] == ["ventricular_tachycardia", "pause"]
    assert [e.kind for e in choose(study, 3)] == ["ventricular_tachycardia", "pause", "couplet"]
    kinds = [e.kind for e in choose(study, 7)]
    assert (kinds.count("pause"), kinds.count("couplet")) == (3, 3)
    assert choose(study, 0) == []


def test_strips_of_one_kind_are_spread_over_time(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    # A run of a hundred beats at one place, and a few elsewhere that are hardly less sure.
    beats = [beat(100 + 0.5 * i, "S", 0.99) for i in range(100)]
    beats += [beat(t, "S", 0.991) for t in (1000.0, 2000.0, 3000.0)]
    beats += [beat(t, "S", 0.2) for t in np.arange(3100, 3150, 0.7)]
    beats.sort(key=lambda one: one.time)
    chosen = [e for e in choose(make_study(3600, beats, fs=20), 9) if e.kind == "S"]
    starts = [e.start for e in chosen]
    assert len([t for t in starts if t < 160]) <= 2
    assert {2000.0, 3000.0} <= set(starts)  # the longest interval shows the beat at 1000 s


def test_the_first_of_a_kind_is_the_longest_event_or_the_surest(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    events = [
        Event("ventricular_run", 20.0, 22.2, 0.99, ""),
        Event("ventricular_run", 80.0, 85.0, 0.5, ""),
        Event("couplet", 110.0, 110.9, 0.7, ""),
        Event("couplet", 130.0, 130.4, 0.9, ""),
    ]
    beats = [beat(160, "V", 0.7), beat(190, "V", 0.95)]
    chosen = choose(make_study(300, beats, events, fs=50), 3)
    assert [(e.kind, e.start) for e in chosen] == [
        ("ventricular_run", 80.0),
        ("couplet", 130.0),
        ("longest_rr", 160.0),
    ]


def test_no_strip_of_a_beat_is_in_fibrillation(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    beats = [beat(t, "S", 0.99) for t in np.arange(20.5, 60, 1)] + [beat(80.0, "S", 0.5)]
    events = [Event("ventricular_fibrillation", 20.0, 60.0, 0.9, "")]
    chosen = choose(make_study(100, beats, events, fs=50), 10)
    assert [(e.kind, e.start) for e in chosen] == [
        ("ventricular_fibrillation", 20.0),
        ("S", 80.0),
    ]


def test_what_an_event_s_strip_shows_is_not_drawn_again(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    times = np.cumsum([*[0.8] * 30, *[1.5] * 12, *[0.8] * 30])
    slow = Event("bradycardia", float(times[30]), float(times[41]), 0.9, "")
    drawn = choose(make_study(80, [beat(t) for t in times], [slow], fs=50), 9)
    assert [e.kind for e in drawn] == ["bradycardia", "least", "greatest"] or [
        e.kind for e in drawn
    ] == ["bradycardia", "greatest"]
    alone = choose(make_study(80, [beat(t) for t in times], fs=50), 9)
    assert [e.kind for e in alone] == ["least", "greatest"]


def test_strips_stay_inside_the_record_and_narrow_paper_shows_their_middle(
    make_study: Callable[..., Study],
) -> None:
    events = [
        Event("couplet", 0.1, 0.5, 0.9, "x"),
        Event("pause", 14.0, 16.5, 0.9, "x"),
        Event("ventricular_run", 28.0, 29.5, 0.9, "x"),
        Event("atrial_fibrillation", 4.0, 26.0, 0.8, "x"),
    ]
    chosen = {e.kind: e for e in choose(make_study(30, [], events, fs=50), 9)}
    assert all(0 <= e.strip_start <= 30 - STRIP_S for e in chosen.values())
    assert chosen["couplet"].anchor == "xMin"
    assert chosen["pause"].anchor == "xMid"
    assert chosen["ventricular_run"].anchor == "xMax"
    assert (chosen["atrial_fibrillation"].strip_start, chosen["atrial_fibrillation"].anchor) == (
        3.0,
        "xMin",
    )


def test_pictures_are_named_by_kind_and_time(make_study: Callable[..., Study]) -> None:
    events = [Event("pause", 3725.25, 3728.0, 0.9, "")]
    (excerpt,) = choose(make_study(7200, events=events, fs=10), 1)
    assert excerpt.name == "pause-003725.2"
