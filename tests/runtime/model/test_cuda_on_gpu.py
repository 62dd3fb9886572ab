"""Signal and carry that stay on the GPU, by all three ways, on a GPU.

Run ``python -m pytest tests/runtime/model tests/kernels`` in an environment as docs/providers.md
has it, then ``python -m bench.cuda``.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from runtime import Detector
from runtime.model import cuda, providers
from runtime.model.cuda import CudaNet

ARTIFACTS = Path(__file__).resolve().parents[3] / "artifacts"
KERNELS = pytest.param("kernels", marks=pytest.mark.needs("onnx"))  # which reads their weights
WAYS = tuple(KERNELS if way == "kernels" else way for way in cuda.GRAPHS)
GRAPH_WAYS = ("fused", "cupy")  # through ONNX Runtime


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    """CuPy on a GPU that ONNX Runtime can use; how to run these stands at the top."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed; see the top of this file")
    if not cupy.cuda.is_available():
        pytest.skip("CuPy finds no CUDA GPU; see the top of this file")
    if "cuda" not in providers.compiled_in():
        pytest.skip(f"ONNX Runtime {onnxruntime.__version__} is built without CUDA; see the top")
    with contextlib.suppress(AttributeError):
        cupy.get_default_memory_pool().free_all_blocks()
    return cupy


@pytest.mark.usefixtures("gpu")
def test_gpu_detector_runs_every_node_on_cuda(
    ecg: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    detector = Detector.load(ARTIFACTS, provider="cuda")
    assert list(detector.session.placement) == ["CUDAExecutionProvider"]
    start = np.zeros((len(ecg), detector.contract.carry_size), dtype=np.float32)
    np.testing.assert_allclose(detector.session.run(ecg, start)[0], expected[0], atol=1e-5)


@pytest.mark.parametrize(
    ("way", "cuda_graph"),
    [*((way, False) for way in cuda.GRAPHS), *((way, True) for way in GRAPH_WAYS)],
)
def test_gpu_ways_answer_as_the_cpu(
    gpu: Any, way: str, cuda_graph: bool, ecg: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    net = CudaNet.load(ARTIFACTS, way=way, cuda_graph=cuda_graph)
    with net.stream:
        signal = gpu.asarray(ecg)
        carry, frames = net.start(len(ecg)), []
        for at in range(0, ecg.shape[1], 360):
            answer, carry = net.step(gpu.ascontiguousarray(signal[:, at : at + 360]), carry)
            frames.append(gpu.asnumpy(answer))
    np.testing.assert_allclose(np.concatenate(frames, axis=1), expected[0], atol=1e-5)
    np.testing.assert_allclose(
        net.to_host(carry), expected[1], atol=1e-5 * float(np.abs(expected[1]).max())
    )


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("way", WAYS)
def test_gpu_large_batch(way: str) -> None:
    rng = np.random.default_rng(0)
    ecg = rng.normal(size=(4096, 360)).astype(np.float32)
    session = Detector.load(ARTIFACTS, provider="cpu", threads=0).session
    start = np.zeros((4096, int(session.metadata["carry_size"])), dtype=np.float32)
    answer, _ = CudaNet.load(ARTIFACTS, way=way).run(ecg, start)
    np.testing.assert_allclose(answer, session.run(ecg, start)[0], atol=1e-5)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("way", WAYS)
def test_gpu_process_ends_without_a_crash(way: str) -> None:
    """With a net still alive at its end, which lets go of session and stream in some order."""
    program = (
        f"from runtime.model.cuda import CudaNet; net = CudaNet.load(way={way!r}); "
        "net.step(net.cupy.zeros((2, 360), 'f4'), net.start(2))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ARTIFACTS.parent,
        text=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
