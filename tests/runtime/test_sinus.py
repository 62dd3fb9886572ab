"""The usual interval: early is what is early for this patient, whatever the rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.rhythm.follow import FS, Rhythm, RhythmPolicy

from runtime.errors import InputError
from runtime.findings import CLASSES, Beat
from runtime.rhythm.baseline import Sinus, SinusPolicy
from runtime.simulate import simulate

UNSURE = (0.6, 0.4, 0.0, 0.0, 0.0)
SURE = {"N": (0.999, 0.001, 0.0, 0.0, 0.0), "S": (0.001, 0.999, 0.0, 0.0, 0.0),
        "V": (0.05, 0.05, 0.9, 0.0, 0.0)}


def beat(time: float, probabilities: Sequence[float] = UNSURE) -> Beat:
    label = int(np.argmax(probabilities))
    return Beat(time, CLASSES[label], probabilities[label], tuple(probabilities))


def labels(intervals: Sequence[float], probabilities: Sequence[float] = UNSURE,
           policy: SinusPolicy | None = None) -> str:
    sinus = Sinus(policy)
    return "".join(sinus.read(beat(time, probabilities)).label for time in accumulate(intervals))


@pytest.mark.parametrize("usual", [0.5, 0.7, 1.2])
def test_a_run_that_is_fast_for_this_patient_is_premature_to_its_end(usual: float) -> None:
    told = labels([usual] * 60 + [0.6 * usual] * 200 + [usual] * 20)
    assert told[:60] == "N" * 60
    assert told[61:260] == "S" * 199
    assert told[260:] == "N" * 20


def test_a_rate_that_changes_slowly_is_no_prematurity() -> None:
    rising = np.exp(np.linspace(np.log(0.9), np.log(0.5), 1500))  # 20 minutes
    assert set(labels(rising.tolist())) == {"N"}


def test_where_there_may_be_no_rhythm_beats_stay_and_nothing_is_learnt() -> None:
    sinus, time = Sinus(), 0.0
    for _ in range(50):
        sinus.read(beat(time := time + 0.8, SURE["N"]))
    usual = sinus.usual
    for _ in range(50):
        one = beat(time := time + 0.4)
        assert sinus.read(one, followed=False) is one
    assert sinus.usual == usual


@pytest.mark.parametrize("limits", [
    {"beats": 0.5}, {"beats": float("nan")}, {"bias": -1000.0}, {"gain": -1.0}, {"most": 11.0}])
def test_numbers_that_no_stream_could_use_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"of the usual interval is .*; expected"):
        SinusPolicy(**limits)


def test_after_a_ventricular_beat_the_interval_says_nothing() -> None:
    sinus = Sinus()
    for i in range(50):
        sinus.read(beat(0.8 * i, SURE["N"]))
    assert sinus.read(beat(40.0, SURE["V"])) == beat(40.0, SURE["V"])
    assert sinus.read(beat(40.4)).label == "N"  # interpolated: as early as can be
    assert sinus.read(beat(40.8)).label == "S"


def test_what_the_network_is_sure_of_stays() -> None:
    assert set(labels([0.8] * 20, SURE["S"])) == {"S"}
    assert set(labels([0.8] * 20 + [0.7] * 5, SURE["N"])) == {"N"}


def test_probabilities_and_score_go_with_the_label() -> None:
    sinus = Sinus()
    for i in range(20):
        sinus.read(beat(0.8 * i, SURE["N"]))
    read = sinus.read(beat(15.2 + 0.4, (0.5, 0.2, 0.2, 0.1, 0.0)))
    assert read.label == "S"
    assert sum(read.probabilities) == pytest.approx(1.0)
    assert read.probabilities[2:] == (0.2, 0.1, 0.0)
    assert read.score == read.probabilities[1] > read.probabilities[0]


def test_without_gain_and_bias_only_the_larger_share_counts() -> None:
    nothing = SinusPolicy(bias=0.0, gain=0.0)
    assert labels([0.8, 0.3, 0.8], (0.6, 0.4, 0.0, 0.0, 0.0), nothing) == "NNN"
    assert labels([0.8, 0.3, 0.8], (0.4, 0.6, 0.0, 0.0, 0.0), nothing) == "SSS"


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(0.15, 5.0), st.sampled_from([UNSURE, *SURE.values()])),
                min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_a_saved_rhythm_reads_on_as_if_nothing_had_been(
        beats: list[tuple[float, tuple[float, ...]]], random: Random) -> None:
    times = accumulate(round(interval * FS) / FS for interval, _ in beats)
    coming = [beat(time, shares) for time, (_, shares) in zip(times, beats, strict=True)]
    signal = np.resize(simulate(30.0, seed=3).signal, round((coming[-1].time + 3) * FS))
    policy = RhythmPolicy()
    whole, _ = Rhythm(policy).push(coming, signal, len(signal) / FS - 1.6)
    rhythm, pieces, at = Rhythm(policy), [], 0
    while at < len(signal):
        cut = min(at + random.randint(100, 2000), len(signal))
        piece = [b for b in coming if at / FS - 1.6 <= b.time < cut / FS - 1.6]
        pieces += rhythm.push(piece, signal[at:cut], cut / FS - 1.6)[0]
        rhythm, at = Rhythm.restore(rhythm.save(), signal[:cut], policy), cut
    assert pieces == whole
