"""The usual QRS complex: V is what is not like this patient's own beats, and not noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.detector import Detector
from runtime.errors import InputError
from runtime.findings import CLASSES, Beat
from runtime.rhythm.template import FIRST, LAST, Morphology, MorphologyPolicy, moved
from runtime.simulate import simulate

SURE_N = (0.97, 0.01, 0.01, 0.005, 0.005)
RATHER_N = (0.7, 0.0, 0.3, 0.0, 0.0)
RATHER_V = (0.2, 0.1, 0.7, 0.0, 0.0)
NARROW, WIDE = 0.012, 0.045  # s, standard deviation of a QRS complex like a bell


def around(width: float, *, at: float = 0.0, noise: float = 0.0, seed: int = 0
           ) -> NDArray[np.float32]:
    """A beat as `Morphology.read` takes it: a bell of 1 mV, so many s from the R peak's place."""
    time = np.arange(FIRST, LAST) / 360
    ecg = np.exp(-((time - at) ** 2) / (2 * width**2))
    ecg -= 0.2 * np.exp(-((time - at - 0.04) ** 2) / (2 * width**2))  # an S wave
    return (ecg + np.random.default_rng(seed).normal(0, noise, len(time))).astype(np.float32)


def beat(probabilities: tuple[float, ...]) -> Beat:
    label = int(np.argmax(probabilities))
    return Beat(1.0, CLASSES[label], probabilities[label], probabilities)


def knows(width: float, *, noise: float = 0.01, beats: int = 60) -> Morphology:
    """What has seen so many N beats of this width."""
    usual = Morphology()
    for seed in range(beats):
        usual.read(beat(SURE_N), around(width, noise=noise, seed=seed))
    return usual


@pytest.mark.parametrize("usual", [NARROW, WIDE])
def test_what_has_always_been_there_is_no_ventricular_beat_however_wide(usual: float) -> None:
    read = knows(usual).read(beat(RATHER_V), around(usual, noise=0.01, seed=99))
    assert read.label == "N"


def test_a_beat_that_is_not_like_the_others_is_ventricular_though_it_comes_in_time() -> None:
    read = knows(NARROW).read(beat(RATHER_N), around(WIDE, noise=0.01, seed=99))
    assert read.label == "V"
    assert read.score == read.probabilities[2] > 0.9


@pytest.mark.parametrize("noise", [0.1, 0.2, 0.4])
def test_noise_makes_no_ventricular_beats(noise: float) -> None:
    usual = knows(NARROW)
    labels = {usual.read(beat(RATHER_N), around(NARROW, noise=noise, seed=seed)).label
              for seed in range(40)}
    assert labels == {"N"}
    smooth = Morphology(MorphologyPolicy(roughness=0.0))
    for seed in range(60):
        smooth.read(beat(SURE_N), around(NARROW, noise=0.01, seed=seed))
    told = [smooth.read(beat(RATHER_N), around(NARROW, noise=0.4, seed=seed)).label
            for seed in range(40)]
    assert "V" in told  # roughness it is that keeps them


@pytest.mark.parametrize("at", [-0.03, 0.03])
def test_an_r_peak_placed_elsewhere_on_the_complex_is_the_same_beat(at: float) -> None:
    read = knows(NARROW).read(beat(RATHER_V), around(NARROW, at=at, noise=0.01, seed=99))
    assert read.label == "N"


def test_where_nothing_is_usual_yet_beats_stay() -> None:
    usual = Morphology()
    one = beat(RATHER_V)
    assert usual.read(one, around(WIDE)) is one
    assert usual.shape is None  # nor is it remembered, for it is not surely N
    assert knows(NARROW).read(one, None) is one  # the recording ends in it


def test_only_beats_that_are_surely_normal_are_remembered() -> None:
    usual = knows(NARROW)
    before = usual.shape, usual.alike, usual.rough
    for probabilities in (RATHER_N, RATHER_V):
        usual.read(beat(probabilities), around(WIDE))
    assert (usual.shape, usual.alike, usual.rough) == before


def test_a_usual_shape_that_changes_for_good_is_followed() -> None:
    usual = knows(NARROW)
    for seed in range(300):
        usual.read(beat(SURE_N), around(WIDE, noise=0.01, seed=seed))
    assert usual.read(beat(RATHER_V), around(WIDE, noise=0.01, seed=999)).label == "N"


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5).filter(lambda p: sum(p) > 0.01),
       st.floats(-30.0, 30.0))
def test_probabilities_stay_probabilities_and_those_of_f_and_q_their_own(
        raw: list[float], push: float) -> None:
    probabilities = tuple(value / sum(raw) for value in raw)
    read = moved(beat(probabilities), push)
    assert sum(read.probabilities) == pytest.approx(1.0)
    assert min(read.probabilities) >= 0.0
    assert read.probabilities[3:] == probabilities[3:]
    assert read.score == read.probabilities[CLASSES.index(read.label)]
    if push > 0.0 and min(probabilities[:3]) > 1e-3:
        assert read.probabilities[2] > probabilities[2]
    if beat(probabilities).label in "FQ":
        assert read.label in (beat(probabilities).label, "V")
    elif push == 0.0 and min(probabilities[:3]) > 1e-3:
        assert read.label == beat(probabilities).label


@pytest.mark.parametrize("limits", [
    {"gain": -1.0}, {"gain": float("nan")}, {"margin": 11.0}, {"roughness": -0.1},
    {"least": 1.0}, {"most": -1.0}, {"least": 0.9, "most": 0.9}, {"beats": 0.0}, {"sure": 1.5}])
def test_numbers_that_no_stream_could_use_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"of the usual shape is .*; expected"):
        MorphologyPolicy(**limits)


@pytest.mark.parametrize(("rate", "piece"), [(360.0, 18), (360.0, 700), (128.0, 20), (250.0, 31)])
def test_however_the_signal_is_cut_and_saved_the_same_complexes_are_looked_at(
        detector: Detector, rate: float, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, NDArray[np.float32] | None]] = []
    read = Morphology.read

    def note(self: Morphology, one: Beat, around: NDArray[np.float32] | None) -> Beat:
        seen.append((one.time, around))
        return read(self, one, around)

    monkeypatch.setattr(Morphology, "read", note)
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
    assert [time for time, _ in seen] == [time for time, _ in expected]
    for (_, one), (_, other) in zip(seen, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or np.allclose(one, other, atol=1e-6)
    # Only at the recording's ends is something missing.
    assert all(around is not None for time, around in expected if 0.2 < time < 29.5)
    assert len([around for _, around in expected if around is not None]) > 25
