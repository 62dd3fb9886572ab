"""The loops in C give what the arrays give that stand in for them where there is no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime import Detector
from runtime.beats import Beats
from runtime.detector import load_rhythm
from runtime.model import frames
from runtime.model.artifacts import DEFAULT_ARTIFACTS
from runtime.model.contract import FS, BeatPolicy
from runtime.model.rhythm_network import FEW, RHYTHM_GRAPH, RhythmGraph
from runtime.rhythm import baseline, ordinary, seconds, take_together, template
from runtime.rhythm.events import atrial
from runtime.rhythm.seconds import Seconds
from runtime.signal import features, missing, r_peak
from runtime.signal.fast import beats_fast
from runtime.signal.features import RATE, WINDOW_S
from runtime.signal.loops import beat_loops, loops, window_loops
from runtime.signal.noise import NO_WINDOW, NoiseMemory, kept_log_odds
from runtime.simulate import simulate

pytestmark = pytest.mark.skipif(loops is None, reason="the loops in C were not built")
push = import_module("runtime.engine.push")  # the folder has a function of this name
MODULES: dict[str, tuple[ModuleType, ...]] = {
    "loops": (missing,),
    "window_loops": (features, seconds),
    "beat_loops": (frames, push, r_peak, template),
    "interval_loops": (atrial, baseline),
    "second_loops": (ordinary,),
}
RNG = st.integers(0, 2**32 - 1).map(np.random.default_rng)
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def arrays_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, modules in MODULES.items():
            for module in modules:
                patch.setattr(module, name, None)
        yield


def both(work: Callable[[], Any]) -> tuple[Any, Any]:
    """A result of the loops, and that of arrays."""
    by_loops = work()
    with arrays_only():
        return by_loops, work()


def signal(rng: np.random.Generator, seconds_: int, fs: float = FS) -> NDArray[np.float64]:
    """ECG, noise, hum, a flat line or a step, of any size."""
    samples = round(seconds_ * fs)
    at = np.arange(samples) / fs
    parts = [
        simulate(seconds_, fs=fs, seed=int(rng.integers(1000))).signal[:samples],
        rng.normal(0, 1, samples),
        np.sin(2 * np.pi * rng.choice([3, 50, 60]) * at),
        np.zeros(samples),
        (at > rng.uniform(0, seconds_)).astype(float),
    ]
    weights = rng.choice([0, 0, 0.01, 0.3, 1, 5], len(parts))
    return np.asarray(sum(w * part for w, part in zip(weights, parts, strict=True)))


@given(RNG, st.integers(5, 12), st.sampled_from([np.float32, np.float64]))
def test_features(rng: np.random.Generator, seconds_: int, kind: type) -> None:
    ecg_60hz = signal(rng, seconds_, RATE).astype(kind)
    assume(np.ptp(ecg_60hz) > 1e-3)  # of a flat line shapes are of rounding errors
    (found, again), (expected, expected_again) = both(lambda: features.measure_windows([ecg_60hz]))
    assert found.shape == (seconds_ - WINDOW_S + 1, len(features.FEATURES))
    # A sample at a threshold may count on either side of it.
    counted = [
        i
        for i, name in enumerate(features.FEATURES)
        if name.startswith(("near zero", "slope near zero", "tall"))
    ]
    np.testing.assert_allclose(found[:, counted], expected[:, counted], atol=1.5 / RATE)
    found[:, counted] = expected[:, counted]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(again, expected_again, atol=1e-4)


@given(RNG)
def test_log_odds(rng: np.random.Generator) -> None:
    rows, model = rng.normal(0, 3, (4, len(features.FEATURES))), load_rhythm().noise.window
    found, expected = both(lambda: model.log_odds(rows))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(RNG, st.integers(1, 4))
def test_seconds(rng: np.random.Generator, patients: int) -> None:
    model, ecg = load_rhythm(), [signal(rng, 9).astype(np.float32) for _ in range(patients)]

    def judged() -> list[Any]:
        followed = [Seconds(model) for _ in ecg]
        for first, last in ((0, 1000), (1000, 1100), (1100, 9 * FS)):
            take_together(followed, [one[first:last] for one in ecg])
        return [one.state for one in followed]

    for found, expected in zip(*both(judged), strict=True):
        assert found.flaws == expected.flaws
        assert found.extremes == expected.extremes
        np.testing.assert_allclose(found.ecg_60hz, expected.ecg_60hz, atol=1e-5)
        assert len(found.windows) == len(expected.windows) == 5


@given(RNG, st.integers(1, 12), st.integers(1, 60), st.sampled_from([1, 3, 6]))
def test_beats_in_frames(rng: np.random.Generator, patients: int, size: int, gap: int) -> None:
    policy = BeatPolicy(0.4, gap, (1.0,) * 5)
    none = rng.choice([0.05, 0.3, 0.5, 0.9], (patients, size, 1))  # so that many are equal
    others = rng.dirichlet(np.ones(5), (patients, size)) * (1 - none)
    probabilities = np.concatenate([none, others], axis=2).astype(np.float32)
    found, expected = both(lambda: frames.find_beats(probabilities, policy))
    assert tuple(found) == tuple(expected)  # to the last bit


@given(RNG, st.integers(1, FEW), st.integers(0, 4))
def test_the_second_graph(rng: np.random.Generator, beats: int, before: int) -> None:
    graph = RhythmGraph(DEFAULT_ARTIFACTS / RHYTHM_GRAPH)
    rows = rng.normal(0, 1, (before + beats, 1, len(graph.INPUTS))).astype(np.float32)
    memory = np.zeros((1, 1, graph.memory_size), dtype=np.float32)

    def read() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        _, kept = graph.run(rows[:before], memory) if before else (None, memory)
        return graph.run(rows[before:], kept)

    def by_graph() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # Of several patients ONNX Runtime reads the beats.
        two, twice = rows.repeat(2, axis=1), memory.repeat(2, axis=1)
        log_odds, kept = graph.run(two, twice)
        return log_odds[before:, :1], kept[:, :1]

    for found, expected in zip(read(), by_graph(), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not memory.any()  # what is handed in stays as it is


@given(RNG)
def test_a_beat_laid_on_a_template(rng: np.random.Generator) -> None:
    around = rng.normal(0, 1, template.LAST - template.FIRST).astype(np.float32)
    usual = rng.normal(0, 1, template.SIZE).astype(np.float32)
    beats = Beats([0, 400], [[1.0, 0, 0, 0, 0], [0.6, 0, 0.4, 0, 0]], [0, 0])

    def relabelled() -> Any:
        limits = load_rhythm().policy.of(template.TemplateLimits)
        qrs = template.QrsTemplate(limits, [1.0] * 5)
        pieces = iter([np.pad(usual.repeat(3), 13)[: len(around)], around])
        return qrs.relabel(beats, lambda _: next(pieces)), qrs.state.log_roughness

    (found, rough), (expected, expected_rough) = both(relabelled)
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-5)
    assert rough == pytest.approx(expected_rough, abs=1e-5)


@given(RNG, st.integers(1, 60))
def test_p_waves(rng: np.random.Generator, beats: int) -> None:
    waves = rng.normal(0, 0.1, (beats, len(atrial.P_WAVE))).astype(np.float32)

    def means() -> list[float]:
        state = atrial.AtrialState()
        for wave in waves:
            state.take_p_wave(wave)
        return state.p_wave()

    found, expected = both(means)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(RNG, st.integers(1, 400))
def test_r_peaks(rng: np.random.Generator, samples: int) -> None:
    ecg = signal(rng, 2)[:samples].astype(np.float32)
    near = rng.integers(-20, samples + 20, 5).tolist()
    found, expected = both(lambda: r_peak.r_peaks(ecg, near, FS))
    smooth = np.convolve(np.pad(ecg, 200, mode="edge"), np.ones(5), mode="same")[200:-200]
    # Of equal peaks, to a rounding error, either is one.
    np.testing.assert_allclose(np.abs(smooth[found]), np.abs(smooth[expected]), atol=1e-4)


@given(
    RNG,
    st.integers(1, 40),
    st.sampled_from([360.0, 8.0]),
    st.sampled_from([missing.NONE_YET, missing.STILL, missing.MOVING]),
    st.sampled_from([0.0, 1.0, 5.0, 400.0]),
)
def test_plain_signal_is_the_same(
    rng: np.random.Generator, samples: int, fs: float, begun: float, repeats: float
) -> None:
    ecg = rng.choice(
        [0.0, 0.1, -0.3, 11.0, 600.0, np.nan], samples, p=[0.5, 0.25, 0.2, 0.03, 0.01, 0.01]
    )
    edge = missing.Edge(0.2, 0.1, 0.0, 0.0, 0.1, begun=begun, repeats=repeats)
    limits = load_rhythm().quality.missing

    def after() -> Any:
        held = np.zeros((2, samples), dtype=np.float32)
        rows = np.stack([ecg, ecg[::-1]])
        return missing.plain_after(rows, [edge] * 2, fs, limits, held), held.tolist()

    (found, held), (expected, expected_held) = both(after)
    assert found == expected
    if None not in found:
        assert held == expected_held


@given(RNG, st.integers(5, 8), st.booleans())
def test_verdicts_on_five_seconds(
    rng: np.random.Generator, seconds_: int, follows_others: bool
) -> None:
    model, at = load_rhythm(), np.arange(seconds_ * FS) / FS
    fast = rng.uniform(0, 2) * np.abs(np.sin(np.pi * rng.uniform(3, 12) * at)) ** 7
    ecg = (signal(rng, seconds_) * rng.choice([0, 1]) + fast).astype(np.float32)
    means = rng.normal(size=len(features.FEATURES)).astype(np.float32)
    before = NoiseMemory(means, 3.0) if follows_others else NO_WINDOW
    patient = seconds.Seconds(model)
    patient.state.noise_memory = before if follows_others else None
    seconds.take_together([patient], [ecg])
    state = patient.state
    # One after another, by what each part of it is.
    found, again = features.measure_windows([state.ecg_60hz])
    fibrillation, noise = kept_log_odds((model.fibrillation, model.noise.window), found)
    followed, memory = model.noise.follow(found, fibrillation, before)
    too_fast = beats_fast(again, model.quality.fast)
    expected = list(zip(fibrillation, noise, followed, too_fast, strict=True))
    assert state.windows == expected
    assert state.newest == expected[-1]
    assert state.noise_memory is not None
    assert state.noise_memory.windows == memory.windows
    np.testing.assert_array_equal(state.noise_memory.means, memory.means)


@given(RNG, st.integers(1, 60))
def test_intervals_are_read_to_the_last_bit(rng: np.random.Generator, count: int) -> None:
    limits = load_rhythm().policy.of(baseline.BaselineLimits)
    # So that runs last, and rates change for good, within a few beats.
    limits = replace(limits, lasting_s=3.0, steady_s=6.0, baseline_beats=8.0)
    rows = rng.dirichlet([2, 2, 0.2, 0.1, 0.1], count).tolist()
    labels = rng.choice(5, count, p=[0.6, 0.25, 0.1, 0.03, 0.02]).tolist()
    certain = (rng.random(count) < 0.9).tolist()
    usual = rng.choice([0.3, 0.8], count) + rng.normal(0, 0.02, count)
    moments = np.cumsum(np.rint(FS * usual)).astype(int).tolist()

    def read() -> Any:
        usual_interval, answers = baseline.RrBaseline(limits), []
        for sample, label, row, sinus in zip(moments, labels, rows, certain, strict=True):
            answers.append(usual_interval.read(sample, label, row, sinus_certain=sinus))
            answers.append(astuple(usual_interval.state))
        return answers

    found, expected = both(read)
    assert found == expected
    assert list(map(type, found[-1])) == list(map(type, expected[-1]))


@given(RNG, st.integers(4, 40))
def test_what_the_second_graph_reads(rng: np.random.Generator, count: int) -> None:
    moments = np.cumsum(rng.choice([30, 200, 300, 2500], count)).tolist()
    waves = rng.normal(0, 0.1, (count, len(atrial.P_WAVE))).astype(np.float32)
    beats = [
        atrial.AtrialBeat(sample, bool(rng.random() < 0.8), wave if rng.random() < 0.9 else None)
        for sample, wave in zip(moments, waves, strict=True)
    ]

    def read() -> Any:
        state = atrial.AtrialState()
        return state.take_all(beats[:3]), state.take_all(beats[3:]), state

    (*found, state), (*expected, expected_state) = both(read)
    np.testing.assert_allclose(np.vstack(found), np.vstack(expected), atol=1e-4)
    assert state.previous == expected_state.previous
    assert state.log_interval == expected_state.log_interval
    assert state.p_wave_beats == expected_state.p_wave_beats


@settings(max_examples=10)
@given(RNG, st.sampled_from([360, 250]))
def test_streams_together(rng: np.random.Generator, fs: int) -> None:
    detector, patients = Detector.load(provider="cpu"), 3
    ecg = [simulate(12, fs=fs, seed=int(rng.integers(1000))).signal for _ in range(patients)]
    ecg[0][5 * fs : 6 * fs] = np.nan

    def answers() -> Any:
        streams = [detector.stream(fs, events=i > 0) for i in range(patients)]
        cuts = [0, 400, 1000, 9 * fs, 12 * fs]
        found = []
        for first, last in pairwise(cuts):
            found += detector.push(streams, [one[first:last] for one in ecg])
        return found, [stream.events() for stream in streams]

    (found, events), (expected, expected_events) = both(answers)
    assert any(found)
    assert events == expected_events
    for some, others in zip(found, expected, strict=True):
        assert [(one.time, one.label) for one in some] == [(one.time, one.label) for one in others]
        for one, other in zip(some, others, strict=True):
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def test_they_can_be_left_out() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from runtime.signal.loops import loops; print(loops)",
        ],
        cwd=ROOT,
        env=os.environ | {"EKG_COMPILED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="sizes do not fit"):
        window_loops.measure(
            np.zeros(10), 1, np.zeros((1, 45)), np.zeros((1, 60), dtype=np.float32)
        )
    with pytest.raises(TypeError, match="not of type"):
        beat_loops.r_peak(np.zeros(10), 1, 1, 1)
