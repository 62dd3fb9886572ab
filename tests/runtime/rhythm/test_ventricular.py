"""Ventricular fibrillation: found on the signal alone, and followed through doubtful signal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patient import (
    LABELLED,
    LATE_S,
    beats_of,
    events_of,
    push,
    quiet,
    resumed,
    tracker_of,
)

from runtime.findings import Event
from runtime.model.contract import FS
from runtime.rhythm import closed
from runtime.rhythm.events import Ledger
from runtime.rhythm.events.family import Second
from runtime.rhythm.events.ventricular import (
    MAX_LOG_ODDS,
    RESTING,
    VF,
    Ventricular,
    VentricularLimits,
    hmm_step,
)
from runtime.simulate import simulate

WINDOWS = st.lists(
    st.one_of(st.floats(-8, 8, width=32), st.sampled_from([-5.0, 5.0])), min_size=1, max_size=80
).map(lambda windows: [one for one in windows for _ in range(3)])


def test_fibrillation_is_found_on_the_signal_alone() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(30 * FS) / FS
    phase = np.cumsum(4.5 + 0.4 * np.interp(time, np.arange(31), rng.standard_normal(31))) / FS
    height = 0.4 + 0.1 * np.interp(time, np.arange(31), rng.standard_normal(31))
    signal = quiet(60)
    signal[20 * FS : 50 * FS] = (height * np.sin(2 * np.pi * phase)).astype(np.float32)
    beats = [b for b in beats_of("N" * 75) if not 20 <= b.time < 50]
    (event,) = events_of(beats, signal)
    assert event.kind == VF
    assert event.start == pytest.approx(20, abs=3)
    assert event.end == pytest.approx(50, abs=4)


def test_fibrillation_that_is_over_too_soon_is_not_reported() -> None:
    lengths = set()
    for seconds in (8.0, 10.0, 12.0, 15.0):
        signal = simulate(50, seed=0, ectopic=0.0).signal.astype(float)
        time = np.arange(round(seconds * FS)) / FS
        wave = 0.6 * np.sin(8 * np.pi * time) * (1 + 0.3 * np.sin(1.4 * np.pi * time))
        signal[20 * FS : 20 * FS + len(wave)] = wave
        for shortest in (0.0, 11.0, 14.0):
            policy = LABELLED.replace(vf_min_s=shortest)
            found = [e for e in events_of([], signal, policy) if e.kind == VF]
            lengths |= {(e.end or 0.0) - e.start for e in found if shortest == 0.0}
            assert all((e.end or 0.0) - e.start >= shortest for e in found)
    assert min(lengths) < 11.0 < 14.0 < max(lengths)


def test_fibrillation_outlives_doubtful_windows_and_unreadable_ones() -> None:
    limits, log_odds, lasting = LABELLED.of(VentricularLimits), RESTING, []
    for window in [-3.0] * 10 + [4.0] * 20 + [-1.0] * 2 + [None] * 20 + [-3.0] * 20:
        log_odds = hmm_step(log_odds, window, limits)
        lasting.append(log_odds >= limits.vf_on)
    assert not any(lasting[:12])
    assert all(lasting[20:52])  # neither two doubtful windows nor 20 s without any end it
    assert not any(lasting[-12:])


@given(WINDOWS)
def test_all_events_together_are_the_likeliest_course(windows: list[float]) -> None:
    limits = LABELLED.of(VentricularLimits)
    found = closed(followed(windows))
    assert all(one.end is not None and one.end > one.start for one in found)
    called = np.zeros(len(windows), dtype=bool)
    for one in found:
        called[math.floor(one.start) : math.floor(one.end or 0.0)] = True
    # The score of a course: each window in it, and each change of the rhythm.
    own = limits.vf_weight * (np.clip(windows, -MAX_LOG_ODDS, MAX_LOG_ODDS) - limits.vf_prior)
    begins, ends = limits.vf_transition, limits.vf_end_transition
    stays = math.log((1 - ends) / (1 - begins))

    def score(course: np.ndarray) -> float:
        before = np.concatenate([[False], course[:-1]])
        return float(
            own[course].sum()
            + (course & ~before).sum() * math.log(begins / (1 - begins))
            + (~course & before).sum() * math.log(ends / (1 - begins))
            + (course & before).sum() * stays
        )

    assert score(called) == pytest.approx(likeliest(own, limits), abs=1e-3)


def test_an_event_begins_and_ends_where_it_most_likely_did() -> None:
    begun, ended = followed([-4.0] * 30 + [4.0] * 30 + [-4.0] * 30)
    assert begun.start == ended.start == pytest.approx(30, abs=1)
    assert ended.end == pytest.approx(60, abs=1)


def test_an_event_that_later_seconds_contradict_is_taken_back() -> None:
    events = followed([-4.0] * 30 + [4.0] * 5 + [-4.0] * 30)
    begun, ended = events
    assert begun.end is None
    assert ended.end == ended.start == begun.start
    assert closed(events) == []


def test_saved_at_any_second_it_goes_on_as_it_was() -> None:
    wave = 0.6 * np.sin(2 * np.pi * 4.6 * np.arange(15 * FS) / FS)
    signal = np.concatenate([quiet(15), wave, np.zeros(6 * FS), quiet(15)])
    whole = [one for one in reported([signal]) if one.kind == VF]
    assert len(whole) == 2
    for second in range(14, 40):
        parts = np.split(signal, [second * FS + 100])
        assert [one for one in reported(parts) if one.kind == VF] == whole


def reported(parts: Sequence[np.ndarray]) -> list[Event]:
    """The events of a signal in parts, between which the tracker is saved."""
    tracker, taken, events = tracker_of(), np.zeros(0), []
    for part in parts:
        taken = np.concatenate([taken, part])
        _, new = push(tracker, [], part, len(taken) / FS - LATE_S)
        events += new
        tracker = resumed(tracker, taken)
    return events + tracker.finish()


def followed(windows: list[float]) -> list[Event]:
    """The events, as they are reported, of seconds whose windows have these log-odds."""
    policy = LABELLED.replace(vf_min_s=0.0)
    ledger = Ledger(Ventricular.rules(policy), {VF: 0.0})
    family = Ventricular(policy, ledger, None)  # type: ignore[arg-type]
    for second, window in enumerate(windows):
        family.on_second(Second(second * FS, (second + 1) * FS, 0, True, window))
    family.on_end(len(windows) * FS)
    return ledger.drain()


def likeliest(own: np.ndarray, limits: VentricularLimits) -> float:
    """The best score of any course, by going through all of them, second by second."""
    begins, ends = limits.vf_transition, limits.vf_end_transition
    none, vf = 0.0, -math.inf
    for window in own:
        none, vf = (
            max(none, vf + math.log(ends / (1 - begins))),
            window
            + max(
                none + math.log(begins / (1 - begins)),
                vf + math.log((1 - ends) / (1 - begins)),
            ),
        )
    return max(none, vf)


def test_unreadable_signal_ends_fibrillation_only_if_it_lasts() -> None:
    time = np.arange(30 * FS) / FS
    wave = 0.6 * np.sin(2 * np.pi * 4.6 * time + np.sin(2.3 * time))
    for flat_s, ends in ((10, False), (45, True)):
        signal = np.concatenate([quiet(20), wave, np.zeros(flat_s * FS), wave])
        found = [e for e in events_of([], signal) if e.kind == VF]
        assert len(found) == (2 if ends else 1)
        if ends:
            assert found[0].end == pytest.approx(50, abs=4)
            assert found[1].start >= 50 + flat_s - 4


def test_after_fibrillation_that_was_lost_sight_of_a_normal_rhythm_is_none() -> None:
    wave = 0.6 * np.sin(2 * np.pi * 4.6 * np.arange(30 * FS) / FS)
    signal = np.concatenate([quiet(20), wave, np.zeros(45 * FS), quiet(20)])
    assert [e.kind for e in events_of([], signal) if e.kind == VF] == [VF]
