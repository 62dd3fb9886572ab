"""Rhythm: every rule finds its event, none is found in bad signal, cuts leave no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.rhythm.follow import (
    ATRIAL_INTERVALS,
    FS,
    KINDS,
    LARGEST_SAVED,
    P_WAVE,
    RESTING,
    VF,
    Atria,
    Rhythm,
    RhythmPolicy,
    atrial_odds,
    closed,
    sustained,
)

from runtime import Detector
from runtime.errors import InputError
from runtime.findings import CLASSES, Beat, Event
from runtime.signal import features as waveform
from runtime.simulate import simulate


def beats_of(pattern: str, *, rate: float = 75.0, start: float = 0.4, score: float = 0.9
             ) -> list[Beat]:
    """A beat for each letter; a dot is a beat left out."""
    return [Beat(start + i * 60.0 / rate, label, score,
                 tuple(score if one == label else (1 - score) / 4 for one in CLASSES))
            for i, label in enumerate(pattern) if label != "."]


# These tests give each beat the label that it is to have.
LABELLED = RhythmPolicy(morphology=None, sinus=None)


def quiet(seconds: float) -> np.ndarray:
    """Signal that is fit to be read."""
    return simulate(seconds, seed=2, ectopic=0.0).signal


def events_of(beats: Sequence[Beat], signal: np.ndarray, policy: RhythmPolicy | None = None
              ) -> list[Event]:
    rhythm = Rhythm(policy or LABELLED)
    return closed(rhythm.push(beats, signal, len(signal) / FS - 1.6)[1] + rhythm.finish())


def kinds_of(pattern: str, rate: float = 75.0) -> list[str]:
    beats = beats_of(pattern, rate=rate)
    return [e.kind for e in events_of(beats, quiet(len(pattern) * 60 / rate + 3))
            if e.kind != "asystole"]


@pytest.mark.parametrize(("pattern", "rate", "expected"), [
    ("NNNNNNNNNNNN", 75, []),
    ("NNNNVVNNNNNN", 75, ["couplet"]),
    ("NNNNVVVNNNNN", 75, ["ventricular_run"]),
    ("NNNNVVVNNNNN", 110, ["ventricular_tachycardia"]),
    ("NNNNVVVVVVNN", 75, ["ventricular_run"]),
    ("NNNSSSNNNNNN", 75, ["supraventricular_run"]),
    ("NNNVNVNVNNNN", 75, ["bigeminy"]),
    ("NNVNNVNNVNNNN", 75, ["trigeminy"]),
    ("NNVNNVNVNVNNN", 75, ["bigeminy"]),
    ("NVNVNNVNNVNNN", 75, ["trigeminy"]),
    ("NNNVNNNVNNNVNN", 75, []),
    ("NNNNN..NNNNN", 75, ["pause"]),
    ("NNNNNNNNNNNN", 45, ["bradycardia"]),
    ("NNNNNNNNNNNNNN", 130, ["tachycardia"]),
])
def test_each_rule_finds_its_event(pattern: str, rate: float, expected: list[str]) -> None:
    assert kinds_of(pattern, rate) == expected


def test_an_event_has_its_place_confidence_and_rule() -> None:
    (event,) = events_of(beats_of("NNNNVVVVNNNN", rate=110, score=0.8), quiet(8))
    assert event.start == pytest.approx(0.4 + 4 * 60 / 110, abs=1 / FS)
    assert event.end == pytest.approx(0.4 + 7 * 60 / 110, abs=1 / FS)
    assert event.confidence == pytest.approx(0.8, abs=1e-3)
    assert "V beats in a row" in event.rule


def test_an_event_is_told_when_it_begins() -> None:
    rhythm = Rhythm(LABELLED)
    told = rhythm.push(beats_of("NNNN" + "V" * 20, rate=120), quiet(20), 8.0)[1]
    assert [(e.kind, e.end) for e in told] == [("ventricular_tachycardia", None)]
    assert rhythm.rhythm == "ventricular_tachycardia"
    assert rhythm.heart_rate == pytest.approx(120, rel=0.01)
    (over,) = (e for e in rhythm.push([], quiet(1), 12.0)[1] + rhythm.finish()
               if e.kind == "ventricular_tachycardia")
    assert over.start == told[0].start
    assert over.end is not None


def test_asystole_is_told_while_it_lasts() -> None:
    signal = quiet(20)
    # Wanders with the breath, so no loose lead.
    signal[4 * FS:] = 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(16 * FS) / FS)
    rhythm = Rhythm(LABELLED)
    told = rhythm.push(beats_of("NNNN"), signal, 18.0)[1]
    assert [(e.kind, e.end) for e in told] == [("asystole", None)]
    assert told[0].start == pytest.approx(2.8, abs=0.01)
    assert rhythm.heart_rate is None


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize(("silence", "expected"), [
    (3.9, ["bradycardia", "pause"]), (4.2, ["asystole"]), (4.9, ["asystole"])])
def test_silence_counts_alike_wherever_the_whole_seconds_fall(
        phase: float, silence: float, expected: list[str]) -> None:
    before = beats_of("NNNN", start=0.4 + phase)
    after = beats_of("NNNN", start=before[-1].time + silence)
    found = events_of([*before, *after], quiet(after[-1].time + 3))
    assert sorted(e.kind for e in found) == expected
    silent = next(e for e in found if e.kind == expected[-1])
    assert (silent.start, silent.end) == pytest.approx(
        (before[-1].time, after[0].time), abs=1 / FS)


@pytest.mark.parametrize(("silence", "expected"), [(3.1, []), (3.9, []), (4.1, ["asystole"])])
def test_a_recording_that_ends_early_is_no_silence(silence: float, expected: list[str]) -> None:
    signal = quiet(12)
    for last in (5.2, 5.6, 5.95):
        beats = [Beat(last - 0.8 * i, "N", 0.9, (0.9, 0.025, 0.025, 0.025, 0.025))
                 for i in range(6, -1, -1)]
        found = events_of(beats, signal[: round((last + silence) * FS)])
        assert [e.kind for e in found] == expected


def test_two_v_that_make_a_run_are_no_couplet_too() -> None:
    beats = beats_of("NNNNVVNNNN")
    for run_beats, expected in ((3, ["couplet"]), (2, ["ventricular_run"])):
        found = events_of(beats, quiet(11), replace(LABELLED, run_beats=run_beats))
        assert [e.kind for e in found] == expected


@pytest.mark.parametrize("gap", [-1, 0, 3, 1000])
def test_a_forged_pattern_is_refused(gap: int) -> None:
    rhythm, signal = Rhythm(LABELLED), quiet(20)
    rhythm.push(beats_of("NNVNVNVNVN"), signal, 8.0)
    assert rhythm._pattern.gap == 1
    Rhythm.restore(rhythm.save(), signal)
    rhythm._pattern.gap = gap
    with pytest.raises(ValueError, match="damaged"):
        Rhythm.restore(rhythm.save(), signal)


@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_asystole_is_told_through_hum(hertz: float) -> None:
    """Of 50 Hz, sampled down, 10 Hz used to be left, which is what fibrillation looks like."""
    signal = quiet(40)
    hum = 0.1 * np.sin(2 * np.pi * hertz * np.arange(34 * FS) / FS)
    signal[6 * FS:] = hum + np.random.default_rng(1).normal(0.0, 0.005, len(hum))
    found = events_of([b for b in beats_of("NNNNNN") if b.time < 5.5], signal)
    assert {e.kind for e in found} == {"asystole"}
    assert found[0].start == pytest.approx(4.4, abs=0.01)
    assert found[0].confidence == 1.0


def test_asystole_waits_for_fibrillation_but_not_for_ever() -> None:
    signal = quiet(30)
    signal[5 * FS:] = 0.8 * np.sin(2 * np.pi * 5.0 * np.arange(25 * FS) / FS)
    never = replace(LABELLED, vf_on=99.0)
    (told,) = Rhythm(never).push(beats_of("NNNNN"), signal, 28.0)[1]
    assert (told.kind, told.end) == ("asystole", None)
    assert Rhythm(never).push(beats_of("NNNNN"), signal[: 13 * FS], 11.4)[1] == []
    assert "ventricular_fibrillation" in {
        e.kind for e in Rhythm(LABELLED).push(beats_of("NNNNN"), signal, 28.0)[1]}


def test_with_asystole_all_that_was_made_of_beats_is_over() -> None:
    fast = beats_of("NNNN" + "V" * 20, rate=150)
    after = beats_of("NNNNNNNN", start=fast[-1].time + 8)
    signal = quiet(after[-1].time + 3)
    found = {e.kind: e for e in events_of([*fast, *after], signal)}
    assert set(found) == {"ventricular_tachycardia", "tachycardia", "asystole"}  # no bradycardia
    for kind in ("ventricular_tachycardia", "tachycardia"):
        assert found[kind].end == pytest.approx(fast[-1].time, abs=1 / FS)
    assert found["asystole"].end == pytest.approx(after[0].time, abs=1 / FS)


def test_a_ventricular_run_that_quickens_becomes_a_tachycardia() -> None:
    slow = beats_of("NNNNVVVVV", rate=80)
    fast = beats_of("V" * 20, rate=160, start=slow[-1].time + 60 / 160)
    long = [*beats_of("NNNN" + "V" * 15, rate=80)]
    long += beats_of("V" * 40, rate=160, start=long[-1].time + 60 / 160)
    told = Rhythm(replace(LABELLED, run_beats=15)).push(long, quiet(40), 30.0)[1]
    assert "ventricular_tachycardia" in {e.kind for e in told}
    told = Rhythm(LABELLED).push([*slow, *fast], quiet(20), 12.0)[1]
    runs = [e for e in told if e.kind in ("ventricular_run", "ventricular_tachycardia")]
    assert [(e.kind, e.end is None) for e in runs] == [
        ("ventricular_run", True), ("ventricular_run", False), ("ventricular_tachycardia", True)]
    assert runs[1].end == runs[2].start
    assert runs[2].start == pytest.approx(slow[-2].time, abs=1 / FS)


def test_after_a_long_gap_fibrillation_begins_after_it() -> None:
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.45, 1.1, 300))
    times = times[(times < 80) | (times > 125)]
    beats = [Beat(float(t), "N", 0.95, (0.95, 0.05, 0.0, 0.0, 0.0)) for t in times]
    signal = quiet(float(times[-1]) + 2)
    signal[80 * FS : 125 * FS] = signal[80 * FS]
    first, second = (e for e in events_of(beats, signal) if e.kind == "atrial_fibrillation")
    assert first.end is not None
    assert first.end <= 80
    assert second.start >= 125


@given(rates=st.lists(st.floats(30, 170), min_size=20, max_size=120))
def test_no_two_events_of_a_kind_overlap(rates: list[float]) -> None:
    times = np.cumsum([60 / rate for rate in rates])
    beats = [Beat(float(t), "N", 0.95, (0.95, 0.05, 0.0, 0.0, 0.0)) for t in times]
    found = events_of(beats, quiet(float(times[-1]) + 3))
    for before, after in pairwise(e for e in found if e.kind in ("bradycardia", "tachycardia")):
        assert before.end is not None
        assert before.end <= after.start


def test_a_clean_slow_heart_is_no_loose_lead() -> None:
    """Whole seconds between two beats are as flat as a loose lead is."""
    beats = beats_of("N" * 15, rate=30, start=0.5)
    signal = np.zeros(31 * FS, dtype=np.float32)
    for beat in beats:
        signal[round(beat.time * FS) - 12 :][:24] += np.hanning(24)
        signal[round(beat.time * FS) + 12 :][:12] -= 0.3 * np.hanning(12)
    assert "bradycardia" in {e.kind for e in events_of(beats, signal)}
    signal[12 * FS : 20 * FS] = 0.0
    rhythm = Rhythm(LABELLED)
    rhythm.push([b for b in beats if not 12 <= b.time < 20], signal[: 18 * FS], 16.4)
    assert rhythm.rhythm == "unreadable"


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


def test_fibrillation_is_found_on_the_signal_alone() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(30 * FS) / FS
    phase = np.cumsum(4.5 + 0.4 * np.interp(time, np.arange(31), rng.standard_normal(31))) / FS
    height = 0.4 + 0.1 * np.interp(time, np.arange(31), rng.standard_normal(31))
    signal = quiet(60)
    signal[20 * FS : 50 * FS] = (height * np.sin(2 * np.pi * phase)).astype(np.float32)
    beats = [b for b in beats_of("N" * 75) if not 20 <= b.time < 50]
    (event,) = events_of(beats, signal)
    assert event.kind == "ventricular_fibrillation"
    assert event.start == pytest.approx(20, abs=3)
    assert event.end == pytest.approx(50, abs=4)


def odds_of(intervals: Sequence[int], *, p_wave: float) -> float:
    """Of so many intervals, each beat preceded by a P wave (mV) and a little noise."""
    rng, atria, now, verdicts = np.random.default_rng(3), Atria(), 0, []
    wave = p_wave * np.hanning(len(P_WAVE))
    for interval in [*intervals, *intervals]:
        now += int(interval)
        before = wave + 0.01 * rng.standard_normal(len(wave))
        whole, _ = atria.add(int(interval), now, before.astype(np.float32))
        if whole:
            verdicts.append(atria.features("atrial"))
    return float(waveform.models()["atrial"].log_odds(np.array(verdicts[-1:]))[0])


@given(intervals=st.lists(st.integers(90, 700), min_size=ATRIAL_INTERVALS, max_size=60),
       p_wave=st.floats(0, 0.3), noise=st.floats(0, 0.2), least=st.floats(-8, 8))
def test_where_the_p_wave_rules_fibrillation_out_the_intervals_would_too(
        intervals: list[int], p_wave: float, noise: float, least: float) -> None:
    rng, atria, now = np.random.default_rng(4), Atria(), 0
    for interval in intervals:
        now += interval
        wave = p_wave * np.hanning(len(P_WAVE)) + noise * rng.standard_normal(len(P_WAVE))
        atria.add(interval, now, wave.astype(np.float32))
    for name in ("atrial", "onset"):
        odds = float(waveform.models()[name].log_odds(np.array([atria.features(name)]))[0])
        assert atrial_odds(name, atria) == pytest.approx(odds, abs=1e-5)
        asked = atrial_odds(name, atria, least=least)
        assert asked == atrial_odds(name, atria) or atrial_odds(name, atria) <= asked < least


def test_intervals_without_order_or_p_wave_are_atrial_fibrillation_and_others_are_not() -> None:
    rng = np.random.default_rng(1)
    irregular = rng.integers(150, 400, ATRIAL_INTERVALS).tolist()
    breathing = 280 + 40 * np.sin(np.arange(ATRIAL_INTERVALS) * 0.9)
    doubled = np.tile([200, 380], ATRIAL_INTERVALS // 2)
    policy = RhythmPolicy()
    assert odds_of(irregular, p_wave=0.0) > policy.af_on
    assert odds_of(irregular, p_wave=0.15) < odds_of(irregular, p_wave=0.0) - 2
    for ordered in (breathing, doubled, np.full(ATRIAL_INTERVALS, 300)):
        assert odds_of(ordered.tolist(), p_wave=0.0) < policy.af_on


def test_fibrillation_that_is_over_too_soon_is_not_told() -> None:
    lengths = set()
    for seconds in (4.0, 4.25, 4.5, 5.0, 6.0, 8.0):
        signal = simulate(40, seed=0, ectopic=0.0).signal.astype(float)
        time = np.arange(round(seconds * FS)) / FS
        wave = 0.6 * np.sin(8 * np.pi * time) * (1 + 0.3 * np.sin(1.4 * np.pi * time))
        signal[20 * FS : 20 * FS + len(wave)] = wave
        for least in (0.0, 3.0, 5.0):
            policy = replace(LABELLED, vf_least_s=least)
            found = [e for e in events_of([], signal.astype(np.float32), policy) if e.kind == VF]
            lengths |= {(e.end or 0.0) - e.start for e in found if least == 0.0}
            assert all((e.end or 0.0) - e.start >= least for e in found)
    assert min(lengths) < 3.0 < 5.0 < max(lengths)


def test_fibrillation_outlives_doubtful_windows_and_unreadable_ones() -> None:
    policy, odds, followed = RhythmPolicy(), RESTING, []
    for window in [-3.0] * 10 + [4.0] * 20 + [-1.0] * 2 + [None] * 20 + [-3.0] * 20:
        odds = sustained(odds, window, policy)
        followed.append(odds >= policy.vf_on)
    assert not any(followed[:12])
    assert all(followed[20:52])  # neither two doubtful windows nor 20 s without any end it
    assert not any(followed[-12:])


def test_atrial_fibrillation_begins_and_ends() -> None:
    rng = np.random.default_rng(2)
    intervals = np.concatenate([np.full(60, 0.8), rng.uniform(0.45, 1.1, 150), np.full(60, 0.8)])
    beats = [Beat(float(t), "N", 0.9, (0.9, 0.1, 0.0, 0.0, 0.0)) for t in np.cumsum(intervals)]
    events = [e for e in events_of(beats, quiet(float(intervals.sum()) + 2))
              if e.kind == "atrial_fibrillation"]
    assert len(events) == 1
    assert events[0].start == pytest.approx(48, abs=12)
    assert events[0].end == pytest.approx(48 + intervals[60:210].sum(), abs=12)


def test_beside_beats_that_are_hardly_n_no_fibrillation_is_told() -> None:
    """Ventricular beats that the network takes for N, now and then, look like no order at all."""
    rng = np.random.default_rng(2)
    early = rng.random(400) < 0.4
    times = np.cumsum(np.where(early, rng.uniform(0.4, 0.65, 400), 0.8)
                      + np.where(np.roll(early, 1), rng.uniform(0.1, 0.5, 400), 0.0))
    unsure, sure = (0.6, 0.05, 0.35, 0.0, 0.0), (0.9, 0.1, 0.0, 0.0, 0.0)
    beats = [Beat(float(t), "N", shares[0], shares) for t, shares in
             zip(times, (unsure if e else sure for e in early), strict=True)]
    signal = quiet(float(times[-1]) + 2)

    def told(policy: RhythmPolicy) -> set[str]:
        return {event.kind for event in events_of(beats, signal, policy)}

    assert "atrial_fibrillation" in told(replace(LABELLED, af_sure=0.0))
    assert "atrial_fibrillation" not in told(LABELLED)


def test_where_fibrillation_has_just_begun_no_beat_is_premature() -> None:
    """It is told from 48 intervals, but 24 of them are enough not to call its early beats S."""
    rng = np.random.default_rng(5)
    intervals = np.concatenate([np.full(120, 0.8), rng.uniform(0.35, 1.1, 60)])
    early = np.concatenate([np.zeros(120, dtype=bool), intervals[120:] < 0.6])
    shares = {False: (0.95, 0.05, 0.0, 0.0, 0.0), True: (0.1, 0.9, 0.0, 0.0, 0.0)}
    times = np.cumsum(intervals)
    beats = [Beat(float(time), "S" if at else "N", max(shares[bool(at)]), shares[bool(at)])
             for time, at in zip(times, early, strict=True)]
    signal = quiet(float(times[-1]) + 2)

    def premature(policy: RhythmPolicy) -> np.ndarray:
        """Which beats of the fibrillation are S."""
        read, _ = Rhythm(policy).push(beats, signal, len(signal) / FS)
        return np.flatnonzero([beat.label == "S" for beat in read[120:]])

    soon, late = premature(RhythmPolicy()), premature(RhythmPolicy(af_onset=99.0))
    assert 0 < len(soon) < len(late)  # the first ones cannot be known
    assert soon.max() < 30 < late.max() < 60


def test_while_fibrillation_is_in_doubt_the_usual_interval_decides_nothing() -> None:
    rng = np.random.default_rng(2)
    intervals = np.concatenate([np.full(60, 0.8), rng.uniform(0.3, 1.1, 150)])
    shares = (0.95, 0.05, 0.0, 0.0, 0.0)
    beats = [Beat(float(t), "N", 0.95, shares) for t in np.cumsum(intervals)]
    signal = quiet(float(intervals.sum()) + 2)
    never = RhythmPolicy(morphology=None, af_on=99.0, af_onset=99.0, af_off=99.0)  # nor in doubt
    followed, _ = Rhythm(never).push(beats, signal, len(signal) / FS - 1.6)
    assert {beat.label for beat in followed[-50:]} == {"N", "S"}
    doubted = RhythmPolicy(morphology=None, af_on=99.0, af_onset=99.0)
    read, _ = Rhythm(doubted).push(beats, signal, len(signal) / FS - 1.6)
    assert read[-50:] == beats[:len(read)][-50:]


def test_in_atrial_fibrillation_no_beat_is_premature_however_the_signal_is_cut() -> None:
    rng = np.random.default_rng(2)
    intervals = np.concatenate([np.full(60, 0.8), rng.uniform(0.45, 1.1, 150), np.full(60, 0.8)])
    shares = {"N": (0.9, 0.1, 0.0, 0.0, 0.0), "S": (0.2, 0.7, 0.1, 0.0, 0.0),
              "V": (0.1, 0.2, 0.7, 0.0, 0.0)}
    labels = rng.choice(("N", "S", "V"), len(intervals), p=(0.8, 0.15, 0.05))
    beats = [Beat(float(t), str(label), max(shares[label]), shares[label])
             for t, label in zip(np.cumsum(intervals), labels, strict=True)]
    signal = quiet(float(intervals.sum()) + 2)
    end = len(signal) / FS - 1.6
    whole, _ = Rhythm(LABELLED).push(beats, signal, end)
    free, _ = Rhythm(replace(LABELLED, af_without_s=False)).push(beats, signal, end)
    assert free == beats
    early = {beat.time for beat in beats if beat.label == "S"}
    read = [beat for beat in whole if beat.time in early]
    assert {beat.label for beat in read if beat.time < 40} == {"S"}  # sinus rhythm
    within = [beat for beat in read if 100 < beat.time < 48 + intervals[60:210].sum() - 5]
    assert {beat.label for beat in within} == {"N"}
    assert within[0].score == pytest.approx(0.9)
    assert within[0].probabilities == pytest.approx((0.9, 0.0, 0.1, 0.0, 0.0))
    ventricular = [b for b in beats if b.label == "V"]
    assert [b for b in whole if b.label == "V"] == ventricular
    assert {b.label for b in whole if b.time not in early} == {"N", "V"}
    pieces, rhythm, at = [], Rhythm(LABELLED), 0
    while at < len(signal):
        cut = min(at + int(rng.integers(50, 3000)), len(signal))
        coming = [b for b in beats if at / FS - 1.6 <= b.time < cut / FS - 1.6]
        pieces += rhythm.push(coming, signal[at:cut], cut / FS - 1.6)[0]
        rhythm, at = Rhythm.restore(rhythm.save(), signal[:cut], LABELLED), cut
    assert pieces == [beat for beat in whole if beat.time < end]


def test_a_beat_is_read_alike_however_late_the_signal_is_judged() -> None:
    """In small chunks a beat is decided before the second it follows is judged, in large ones
    after; atrial fibrillation that comes and goes at that moment must not tell them apart."""
    rng = np.random.default_rng(3)
    intervals = np.concatenate([part for _ in range(8) for part in (
        np.full(70, 0.7), rng.uniform(0.4, 1.0, 70))])
    shares = rng.dirichlet((2.0, 2.0), len(intervals))
    beats = [Beat(float(t), "NS"[int(s > n)], float(max(n, s)), (float(n), float(s), 0.0, 0.0, 0.0))
             for t, (n, s) in zip(np.cumsum(intervals), shares, strict=True)]
    signal = quiet(float(intervals.sum()) + 2)
    whole, _ = Rhythm().push(beats, signal, len(signal) / FS - 1.6)
    for size in (45, 90, 500):
        rhythm, read, known = Rhythm(), [], 0
        for cut in range(size, len(signal) + size, size):
            decided = min(cut, len(signal)) / FS - 1.6
            coming = [beat for beat in beats[known:] if beat.time < decided]
            read += rhythm.push(coming, signal[cut - size : cut], decided)[0]
            known += len(coming)
        assert read == whole[: len(read)]
        assert len(whole) - len(read) <= 3


@pytest.mark.parametrize(("limit", "value", "sentence"), [
    ("slow_beats", 0, "a whole number from 1 to 100"),
    ("fast_beats", 101, "a whole number from 1 to 100"),
    ("slow_beats", 5.0, "a whole number"), ("run_beats", 1, "a whole number from 2 to 100"),
    ("pattern_beats", 1, "a whole number from 2"), ("vf_weight", float("nan"), "0 to 10"),
    ("vf_weight", 1e9, "0 to 10"), ("vf_doubt", float("inf"), "-10 to 10"),
    ("af_on", float("nan"), "af_on is NaN; expected a number")])
def test_limits_that_a_state_cannot_hold_are_refused(limit: str, value: float, sentence: str
                                                     ) -> None:
    with pytest.raises(InputError, match=sentence):
        RhythmPolicy(**{limit: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("chance", [0.0, -0.1, 0.6, float("nan")])
def test_a_change_that_is_no_chance_is_refused(chance: float) -> None:
    with pytest.raises(InputError, match=r"vf_change is .*; expected a chance"):
        RhythmPolicy(vf_change=chance)


def test_the_policy_is_the_users() -> None:
    beats, signal = beats_of("NNNNVVVNNNNNNNNN", rate=110), quiet(12)
    assert events_of(beats, signal, replace(LABELLED, run_beats=5)) == []
    (slow,) = events_of(beats, signal, replace(LABELLED, vt_rate=150.0))
    assert slow.kind == "ventricular_run"
    beats, signal = beats_of("N" * 30, rate=40), quiet(45)
    assert "bradycardia" in {e.kind for e in events_of(
        beats, signal, replace(LABELLED, slow_beats=12))}


@given(pattern=st.text(st.sampled_from("NNNNVVS.F"), min_size=5, max_size=60),
       rate=st.sampled_from((40.0, 75.0, 140.0)), cuts=st.lists(st.floats(0, 1), max_size=8),
       bad=st.floats(0, 1), data=st.data())
def test_any_cut_gives_the_events_of_the_whole(
        pattern: str, rate: float, cuts: list[float], bad: float, data: st.DataObject) -> None:
    beats, seconds = beats_of(pattern, rate=rate), len(pattern) * 60 / rate + 1
    signal = quiet(seconds)
    signal[int(bad * len(signal)):][: 2 * FS] = 0.0
    whole = Rhythm()
    beats_whole, expected = whole.push(beats, signal, seconds - 1.6)
    expected += whole.finish()
    rhythm, found, read, at = Rhythm(), [], [], 0
    for cut in [*sorted(int(c * len(signal)) for c in cuts), len(signal)]:
        before, decided = at / FS - 1.6, cut / FS - 1.6
        told, events = rhythm.push([b for b in beats if before <= b.time < decided],
                                   signal[at:cut], decided)
        read, found = read + told, found + events
        at = cut
        if data.draw(st.booleans()):
            state = rhythm.save()
            assert len(state) < LARGEST_SAVED
            rhythm = Rhythm.restore(state, signal[:at])
    left = [b for b in beats if b.time >= at / FS - 1.6]
    told, events = rhythm.push(left, signal[:0], at / FS - 1.6)
    read, found = read + told, found + events + rhythm.finish()
    assert read == beats_whole
    assert [(e.kind, e.start, e.end, e.rule) for e in found] == [
        (e.kind, e.start, e.end, e.rule) for e in expected]
    assert np.allclose([e.confidence for e in found], [e.confidence for e in expected], atol=1e-3)
    assert {e.kind for e in found} <= set(KINDS)


@given(data=st.data())
def test_a_damaged_state_is_refused_or_does_no_harm(data: st.DataObject) -> None:
    signal = quiet(12)
    rhythm = Rhythm(LABELLED)
    rhythm.push(beats_of("NNVVVNNVNVN"), signal, 10.4)
    state = rhythm.save()
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(state) - 1))
        state[place] = data.draw(st.floats(width=32, allow_nan=True, allow_infinity=True))
    state = state[: data.draw(st.integers(0, len(state)))] if data.draw(st.booleans()) else state
    try:
        restored = Rhythm.restore(state, signal)
    except ValueError:
        return
    with np.errstate(all="ignore"):
        restored.push(beats_of("NVNN", start=12.1), signal, 22.0)
        restored.finish()


def test_no_signal_has_no_events() -> None:
    assert Rhythm().finish() == []
    rhythm = Rhythm(LABELLED)
    assert rhythm.push([], np.zeros(10, dtype=np.float32), 0.0) == ([], [])
    assert rhythm.finish() == []
    assert rhythm.heart_rate is None


@settings(max_examples=20)
@given(data=st.data())
def test_rhythms_followed_together_are_each_as_if_alone(detector: Detector, data: st.DataObject
                                                        ) -> None:
    """Whatever the company: of another rate, further on, with bad signal, not followed at all."""
    rates = (360.0, 250.0, 360.0, 360.0, 360.0)
    signals = [simulate(25, fs=rate, seed=40 + i, heart_rate=90 + 20 * i, ectopic=0.2).signal
               for i, rate in enumerate(rates)]
    signals[2][8 * FS : 12 * FS] = 0.0
    signals[3][14 * FS :] += 8 * np.sin(np.arange(11 * FS) / 40)
    together = [detector.stream(rate, events=i != 4) for i, rate in enumerate(rates)]
    alone = [detector.stream(rate, events=i != 4) for i, rate in enumerate(rates)]
    given_ = [0] * len(rates)
    for _ in range(10):
        some = data.draw(st.permutations(range(len(rates))))[: data.draw(st.integers(1, 5))]
        samples = data.draw(st.sampled_from((25, 250, 360, 1000)))
        chunks = [signals[i][given_[i] : given_[i] + samples] for i in some]
        found = detector.push([together[i] for i in some], chunks)
        for i, beats, chunk in zip(some, found, chunks, strict=True):
            given_[i] += samples
            expected = alone[i].push(chunk)
            assert [(b.time, b.label) for b in beats] == [(b.time, b.label) for b in expected]
            assert np.allclose([b.probabilities for b in beats],
                               [b.probabilities for b in expected], atol=1e-5)
            assert [replace(e, confidence=0) for e in together[i].events()] == [
                replace(e, confidence=0) for e in alone[i].events()]
            one, other = together[i].rhythm, alone[i].rhythm
            assert (one is None) == (other is None) == (i == 4)
            if one and other:
                assert (one.flaws, one.rhythm, one.heart_rate) == (
                    other.flaws, other.rhythm, other.heart_rate)
                assert np.allclose(one.save(), other.save(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [250.0, 360.0])
def test_a_stream_cut_and_saved_gives_the_events_of_predict(
        detector: Detector, rate: float) -> None:
    signal = simulate(40, fs=rate, seed=8, heart_rate=130, ectopic=0.3).signal
    result = detector.predict(signal, rate, events=True)
    assert not isinstance(result, list)
    assert result.events
    stream, events = detector.stream(rate, events=True), []
    for piece in np.array_split(signal, 37):
        stream.push(piece)
        events += stream.events()
        token = stream.save()
        assert len(token) * 4 / 3 < 32 << 10  # in base64 it has to fit a request's query
        stream = detector.resume(token)
    stream.finish()
    assert [replace(e, confidence=0) for e in closed(events + stream.events())] == [
        replace(e, confidence=0) for e in result.events]


def test_events_are_followed_only_where_asked_for(detector: Detector) -> None:
    stream = detector.stream()
    stream.push(simulate(10, heart_rate=150).signal)
    assert stream.rhythm is None
    assert stream.events() == []


def test_annotations_have_the_rhythms(tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    from runtime.records import write_annotations

    beats = beats_of("NNNVVVNNNNNN", rate=110)
    events = [Event("ventricular_tachycardia", beats[3].time, beats[5].time, 0.9, ""),
              Event("tachycardia", beats[0].time, beats[9].time, 0.9, "")]
    write_annotations(tmp_path, "rec", beats, 360, events=events)
    marks = wfdb.rdann(str(tmp_path / "rec"), "ekg")
    rhythms = [(symbol, note.strip("\0")) for symbol, note
               in zip(marks.symbol, marks.aux_note, strict=True) if symbol in '+"']
    assert rhythms == [('"', "tachycardia"), ("+", "(VT"), ("+", "(N")]
    assert [s for s in marks.symbol if s not in '+"'] == [b.label for b in beats]


def test_real_fibrillation_and_a_normal_record(data: Path, detector: Detector) -> None:
    from runtime.records import read

    if not (data / "cudb").is_dir():
        pytest.skip("cudb is not among the recordings at hand")
    record = read(data / "cudb" / "cu01", start_s=150, seconds=120)  # a design patient
    result = detector.predict(record.signal, record.fs, events=True)
    assert not isinstance(result, list)
    found = [e for e in result.events if e.kind == "ventricular_fibrillation"]
    assert [round(e.start) for e in found] == [pytest.approx(64, abs=6)]
    record = read(data / "mitdb" / "101", seconds=120)
    result = detector.predict(record.signal, record.fs, events=True)
    assert not isinstance(result, list)
    assert result.events == []


def test_artefact_in_one_second_leaves_the_median_of_seconds() -> None:
    ecg = simulate(5, seed=3).signal
    spoilt = ecg.copy()
    spoilt[2 * FS : 3 * FS] += np.random.default_rng(0).normal(0, 2, FS).astype(np.float32)
    clean, worse = (waveform.features(waveform.windows(waveform.at_rate(s, FS)))[0]
                    for s in (ecg, spoilt))
    moved = dict(zip(waveform.FEATURES, np.abs(worse - clean) / waveform.models()["noise"].scale,
                     strict=True))
    for what in ("tall", "mobility", "zero crossings", "amplitude"):
        assert moved[f"{what}, median of five seconds"] < 1
    assert moved["mobility"] > 1


def test_features_are_the_same_alone_and_together() -> None:
    pieces = waveform.windows(waveform.at_rate(simulate(40, seed=4).signal, FS))
    together = waveform.features(pieces)
    assert together.shape == (len(pieces), len(waveform.FEATURES))
    for piece, row in zip(pieces, together, strict=True):
        assert waveform.features(piece[None])[0] == pytest.approx(row, abs=1e-9)
