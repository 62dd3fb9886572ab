"""Features of five seconds: the same alone and together, robust against artefact."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.model.contract import FS
from runtime.rhythm import RhythmModel
from runtime.signal import features as waveform
from runtime.signal.features import RATE, WINDOW_S
from runtime.simulate import simulate


def test_artefact_in_one_second_leaves_the_median_of_seconds(shipped: RhythmModel) -> None:
    ecg = simulate(5, seed=3).signal
    spoilt = ecg.copy()
    spoilt[2 * FS : 3 * FS] += np.random.default_rng(0).normal(0, 2, FS).astype(np.float32)
    clean, worse = (
        waveform.features(waveform.windows(waveform.at_rate(s, FS)))[0] for s in (ecg, spoilt)
    )
    moved = dict(
        zip(waveform.FEATURES, np.abs(worse - clean) / shipped.noise.window.scale, strict=True)
    )
    for what in ("tall", "mobility", "zero crossings", "amplitude"):
        assert moved[f"{what}, median of five seconds"] < 1
    assert moved["mobility"] > 1


def test_features_are_the_same_alone_and_together() -> None:
    pieces = waveform.windows(waveform.at_rate(simulate(40, seed=4).signal, FS))
    together = waveform.features(pieces)
    assert together.shape == (len(pieces), len(waveform.FEATURES))
    for piece, row in zip(pieces, together, strict=True):
        assert waveform.features(piece[None])[0] == pytest.approx(row, abs=1e-9)


@pytest.mark.parametrize("samples", [0, WINDOW_S * RATE - 1, WINDOW_S * RATE, 1000])
def test_a_window_begins_with_each_second(samples: int) -> None:
    signal = np.arange(samples, dtype=float)
    found = waveform.windows(signal)
    assert found.shape == (max(0, samples // RATE - WINDOW_S + 1), WINDOW_S * RATE)
    for second, window in enumerate(found):
        np.testing.assert_array_equal(window, signal[second * RATE :][: WINDOW_S * RATE])


@pytest.mark.parametrize("fs", [100.0, 257.0, 360.0, 1000.0])
def test_signal_at_another_rate_keeps_its_mean(fs: float) -> None:
    ramp = np.arange(int(10 * fs)) / fs
    coarse = waveform.at_rate(ramp, fs)
    assert len(coarse) == 10 * RATE
    assert coarse.mean() == pytest.approx(ramp.mean())
    middles = (np.arange(len(coarse)) + 0.5) / RATE - 0.5 / fs
    np.testing.assert_allclose(coarse, middles, atol=0.5 / fs)


def test_a_flat_line_has_finite_features() -> None:
    assert np.isfinite(waveform.features(np.zeros((2, WINDOW_S * RATE)))).all()


def test_a_model_is_one_hidden_layer_over_comparable_features(shipped: RhythmModel) -> None:
    for model in (shipped.noise.window, shipped.noise.lasting, shipped.fibrillation):
        features = np.random.default_rng(0).normal(0, 50, (6, len(model.inputs)))
        values = np.clip((features - model.mean) / model.scale, -4, 4)
        hidden = np.tanh(np.column_stack([values, np.ones(6)]) @ model.hidden)
        np.testing.assert_allclose(model.log_odds(features), hidden @ model.weights + model.bias)
        again = type(model).from_dict(model.to_dict())
        np.testing.assert_array_equal(again.log_odds(features), model.log_odds(features))
