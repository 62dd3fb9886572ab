"""The tracker: events as they begin and end, bad signal, and what lasts at the moment."""

from __future__ import annotations

import numpy as np
import pytest
from patient import beats_of, between, events_of, push, quiet, resumed, tracker_of

from runtime.findings import Beat, Flaw
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy


def test_an_event_is_reported_when_it_begins() -> None:
    tracker = tracker_of()
    _, begun = push(tracker, beats_of("NNNN" + "V" * 20, rate=120), quiet(20), 8.0)
    assert [(e.kind, e.end) for e in begun] == [("ventricular_tachycardia", None)]
    assert tracker.current == "ventricular_tachycardia"
    assert tracker.heart_rate == pytest.approx(120, rel=0.01)
    (over,) = (
        e
        for e in push(tracker, [], quiet(1), 12.0)[1] + tracker.finish()
        if e.kind == "ventricular_tachycardia"
    )
    assert over.start == begun[0].start
    assert over.end is not None


def test_no_signal_has_no_events() -> None:
    assert tracker_of(RhythmPolicy()).finish() == []
    tracker = tracker_of()
    assert push(tracker, [], np.zeros(10), 0.0) == ([], [])
    assert tracker.finish() == []
    assert tracker.heart_rate is None
    assert (tracker.current, tracker.flaws) == ("regular", Flaw.NONE)


def test_the_gravest_event_that_lasts_names_the_rhythm() -> None:
    tracker = tracker_of()
    push(tracker, beats_of("N" * 20 + "V" * 12, rate=150), quiet(20), 7.9)
    assert tracker.current == "tachycardia"
    push(tracker, [], quiet(1)[:0], 11.9)
    assert tracker.current == "ventricular_tachycardia"


def test_a_clean_slow_heart_is_no_loose_lead() -> None:
    """Whole seconds between two beats are as flat as a loose lead is."""
    beats = beats_of("N" * 15, rate=30, start=0.5)
    signal = np.zeros(31 * FS, dtype=np.float32)
    for beat in beats:
        signal[round(beat.time * FS) - 12 :][:24] += np.hanning(24)
        signal[round(beat.time * FS) + 12 :][:12] -= 0.3 * np.hanning(12)
    assert "bradycardia" in {e.kind for e in events_of(beats, signal)}
    signal[12 * FS : 20 * FS] = 0.0
    tracker = tracker_of()
    push(tracker, [b for b in beats if not 12 <= b.time < 20], signal[: 18 * FS], 16.4)
    assert tracker.current == "unreadable"
    assert tracker.flaws & Flaw.FLAT


def test_a_loose_lead_is_no_asystole() -> None:
    signal = quiet(30)
    signal[5 * FS : 20 * FS] = 0.1
    beats = [b for b in beats_of("N" * 37) if not 5 <= b.time < 20]
    assert events_of(beats, signal) == []


def test_beats_in_bad_signal_make_no_event() -> None:
    signal = quiet(30)
    signal[8 * FS : 14 * FS : FS // 4] += 9.0  # jumps that no heart makes
    beats = beats_of("N" * 10 + "V" * 7 + "N" * 20)
    assert [e.kind for e in events_of(beats, quiet(30))] == ["ventricular_run"]
    assert events_of(beats, signal) == []


def test_the_heart_rate_is_none_if_the_next_beat_is_overdue() -> None:
    tracker, signal = tracker_of(), quiet(12)
    push(tracker, beats_of("NNNNN", rate=60), signal[: 6 * FS], 4.5)
    assert tracker.heart_rate == pytest.approx(60)
    assert push(tracker, [], signal[6 * FS :], 10.5)[1]
    assert tracker.heart_rate is None


# A second in which each kind of event lasts, or its evidence is being gathered.
MOMENTS = {
    "couplet": beats_of("NNNNVVNNNNNN"),
    "a run": beats_of("NNNNVVVVVVNN"),
    "a fast run": beats_of("NNNNVVVVVVVVVVNN", rate=130),
    "bigeminy": beats_of("NNNVNVNVNVNN"),
    "trigeminy": beats_of("NNVNNVNNVNNVN"),
    "S beats": beats_of("NNNSSSSSSNNN"),
    "a pause": beats_of("NNNNN...NNNN"),
    "asystole": beats_of("NNNN........NNN"),
    "a slow heart": beats_of("NNNNNNNNNN", rate=40),
    "a fast heart": beats_of("N" * 22, rate=140),
    "doubtful beats": beats_of("NFQNVNFNQN"),
}


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("phase", [0.0, 0.37])
def test_a_state_saved_in_the_middle_of_an_event_loses_nothing(name: str, phase: float) -> None:
    """Saved after every third of a second, so within each part of it."""
    beats: list[Beat] = MOMENTS[name]
    signal = quiet(beats[-1].time + 4)
    whole = tracker_of(RhythmPolicy())
    expected = push(whole, beats, signal, len(signal) / FS - 1.6)
    tracker, read, events = tracker_of(RhythmPolicy()), [], []
    cuts = [*range(round(phase * 120), len(signal), 120), len(signal)]
    for at, cut in zip([0, *cuts], cuts, strict=False):
        coming = between(beats, at / FS - 1.6, cut / FS - 1.6)
        found = push(tracker, coming, signal[at:cut], cut / FS - 1.6)
        read, events = read + found[0], events + found[1]
        restored = resumed(tracker, signal[:cut])
        assert restored.save().tolist() == tracker.save().tolist()
        assert (restored.current, restored.flaws, restored.heart_rate) == (
            tracker.current,
            tracker.flaws,
            tracker.heart_rate,
        )
        tracker = restored
    assert (read, [e.kind for e in events]) == (expected[0], [e.kind for e in expected[1]])
    np.testing.assert_allclose(tracker.save(), whole.save(), atol=1e-3)
    assert tracker.finish() == whole.finish()
