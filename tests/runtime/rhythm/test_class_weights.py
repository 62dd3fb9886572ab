"""The class weights of the model file count in every stage, also if the rhythm is followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from patient import EVEN, LABELLED, quiet, tracker_of

from runtime import Detector
from runtime.beats import ALL, ATRIAL, Beats, F, N, Q, S, V, choose_label
from runtime.findings import CLASSES, Beat
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy, take_together
from runtime.simulate import simulate

WEIGHTS = st.tuples(*[st.sampled_from((0.2, 0.5, 1.0, 2.0, 6.0))] * 5)
# The classes that a label was compared with, whatever came after the network.
AMONG = {N: ATRIAL, S: ATRIAL, V: (N, S, V), F: (F, V), Q: (Q, V)}
SIGNAL = simulate(60, seed=5, ectopic=0.3).signal


def followed(
    block: Beats, signal: np.ndarray, policy: RhythmPolicy, weights: Sequence[float]
) -> Beats:
    tracker = tracker_of(policy, weights)
    take_together([tracker.seconds], [signal])
    return tracker.follow(block, len(signal) / FS - 1.6)[0]


def block_of(intervals: list[float], seed: int, weights: Sequence[float]) -> Beats:
    """Beats with labels as a network with these weights gives them."""
    rows = np.random.default_rng(seed).dirichlet((1.5, 1.0, 0.8, 0.3, 0.3), len(intervals))
    return Beats(
        np.rint(np.cumsum(intervals) * FS).astype(int).tolist(),
        rows.tolist(),
        [choose_label(row, weights) for row in rows.tolist()],
    )


@given(
    intervals=st.lists(st.floats(0.3, 1.5), min_size=10, max_size=80),
    seed=st.integers(0, 1000),
    weights=WEIGHTS,
)
def test_every_label_wins_by_weighted_probability(
    intervals: list[float], seed: int, weights: tuple[float, ...]
) -> None:
    block = block_of(intervals, seed, weights)
    found = followed(block, np.resize(SIGNAL, block.samples[-1] + 3 * FS), RhythmPolicy(), weights)
    for row, label in zip(found.probabilities, found.labels, strict=True):
        assert row[label] * weights[label] >= max(
            row[other] * weights[other] for other in AMONG[label]
        )


@given(
    intervals=st.lists(st.floats(0.3, 1.5), min_size=10, max_size=80),
    seed=st.integers(0, 1000),
    weights=WEIGHTS,
    policy=st.sampled_from((RhythmPolicy(), LABELLED, RhythmPolicy(template=None))),
)
def test_weights_that_are_all_scaled_change_nothing(
    intervals: list[float], seed: int, weights: tuple[float, ...], policy: RhythmPolicy
) -> None:
    block, signal = block_of(intervals, seed, weights), np.resize(SIGNAL, 200 * FS)
    scaled = tuple(4 * weight for weight in weights)
    assert followed(block, signal, policy, weights) == followed(block, signal, policy, scaled)


def test_a_weight_decides_between_n_and_s_in_a_steady_rhythm() -> None:
    """The usual interval takes both off S alike, but from so likely a one not enough."""
    row = [0.1, 0.9, 0.0, 0.0, 0.0]
    neutral = RhythmPolicy(template=None, baseline_bias=-2.5, baseline_beats=1)
    for weights, label in ((EVEN, N), ((1, 3, 1, 1, 1), S), ((4, 3, 1, 1, 1), N)):
        block = Beats(
            [300 * i + 100 for i in range(20)], [row] * 20, [choose_label(row, weights)] * 20
        )
        found = followed(block, quiet(20), neutral, weights)
        assert set(found.labels[1:]) == {label}


def weighted(detector: Detector, weights: tuple[float, ...], policy: RhythmPolicy) -> Detector:
    beats = replace(detector.contract.policy, class_weights=weights)
    other = detector.with_network(detector.session.run, replace(detector.contract, policy=beats))
    other.rhythm_policy = policy
    return other


def streamed(detector: Detector, *, events: bool) -> list[Beat]:
    stream = detector.stream(events=events)
    return stream.push(SIGNAL) + stream.finish()


@given(weights=WEIGHTS)
def test_a_followed_stream_labels_as_the_model_files_weights_say(
    detector: Detector, weights: tuple[float, ...]
) -> None:
    plain = weighted(detector, weights, LABELLED.replace(af_suppresses_s=False))
    beats = streamed(plain, events=True)
    assert beats == streamed(plain, events=False)
    assert [b.label for b in beats] == [
        CLASSES[choose_label(b.probabilities, weights, ALL)] for b in beats
    ]
    for one in streamed(weighted(detector, weights, RhythmPolicy()), events=True):
        label = CLASSES.index(one.label)
        assert one.score == one.probabilities[label]
        assert label == choose_label(one.probabilities, weights, (label, *AMONG[label]))


def test_a_heavy_class_wins_also_if_the_rhythm_is_followed(detector: Detector) -> None:
    light = 1e-15
    for label, heavy in ((1, (light, 1.0, *[light] * 3)), (0, (1.0, *[light] * 4))):
        for policy in (LABELLED, RhythmPolicy(template=None)):
            free = policy.replace(af_suppresses_s=False)
            beats = streamed(weighted(detector, heavy, free), events=True)
            assert {one.label for one in beats} == {CLASSES[label]}
