"""A stand-in for CuPy that runs the CUDA sources on the CPU through `cuda_shim.h`."""

import ctypes
import functools
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest

import kernels
from kernels import CupyFir, CupyNet, CupyStft, Network

SHIM = Path(__file__).with_name("cuda_shim.h")
COPIES = Path(kernels.__file__).with_name("copies.cuh").read_text(encoding="utf-8")
FAULTS = {
    1: "some threads of a block met a barrier that others did not",
    2: "a block wrote past its shared memory",
    3: "the launch asks for more threads or shared memory than a block may have",
    4: "a copy into shared memory was never waited for",
}
GUARD = 1024  # floats before and after every array; NaN, so that reading them shows as well


class CpuDevice(str):
    """`cupy.cuda.Device` with an H100's numbers, equal to what NumPy calls its device."""

    attributes: ClassVar = {"MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 227 * 1024}

    def __new__(cls) -> "CpuDevice":
        return super().__new__(cls, "cpu")


class CpuCuda:
    """The part of CuPy's interface that the kernels use, over NumPy arrays and g++."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cupy = ModuleType("cupy")
        members = {
            "ndarray": np.ndarray,
            "empty": self.guarded,
            "zeros": np.zeros,
            "concatenate": np.concatenate,
            "asarray": self.uploaded,
            "may_share_memory": np.may_share_memory,
            "empty_like": lambda array: self.guarded(array.shape),
            "cuda": SimpleNamespace(
                Device=CpuDevice,
                get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None),
            ),
            "RawModule": self.raw_module,
        }
        self.cupy.__dict__.update(members)

    @contextmanager
    def installed(self, *, cupyx: bool = False) -> Iterator[None]:
        """Inside, `import cupy` finds this stand-in, and `cupyx.scipy` is SciPy if asked for."""
        modules = {"cupy": self.cupy}
        for name in ("signal", "ndimage") if cupyx else ():
            modules[f"cupyx.scipy.{name}"] = pytest.importorskip(f"scipy.{name}")
        if cupyx:
            modules |= {"cupyx": ModuleType("cupyx"), "cupyx.scipy": ModuleType("cupyx.scipy")}
        with mock.patch.dict(sys.modules, modules):
            yield

    def fir(self, taps: tuple[float, ...]) -> CupyFir:
        """A filter that runs on the CPU."""
        with self.installed():
            return CupyFir(taps)

    def net(self, network: Network) -> CupyNet:
        """A network that runs on the CPU."""
        with self.installed():
            return CupyNet(network)

    def stft(self, n_fft: int, hop: int = 64, fs: float = 360.0) -> CupyStft:
        """Spectra that run on the CPU."""
        with self.installed():
            return CupyStft(n_fft, hop=hop, fs=fs)

    def guarded(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        """An array of NaN inside a larger one of NaN, which `raw_module` checks after a launch."""
        assert dtype is np.float32
        size = int(np.prod(shape))
        return np.full(size + 2 * GUARD, np.nan, np.float32)[GUARD : GUARD + size].reshape(shape)

    def uploaded(self, values: Any, dtype: Any = np.float32) -> Any:
        """A guarded copy: what a kernel reads beyond its end is NaN."""
        assert dtype is np.float32
        return self.place(values)

    def place(self, values: Any) -> Any:
        """A guarded copy of an input."""
        array = self.guarded(np.shape(values))
        array[...] = values
        return array

    def raw_module(self, code: str) -> SimpleNamespace:
        """Stands in for cupy.RawModule; every launch runs twice, see `backwards` in the shim."""
        return SimpleNamespace(get_function=functools.partial(self._kernel, code))

    def _kernel(self, code: str, name: str) -> Callable[..., None]:
        launch = getattr(ctypes.CDLL(str(self._compile(code, name))), f"launch_{name}")

        def run(grid: Any, block: Any, arguments: tuple[Any, ...], shared_mem: int) -> None:
            assert shared_mem <= run.max_dynamic_shared_size_bytes, "shared memory not asked for"
            values = [_c_value(argument) for argument in arguments]
            pointers = [ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in values]
            packed = (ctypes.c_void_p * len(pointers))(*pointers)
            answers = []
            for backwards in (0, 1):
                fault = launch(grid[0], block[0], shared_mem, backwards, packed)
                assert fault == 0, FAULTS[fault]
                answers.append([argument.tobytes() for argument in arguments])
            assert answers[0] == answers[1], "the order of threads matters: a barrier is missing"
            assert all(map(_guards_are_whole, arguments)), "a block wrote outside its arrays"

        run.max_dynamic_shared_size_bytes = 48 * 1024  # type: ignore[attr-defined]
        return run

    def _compile(self, code: str, name: str) -> Path:
        assert COPIES in code
        code = code.replace(COPIES, "")  # the shim has its own
        text = f'#include "{SHIM}"\n{code}\nCUDA_SHIM_EXPORT({name})\n'
        library = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.so"
        if not library.exists():
            command = ["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-x", "c++", "-"]
            subprocess.run([*command, "-o", str(library)], input=text, text=True, check=True)
        return library


@pytest.fixture(scope="session")
def cpu_cuda(tmp_path_factory: pytest.TempPathFactory) -> CpuCuda:
    """The CUDA sources, running on the CPU."""
    if shutil.which("g++") is None or not sys.platform.startswith("linux"):
        pytest.skip("running CUDA sources on the CPU needs g++ and Linux (fibres by ucontext)")
    return CpuCuda(tmp_path_factory.mktemp("cuda_on_cpu"))


def _c_value(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    assert isinstance(argument, np.int32), "a kernel's integers must be numpy.int32"
    return ctypes.c_int32(int(argument))


def _guards_are_whole(argument: Any) -> bool:
    base = getattr(argument, "base", None)
    if base is None or base.size != argument.size + 2 * GUARD:
        return True
    return bool(np.isnan(base[:GUARD]).all() and np.isnan(base[-GUARD:]).all())


@pytest.fixture(scope="session")
def cupy() -> Any:
    """The real CuPy on a real GPU."""
    module = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not module.cuda.is_available():
        pytest.skip("CuPy finds no CUDA GPU")
    return module
