"""The candidates of the CUDA benchmark that need no GPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench import cuda_candidates
from kernels import cupy_fir
from runtime import Detector

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


def test_the_filter_is_taken_out_of_the_fused_graph() -> None:
    fused = onnx.load(ARTIFACTS / "ekg_fused.onnx")
    taps = json.loads({entry.key: entry.value for entry in fused.metadata_props}["fir_taps"])
    rng = np.random.default_rng(0)
    ecg, carry = (rng.normal(size=(3, size)).astype(np.float32) for size in (360, len(taps) - 1))
    session = onnxruntime.InferenceSession(cuda_candidates.filter_of(fused).SerializeToString())
    filtered, carry_out = session.run(["filtered", "carry_out"], {"ecg": ecg, "carry": carry})
    expected, expected_carry = cupy_fir.reference(ecg, carry, taps)
    np.testing.assert_allclose(filtered, expected, atol=1e-5)
    assert (carry_out == expected_carry).all()


@pytest.mark.parametrize("batch", [1, 5])
def test_the_baseline_on_every_core_is_the_cpu(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(cuda_candidates, "usable_cores", lambda: 3)
    session = Detector.load(ARTIFACTS, provider="cpu").session
    ecg = np.random.default_rng(0).normal(size=(batch, 360)).astype(np.float32)
    carry = np.zeros((batch, int(session.metadata["carry_size"])), np.float32)
    parts = cuda_candidates.on_every_core(ARTIFACTS, ecg, carry)()
    assert len(parts) == min(3, batch)
    for got, expected in zip(zip(*parts, strict=True), session.run(ecg, carry), strict=True):
        np.testing.assert_allclose(np.concatenate(got), expected, atol=1e-5)
