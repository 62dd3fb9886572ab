"""One patient or many, in any pieces: the same blocks of beats, and the same rhythm."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime import Detector, InputError, engine
from runtime.beats import Beats, as_block
from runtime.detector import load_rhythm
from runtime.engine import Engine, Patient
from runtime.simulate import simulate

TOLERANCE = 1e-5
RATES = (360.0, 250.0, 360.0, 257.0, 360.0, 500.0)
SECONDS = 18


@lru_cache(maxsize=1)
def signals() -> list[NDArray[np.float64]]:
    """One of each rate; with bad signal, early beats, and a fast heart among them."""
    made = [
        simulate(SECONDS, fs=rate, seed=40 + i, heart_rate=80 + 20 * i, ectopic=0.25).signal.astype(
            np.float64
        )
        for i, rate in enumerate(RATES)
    ]
    made[2][8 * 360 : 11 * 360] = 0.0
    made[4][12 * 360 :] += 8 * np.sin(np.arange(len(made[4]) - 12 * 360) / 40)
    return made


def engine_of(detector: Detector) -> Engine:
    """An engine whose network runs each row alone: then nothing may differ by a bit."""

    def run(
        ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = [detector.session.run(ecg[i : i + 1], carry[i : i + 1]) for i in range(len(ecg))]
        frames, carries = zip(*rows, strict=True)
        return np.concatenate(frames), np.concatenate(carries)

    return Engine(detector.contract, detector.digest, run, load_rhythm())


def joined(blocks: list[Beats]) -> Beats:
    return as_block(row for block in blocks for row in zip(*block, strict=True))


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from((0.01, 1.0, 30.0)),
    hops=st.lists(st.integers(1, 60), min_size=1, max_size=8),
)
def test_any_cut_of_any_signal_gives_the_same_frames(
    detector: Detector, seed: int, scale: float, hops: list[int]
) -> None:
    hop, size = detector.contract.hop, detector.contract.carry_size
    ecg = np.random.default_rng(seed).normal(0, scale, (2, sum(hops) * hop)).astype(np.float32)
    start = np.zeros((2, size), dtype=np.float32)
    expected, last = detector.session.run(ecg, start)
    carry, pieces = start, []
    for piece in np.split(ecg, np.cumsum(hops)[:-1] * hop, axis=1):
        frames, carry = detector.session.run(piece, carry)
        pieces.append(frames)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=TOLERANCE)
    np.testing.assert_allclose(carry, last, atol=TOLERANCE * max(1, float(np.abs(last).max())))


@settings(max_examples=15)
@given(data=st.data())
def test_many_patients_and_one_give_the_same_blocks(
    detector: Detector, data: st.DataObject
) -> None:
    """Any patients together, each with a chunk of its own length, to the last bit."""
    model = engine_of(detector)

    def patients() -> list[Patient]:
        return [model.start(rate, follow_rhythm=i != 3) for i, rate in enumerate(RATES)]

    together, alone = patients(), patients()
    for _ in range(8):
        some = data.draw(st.permutations(range(len(RATES))))[: data.draw(st.integers(1, 6))]
        same = data.draw(st.sampled_from((None, 18, 180, 700)))
        lengths = [same or data.draw(st.integers(0, 1500)) for _ in some]
        chunks = [
            signals()[i][together[i].taken :][:length]
            for i, length in zip(some, lengths, strict=True)
        ]
        found = engine.push([together[i] for i in some], chunks, units="mV")
        for i, block, chunk in zip(some, found, chunks, strict=True):
            assert block == engine.push_one(alone[i], chunk)
            assert together[i].events == alone[i].events
            assert (together[i].taken, together[i].decided) == (alone[i].taken, alone[i].decided)
    for one, other in zip(together, alone, strict=True):
        assert engine.push_one(one, (), end=True) == engine.push_one(other, (), end=True)
        assert [replace(e, confidence=0) for e in one.events] == [
            replace(e, confidence=0) for e in other.events
        ]


@settings(max_examples=15)
@given(
    which=st.integers(0, len(RATES) - 1),
    follow=st.booleans(),
    cuts=st.lists(st.floats(0, 1), max_size=10),
)
def test_any_cut_gives_the_blocks_of_the_whole(
    detector: Detector, which: int, follow: bool, cuts: list[float]
) -> None:
    model, ecg = engine_of(detector), signals()[which]
    whole = model.start(RATES[which], follow_rhythm=follow)
    (expected,) = engine.push_whole([whole], ecg[None])
    patient = model.start(RATES[which], follow_rhythm=follow)
    pieces = [
        engine.push_one(patient, piece)
        for piece in np.split(ecg, sorted(int(cut * len(ecg)) for cut in cuts))
    ]
    found = joined([*pieces, engine.push_one(patient, (), end=True)])
    assert found.samples == expected.samples
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-3)
    assert [(e.kind, e.start, e.end) for e in patient.events] == [
        (e.kind, e.start, e.end) for e in whole.events
    ]


@settings(max_examples=20)
@given(data=st.data())
def test_rhythms_followed_together_are_each_as_if_alone(
    detector: Detector, data: st.DataObject
) -> None:
    """Also beside others: of another rate, further on, with bad signal, not followed at all."""
    rates = (360.0, 250.0, 360.0, 360.0, 360.0)
    signals = [
        simulate(25, fs=rate, seed=40 + i, heart_rate=90 + 20 * i, ectopic=0.2).signal
        for i, rate in enumerate(rates)
    ]
    signals[2][8 * 360 : 12 * 360] = 0.0
    signals[3][14 * 360 :] += 8 * np.sin(np.arange(11 * 360) / 40)
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
            assert np.allclose(
                [b.probabilities for b in beats], [b.probabilities for b in expected], atol=1e-5
            )
            assert [replace(e, confidence=0) for e in together[i].events()] == [
                replace(e, confidence=0) for e in alone[i].events()
            ]
            one, other = together[i].tracker, alone[i].tracker
            assert (one is None) == (other is None) == (i == 4)
            if one and other:
                assert (one.flaws, one.current, one.heart_rate) == (
                    other.flaws,
                    other.current,
                    other.heart_rate,
                )
                assert np.allclose(one.save(), other.save(), rtol=1e-4, atol=1e-4)


def test_whole_recordings_together_are_each_alone(detector: Detector) -> None:
    """More than fit one run of the network."""
    model = engine_of(detector)
    ecg = np.stack([simulate(20, seed=i, ectopic=0.3).signal.astype(np.float64) for i in range(12)])
    patients = [model.start(360, follow_rhythm=True) for _ in ecg]
    for row, patient, block in zip(ecg, patients, engine.push_whole(patients, ecg), strict=True):
        one = model.start(360, follow_rhythm=True)
        assert engine.push_whole([one], row[None]) == [block]
        assert [(e.kind, e.start, e.end) for e in one.events] == [
            (e.kind, e.start, e.end) for e in patient.events
        ]


def test_engines_are_told_apart_by_network_and_rhythm(detector: Detector) -> None:
    first, second = engine_of(detector), engine_of(detector)
    assert first.rhythm_name == second.rhythm_name
    other = replace(
        first, rhythm=replace(first.rhythm, policy=first.rhythm.policy.replace(pause_s=2.5))
    )
    assert other.rhythm_name != first.rhythm_name
    pair = [first.start(360, follow_rhythm=True), other.start(360, follow_rhythm=True)]
    ecg = signals()[0]
    one, two = engine.push(pair, [ecg, ecg], units="mV")
    assert one == two  # a pause decides nothing about a beat
    with pytest.raises(InputError, match="got 1 streams and 2 chunks"):
        engine.push([pair[0], pair[0]], [ecg, ecg], units="mV")
