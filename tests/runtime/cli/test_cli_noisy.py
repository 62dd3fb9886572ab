"""What the commands say of a strip that is noise as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from runtime.cli.main import main
from runtime.findings import NOISY
from runtime.simulate import simulate


@pytest.fixture
def strips(tmp_path: Path) -> tuple[Path, Path]:
    """Half a minute of noise, and one of a heart, as tables."""
    noisy, clean = tmp_path / "noisy.csv", tmp_path / "clean.csv"
    noise = np.random.default_rng(0).normal(scale=0.3, size=30 * 360)
    np.savetxt(noisy, noise, fmt="%.4f", header="ECG (mV)", comments="")
    heart = simulate(30, ectopic=0.0).signal
    np.savetxt(clean, heart, fmt="%.4f", header="ECG (mV)", comments="")
    return noisy, clean


@pytest.mark.parametrize("command", [["report"], ["annotate", "--to", "csv"]])
def test_a_line_of_each_record_says_it(
    command: list[str],
    strips: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if command == ["report"]:
        pytest.importorskip("jinja2")
    name, *options = command
    out = ["--fs", "360", "--out", str(tmp_path / "out")]
    assert main([name, *map(str, strips), *options, *out]) == 0
    noisy, clean = capsys.readouterr().out.strip().splitlines()
    assert NOISY in noisy
    assert NOISY not in clean
    if name == "report":
        pages = [(tmp_path / "out" / f"{strip.stem}.html").read_text() for strip in strips]
        assert [NOISY in page for page in pages] == [True, False]


def test_predict_says_it(strips: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for strip, expected in zip(strips, (True, False), strict=True):
        assert main(["predict", str(strip), "--fs", "360"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["quality"]["noisy"] is expected
        assert (NOISY in answer["notes"]) is expected
