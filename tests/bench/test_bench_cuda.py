"""The conclusions of the CUDA benchmark, and its message without a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from bench import cuda
from kernels import cupy_fir
from runtime import Detector

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


def row(candidate: str, batch: int, ms: float) -> dict[str, Any]:
    return {"candidate": candidate, "batch": batch, "ms": ms, "windows_per_s": 1000 * batch / ms}


def test_without_cupy_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cuda.main([]) == 2
    assert "needs CuPy: run `pip install" in capsys.readouterr().err


def test_no_batch_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cuda.main(["--largest", "0"])
    assert "--largest 0: the smallest batch is 1" in capsys.readouterr().err


def test_conclusions_give_the_best_and_the_crossings() -> None:
    """The GPU pays from a batch of 16 on, the kernel before the graph from 64 on."""
    rows = [
        row("cpu", 1, 0.1),
        row("cpu", 16, 1.0),
        row("cpu", 64, 4.0),
        row("fused", 1, 0.4),
        row("fused", 16, 0.5),
        row("fused", 64, 0.8),
        row("fused", 256, 2),
        row("fused, CUDA graph", 1, 0.2),
        row("fused, CUDA graph", 16, 0.5),
        row("cupy", 1, 0.5),
        row("cupy", 16, 0.6),
        row("cupy", 64, 0.5),
        row("cupy", 256, 1.6),
        row("kernels", 256, 0.8),
        row("cpu, a session a core", 64, 3.2),
    ]
    found = cuda.conclusions(rows)
    assert found["windows/s, CPU with all cores"] == 20_000
    assert found["windows/s, CUDA"] == 320_000
    assert found["CUDA over CPU"] == 16
    assert found["windows/s, CUDA by ONNX Runtime"] == 160_000
    assert found["CUDA by ONNX Runtime over CPU"] == 8
    assert found["fastest way by batch"] == {
        1: "fused, CUDA graph",
        16: "fused",
        64: "cupy",
        256: "kernels",
    }
    assert found["CUDA is faster from batch"] == 16
    assert found["CuPy filter is faster from batch"] == 64
    assert found["one window, CUDA, ms"] == 0.2


def test_a_candidate_that_is_never_faster_has_no_batch() -> None:
    rows = [row("cpu", 1, 0.1), row("fused", 1, 0.4), row("cupy", 1, 0.5)]
    found = cuda.conclusions(rows)
    assert found["CUDA is faster from batch"] is None
    assert found["CuPy filter is faster from batch"] is None


def test_the_filter_is_taken_out_of_the_fused_graph() -> None:
    fused = onnx.load(ARTIFACTS / "ekg_fused.onnx")
    taps = json.loads({entry.key: entry.value for entry in fused.metadata_props}["fir_taps"])
    rng = np.random.default_rng(0)
    ecg, carry = (rng.normal(size=(3, size)).astype(np.float32) for size in (360, len(taps) - 1))
    session = onnxruntime.InferenceSession(cuda.filter_of(fused).SerializeToString())
    filtered, carry_out = session.run(["filtered", "carry_out"], {"ecg": ecg, "carry": carry})
    expected, expected_carry = cupy_fir.reference(ecg, carry, taps)
    np.testing.assert_allclose(filtered, expected, atol=1e-5)
    assert (carry_out == expected_carry).all()


@pytest.mark.parametrize("batch", [1, 5])
def test_the_baseline_on_every_core_is_the_cpu(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(cuda, "usable_cores", lambda: 3)
    session = Detector.load(ARTIFACTS, provider="cpu").session
    ecg = np.random.default_rng(0).normal(size=(batch, 360)).astype(np.float32)
    carry = np.zeros((batch, int(session.metadata["carry_size"])), np.float32)
    parts = cuda.on_every_core(ARTIFACTS, ecg, carry)()
    assert len(parts) == min(3, batch)
    for got, expected in zip(zip(*parts, strict=True), session.run(ecg, carry), strict=True):
        np.testing.assert_allclose(np.concatenate(got), expected, atol=1e-5)


def test_results_are_kept_if_gpu_memory_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(artifacts: Path, batch: int, seconds: float) -> list[dict[str, Any]]:
        if batch > 16:
            raise RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer")
        return [row("cpu", batch, 1.0), row("fused", batch, 0.5), row("kernels", batch, 0.1)]

    monkeypatch.setattr(cuda, "describe", lambda _: {"gpu": "Small GPU", "cores": 2})
    monkeypatch.setattr(cuda, "measure", measure)
    monkeypatch.setattr(cuda, "measure_filter", measure)
    monkeypatch.setattr(cuda, "RESULTS", tmp_path)
    assert cuda.main(["--largest", "64"]) == 0
    assert "a batch of 64 needs more memory" in capsys.readouterr().err
    report = json.loads((tmp_path / "small-gpu" / "cuda.json").read_text())
    assert [line["batch"] for line in report["rows"]] == [1, 1, 1, 4, 4, 4, 16, 16, 16]
    assert report["conclusions"]["CUDA over CPU"] == 10
    assert (tmp_path / "small-gpu" / "cuda.png").stat().st_size > 1000
