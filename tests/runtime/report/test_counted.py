"""Events that a stream reports before it recognises fibrillation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime.findings import Event
from runtime.report import Study
from runtime.report.counted import BEATS
from runtime.report.words import AF, ASYSTOLE, BRADYCARDIA, KINDS, TACHYCARDIA, VF

FIBRILLATION = Event(VF, 30.0, 50.0, 0.9, "")


def counted(
    make_study: Callable[..., Study], beat: Callable, label: str, rate: float, event: Event
) -> list[tuple[str, float, float | None]]:
    times = np.arange(5.0, 50.0, 60.0 / rate)
    study = make_study(60, [beat(t, label) for t in times], [event, FIBRILLATION])
    return [(e.kind, e.start, e.end) for e in study.counted_events if e.kind != VF]


@pytest.mark.parametrize(
    ("kind", "start", "expected"),
    [
        ("ventricular_tachycardia", 25.0, 30.0),  # three beats before it
        ("ventricular_tachycardia", 29.0, None),  # two
        ("ventricular_tachycardia", 33.0, None),
        ("supraventricular_run", 25.0, 30.0),
        ("tachycardia", 10.0, 30.0),
        ("tachycardia", 29.0, None),  # the rates before are of earlier beats
        ("couplet", 29.5, None),
        ("pause", 40.0, None),
        ("bigeminy", 20.0, 30.0),
        ("bigeminy", 28.0, None),
    ],
)
def test_an_event_is_cut_to_what_still_meets_its_rule(
    make_study: Callable[..., Study],
    beat: Callable,
    kind: str,
    start: float,
    expected: float | None,
) -> None:
    rate = 140.0 if kind == "tachycardia" else 100.0
    if (kind, start) == ("tachycardia", 29.0):
        rate = 100.0
    found = counted(make_study, beat, "V", rate, Event(kind, start, 40.0 + start / 10, 0.9, "x"))
    assert found == ([(kind, start, expected)] if expected else [])


def test_atrial_fibrillation_goes_on_after_it(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    whole = Event(AF, 2.0, 58.0, 0.9, "x")
    assert counted(make_study, beat, "N", 80, whole) == [(AF, 2.0, 58.0)]
    assert counted(make_study, beat, "N", 80, Event(AF, 38.0, 58.0, 0.9, "x")) == []


def test_what_touches_no_fibrillation_is_left_as_it_is(
    make_study: Callable[..., Study], beat: Callable
) -> None:
    event = Event("pause", 10.0, 12.5, 0.9, "x")
    study = make_study(60, [beat(10.0), beat(12.5)], [event, FIBRILLATION])
    assert study.settled == [event, FIBRILLATION]


def test_every_kind_of_event_has_its_rule() -> None:
    assert set(KINDS) == set(BEATS) | {AF, VF, ASYSTOLE, BRADYCARDIA, TACHYCARDIA}
