"""V and S beats that are artefact: recognised by form, level and what stands beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.beats import Q, S, V
from runtime.detector import Detector, load_rhythm
from runtime.errors import InputError
from runtime.findings import ARTEFACT, Record
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.artefact import (
    FIRST,
    LAST,
    NOTHING_BEFORE,
    ArtefactLimits,
    ArtefactModel,
    Artefacts,
    describe,
)
from runtime.rhythm.template import SIZE, Known
from runtime.simulate import simulate

SIZES = len(ArtefactModel.inputs)
NOT_KNOWN: Known = (None, 2.0, 0.0, 0.0)
RATHER_V = [0.1, 0.1, 0.8, 0.0, 0.0]


def bell(height: float, width: float) -> NDArray[np.float32]:
    time = np.arange(FIRST, LAST) / FS
    return (height * np.exp(-0.5 * (time / width) ** 2)).astype(np.float32)


def always(log_odds: float) -> ArtefactModel:
    """A model that says so of every beat."""
    one = np.zeros(SIZES)
    return ArtefactModel(one, one + 1.0, np.zeros(1), log_odds, np.zeros((SIZES + 1, 1)))


def with_bumps(height: float, width: float) -> tuple[NDArray[np.float64], list[float]]:
    """A simulated patient with half sines between beats, and when these are."""
    signal = simulate(90, seed=6, ectopic=0.0).signal.astype(np.float64)
    bump = height * np.sin(np.pi * np.linspace(0, 1, round(width * FS)))
    times = np.arange(40.3, 85.0, 6.1).tolist()
    for time in times:
        start = round(time * FS)
        signal[start : start + len(bump)] += bump
    return signal, times


def found_by(
    detector: Detector, signal: NDArray[np.float64], piece: int, *, saved: bool = False
) -> list[tuple[float, str, float]]:
    """Beats of a stream that is cut into pieces."""
    stream, beats = detector.stream(FS, events=True), []
    for at in range(0, len(signal), piece):
        beats += stream.push(signal[at : at + piece])
        if saved:
            stream = detector.resume(stream.save())
    beats += stream.finish()
    return [(beat.time, beat.label, beat.score) for beat in beats]


@pytest.mark.parametrize(("label", "limit"), [(V, "artefact_v"), (S, "artefact_s")])
def test_a_beat_is_unknown_from_the_limit_of_its_label_on(label: int, limit: str) -> None:
    limits = ArtefactLimits(artefact_v=100.0, artefact_s=100.0)
    seen = NOT_KNOWN, NOTHING_BEFORE, 1000, lambda first, last: bell(1.0, 0.03)
    strict = Artefacts(limits, always(2.0))
    assert strict.read(RATHER_V, label, *seen) == (RATHER_V, label)
    row, found = Artefacts(replace(limits, **{limit: 2.0}), always(2.0)).read(
        RATHER_V, label, *seen
    )
    assert found == Q
    assert sum(row) == pytest.approx(1.0)
    assert row[Q] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert row.index(max(row)) == Q


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-9, 1e-3, 1.0, 1e3]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([S, V]),
)
def test_any_signal_is_described_by_bounded_numbers_and_judged_alike_in_c(
    seed: int, scale: float, known: bool, timed: bool, label: int
) -> None:
    random = np.random.default_rng(seed)
    around = (scale * random.normal(size=LAST - FIRST).cumsum()).astype(np.float32)
    template = random.normal(size=SIZE).astype(np.float32) * np.float32(scale)
    usual = (template, 2.0, -3.0, random.uniform(1, 300)) if known else NOT_KNOWN
    before = (900, True, float(random.uniform(-1, 1))) if timed else NOTHING_BEFORE
    row = random.dirichlet([0.1] * 5).tolist()
    found = np.array(describe(row, label, around, usual, before, 1000))
    assert found.shape == (SIZES,)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 60
    model = load_rhythm().artefact
    judged = Artefacts(ArtefactLimits(1.0, 1.0), model).log_odds
    log_odds = model.log_odds(found[None]).item()
    assert judged(row, label, around, usual, before, 1000) == pytest.approx(log_odds, abs=1e-9)


def test_the_level_of_the_signal_makes_no_difference() -> None:
    template = bell(1.0, 0.01)[-FIRST - 45 : -FIRST + 48 : 3]
    usual = template - template.mean(), 2.0, -3.0, 50.0
    one, other = (
        describe(RATHER_V, V, bell(2.0, 0.05) + np.float32(level), usual, (700, True, -0.2), 900)
        for level in (0.0, 40.0)
    )
    np.testing.assert_allclose(one, other, atol=2e-2)


@pytest.mark.parametrize(("height", "width"), [(4.0, 0.5), (5.0, 0.5)])
def test_bumps_give_no_v_beats(detector: Detector, height: float, width: float) -> None:
    signal, times = with_bumps(height, width)
    beats = found_by(detector, signal, len(signal))
    ectopic = [time for time, label, _ in beats if label in ("V", "S")]
    before = replace_policy(detector, None)
    told = [time for time, label, _ in found_by(before, signal, len(signal)) if label in ("V", "S")]
    assert len(told) >= len(times) / 4
    assert len(ectopic) <= len(told) / 2


def test_v_beats_of_a_simulated_patient_stay(detector: Detector) -> None:
    signal = simulate(120, seed=3, ectopic=0.2).signal.astype(np.float64)
    beats = found_by(detector, signal, len(signal))
    before = found_by(replace_policy(detector, None), signal, len(signal))
    assert sum(label == "V" for _, label, _ in before) > 5
    assert [(time, label) for time, label, _ in beats] == [
        (time, label) for time, label, _ in before
    ]


@settings(max_examples=6, deadline=None)
@given(st.integers(17, 900), st.booleans())
def test_however_the_signal_is_cut_and_saved_the_same_beats_are_artefact(
    detector: Detector, piece: int, saved: bool
) -> None:
    signal, _ = with_bumps(5.0, 0.4)
    signal[:360] += 3 * np.exp(-np.arange(360) / 60)
    signal[-400:] += 4 * np.sin(np.pi * np.linspace(0, 1, 400))
    strict = replace_policy(detector, ArtefactLimits(artefact_v=0.0, artefact_s=0.0))
    whole = found_by(strict, signal, len(signal))
    assert any(label == "Q" for _, label, _ in whole)
    found = found_by(strict, signal, piece, saved=saved and piece > 200)
    assert [beat[:2] for beat in found] == [beat[:2] for beat in whole]
    np.testing.assert_allclose([b[2] for b in found], [b[2] for b in whole], atol=2e-5)


def replace_policy(detector: Detector, limits: ArtefactLimits | None) -> Detector:
    """The same detector with other limits of artefact; None: nothing is artefact."""
    other = detector.with_network(detector.session.run, detector.contract, detector.digest)
    other.rhythm_policy = RhythmPolicy(artefact=limits)
    return other


def test_numbers_that_no_stream_could_use_are_refused() -> None:
    with pytest.raises(InputError, match=r"artefact_v of artefact is .*; expected"):
        ArtefactLimits(artefact_v=-1.0, artefact_s=1.0)


def test_what_is_artefact_is_reported_to_a_fraction_of_a_second(detector: Detector) -> None:
    signal, times = with_bumps(5.0, 0.5)
    found = detector.annotate(Record("bumps", "II", FS, signal, 0.0))
    unknown = [beat.time for beat in found.beats if beat.label == "Q"]
    assert unknown
    assert len(found.artefacts) == len(unknown)
    for (start, end), time in zip(found.artefacts, unknown, strict=True):
        assert (start, end) == (pytest.approx(time - 0.25), pytest.approx(time + 0.25))
        assert np.abs(np.subtract(times, time)).min() < 0.8
    assert found.quality.artefacts == tuple(found.artefacts)
    assert any(ARTEFACT.format(len(unknown)) == note for note in found.quality.notes)
    stream = detector.stream(FS, events=True)
    stream.push(signal)
    assert stream.artefacts == found.artefacts
    assert detector.stream(FS).artefacts == []
