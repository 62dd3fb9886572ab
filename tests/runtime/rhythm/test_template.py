"""The usual QRS complex: V is what is not like this patient's own beats, and not noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from patient import EVEN, beat, shipped, tracker_of

from runtime.beats import Beats, from_beats
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.findings import Beat
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy
from runtime.rhythm.template import FIRST, LAST, QrsTemplate, TemplateLimits
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
