"""Signal and carry that stay on the GPU, by all three ways, where there is no GPU.

NumPy stands in for CuPy and the CPU for CUDA: every address, shape and carry is the real path's,
only the device is not. `test_cuda_on_gpu.py` has the tests on a GPU.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernels
from kernels import Network, cupy_fir, cupy_net
from runtime import InputError, MissingPackageError, ModelError, ProviderError
from runtime.model import cuda
from runtime.model.cuda import CudaNet

ARTIFACTS = Path(__file__).resolve().parents[3] / "artifacts"
KERNELS = pytest.param("kernels", marks=pytest.mark.needs("onnx"))  # which reads their weights
WAYS = tuple(KERNELS if way == "kernels" else way for way in cuda.GRAPHS)
GRAPH_WAYS = ("fused", "cupy")  # through ONNX Runtime


class HostFir:
    """`kernels.CupyFir` by its reference."""

    def __init__(self, taps: Any):
        self.taps = np.asarray(taps, np.float32)

    def __call__(
        self, ecg: np.ndarray, carry: np.ndarray, *, stream: object
    ) -> tuple[np.ndarray, np.ndarray]:
        assert isinstance(stream, HostStream)
        return cupy_fir.reference(ecg, carry, self.taps)  # type: ignore[no-any-return]


class HostNet:
    """`kernels.CupyNet` by its reference."""

    def __init__(self, network: Network):
        self.network = network

    def __call__(
        self, filtered: np.ndarray, carry: np.ndarray, *, stream: object
    ) -> tuple[np.ndarray, np.ndarray]:
        assert isinstance(stream, HostStream)
        if len(filtered) > 99:
            raise ValueError("100 streams are more than one launch takes: split the batch.")
        return cupy_net.reference(filtered, carry, self.network)


class HostStream(contextlib.nullcontext[None]):
    """`cupy.cuda.Stream`, of which ONNX Runtime gets the address."""

    ptr = 4711
    entered = 0

    def __init__(self, *, non_blocking: bool):
        super().__init__()
        assert non_blocking  # else it would wait for whatever uses the default stream

    def __enter__(self) -> None:
        HostStream.entered += 1

    def __exit__(self, *_: object) -> None:
        HostStream.entered -= 1


def on_stream(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """As CuPy does it, on the stream that is entered; on another it could come too late."""

    def checked(*args: Any) -> np.ndarray:
        assert HostStream.entered
        return function(*args)

    return checked


REAL_SESSION = cuda.Session


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """NumPy for CuPy, the CPU for CUDA; gives the provider options that CUDA would get."""
    told: dict[str, str] = {}
    cupy = ModuleType("cupy")
    cupy.__dict__.update(
        zeros=on_stream(np.zeros),
        empty=on_stream(np.empty),
        asarray=on_stream(np.asarray),
        asnumpy=on_stream(np.asarray),
        ndarray=np.ndarray,
        cuda=SimpleNamespace(Stream=HostStream, is_available=lambda: True),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(kernels, "CupyFir", HostFir)
    monkeypatch.setattr(kernels, "CupyNet", HostNet)
    monkeypatch.setattr(cuda, "_DEVICE", "cpu")
    monkeypatch.setattr(cuda, "_address", lambda array: array.ctypes.data)

    def on_the_cpu(path: Path, provider: str, *, extra: dict[str, str]) -> Any:
        assert provider == "cuda"
        told.update(extra)
        return REAL_SESSION(path, "cpu")

    monkeypatch.setattr(cuda, "Session", on_the_cpu)
    return told


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_answers_as_the_cpu_chunk_by_chunk(
    way: str, ecg: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    check_steps(CudaNet.load(ARTIFACTS, way=way), ecg, expected)


def check_steps(net: CudaNet, ecg: np.ndarray, expected: tuple[np.ndarray, np.ndarray]) -> None:
    carry, frames = net.start(len(ecg)), []
    for chunk in np.split(ecg, (18, 378, 1800), axis=1):
        answer, carry = net.step(np.ascontiguousarray(chunk), carry)
        frames.append(answer)
    np.testing.assert_allclose(np.concatenate(frames, axis=1), expected[0], atol=1e-5)
    np.testing.assert_allclose(
        net.to_host(carry), expected[1], atol=1e-5 * float(np.abs(expected[1]).max())
    )


@pytest.mark.parametrize("way", GRAPH_WAYS)
def test_a_cuda_graph_keeps_its_addresses_and_its_shape(
    host: dict[str, str], way: str, ecg: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    net = CudaNet.load(ARTIFACTS, way=way, cuda_graph=True)
    assert host["enable_cuda_graph"] == "1"
    carry, frames, places = net.start(len(ecg)), [], set()
    for chunk in np.split(ecg, 6, axis=1):
        answer, carry = net.step(np.ascontiguousarray(chunk), carry)
        frames.append(answer)
        fixed = net._fixed
        assert fixed is not None
        places.add(
            tuple(
                array.ctypes.data
                for array in (fixed.ecg, fixed.carry, fixed.probabilities, fixed.carry_out)
            )
        )
    assert len(places) == 1
    np.testing.assert_allclose(np.concatenate(frames, axis=1), expected[0], atol=1e-5)
    with pytest.raises(
        InputError,
        match=r"shape \(2, 360\); a CUDA graph keeps the first one, "
        r"\(3, 360\)",
    ):
        net.step(np.ascontiguousarray(ecg[:2, :360]), net.start(2))


def test_onnx_runtime_gets_the_stream_of_cupy(host: dict[str, str]) -> None:
    net = CudaNet.load(ARTIFACTS, way="fused")
    assert host == {"user_compute_stream": str(net.stream.ptr)}


@pytest.mark.needs("onnx")
@pytest.mark.usefixtures("host")
def test_a_carry_of_one_way_continues_in_another(
    ecg: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    """And to any other provider: on the host it is the carry of `ekg_fused.onnx`."""
    nets = [CudaNet.load(ARTIFACTS, way=way) for way in cuda.GRAPHS]
    carry = np.zeros((len(ecg), nets[0].contract.carry_size), dtype=np.float32)
    frames = []
    for net, part in zip(nets, np.split(ecg, (540, 900), axis=1), strict=True):
        assert net.contract == nets[0].contract
        answer, carry = net.run(part, carry)
        frames.append(answer)
    np.testing.assert_allclose(np.concatenate(frames, axis=1), expected[0], atol=1e-5)
    np.testing.assert_allclose(carry, expected[1], atol=1e-5 * float(np.abs(carry).max()))


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("batch", "missing", "cuda_graph", "way"),
    [
        pytest.param(1, "", False, "kernels", marks=pytest.mark.needs("onnx")),
        pytest.param(4096, "", False, "kernels", marks=pytest.mark.needs("onnx")),
        (1, "", True, "fused"),
        (255, "", True, "fused"),
        (256, "", True, "cupy"),
        (3, "onnx", False, "fused"),
        (4, "onnx", False, "cupy"),
        (4096, "kernels.cupy_net", False, "fused"),
    ],
)
def test_the_way_is_chosen_by_batch_and_installed_packages(
    monkeypatch: pytest.MonkeyPatch, batch: int, missing: str, cuda_graph: bool, way: str
) -> None:
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    assert CudaNet.load(ARTIFACTS, batch=batch, cuda_graph=cuda_graph).way == way


@pytest.mark.needs("onnx")
@pytest.mark.usefixtures("host")
def test_a_network_that_the_kernel_cannot_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the requested way; by auto the next one is taken."""
    monkeypatch.setitem(cuda.GRAPHS, "kernels", "ekg_fused.onnx")
    said = r"'kernels' does not run ekg_fused.onnx: .* another network .*; use the way 'cupy'"
    with pytest.raises(ProviderError, match=said):
        CudaNet.load(ARTIFACTS, way="kernels")
    assert CudaNet.load(ARTIFACTS).way == "fused"
    assert re.search(said, caplog.text)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("way", WAYS)
def test_a_way_that_answers_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    right = CudaNet.run
    monkeypatch.setattr(CudaNet, "run", lambda *given: (1 - right(*given)[0], right(*given)[1]))
    with pytest.raises(ModelError):
        CudaNet.load(ARTIFACTS, way=way)


@pytest.mark.needs("onnx")
@pytest.mark.usefixtures("host")
def test_an_error_of_a_kernel_becomes_an_input_error() -> None:
    net = CudaNet.load(ARTIFACTS, way="kernels")
    with pytest.raises(InputError, match="more than one launch takes"):
        net.step(np.zeros((100, 18), np.float32), net.start(100))


@pytest.mark.usefixtures("host")
def test_a_cuda_graph_of_kernels_is_refused() -> None:
    with pytest.raises(InputError, match="'kernels' launches nothing of ONNX Runtime's"):
        CudaNet.load(ARTIFACTS, way="kernels", cuda_graph=True)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    "chunk",
    [
        np.zeros((2, 360)),
        np.zeros((2, 361), np.float32),
        np.zeros((360, 2), np.float32).T,
        np.zeros(360, np.float32),
    ],
)
def test_a_chunk_of_another_layout_is_refused(chunk: np.ndarray) -> None:
    net = CudaNet.load(ARTIFACTS)
    with pytest.raises(InputError, match=r"expected C-contiguous float32 \[batch, samples\]"):
        net.step(chunk, net.start(2))


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("way", WAYS)
def test_arrays_that_are_not_cupys_are_refused(way: str) -> None:
    net = CudaNet.load(ARTIFACTS, way=way)
    with pytest.raises(InputError, match="must be CuPy arrays, one is a list of builtins"):
        net.step([[0.0] * 360] * 2, net.start(2))


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.astype(np.float64),
        lambda part: np.repeat(part, 2, axis=0)[::2],
        lambda part: part[:1],
        lambda part: part[:, 1:].copy(),
    ],
)
def test_a_carry_of_another_layout_is_refused(
    way: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    net = CudaNet.load(ARTIFACTS, way=way)
    *others, last = net.start(2)
    with pytest.raises(InputError, match=r"the carry is .* expected C-contiguous float32 \("):
        net.step(np.zeros((2, 360), np.float32), (*others, change(last)))


@pytest.mark.usefixtures("host")
def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(InputError, match="'slow' is unknown; expected auto, fused, cupy, kernels"):
        CudaNet.load(ARTIFACTS, way="slow")


@pytest.mark.usefixtures("host")
def test_a_missing_gpu_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["cupy"].cuda, "is_available", lambda: False)
    with pytest.raises(ProviderError, match=r"finds no NVIDIA GPU .* `python -m runtime doctor`"):
        CudaNet.load(ARTIFACTS)


def test_a_missing_cupy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingPackageError, match=r"needs CuPy.*requirements-runtime-cuda.txt"):
        CudaNet.load(ARTIFACTS)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("way", "missing", "said"),
    [
        ("cupy", "kernels", "need the folder kernels/"),
        ("kernels", "kernels", "need the folder kernels/"),
        (
            "kernels",
            "onnx",
            "by the package onnx: run `pip install -r requirements-runtime-cuda.txt`",
        ),
    ],
)
def test_a_missing_package_of_a_way_is_named(
    monkeypatch: pytest.MonkeyPatch, way: str, missing: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingPackageError, match=said):
        CudaNet.load(ARTIFACTS, way=way)


def test_the_old_place_of_the_module_is_read_with_a_warning() -> None:
    sys.modules.pop("runtime.cuda", None)
    with pytest.warns(DeprecationWarning, match=r"runtime\.cuda is now runtime\.model\.cuda"):
        old = importlib.import_module("runtime.cuda")
    assert old.CudaNet is CudaNet
