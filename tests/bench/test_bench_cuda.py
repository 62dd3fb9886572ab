"""What the CUDA benchmark concludes from its rows, and what it says without a GPU."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bench import cuda


def row(candidate: str, batch: int, ms: float) -> dict[str, Any]:
    return {"candidate": candidate, "batch": batch, "ms": ms, "windows_per_s": 1000 * batch / ms}


def test_without_cupy_it_says_what_to_install(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cuda.main([]) == 2
    assert "needs CuPy: run `pip install" in capsys.readouterr().err


def test_no_batch_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cuda.main(["--largest", "0"])
    assert "--largest 0: the smallest batch is 1" in capsys.readouterr().err


def test_conclusions() -> None:
    """The GPU pays from a batch of 16 on, the kernel before the graph from 64 on."""
    rows = [
        row("cpu", 1, 0.1), row("cpu", 16, 1.0), row("cpu", 64, 4.0),
        row("fused", 1, 0.4), row("fused", 16, 0.5), row("fused", 64, 0.8), row("fused", 256, 2),
        row("fused, CUDA graph", 1, 0.2), row("fused, CUDA graph", 16, 0.5),
        row("cupy", 1, 0.5), row("cupy", 16, 0.6), row("cupy", 64, 0.5), row("cupy", 256, 1.6),
    ]
    found = cuda.conclusions(rows)
    assert found["windows/s, CPU with all cores"] == 16_000
    assert found["windows/s, CUDA"] == 160_000
    assert found["CUDA over CPU"] == 10
    assert found["CUDA is faster from batch"] == 16
    assert found["CuPy filter is faster from batch"] == 64
    assert found["one window, CUDA, ms"] == 0.2


def test_what_never_overtakes_is_no_batch() -> None:
    rows = [row("cpu", 1, 0.1), row("fused", 1, 0.4), row("cupy", 1, 0.5)]
    found = cuda.conclusions(rows)
    assert found["CUDA is faster from batch"] is None
    assert found["CuPy filter is faster from batch"] is None
