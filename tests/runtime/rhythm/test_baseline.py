"""The usual RR interval: early is what is early for this patient, whatever the rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
from patient import EVEN, beat, shipped, tracker_of

from runtime.beats import ATRIAL, choose_label
from runtime.errors import InputError
from runtime.findings import CLASSES
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.baseline import BaselineLimits, RrBaseline

DOUBTFUL = (0.6, 0.4, 0.0, 0.0, 0.0)
CERTAIN = {
    "N": (0.999, 0.001, 0.0, 0.0, 0.0),
    "S": (0.001, 0.999, 0.0, 0.0, 0.0),
    "V": (0.05, 0.05, 0.9, 0.0, 0.0),
}
LIMITS = shipped().policy.of(BaselineLimits)


def read(
    baseline: RrBaseline,
    time: float,
    probabilities: Sequence[float] = DOUBTFUL,
    *,
    sinus_certain: bool = True,
) -> Sequence[float]:
    """The probabilities of the next beat in the light of those before."""
    label = CLASSES.index(beat(time, probabilities).label)
    return baseline.read(round(time * FS), label, probabilities, sinus_certain=sinus_certain)


def label_of(probabilities: Sequence[float]) -> str:
    """N or S, whichever is likelier."""
    return CLASSES[choose_label(probabilities, EVEN, ATRIAL)]


def labels(
    intervals: Sequence[float],
    probabilities: Sequence[float] = DOUBTFUL,
    limits: BaselineLimits = LIMITS,
) -> str:
    baseline = RrBaseline(limits)
    return "".join(label_of(read(baseline, time, probabilities)) for time in accumulate(intervals))


def knows(interval: float, *, beats: int = 50, limits: BaselineLimits = LIMITS) -> RrBaseline:
    """The baseline of a patient with so many N beats, the last at ``(beats - 1) * interval``."""
    baseline = RrBaseline(limits)
    for i in range(beats):
        read(baseline, interval * i, CERTAIN["N"])
    return baseline


@pytest.mark.parametrize("usual", [0.5, 0.7, 1.2])
def test_a_run_that_is_fast_for_this_patient_is_premature_to_its_end(usual: float) -> None:
    found = labels([usual] * 60 + [0.6 * usual] * 200 + [usual] * 20)
    assert found[:60] == "N" * 60
    assert found[61:260] == "S" * 199
    assert found[260:] == "N" * 20


@pytest.mark.parametrize("after", [0.6, 0.45, 0.36])
def test_a_faster_rate_that_lasts_becomes_the_usual_one(after: float) -> None:
    breathing = 1 + 0.04 * np.sin(np.arange(600) * 1.3)
    found = labels([0.85] * 100 + (after * breathing).tolist() + [0.85] * 100 + [0.5] * 5)
    first, last = found.index("S"), found[:700].rindex("S")
    assert 100 <= first < 105
    lasted = last - first
    assert lasted * after == pytest.approx(LIMITS.lasting_s, abs=3)
    assert set(found[first : first + lasted + 1]) == {"S"}
    assert set(found[last + 1 : 800]) == {"N"}


def test_a_steady_run_lasts_longer_before_it_is_the_usual_rate() -> None:
    found = labels([0.85] * 100 + [0.45] * 2000)
    assert found.count("S") * 0.45 == pytest.approx(LIMITS.steady_s, abs=3)
    assert "S" not in found[-600:]


def test_one_beat_in_time_begins_a_run_anew() -> None:
    part = [*(0.45 * (1 + 0.04 * np.sin(np.arange(100) * 1.3))).tolist(), 0.85, 0.85]
    found = labels([0.85] * 100 + part * 4)
    assert found[101:200] == "S" * 99
    assert found.count("S") > 390


def test_a_patient_with_hardly_an_n_beat_is_known_by_all_beats() -> None:
    baseline = knows(0.8, beats=10)
    for i in range(90):
        assert label_of(read(baseline, 7.7 + 0.5 * i, CERTAIN["S"])) == "S"
    assert baseline.state.beats < 15
    assert label_of(read(baseline, 52.75, (0.95, 0.05, 0.0, 0.0, 0.0))) == "S"


def test_a_rate_that_changes_slowly_is_no_prematurity() -> None:
    rising = np.exp(np.linspace(np.log(0.9), np.log(0.5), 1500))  # 20 minutes
    assert set(labels(rising.tolist())) == {"N"}


def test_an_interval_that_falls_at_once_is_more_premature_than_one_that_falls_by_and_by() -> None:
    def log_odds(intervals: list[float]) -> float:
        alone = replace(LIMITS, baseline_most=1000.0, baseline_shortest=0.0)
        baseline = knows(0.8, beats=200, limits=alone)
        at = 0.8 * 199
        for interval in intervals:
            at += interval
            found = read(baseline, at, (0.9, 0.1, 0.0, 0.0, 0.0))
        return float(np.log(found[1] / found[0]))

    sudden, gradual = log_odds([0.8, 0.8, 0.64]), log_odds([0.74, 0.69, 0.64])
    expected = LIMITS.baseline_sudden * np.log(0.69 / 0.64)
    assert sudden - gradual == pytest.approx(
        LIMITS.baseline_sudden * np.log(0.8 / 0.64) - expected, abs=0.8
    )
    assert log_odds([0.9, 0.64]) == pytest.approx(log_odds([0.8, 0.64]), abs=0.5)


def test_breathing_is_no_prematurity_but_a_beat_that_comes_sooner_still_is() -> None:
    breathing = 0.9 * (1 + 0.16 * np.sin(np.arange(200) * 1.1))
    likely = (0.7, 0.3, 0.0, 0.0, 0.0)
    assert set(labels(breathing.tolist(), likely)) == {"N"}
    early = [0.9] * 200 + [float(breathing.min())]
    assert labels(early, likely)[-1] == "S"  # of a patient who does not breathe like that
    sooner = [*breathing.tolist(), 0.75 * float(breathing.min())]
    assert labels(sooner, likely)[-1] == "S"


def test_one_early_beat_that_was_called_n_does_not_hide_the_next() -> None:
    def log_odds(missed: int) -> float:
        baseline = knows(0.9, beats=100)
        at = 0.9 * 99
        for _ in range(missed):
            read(baseline, at + 0.78, CERTAIN["N"])
            read(baseline, at + 1.68, CERTAIN["N"])
            at += 1.68
        found = read(baseline, at + 0.78, (0.99, 0.01, 0.0, 0.0, 0.0))
        return float(np.log(found[1] / found[0]))

    assert log_odds(1) == pytest.approx(log_odds(0), abs=0.5)
    assert log_odds(3) < log_odds(1) - 1.0


def test_what_an_interval_adds_has_a_limit() -> None:
    found = read(knows(0.9, beats=200), 0.9 * 199 + 0.3, (0.9999, 0.0001, 0.0, 0.0, 0.0))
    added = np.log(found[1] / found[0]) - np.log(0.0001 / 0.9999)
    assert added == pytest.approx(LIMITS.baseline_most, abs=0.1)


def test_of_a_patient_with_hardly_an_n_beat_the_shortest_intervals_say_nothing() -> None:
    """Or two S beats that were called N would hide a whole run."""
    one, other = knows(0.9, beats=20), knows(0.9, beats=20)
    other.state.shortest = other.state.second_shortest = float(np.log(0.74))
    row, at = (0.6, 0.4, 0.0, 0.0, 0.0), 0.9 * 19 + 0.74
    assert read(one, at, row)[1] == pytest.approx(read(other, at, row)[1], abs=0.1)
    one, other = knows(0.9, beats=300), knows(0.9, beats=300)
    other.state.shortest = other.state.second_shortest = float(np.log(0.74))
    at = 0.9 * 299 + 0.74
    assert label_of(read(one, at, row)) == "S"
    assert label_of(read(other, at, row)) == "N"


def test_beats_that_come_early_at_once_do_not_count_among_the_shortest() -> None:
    def second_shortest(intervals: Sequence[float]) -> float:
        baseline = knows(0.9, beats=200)
        for at in accumulate(intervals, initial=0.9 * 199):
            read(baseline, at, CERTAIN["N"])
        return float(np.exp(baseline.state.second_shortest))

    assert second_shortest([0.65, 0.65, 0.9, 0.65, 0.65, 0.9]) > 0.85
    assert second_shortest([0.82, 0.74, 0.68, 0.65, 0.65, 0.72]) == pytest.approx(0.66, abs=0.03)


@pytest.mark.parametrize("beats", [0, 30, 100])
def test_as_far_as_the_patient_is_not_known_s_is_less_likely(beats: int) -> None:
    baseline = RrBaseline(LIMITS)
    for i in range(beats + 1):
        read(baseline, 0.8 * i, CERTAIN["N"])
    doubtful = replace(LIMITS, baseline_unknown=LIMITS.baseline_unknown - 2.0)
    other = RrBaseline(doubtful)
    other.state = replace(baseline.state)
    at = 0.8 * (beats + 1)
    found, less = (read(one, at, (0.6, 0.4, 0.0, 0.0, 0.0)) for one in (baseline, other))
    moved = np.log(found[1] / found[0]) - np.log(less[1] / less[0])
    known = min(1.0, max(baseline.state.beats, 1 + beats, 1.0) / LIMITS.baseline_beats)
    assert moved == pytest.approx(2.0 * (1 - known), abs=0.05)


def test_without_a_certain_sinus_rhythm_beats_stay_and_nothing_is_learnt() -> None:
    baseline = knows(0.8)
    usual = baseline.state.log_interval
    for i in range(50):
        assert read(baseline, 40.0 + 0.4 * i, sinus_certain=False) is DOUBTFUL
    assert baseline.state.log_interval == usual


@pytest.mark.parametrize(
    "limits",
    [
        {"baseline_beats": 0.5},
        {"baseline_beats": float("nan")},
        {"baseline_bias": -1000.0},
        {"baseline_gain": -1.0},
        {"baseline_sudden": -1.0},
        {"baseline_unknown": float("nan")},
        {"max_prematurity": 11.0},
    ],
)
def test_numbers_that_no_stream_could_use_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"of the usual RR interval is .*; expected"):
        replace(LIMITS, **limits)


def test_after_a_ventricular_beat_the_interval_says_nothing() -> None:
    baseline = knows(0.8)
    assert read(baseline, 40.0, CERTAIN["V"]) is CERTAIN["V"]
    assert label_of(read(baseline, 40.4)) == "N"  # interpolated: as early as can be
    assert label_of(read(baseline, 40.8)) == "S"


def test_a_beat_that_the_network_is_certain_of_stays() -> None:
    assert set(labels([0.8] * 20, CERTAIN["S"])) == {"S"}
    assert set(labels([0.8] * 20 + [0.7] * 5, CERTAIN["N"])) == {"N"}


def test_only_n_and_s_share_their_probability_anew() -> None:
    found = read(knows(0.8), 39.2 + 0.4, (0.5, 0.2, 0.2, 0.1, 0.0))
    assert label_of(found) == "S"
    assert sum(found) == pytest.approx(1.0)
    assert list(found[2:]) == [0.2, 0.1, 0.0]
    assert found[1] > found[0]


def test_without_gain_and_bias_only_the_larger_share_counts() -> None:
    nothing = replace(
        LIMITS, baseline_bias=0.0, baseline_gain=0.0, baseline_sudden=0.0, baseline_unknown=0.0
    )
    assert labels([0.8, 0.3, 0.8], (0.6, 0.4, 0.0, 0.0, 0.0), nothing) == "NNN"
    assert labels([0.8, 0.3, 0.8], (0.4, 0.6, 0.0, 0.0, 0.0), nothing) == "SSS"


def test_left_out_of_the_policy_it_decides_nothing() -> None:
    assert tracker_of(RhythmPolicy()).rr_baseline is not None
    assert tracker_of(RhythmPolicy(rr_baseline=None)).rr_baseline is None
