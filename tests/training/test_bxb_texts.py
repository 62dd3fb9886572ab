"""The texts beside those of the real bxb."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from training import ec57
from training.bxb_texts import report
from training.databases import DS1, DS2, PACED
from training.ec57_files import compare_files

# wfdb, when imported, uses pandas in a way that pandas will give up.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

FS = 360
ANNOTATORS = ("atr", "prt")


@cache
def all_records(folders: tuple[Path, Path], start_s: float) -> list[tuple[str, ec57.Comparison]]:
    return [
        (record, compare_files(*folders, record, ANNOTATORS, start_s=start_s))
        for record in sorted(DS1 + DS2 + PACED)
    ]


@pytest.mark.parametrize(
    ("form", "start_s", "beats_file", "shutdown_file"),
    [
        ("L", 300.0, "L_5min.txt", "Ls_5min.txt"),
        ("L", 0.0, "L_f0.txt", "Ls_f0.txt"),
        ("l", 300.0, "l_5min.txt", "ls_5min.txt"),
        ("S", 300.0, "S_5min.txt", None),
        ("C", 300.0, "C_5min.txt", None),
        ("sum", 300.0, "sum_L_5min.txt", None),
        ("sum", 0.0, "sum_L_f0.txt", None),
    ],
)
def test_reports_are_bxbs_to_the_byte(
    form: str,
    start_s: float,
    beats_file: str,
    shutdown_file: str | None,
    folders: tuple[Path, Path],
) -> None:
    files = folders[1].parent
    beats, shutdown = report(all_records(folders, start_s), form, ANNOTATORS)
    assert beats.encode() == (files / beats_file).read_bytes()
    if shutdown_file:
        assert shutdown.encode() == (files / shutdown_file).read_bytes()


@pytest.mark.skipif(shutil.which("bxb") is None, reason="WFDB's bxb is not installed")
@pytest.mark.parametrize("seed", range(3))
def test_installed_bxb_agrees_on_other_disturbances(seed: int, data: Path, tmp_path: Path) -> None:
    import wfdb

    for suffix in ("hea", "atr"):
        shutil.copy(data / "mitdb" / f"207.{suffix}", tmp_path)
    rng = np.random.default_rng(seed)
    reference = wfdb.rdann(str(tmp_path / "207"), "atr")
    moved = reference.sample + rng.integers(-60, 61, reference.sample.size)
    samples = np.unique(np.maximum(moved[rng.random(moved.size) > 0.1], 1))
    symbols = rng.choice(reference.symbol, samples.size).tolist()
    wfdb.wrann("207", "rnd", samples, symbol=symbols, write_dir=str(tmp_path))
    command = ["bxb", "-r", "207", "-a", "atr", "rnd", "-L", "beats", "shutdown"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "WFDB": "."}, check=True)
    result = compare_files(tmp_path, tmp_path, "207", ("atr", "rnd"))
    beats, shutdown = report([("207", result)], "L", ("atr", "rnd"))
    assert beats == (tmp_path / "beats").read_text()
    assert shutdown == (tmp_path / "shutdown").read_text()


def test_comparison_of_nothing_is_printed_with_hyphens() -> None:
    nothing = ec57.Annotations([], "")
    result = ec57.compare(nothing, nothing, FS, start_s=0.0, record_samples=10_000)
    assert not result.counts.any()
    assert report([("1", result)], "L", ANNOTATORS)[0].split()[-7:] == ["-"] * 7
