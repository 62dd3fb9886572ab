"""Many streams on one NVIDIA GPU: signal goes in, frames come out, history never leaves the GPU.

Three ways lead to the same answer: the fused graph; our CUDA kernel for the filter and then the
graph without it; or our kernels for both. ``python -m bench.cuda`` measures which is the fastest.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingPackageError, ModelError, ProviderError
from .artifacts import DEFAULT_ARTIFACTS, Artifacts
from .contract import Contract
from .providers import INSTALL_KERNELS
from .session import Session

log = logging.getLogger(__name__)

CupyArray: TypeAlias = Any  # cupy.ndarray; CuPy is optional and ships no types
Carry: TypeAlias = tuple[CupyArray, ...]  # what a way carries, on the GPU

# Each way's model file.
GRAPHS = {"fused": "ekg_fused.onnx", "cupy": "ekg_cnn.onnx", "kernels": "ekg_cnn.onnx"}
# Streams from which 'cupy' is faster than 'fused' on an H100, by whether a CUDA graph is recorded.
CUPY_FROM_BATCH = {False: 4, True: 256}


def choose_ways(batch: int, *, cuda_graph: bool = False) -> list[str]:
    """The ways for so many streams that this installation has, by what was measured: fastest first.

    Kernels are the fastest for any number of streams, in chunks of about a second
    (docs/providers.md). They need the folder kernels/ and the package onnx, and are nothing that
    ONNX Runtime could record as a CUDA graph.
    """
    if not _at_hand(f"{_kernels_name()}.cupy_net"):
        return ["fused"]
    ways = ["cupy", "fused"] if batch >= CUPY_FROM_BATCH[cuda_graph] else ["fused", "cupy"]
    return ways if cuda_graph or not _at_hand("onnx") else ["kernels", *ways]


class CudaNet:
    """The network on a GPU, for a batch of streams. Made by `CudaNet.load`.

    Examples
    --------
    >>> net = CudaNet.load("artifacts", batch=1024)  # doctest: +SKIP
    >>> carry = net.start(1024)  # doctest: +SKIP
    >>> probabilities, carry = net.step(ecg, carry)  # doctest: +SKIP

    Attributes
    ----------
    way : fused, cupy or kernels
    provider, placement : as of a `Session`; no nodes are placed without a graph
    contract : the model file's metadata; its carry_size is that of `ekg_fused.onnx`
    cupy : the module
    stream : the CuPy stream that everything runs on
    fir_taps : of the filter, newest sample first
    """

    provider = "cuda"

    def __init__(self, path: Path, way: str, *, cuda_graph: bool = False):
        # The first attribute is the first to be released: a session after its stream would crash.
        self._session: Any = None
        self.way = way
        self.cupy = _import_cupy()
        self.stream = self.cupy.cuda.Stream(non_blocking=True)
        self._net, self.placement = None, dict[str, int]()
        if way == "kernels":
            metadata, self._net = _net(path)
        else:
            extra = {"user_compute_stream": str(self.stream.ptr)}
            if cuda_graph:
                extra["enable_cuda_graph"] = "1"
            session = Session(path, "cuda", extra=extra)
            metadata, self.placement = session.metadata, session.placement
            self._session = session.inference_session
        taps = self.fir_taps = json.loads(metadata["fir_taps"])
        self._fir = None if way == "fused" else _fir(taps)
        own = int(metadata["carry_size"])
        self._sizes = [own] if way == "fused" else [len(taps) - 1, own]
        self.contract = Contract.read(metadata | {"carry_size": str(sum(self._sizes))}, path.name)
        self._fixed: _Buffers | None = None
        self._cuda_graph = cuda_graph

    @classmethod
    def load(
        cls,
        artifacts: str | Path = DEFAULT_ARTIFACTS,
        *,
        batch: int = 1,
        way: str = "auto",
        cuda_graph: bool = False,
    ) -> CudaNet:
        """Load and check the model: its hash, that every node runs on CUDA, the golden answer.

        Parameters
        ----------
        batch : number of streams it is meant for; any number is taken
        way : fused, cupy, kernels, or auto for the first of `choose_ways` that runs here
        cuda_graph : record ONNX Runtime's launches once and replay them, for one shape only: that
            of the first call. So the golden answer is checked on a net without. Not for kernels,
            which need none.

        Raises
        ------
        InputError
            An unknown way, or a CUDA graph of kernels.
        ModelFileError, ModelError
            A file is missing, altered, or gives another answer than it did when exported.
        ProviderError
            CUDA does not start here or does not run every node.
        MissingPackageError
            CuPy is not installed, or what a way needs beside it.
        """
        if way not in ("auto", *GRAPHS):
            raise InputError(f"way {way!r} is unknown; expected auto, {', '.join(GRAPHS)}.")
        if way == "kernels" and cuda_graph:
            raise InputError(
                "way 'kernels' launches nothing of ONNX Runtime's that a CUDA graph "
                "could record; use it without, or another way."
            )
        files = Artifacts(artifacts)
        ways = choose_ways(batch, cuda_graph=cuda_graph) if way == "auto" else [way]
        *others, last = ways
        for candidate in others:
            try:
                return cls._checked(files, candidate, cuda_graph)
            except (ProviderError, ModelError, MissingPackageError) as error:
                log.warning("%s Using another way instead of '%s'.", error, candidate)
        return cls._checked(files, last, cuda_graph)

    @classmethod
    def _checked(cls, files: Artifacts, way: str, cuda_graph: bool) -> CudaNet:
        path = files.path(GRAPHS[way])
        net = cls(path, way)
        files.golden(path.name).check(net.run, f"cuda ({way})", net.contract.carry_size)
        return cls(path, way, cuda_graph=True) if cuda_graph else net

    def start(self, batch: int) -> Carry:
        """The carry at the start of recordings, on the GPU."""
        with self.stream:  # it waits for no other stream
            return tuple(self.cupy.zeros((batch, size), np.float32) for size in self._sizes)

    def step(self, ecg: CupyArray, carry: Carry) -> tuple[CupyArray, Carry]:
        """Label the frames of the next chunk of every stream; nothing is copied to the host.

        Parameters
        ----------
        ecg : float32 cupy.ndarray [batch, samples], C-contiguous, mV at the model's rate, samples
            a multiple of the hop. Whatever writes it runs on `stream`, or has finished; one that
            was not allocated under `stream` is kept until the answer is there.
        carry : of `start`, of the step before, or of `to_gpu`

        Returns
        -------
        probabilities : float32 cupy.ndarray [batch, frames, 6]
        carry : for the next chunk; both are computed on `stream`: what reads them runs there too,
            or waits for it

        Raises
        ------
        InputError
            Chunk or carry have another type, layout or length, or, with a CUDA graph, another
            shape.
        """
        hop = self.contract.hop
        for array in (ecg, *carry):
            if not isinstance(array, self.cupy.ndarray):
                raise InputError(
                    f"chunk and carry must be CuPy arrays, one is a "
                    f"{type(array).__name__} of {type(array).__module__}; use `run` "
                    "for NumPy's."
                )
        if not _plain(ecg) or ecg.ndim != 2 or ecg.shape[1] % hop:
            raise InputError(
                f"the chunk is {_described(ecg)}; expected C-contiguous float32 "
                f"[batch, samples], samples a multiple of {hop}."
            )
        expected = [(len(ecg), size) for size in self._sizes]
        if [part.shape for part in carry] != expected or not all(map(_plain, carry)):
            raise InputError(
                f"the carry is {', '.join(map(_described, carry))}; expected "
                f"C-contiguous float32 {', '.join(map(str, expected))}."
            )
        try:
            with self.stream:
                past: Carry = ()
                if self._fir:
                    ecg, carried = self._fir(ecg, carry[0], stream=self.stream)
                    past = (carried,)
                probabilities, history = self._label(ecg, carry[-1])
        except ValueError as error:  # of a kernel: too much for one launch, or on another GPU
            raise InputError(str(error)) from error
        return probabilities, (*past, history)

    def _label(self, ecg: CupyArray, carry: CupyArray) -> tuple[CupyArray, CupyArray]:
        if self._net:
            return self._net(ecg, carry, stream=self.stream)  # type: ignore[no-any-return]
        if self._cuda_graph:
            return self._replay(ecg, carry)
        buffers = _Buffers(self.cupy, ecg, carry, self.contract)
        buffers.run(self._session)
        return buffers.probabilities, buffers.carry_out

    def run(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Session.run`: NumPy in and out, with the carry of `ekg_fused.onnx`."""
        with self.stream:
            chunk = self.cupy.asarray(np.ascontiguousarray(ecg))
            probabilities, carried = self.step(chunk, self.to_gpu(carry))
            return self.cupy.asnumpy(probabilities), self.to_host(carried)

    def to_gpu(self, carry: NDArray[np.float32]) -> Carry:
        """A carry of `ekg_fused.onnx`, float32 [batch, carry_size], from the CPU or any way."""
        parts = np.split(carry, np.cumsum(self._sizes)[:-1], axis=1)
        with self.stream:
            return tuple(self.cupy.asarray(np.ascontiguousarray(part)) for part in parts)

    def to_host(self, carry: Carry) -> NDArray[np.float32]:
        """The carry of `ekg_fused.onnx`, float32 [batch, carry_size], for the CPU or any way."""
        with self.stream:
            return np.concatenate([self.cupy.asnumpy(part) for part in carry], axis=1)

    def _replay(self, ecg: CupyArray, carry: CupyArray) -> tuple[CupyArray, CupyArray]:
        """Through buffers that stay where they are, as a recorded CUDA graph wants them."""
        if self._fixed is None:
            self._fixed = _Buffers(self.cupy, ecg.copy(), carry.copy(), self.contract)
        fixed = self._fixed
        if fixed.ecg.shape != ecg.shape:
            raise InputError(
                f"the chunk has shape {ecg.shape}; a CUDA graph keeps the first one, "
                f"{fixed.ecg.shape}. Load another CudaNet for other shapes."
            )
        fixed.ecg[...], fixed.carry[...] = ecg, carry
        fixed.run(self._session)
        return fixed.probabilities.copy(), fixed.carry_out.copy()


class _Buffers:
    """Inputs and outputs of one run, bound where they lie on the GPU."""

    def __init__(self, cupy: Any, ecg: CupyArray, carry: CupyArray, contract: Contract):
        batch, samples = ecg.shape
        self.ecg, self.carry = ecg, carry  # kept: ONNX Runtime holds bare addresses
        self.probabilities = cupy.empty(
            (batch, samples // contract.hop, len(contract.classes)), np.float32
        )
        self.carry_out = cupy.empty(carry.shape, np.float32)

    def run(self, session: Any) -> None:
        binding = session.io_binding()
        for name in ("ecg", "carry"):
            array = getattr(self, name)
            binding.bind_input(name, _DEVICE, 0, np.float32, array.shape, _address(array))
        for name in ("probabilities", "carry_out"):
            array = getattr(self, name)
            binding.bind_output(name, _DEVICE, 0, np.float32, array.shape, _address(array))
        session.run_with_iobinding(binding)


_DEVICE = "cuda"


def _plain(array: CupyArray) -> bool:
    """True if a bare address is enough: ONNX Runtime and the kernel know no strides."""
    return bool(array.dtype == np.float32 and array.flags.c_contiguous)


def _described(array: CupyArray) -> str:
    return f"{array.dtype} {array.shape}, C-contiguous: {array.flags.c_contiguous}"


def _address(array: CupyArray) -> int:
    return int(array.data.ptr)


def _at_hand(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what it lies in
        return False


def _import_cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise MissingPackageError(
            f"this needs CuPy: run `{INSTALL_KERNELS}` in an environment of its own."
        ) from error
    if not cupy.cuda.is_available():
        raise ProviderError(
            "CuPy finds no NVIDIA GPU that it can use here; `python -m runtime "
            "doctor` says what is missing."
        )
    return cupy


def _kernels_name() -> str:
    """Return the import name of the kernels: of this package, or a checkout's top-level folder."""
    inside = f"{__name__.partition('.')[0]}.kernels"
    return inside if _at_hand(inside) else "kernels"


def _kernels() -> Any:
    try:
        return importlib.import_module(_kernels_name())
    except ImportError as error:
        raise MissingPackageError(_NO_KERNELS) from error


def _fir(taps: list[float]) -> Any:
    return _kernels().CupyFir(taps)


def _net(path: Path) -> tuple[dict[str, str], Any]:
    """Return the model file's metadata, and our kernel with its numbers."""
    kernels = _kernels()
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError(
            "way 'kernels' reads the model by the package onnx: run "
            f"`{INSTALL_KERNELS}`, or use the way 'fused'."
        ) from error
    model = onnx.load(path)
    try:
        net = kernels.CupyNet(kernels.Network.of(model))
    except ValueError as error:  # another architecture, or a GPU too small for it
        raise ProviderError(
            f"way 'kernels' does not run {path.name}: {str(error).rstrip('.')}; "
            "use the way 'cupy' or 'fused'."
        ) from error
    return {entry.key: entry.value for entry in model.metadata_props}, net


_NO_KERNELS = (
    "ways 'cupy' and 'kernels' need the folder kernels/ beside runtime/; copy it there, "
    "or use the way 'fused'."
)
