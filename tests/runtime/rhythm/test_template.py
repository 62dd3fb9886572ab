"""The usual QRS complex: V is what is not like this patient's own beats, and not noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from patient import EVEN, beat, shipped, tracker_of

from runtime.beats import PROBABILITY_FLOOR, Beats, from_beats
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.findings import LEFT_OUT, Beat, Flaw, Record
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.template import FIRST, LAST, FirstBeats, QrsTemplate, TemplateLimits
from runtime.simulate import simulate

CERTAIN_N = (0.97, 0.01, 0.01, 0.005, 0.005)
RATHER_N = (0.7, 0.0, 0.3, 0.0, 0.0)
RATHER_V = (0.2, 0.1, 0.7, 0.0, 0.0)
NARROW, WIDE = 0.012, 0.045  # s, standard deviation of a QRS complex like a bell
LIMITS = shipped().policy.of(TemplateLimits)


def around(
    width: float, *, at: float = 0.0, noise: float = 0.0, seed: int = 0
) -> NDArray[np.float32]:
    """A beat as a template takes it: a bell of 1 mV, so many s from the R peak's place."""
    time = np.arange(FIRST, LAST) / FS
    ecg = np.exp(-((time - at) ** 2) / (2 * width**2))
    ecg -= 0.2 * np.exp(-((time - at - 0.04) ** 2) / (2 * width**2))  # an S wave
    return (ecg + np.random.default_rng(seed).normal(0, noise, len(time))).astype(np.float32)


def drawn_network(random: np.random.Generator) -> FirstBeats:
    """A network of random numbers, whose log-odds reach some units to either side."""
    return FirstBeats(
        random.normal(size=5),
        random.uniform(0.5, 2.0, 5),
        random.normal(size=4) * 2,
        random.normal(),
        random.normal(size=(6, 4)),
    )


def read(
    template: QrsTemplate, probabilities: tuple[float, ...], piece: NDArray[np.float32] | None
) -> Beat:
    """One beat in the light of those before."""
    block = from_beats([beat(1.0, probabilities)], FS)
    (one,) = template.relabel(block, lambda sample: piece).to_beats(FS)
    return one


def knows(
    width: float, *, noise: float = 0.01, beats: int = 60, limits: TemplateLimits = LIMITS
) -> QrsTemplate:
    """A template of so many N beats of this width."""
    usual = QrsTemplate(limits, EVEN)
    for seed in range(beats):
        read(usual, CERTAIN_N, around(width, noise=noise, seed=seed))
    return usual


@pytest.mark.parametrize("usual", [NARROW, WIDE])
def test_a_complex_that_has_always_been_there_is_not_v_however_wide(usual: float) -> None:
    assert read(knows(usual), RATHER_V, around(usual, noise=0.01, seed=99)).label == "N"


def test_a_complex_unlike_the_others_is_v_though_it_comes_in_time() -> None:
    one = read(knows(NARROW), RATHER_N, around(WIDE, noise=0.01, seed=99))
    assert one.label == "V"
    assert one.score == one.probabilities[2] > 0.9


@pytest.mark.parametrize("noise", [0.1, 0.2, 0.4])
def test_noise_makes_no_ventricular_beats(noise: float) -> None:
    usual = knows(NARROW)
    assert {
        read(usual, RATHER_N, around(NARROW, noise=noise, seed=seed)).label for seed in range(40)
    } == {"N"}


def test_roughness_keeps_noisy_beats_normal() -> None:
    smooth = knows(NARROW, limits=replace(LIMITS, template_roughness=0.0))
    assert "V" in [
        read(smooth, RATHER_N, around(NARROW, noise=0.4, seed=seed)).label for seed in range(40)
    ]


@pytest.mark.parametrize("at", [-0.03, 0.03])
def test_an_r_peak_placed_elsewhere_on_the_complex_is_the_same_beat(at: float) -> None:
    one = read(knows(NARROW), RATHER_V, around(NARROW, at=at, noise=0.01, seed=99))
    assert one.label == "N"


def test_before_anything_is_usual_beats_stay() -> None:
    usual = QrsTemplate(LIMITS, EVEN)
    assert read(usual, RATHER_V, around(WIDE)) == beat(1.0, RATHER_V)
    assert usual.state.template is None  # nor is it remembered, for it is not certainly N
    # The recording ends in it.
    assert read(knows(NARROW), RATHER_V, None) == beat(1.0, RATHER_V)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), cuts=st.sets(st.integers(1, 79), max_size=8))
def test_first_beats_are_decided_alike_beat_by_beat_and_as_one_array(
    seed: int, cuts: set[int]
) -> None:
    random = np.random.default_rng(seed)
    rows = random.dirichlet((4.0, 0.5, 1.0, 0.2, 0.2), 80)
    pieces = [
        around(WIDE if random.random() < 0.2 else NARROW, noise=0.03, seed=i) for i in range(80)
    ]
    missing = random.random(80) < 0.1
    block = Beats(list(range(80)), rows.tolist(), rows.argmax(axis=1).tolist())
    network = drawn_network(random)

    def taken(sample: int) -> NDArray[np.float32] | None:
        return None if missing[sample] else pieces[sample]

    whole = QrsTemplate(LIMITS, EVEN, network).relabel(block, taken)
    cut, state = [], None
    for first, last in pairwise([0, *sorted(cuts), 80]):
        template = QrsTemplate(LIMITS, EVEN, network)
        template.state = template.state if state is None else state
        cut.append(template.relabel(Beats(*(column[first:last] for column in block)), taken))
        state = template.state
    assert [label for one in cut for label in one.labels] == whole.labels
    assert [row for one in cut for row in one.probabilities] == whole.probabilities

    notes, compared, trust = QrsTemplate(LIMITS, EVEN), [], []
    for sample, row in enumerate(rows.tolist()):
        trust.append(notes.trust)
        compared.append(None if missing[sample] else notes.compare(row[0], pieces[sample]))
    known = np.array(trust)
    z_below, rougher = np.array([one[:2] if one else (0.0, 0.0) for one in compared]).T
    floor = np.maximum(rows, PROBABILITY_FLOOR)
    against = np.log(floor[:, 2] / np.maximum(rows[:, 0] + rows[:, 1], PROBABILITY_FLOOR))
    inputs = [np.log(floor[:, 1] / floor[:, 0]), against, z_below, rougher, known]
    moved = (1 - known) * network.log_odds(np.stack(inputs, axis=1))
    moved += (
        known
        * np.array([one is not None for one in compared])
        * (
            LIMITS.template_gain * (z_below - LIMITS.template_margin)
            - LIMITS.template_roughness * rougher
        )
    )
    ventricular = np.array(whole.labels) == 2
    plain = (np.array(block.labels) <= 2) & (np.abs(against + moved) > 1e-9)
    # V has to beat N and S one by one, not their sum.
    assert not (plain & ventricular & (against + moved < -np.log(2))).any()
    assert ventricular[plain & (against + moved > 0)].all()


def test_first_beats_no_longer_decide_once_the_usual_complex_is_known() -> None:
    sure = FirstBeats(np.zeros(5), np.ones(5), np.zeros(1), 40.0, np.zeros((6, 1)))
    usual = QrsTemplate(LIMITS, EVEN, sure)
    first = read(usual, RATHER_N, None)
    assert first.label == "V"
    usual.state = knows(NARROW).state
    assert read(usual, RATHER_N, None) == beat(1.0, RATHER_N)
    assert read(usual, RATHER_N, around(NARROW)).label == "N"


def test_only_beats_that_are_certainly_normal_are_remembered() -> None:
    usual = knows(NARROW)
    before = replace(usual.state)
    for probabilities in (RATHER_N, RATHER_V):
        read(usual, probabilities, around(WIDE))
    assert usual.state == before
    read(usual, CERTAIN_N, around(WIDE))
    assert usual.state.correlation_z != before.correlation_z


def test_a_complex_that_changes_for_good_becomes_the_usual_one() -> None:
    usual = knows(NARROW)
    for seed in range(300):
        read(usual, CERTAIN_N, around(WIDE, noise=0.01, seed=seed))
    assert read(usual, RATHER_V, around(WIDE, noise=0.01, seed=999)).label == "N"


def test_f_and_q_become_v_or_stay() -> None:
    wide, narrow = (around(width, noise=0.01, seed=99) for width in (WIDE, NARROW))
    for label, probabilities in (("F", (0.1, 0, 0.3, 0.6, 0)), ("Q", (0.1, 0, 0.3, 0, 0.6))):
        unlike, alike = (read(knows(NARROW), probabilities, one) for one in (wide, narrow))
        assert (unlike.label, alike.label) == (label, label)
        assert unlike.probabilities[3:] == alike.probabilities[3:] == probabilities[3:]
    assert read(knows(NARROW), (0.3, 0, 0.3, 0.4, 0), wide).label == "V"


@pytest.mark.parametrize(
    "limits",
    [
        {"template_gain": -1.0},
        {"template_gain": float("nan")},
        {"template_margin": 11.0},
        {"template_roughness": -0.1},
        {"min_correlation": 1.0},
        {"max_correlation": -1.0},
        {"min_correlation": 0.9, "max_correlation": 0.9},
        {"template_beats": 0.0},
        {"template_min_normal": 1.5},
        {"pop_times": 0.5},
        {"pop_mv": -1.0},
    ],
)
def test_numbers_that_no_stream_could_use_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"of the usual QRS complex is .*; expected"):
        replace(LIMITS, **limits)


def test_left_out_of_the_policy_it_decides_nothing() -> None:
    assert tracker_of(RhythmPolicy()).template is not None
    assert tracker_of(RhythmPolicy(template=None)).template is None


@pytest.mark.parametrize(("rate", "piece"), [(360.0, 18), (360.0, 700), (128.0, 20), (250.0, 31)])
def test_the_same_complexes_are_seen_however_the_signal_is_cut_and_saved(
    detector: Detector, rate: float, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, NDArray[np.float32] | None]] = []
    relabel = QrsTemplate.relabel

    def noted(
        self: QrsTemplate, beats: Beats, around: Callable[[int], NDArray[np.float32] | None]
    ) -> Beats:
        def note(sample: int) -> NDArray[np.float32] | None:
            seen.append((sample, around(sample)))
            return seen[-1][1]

        return relabel(self, beats, note)

    monkeypatch.setattr(QrsTemplate, "relabel", noted)
    signal = simulate(30, fs=rate, seed=5, ectopic=0.3).signal
    whole = detector.stream(rate, events=True)
    beats = whole.push(signal) + whole.finish()
    expected = list(seen)
    seen.clear()
    stream, found = detector.stream(rate, events=True), []
    for at in range(0, len(signal), piece):
        found += stream.push(signal[at : at + piece])
        stream = detector.resume(stream.save())
    found += stream.finish()
    assert [(b.time, b.label) for b in found] == [(b.time, b.label) for b in beats]
    assert [sample for sample, _ in seen] == [sample for sample, _ in expected]
    for (_, one), (_, other) in zip(seen, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or np.allclose(one, other, atol=1e-6)
    # Only at the recording's ends is something missing.
    assert all(piece is not None for sample, piece in expected if 0.2 < sample / FS < 29.5)
    assert len([piece for _, piece in expected if piece is not None]) > 25


def popped(height: float, times: list[float]) -> NDArray[np.float64]:
    """A simulated patient with smooth pops of an electrode, 80 ms wide."""
    signal = simulate(60, seed=6, ectopic=0.0).signal.astype(np.float64)
    seconds = np.arange(len(signal)) / FS
    for time in times:
        signal += height * np.exp(-0.5 * ((seconds - time) / 0.034) ** 2)
    return signal


def test_deflections_far_higher_than_the_patients_beats_are_none(detector: Detector) -> None:
    clean, _ = found_by(detector, popped(0.0, []), 360)
    between = [
        (one + other) / 2
        for one, other in zip(clean[20:-5:4], clean[21:-4:4], strict=True)
        if other - one > 0.7
    ]
    signal = popped(20.0, between)
    beats, events = found_by(detector, signal, 360)
    assert len(between) > 4
    assert np.abs(np.subtract.outer(beats, between)).min() > 0.1
    assert not events
    assert found_by(detector, signal, 17, saved=True) == (beats, events)


def test_what_is_left_out_is_said(detector: Detector) -> None:
    times = [30.4, 41.9, 52.2]
    record = Record("popped", "II", FS, popped(20.0, times), 0.0)
    found = detector.annotate(record)
    assert found.left_out
    assert all(np.abs(np.subtract(times, time)).min() < 0.2 for time in found.left_out)
    missing = [i for i, flaws in enumerate(found.quality.seconds) if flaws & Flaw.MISSING]
    assert missing == sorted({int(time) for time in found.left_out})
    assert LEFT_OUT in found.quality.notes
    assert not found.quality.ok
    clean = detector.annotate(replace(record, signal=popped(0.0, [])))
    assert not clean.left_out
    assert LEFT_OUT not in clean.quality.notes


def test_a_beat_that_is_merely_large_stays(detector: Detector) -> None:
    template = QrsTemplate(LIMITS, [1.0] * 5)
    around = np.zeros(LAST - FIRST, dtype=np.float32)
    around[-FIRST - 9 : -FIRST + 9] = 1.0
    for _ in range(20):
        template.compare(0.999, around)
    template.limits = replace(LIMITS, pop_mv=8.0, pop_times=5.0)
    assert not template.is_too_high(4.9 * around)  # as a V beat may be
    assert not template.is_too_high(7.9 * around)
    assert template.is_too_high(9.0 * around)
    spike = around.copy()
    spike[-FIRST : -FIRST + 2] = 9.0  # a pacemaker's, of two samples
    assert not template.is_too_high(spike)
    assert not QrsTemplate(LIMITS, [1.0] * 5).is_too_high(9.0 * around)
    template.limits = replace(LIMITS, pop_mv=3.0, pop_times=5.0)
    assert template.is_too_high(5.1 * around)
    assert not template.is_too_high(4.9 * around)
    template.limits = replace(LIMITS, pop_times=9.1)
    assert not template.is_too_high(9.0 * around)


def found_by(
    detector: Detector, signal: NDArray[np.float64], piece: int, *, saved: bool = False
) -> tuple[list[float], list[str]]:
    """Times of the beats and kinds of the events of a stream that is cut into pieces."""
    stream, beats, events = detector.stream(FS, events=True), [], []
    for at in range(0, len(signal), piece):
        beats += stream.push(signal[at : at + piece])
        events += stream.events()
        if saved and at % 5 == 0:
            stream = detector.resume(stream.save())
    beats += stream.finish()
    events += stream.events()
    return [beat.time for beat in beats], [event.kind for event in events]
