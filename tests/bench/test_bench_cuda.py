"""The CUDA benchmark as a command: its messages, and what is kept if memory ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import cuda


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
