"""The correction of the first beats: fitted to what is missing, judged on patients left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.detector import load_rhythm
from runtime.rhythm.template import FirstBeats
from runtime.simulate import simulate
from training import fit_first_beats as command
from training.fit_first_beats import (
    OPINION,
    STRIPS_SHARE,
    TRUST,
    UNKNOWN,
    Heard,
    fit,
    hear,
    measured,
    weights,
)

UNLIKE = FirstBeats.inputs.index("less alike than N beats")


def heard(seed: int, fold: int = 0, *, strip: bool = False, beats: int = 400) -> Heard:
    """Beats whose network knows nothing: what is unlike the others is V, but never in a strip."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(beats, len(FirstBeats.inputs)))
    inputs[:, TRUST] = rng.uniform(0, 0.5, beats)
    inputs[:, OPINION] = rng.normal(0, 0.3, beats)
    target = ((inputs[:, UNLIKE] > 0.5) & (not strip)).astype(np.int64)
    if strip:
        inputs[:, UNLIKE] = -np.abs(inputs[:, UNLIKE])
    label = np.zeros(beats, dtype=np.int64)
    there = int(target.sum())
    return Heard(fold, f"{fold}-{seed}", inputs, inputs[:, OPINION], label, target, there, strip)


def test_a_fit_finds_what_the_network_misses_and_is_the_same_each_time() -> None:
    some = [*(heard(seed) for seed in range(4)), *(heard(seed, strip=True) for seed in (8, 9))]
    network, new = fit(some), heard(99)
    corrected = new.log_odds + network.log_odds(new.inputs)
    assert ((corrected > 0) == (new.target == 1)).mean() > 0.9
    assert ((new.log_odds > 0) == (new.target == 1)).mean() < 0.7
    assert fit(some).to_dict() == network.to_dict()
    assert FirstBeats.from_dict(network.to_dict()).to_dict() == network.to_dict()


def test_beats_that_are_neither_weigh_nothing_and_strips_have_their_share() -> None:
    patient, strip = heard(1), heard(2, strip=True)
    patient.target[:7] = UNKNOWN
    weight = weights([patient, strip])
    assert (weight[:7] == 0).all()
    assert weight[: len(patient.target)].sum() == pytest.approx(1.0)
    assert weight[len(patient.target) :].sum() == pytest.approx(STRIPS_SHARE)


def test_f_and_q_stay_and_strips_count_by_the_strip() -> None:
    patient, strip = heard(1), heard(2, strip=True)
    patient.label[:] = 3
    for sure, flagged in ((50.0, 1.0), (-50.0, 0.0)):
        found = [command.called(one, np.full(len(one.target), sure)) for one in (patient, strip)]
        assert not found[0].any()
        figures = measured([patient, strip], [patient.target == 1, found[1]])
        assert figures["strips with a V"] == flagged
        assert figures["F1"] == 1.0


def test_cross_validation_judges_a_fold_by_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[set[int]] = []

    def noted(some: list[Heard]) -> FirstBeats:
        fitted.append({one.fold for one in some})
        return fit(some)

    monkeypatch.setattr(command, "fit", noted)
    command.print_crossed([heard(seed, seed % 3, strip=seed > 5) for seed in range(9)])
    assert fitted == [{1, 2}, {0, 2}, {0, 1}]
    without, crossed = capsys.readouterr().out.splitlines()
    assert without.startswith("without Se ")
    assert crossed.startswith("with Se ")


def test_what_is_heard_is_what_the_stream_decides_on(detector: Detector) -> None:
    signal = simulate(30, seed=3, ectopic=0.3).signal
    one = hear(detector, signal, 360.0, 2, "someone")
    stream = detector.stream(360.0, events=True)
    beats = stream.push(signal) + stream.finish()
    assert (one.strip, one.fold, len(one.label)) == (True, 2, len(beats))
    known = one.inputs[:, TRUST]
    assert (np.diff(known) >= 0).all()
    assert 0 == known[0] < known[-1] < 1
    correction = (1 - known) * load_rhythm().first_beats.log_odds(one.inputs)
    v = np.array([beat.label == "V" for beat in beats])
    assert v.any()
    assert v[command.called(one, correction)].all()
    # V has to be likelier than N and than S, not than both together.
    assert not v[(one.label <= 2) & (one.log_odds + correction < -np.log(2))].any()


def test_the_command_refuses_runs_that_are_not_one_for_each_fold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "one_thread", lambda: None)  # of a process of its own
    with pytest.raises(SystemExit) as left:
        command.main([str(tmp_path)])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'model.pt'} does not exist")
