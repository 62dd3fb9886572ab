"""Pause and asystole: silence counts in signal that can be read, wherever whole seconds fall."""

from __future__ import annotations

import numpy as np
import pytest
from patient import LABELLED, beats_of, between, events_of, normal, push, quiet, tracker_of

from runtime.model.contract import FS


def test_asystole_is_reported_while_it_lasts() -> None:
    signal = quiet(20)
    # Wanders with the breath, so no loose lead.
    signal[4 * FS :] = 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(16 * FS) / FS)
    tracker = tracker_of()
    _, begun = push(tracker, beats_of("NNNN"), signal, 18.0)
    assert [(e.kind, e.end) for e in begun] == [("asystole", None)]
    assert begun[0].start == pytest.approx(2.8, abs=0.01)
    assert tracker.heart_rate is None
    assert tracker.current == "asystole"


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize(
    ("silence", "expected"),
    [(3.9, ["pause"]), (4.2, ["asystole"]), (4.9, ["asystole"])],
)
def test_silence_counts_alike_wherever_the_whole_seconds_fall(
    phase: float, silence: float, expected: list[str]
) -> None:
    before = beats_of("NNNN", start=0.4 + phase)
    after = beats_of("NNNN", start=before[-1].time + silence)
    found = events_of([*before, *after], quiet(after[-1].time + 3))
    assert sorted(e.kind for e in found) == expected
    silent = next(e for e in found if e.kind == expected[-1])
    assert (silent.start, silent.end) == pytest.approx((before[-1].time, after[0].time), abs=1 / FS)


@pytest.mark.parametrize(("silence", "expected"), [(3.1, []), (3.9, []), (4.1, ["asystole"])])
def test_a_recording_that_ends_early_is_no_silence(silence: float, expected: list[str]) -> None:
    signal = quiet(12)
    for last in (5.2, 5.6, 5.95):
        beats = normal(
            [last - 0.8 * i for i in range(6, -1, -1)], (0.9, 0.025, 0.025, 0.025, 0.025)
        )
        found = events_of(beats, signal[: round((last + silence) * FS)])
        assert [e.kind for e in found] == expected


@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_asystole_is_reported_through_hum(hertz: float) -> None:
    """Of 50 Hz, sampled down, 10 Hz used to be left, which is what fibrillation looks like."""
    signal = quiet(40)
    hum = 0.1 * np.sin(2 * np.pi * hertz * np.arange(34 * FS) / FS)
    signal[6 * FS :] = hum + np.random.default_rng(1).normal(0.0, 0.005, len(hum))
    found = events_of(between(beats_of("NNNNNN"), 0, 5.5), signal)
    assert {e.kind for e in found} == {"asystole"}
    assert found[0].start == pytest.approx(4.4, abs=0.01)
    assert found[0].confidence == 1.0


def test_asystole_waits_for_fibrillation_but_not_for_ever() -> None:
    signal = quiet(30)
    signal[5 * FS :] = 0.8 * np.sin(2 * np.pi * 5.0 * np.arange(25 * FS) / FS)
    never = LABELLED.replace(vf_on=99.0)
    _, (begun,) = push(tracker_of(never), beats_of("NNNNN"), signal, 28.0)
    assert (begun.kind, begun.end) == ("asystole", None)
    assert push(tracker_of(never), beats_of("NNNNN"), signal[: 13 * FS], 11.4)[1] == []
    assert "ventricular_fibrillation" in {
        e.kind for e in push(tracker_of(), beats_of("NNNNN"), signal, 28.0)[1]
    }


def test_with_asystole_everything_made_of_beats_is_over() -> None:
    fast = beats_of("NNNN" + "V" * 20, rate=150)
    after = beats_of("NNNNNNNN", start=fast[-1].time + 8)
    signal = quiet(after[-1].time + 3)
    found = {e.kind: e for e in events_of([*fast, *after], signal)}
    assert set(found) == {"ventricular_tachycardia", "tachycardia", "asystole"}  # no bradycardia
    for kind in ("ventricular_tachycardia", "tachycardia"):
        assert found[kind].end == pytest.approx(fast[-1].time, abs=1 / FS)
    assert found["asystole"].end == pytest.approx(after[0].time, abs=1 / FS)


def test_asystole_ends_with_the_signal_that_shows_it() -> None:
    signal = quiet(30)
    signal[4 * FS : 14 * FS] = 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(10 * FS) / FS)
    signal[14 * FS : 22 * FS] = 0.5  # a loose lead
    beats = [*beats_of("NNNN"), *beats_of("N" * 8, start=22.6)]
    (event,) = events_of(beats, signal)
    assert (event.kind, event.end) == ("asystole", 14.0)
