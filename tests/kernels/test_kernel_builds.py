"""Importing without CuPy, compiling without a GPU, and what the benchmark says without one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pytest

from kernels import CupyFir, CupyStft, Network, cupy_fir, cupy_net, net_launch, stft_kernel

ROOT = Path(__file__).parents[2]
# Turing (the oldest that CUDA 13 and CuPy's CUDA 12 build share) and Hopper; Ampere lies between.
ARCHITECTURES = [(75, 90), pytest.param((80,), marks=pytest.mark.trial)]
NETWORK = Network.of(onnx.load(ROOT / "artifacts" / "ekg_cnn.onnx"))
SOURCES = {
    "fir": cupy_fir.source(np.hanning(217)),
    "stft": stft_kernel.source(256, 360.0),
    "net-one": cupy_net.source(NETWORK, net_launch.TILES[0]),
    "net-many": cupy_net.source(NETWORK, net_launch.TILES[1]),
}


def test_importing_needs_no_cupy() -> None:
    program = "import sys; sys.modules['cupy'] = None; import kernels"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_a_missing_cupy_is_named() -> None:
    with mock.patch.dict(sys.modules, {"cupy": None}):
        for build in (lambda: CupyFir([1.0]), CupyStft):
            with pytest.raises(ImportError, match=r"cupy-cuda12x .* 1\.27, cupy-cuda13x"):
                build()


@pytest.mark.parametrize("name", SOURCES)
def test_sources_need_no_header(name: str) -> None:
    assert "#include" not in SOURCES[name]


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc (CUDA 12 or later) is not installed")
@pytest.mark.parametrize("architectures", ARCHITECTURES)
@pytest.mark.parametrize("name", SOURCES)
def test_nvcc_compiles_without_spilling(
    name: str, architectures: tuple[int, ...], tmp_path: Path
) -> None:
    file = tmp_path / f"{name}.cu"
    file.write_text(SOURCES[name], encoding="utf-8")
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
    # CuPy compiles as C++14 unless told otherwise.
    command = ["nvcc", "-std=c++14", "-fatbin", "-Xptxas", "-v", *targets, "-o", "kernel.fatbin"]
    run = subprocess.run(
        [*command, str(file)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", run.stderr)
    assert frames == [("0", "0")] * len(architectures)


def test_benchmark_says_that_it_needs_cupy() -> None:
    program = "import sys; sys.modules['cupy'] = None; from bench.kernels import main; main([])"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert re.fullmatch(r".* need CuPy: install cupy-cuda12x .*\.\n", run.stderr)
