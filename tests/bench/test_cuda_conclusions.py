"""The conclusions of the CUDA benchmark."""

from __future__ import annotations

from typing import Any

from bench.cuda_conclusions import conclusions


def row(candidate: str, batch: int, ms: float) -> dict[str, Any]:
    return {"candidate": candidate, "batch": batch, "ms": ms, "windows_per_s": 1000 * batch / ms}


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
    found = conclusions(rows)
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
    found = conclusions(rows)
    assert found["CUDA is faster from batch"] is None
    assert found["CuPy filter is faster from batch"] is None
