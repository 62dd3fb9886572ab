"""Atrial fibrillation: no order in the intervals, no P wave, and what it means for labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from patient import (
    EVEN,
    LABELLED,
    beat,
    between,
    events_of,
    normal,
    push,
    quiet,
    resumed,
    shipped,
    tracker_of,
)

from runtime.findings import Beat, Event
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy, RhythmTracker, closed
from runtime.rhythm.events.atrial import AF, P_WAVE, AtrialLimits, AtrialState
from runtime.rhythm.events.family import TrackedBeat
from runtime.rhythm.events.ventricular import expit
from runtime.simulate import draw_ecg


def log_odds_of(intervals: Sequence[float], *, p_wave: float) -> float:
    """Of the last of so many intervals (s), each beat preceded by a P wave (mV) and some noise."""
    rng, state, network = np.random.default_rng(3), AtrialState(), shipped().beats
    wave, rows = p_wave * np.hanning(len(P_WAVE)), []
    for sample in np.rint(np.cumsum(intervals) * FS).astype(int).tolist():
        before = wave + 0.01 * rng.standard_normal(len(wave))
        rows.append([state.take(TrackedBeat(sample, 0, 0.9, True), before.astype(np.float32))])
    memory = np.zeros((1, 1, network.memory_size), np.float32)
    log_odds, _ = network.run(np.array(rows, dtype=np.float32), memory)
    return float(log_odds[-1, 0, 0])


def test_only_intervals_without_order_or_p_wave_are_atrial_fibrillation() -> None:
    limits, many = LABELLED.of(AtrialLimits), 60
    irregular = np.random.default_rng(1).uniform(0.42, 1.1, many)
    breathing = 0.78 + 0.11 * np.sin(np.arange(many) * 0.9)
    doubled = np.tile([0.55, 1.05], many // 2)
    assert log_odds_of(irregular, p_wave=0.0) > limits.af_on
    assert log_odds_of(irregular, p_wave=0.15) < log_odds_of(irregular, p_wave=0.0) - 1
    for ordered in (breathing, doubled, np.full(many, 0.83)):
        assert log_odds_of(ordered, p_wave=0.15) < limits.af_off


def test_a_p_wave_is_what_remains_of_the_signal_before_the_beats() -> None:
    rng, wave = np.random.default_rng(3), 0.1 * np.hanning(len(P_WAVE))
    for noise, low, high in ((0.001, -0.1, 0.1), (0.3, -4.6, -1.5)):
        state = AtrialState()
        for _ in range(40):
            before = wave + noise * rng.standard_normal(len(wave))
            state.take_p_wave(before.astype(np.float32))
        assert state.p_wave_beats == 24
        assert all(low < share < high for share in state.p_wave())


def test_atrial_fibrillation_begins_and_ends() -> None:
    rng = np.random.default_rng(2)
    intervals = np.concatenate([np.full(60, 0.8), rng.uniform(0.45, 1.1, 150), np.full(60, 0.8)])
    beats = normal(np.cumsum(intervals), (0.9, 0.1, 0.0, 0.0, 0.0))
    events = [e for e in events_of(beats, quiet(float(intervals.sum()) + 2)) if e.kind == AF]
    assert len(events) == 1
    assert events[0].start == pytest.approx(48, abs=12)
    assert events[0].end == pytest.approx(48 + intervals[60:210].sum(), abs=12)


class Said:
    """Stands in for the network over beats: what it is to say of each, in log-odds."""

    memory_size, lag = 1, 1

    def __init__(self, log_odds: Sequence[float]):
        self.log_odds = np.array(log_odds, dtype=np.float32)

    def run(self, beats: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = round(float(memory[0, 0, 0]))
        said = self.log_odds[first : first + len(beats)]
        return np.stack([said, said], axis=1)[:, None], memory + len(beats)


def said_events(
    log_odds: Sequence[float], intervals: Sequence[float] | None = None, *, even: float = 0.0
) -> list[Event]:
    """The fibrillation reported if the network says this of beats one second apart, or with these
    intervals between them (s)."""
    policy = LABELLED.replace(af_on=1.5, af_off=0.0, af_min_s=10.0, af_even=even)
    model = replace(shipped(), policy=policy, beats=Said(log_odds))
    tracker = RhythmTracker(model, EVEN)
    times = 1.0 + (np.arange(len(log_odds)) if intervals is None else np.cumsum(intervals))
    signal = quiet(float(times[-1]) + 4.0)
    _, events = push(tracker, normal(times), signal, len(signal) / FS - 2)
    return [event for event in closed(events + tracker.finish()) if event.kind == AF]


@pytest.mark.parametrize("long", [0, 5, 9, 10, 11, 40])
def test_what_is_young_and_no_longer_certain_is_not_reported(long: int) -> None:
    """Between `af_off` and `af_on` it goes on once it has lasted, and before that it ends."""
    events = said_events([-3.0] * 5 + [3.0] * long + [1.0] * 30 + [-3.0] * 5)
    if long < 10:
        assert not events
    else:
        (event,) = events
        assert event.end is not None
        assert event.end - event.start == pytest.approx(long + 30, abs=1)


def test_of_even_intervals_no_fibrillation_is_reported() -> None:
    """As in flutter of which every second wave is conducted, whatever the network says."""
    rng, count = np.random.default_rng(4), 60
    uneven, even = (0.6 * np.exp(rng.normal(0.0, spread, count)) for spread in (0.15, 0.015))
    certain = [3.0] * count
    assert said_events(certain, uneven, even=0.04)
    assert said_events(certain, even)
    assert not said_events(certain, even, even=0.04)
    both = np.concatenate([uneven, even])
    (event,) = said_events(certain * 2, both, even=0.04)
    assert event.end == pytest.approx(float(uneven.sum()), abs=15)


def test_of_a_new_patient_the_probability_is_lower() -> None:
    (early,), (late,) = (said_events([-3.0] * n + [2.0] * 20 + [-9.0] * 5) for n in (5, 130))
    certain = (19 * expit(2.0) + expit(-9.0)) / 20
    assert late.confidence == pytest.approx(certain, abs=0.06)
    unknown = LABELLED.of(AtrialLimits).af_unknown
    assert unknown < 0
    assert early.confidence < late.confidence - 0.05


def test_after_a_long_gap_fibrillation_begins_after_it() -> None:
    times = np.cumsum(np.random.default_rng(2).uniform(0.45, 1.1, 300))
    times = times[(times < 80) | (times > 125)]
    signal = quiet(float(times[-1]) + 2)
    signal[80 * FS : 125 * FS] = signal[80 * FS]
    first, second = (e for e in events_of(normal(times), signal) if e.kind == AF)
    assert first.end is not None
    assert first.end <= 80
    assert second.start >= 125


def test_beside_beats_that_are_hardly_n_no_fibrillation_is_reported() -> None:
    """Ventricular beats that the network takes for N, now and then, look like no order at all."""
    rng = np.random.default_rng(2)
    early = rng.random(400) < 0.5
    times = np.cumsum(
        np.where(early, rng.uniform(0.4, 0.65, 400), 0.8)
        + np.where(np.roll(early, 1), rng.uniform(0.1, 0.5, 400), 0.0)
    )
    doubtful, certain = (0.6, 0.05, 0.35, 0.0, 0.0), (0.9, 0.1, 0.0, 0.0, 0.0)
    beats = [beat(float(t), doubtful if e else certain) for t, e in zip(times, early, strict=True)]
    signal = quiet(float(times[-1]) + 2)

    def kinds_of(policy: RhythmPolicy) -> set[str]:
        return {event.kind for event in events_of(beats, signal, policy)}

    assert AF in kinds_of(LABELLED.replace(af_min_atrial=0.0))
    assert AF not in kinds_of(LABELLED)


def test_soon_after_fibrillation_begins_no_beat_is_premature() -> None:
    """An event is reported once it has lasted; its beats are N as soon as it is likely."""
    rng = np.random.default_rng(5)
    sinus, fibrillation = np.full(120, 0.8), rng.uniform(0.35, 1.1, 60)
    times = np.cumsum(np.concatenate([sinus, fibrillation]))
    parts = [
        draw_ecg(rng, np.cumsum(part), ["N"] * len(part), float(part.sum()), p_waves=p_waves)
        for part, p_waves in ((sinus, True), (np.append(fibrillation, 1.0), False))
    ]
    signal = np.concatenate(parts)
    early = np.concatenate([np.zeros(120, dtype=bool), fibrillation < 0.6])
    beats = [
        beat(float(time), (0.1, 0.9, 0, 0, 0) if e else (0.95, 0.05, 0, 0, 0))
        for time, e in zip(times, early, strict=True)
    ]

    def premature(policy: RhythmPolicy) -> np.ndarray:
        """Which beats of the fibrillation are S."""
        read, _ = push(tracker_of(policy), beats, signal, len(signal) / FS)
        return np.flatnonzero([one.label == "S" for one in read[120:]])

    soon, late = premature(RhythmPolicy()), premature(RhythmPolicy(af_onset=99.0))
    assert 0 < len(soon) < len(late)  # the first ones cannot be known
    assert soon.max() < late.max() < 40


def test_while_fibrillation_is_in_doubt_the_usual_interval_decides_nothing() -> None:
    rng = np.random.default_rng(2)
    intervals = np.concatenate([np.full(60, 0.8), rng.uniform(0.3, 1.1, 150)])
    beats = normal(np.cumsum(intervals))
    signal = quiet(float(intervals.sum()) + 2)
    # Neither fibrillation nor any doubt about it.
    never = RhythmPolicy(template=None, af_on=99.0, af_onset=99.0, af_doubt=99.0)
    decided, _ = push(tracker_of(never), beats, signal, len(signal) / FS - 1.6)
    assert {one.label for one in decided[-50:]} == {"N", "S"}
    doubted = RhythmPolicy(template=None, af_on=99.0, af_onset=99.0)
    read, _ = push(tracker_of(doubted), beats, signal, len(signal) / FS - 1.6)
    assert read[-50:] == beats[: len(read)][-50:]


@pytest.fixture(scope="module")
def fibrillating() -> tuple[list[Beat], np.ndarray, float]:
    """Beats of all labels in sinus rhythm, fibrillation and sinus rhythm; the signal; its end."""
    rng = np.random.default_rng(2)
    intervals = np.concatenate([np.full(60, 0.8), rng.uniform(0.45, 1.1, 150), np.full(60, 0.8)])
    rows = {
        "N": (0.9, 0.1, 0.0, 0.0, 0.0),
        "S": (0.2, 0.7, 0.1, 0.0, 0.0),
        "V": (0.1, 0.2, 0.7, 0.0, 0.0),
    }
    labels = rng.choice(("N", "S", "V"), len(intervals), p=(0.8, 0.15, 0.05))
    beats = [
        beat(float(t), rows[label]) for t, label in zip(np.cumsum(intervals), labels, strict=True)
    ]
    return beats, quiet(float(intervals.sum()) + 2), 48 + float(intervals[60:210].sum())


def test_in_atrial_fibrillation_no_beat_is_premature(
    fibrillating: tuple[list[Beat], np.ndarray, float],
) -> None:
    beats, signal, end = fibrillating
    decided = len(signal) / FS - 1.6
    whole, _ = push(tracker_of(), beats, signal, decided)
    free, _ = push(tracker_of(LABELLED.replace(af_suppresses_s=False)), beats, signal, decided)
    assert free == beats
    early = {one.time for one in beats if one.label == "S"}
    read = [one for one in whole if one.time in early]
    assert {one.label for one in read if one.time < 40} == {"S"}  # sinus rhythm
    within = [one for one in read if 100 < one.time < end - 5]
    assert {one.label for one in within} == {"N"}
    assert within[0].score == pytest.approx(0.9)
    assert within[0].probabilities == pytest.approx((0.9, 0.0, 0.1, 0.0, 0.0))
    assert [b for b in whole if b.label == "V"] == [b for b in beats if b.label == "V"]
    assert {b.label for b in whole if b.time not in early} == {"N", "V"}


def test_fibrillation_decides_on_labels_alike_in_any_pieces(
    fibrillating: tuple[list[Beat], np.ndarray, float],
) -> None:
    beats, signal, _ = fibrillating
    decided, rng = len(signal) / FS - 1.6, np.random.default_rng(2)
    whole, _ = push(tracker_of(), beats, signal, decided)
    pieces, tracker, at = [], tracker_of(), 0
    while at < len(signal):
        cut = min(at + int(rng.integers(50, 3000)), len(signal))
        coming = between(beats, at / FS - 1.6, cut / FS - 1.6)
        pieces += push(tracker, coming, signal[at:cut], cut / FS - 1.6)[0]
        tracker, at = resumed(tracker, signal[:cut]), cut
    assert pieces == between(whole, 0, decided)


def test_a_beat_is_read_alike_however_late_the_signal_is_judged() -> None:
    """In small chunks a beat is decided before the second it follows is judged, in large ones
    after; fibrillation that comes and goes at that moment must make no difference."""
    rng = np.random.default_rng(3)
    intervals = np.concatenate(
        [part for _ in range(8) for part in (np.full(70, 0.7), rng.uniform(0.4, 1.0, 70))]
    )
    rows = rng.dirichlet((2.0, 2.0), len(intervals))
    beats = [
        beat(float(t), (float(n), float(s), 0.0, 0.0, 0.0))
        for t, (n, s) in zip(np.cumsum(intervals), rows, strict=True)
    ]
    signal = quiet(float(intervals.sum()) + 2)
    whole, _ = push(tracker_of(RhythmPolicy()), beats, signal, len(signal) / FS - 1.6)
    for size in (45, 90, 500):
        tracker, read, known = tracker_of(RhythmPolicy()), [], 0
        for cut in range(size, len(signal) + size, size):
            decided = min(cut, len(signal)) / FS - 1.6
            coming = [one for one in beats[known:] if one.time < decided]
            read += push(tracker, coming, signal[cut - size : cut], decided)[0]
            known += len(coming)
        assert read == whole[: len(read)]
        assert len(whole) - len(read) <= 3
