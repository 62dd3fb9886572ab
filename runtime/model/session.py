"""One ONNX graph on one execution provider: built strictly, its real placement read back."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import os
import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import ModelError, ProviderError
from . import providers
from .artifacts import Run
from .providers import ONNX_NAMES, REMEDIES


class Session:
    """A loaded graph.

    Parameters
    ----------
    path : of the model file
    provider : cpu, coreml or cuda; it runs every node or there is no session
    threads : of ONNX Runtime; 0 for all that this process may use, which helps large batches only
    extra : provider options beside those of `providers.options`

    Attributes
    ----------
    provider : short name of the execution provider that runs it
    placement : nodes on each execution provider, by ONNX Runtime's name for it; empty if
        ONNX Runtime is too old to report them (before 1.24)
    metadata : of the model file; its carry_size is that of the carry that `run` takes and gives
    inference_session : ONNX Runtime's own object, for what `run` does not offer

    Raises
    ------
    ModelError
        ONNX Runtime cannot read the file.
    ProviderError
        The provider does not start here, or leaves nodes to another; says which and what to do.
    """

    def __init__(
        self, path: Path, provider: str, *, threads: int = 1, extra: Mapping[str, str] | None = None
    ):
        options = session_options(provider, thread_plan(threads, usable_cores()))
        session = open_session(path, provider, options, extra)
        self.inference_session = session
        self.provider = provider
        self.placement = dict(Counter(where for _, where in _assigned(session)))
        shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
        if set(shapes) != {"ecg", "carry"}:
            raise ModelError(
                f"{path} takes {', '.join(shapes)}; expected a model of this project, "
                "which takes ecg and carry."
            )
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        self._run: Run = self._run_graph
        samples, carry_size = shapes["ecg"][1], shapes["carry"][1]
        stated = self.metadata.get("carry_size", str(carry_size))  # a missing one: see `Contract`
        if stated != str(carry_size):
            raise ModelError(
                f"{path} has carry_size {stated}; expected {carry_size}, as its own input has it."
            )
        if isinstance(samples, int):  # the static graph; elsewhere it is a name
            fixed = FixedChunks(self._run_graph, samples=samples, carry_size=carry_size)
            self.metadata["carry_size"], self._run = str(fixed.carry_size), fixed.run

    def run(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Label the frames of a chunk.

        Parameters
        ----------
        ecg : float32 [batch, samples], mV at the model's rate, samples a multiple of the hop
        carry : float32 [batch, carry_size], zeros where a recording starts

        Returns
        -------
        probabilities : float32 [batch, frames, 6]
        carry : float32 [batch, carry_size]
        """
        return self._run(ecg, carry)

    def _run_graph(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        probabilities, carry = self.inference_session.run(_OUTPUTS, {"ecg": ecg, "carry": carry})
        return probabilities, carry


_OUTPUTS = ("probabilities", "carry_out")  # named: ONNX Runtime would ask the graph at every run


class FixedChunks:
    """A graph of one signal and a fixed number of samples, made to take any.

    Samples that do not fill a chunk run at once, padded, because live signal cannot wait for a
    second to be full; a frame sees nothing after it, so padding does not reach its answer. It runs
    again when more has come, from the carry before it. So the carry handed out is the graph's own
    at the last full chunk, the samples since then, and their number.

    Parameters
    ----------
    run : the graph: float32 [1, samples] and [1, carry_size]
    samples : of a chunk
    carry_size : of the graph

    Attributes
    ----------
    carry_size : floats that `run` takes and gives, zeros where a recording starts
    """

    def __init__(self, run: Run, *, samples: int, carry_size: int):
        self._graph, self._samples, self._split = run, samples, carry_size
        self.carry_size = carry_size + samples + 1

    def run(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Session.run`, signal by signal."""
        answers = [self._run_one(*row) for row in zip(ecg, carry, strict=True)]
        frames, carries = zip(*answers, strict=True)
        return np.stack(frames), np.stack(carries)

    def _run_one(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        waiting = min(max(int(carry[-1]), 0), self._samples - 1)  # a forged token's may be any
        line = np.concatenate([carry[self._split : self._split + waiting], ecg])
        state, frames = carry[None, : self._split], []
        for start in range(0, len(line) - self._samples + 1, self._samples):
            answer, state = self._graph(line[None, start : start + self._samples], state)
            frames.append(answer[0])
        rest = line[len(line) // self._samples * self._samples :]
        padded = np.zeros(self._samples, dtype=np.float32)
        padded[: len(rest)] = rest
        if len(rest):
            answer, _ = self._graph(padded[None], state)
            frames.append(answer[0])
        hop = self._samples // len(frames[0])
        first = waiting // hop
        return (
            np.concatenate(frames)[first : first + len(ecg) // hop],
            np.concatenate([state[0], padded, np.array([len(rest)], dtype=np.float32)]),
        )


def session_options(provider: str, threads: int) -> onnxruntime.SessionOptions:
    """Options of ONNX Runtime for any graph of this project."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    entries = {
        # Spinning threads burn 90 % of a core for 10 % of latency, and make the tail worse.
        "session.intra_op.allow_spinning": "0",
        "session.record_ep_graph_assignment_info": "1",  # 1.24; older ones ignore it
    }
    if provider != "cpu":
        entries["session.disable_cpu_ep_fallback"] = "1"
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    # Memory stays as ONNX Runtime has it: over thousands of shapes the arena does not grow on,
    # and without its plan a run takes a fifth longer.
    return options


def thread_plan(wanted: int, cores: int) -> int:
    """Threads of a session: as wanted, 0 for all, never more than there are cores to run them."""
    return min(wanted or cores, cores)


def usable_cores(
    cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Cores this process may use: its affinity and its cgroups' quotas, not what the box has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([cores or 1, *_quotas(cgroups, own)])))


def missing_libraries() -> list[str]:
    """Libraries that the CUDA provider needs and the loader does not find, in its own words.

    Empty if all are found, if ONNX Runtime was built without CUDA, and off Linux.
    """
    if platform.system() != "Linux":
        return []
    missing = []
    for name in _CUDA_LIBRARIES.get(providers.built_for_cuda().split(".")[0], ()):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            missing.append(str(error))
    return missing


def preload_cuda() -> None:
    """Load CUDA and cuDNN from where pip put them; a missing one is reported when it is needed."""
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def open_session(
    path: Path,
    provider: str,
    options: onnxruntime.SessionOptions,
    extra: Mapping[str, str] | None = None,
) -> onnxruntime.InferenceSession:
    """ONNX Runtime's session of a graph; raises as `Session`."""
    if provider == "cuda":
        preload_cuda()
    try:
        session = _open(path, provider, options, dict(extra or {}))
    except Exception as error:  # ONNX Runtime raises many types, all derived from Exception
        reason = re.sub(
            r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip().splitlines()[-1]
        )[:300].rstrip(".")
        if provider == "cpu":
            raise ModelError(
                f"{path} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {reason}"
            ) from error
        raise _refusal(path, provider, reason) from error
    if (
        any(where != ONNX_NAMES[provider] for _, where in _assigned(session))
        or ONNX_NAMES[provider] not in session.get_providers()
    ):
        raise _refusal(path, provider, "ONNX Runtime fell back to the CPU")
    return session


def _open(
    path: Path, provider: str, options: onnxruntime.SessionOptions, extra: dict[str, str]
) -> onnxruntime.InferenceSession:
    own = providers.options(provider, hashlib.sha256(path.read_bytes()).hexdigest()) | extra
    if "ModelCacheDirectory" in own:
        Path(own["ModelCacheDirectory"]).mkdir(parents=True, exist_ok=True)
    if provider != "cpu":  # one that does not load is raised below; the log would say it again
        onnxruntime.set_default_logger_severity(4)
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=[(ONNX_NAMES[provider], own)], enable_fallback=0
        )
    finally:
        onnxruntime.set_default_logger_severity(2)  # its default


def _refusal(path: Path, provider: str, reason: str) -> ProviderError:
    """The error of a provider that does not run here, as far as its reason is known."""
    if provider == "cuda" and (missing := missing_libraries()):
        return ProviderError(
            f"provider 'cuda' does not start ({reason}), and libraries are "
            f"missing: {'; '.join(missing)}; {_library_remedy(missing)}."
        )
    options = session_options("cpu", 1)  # which lets nodes go to the CPU, to see which ones do
    try:
        nodes = _assigned(_open(path, provider, options, {}))
    except Exception:  # as above
        nodes = []
    stranded = [node for node, where in nodes if where != ONNX_NAMES[provider]]
    if not stranded or len(stranded) == len(nodes):
        # Before 1.24 it may also be some nodes, which that ONNX Runtime cannot name.
        fault = "does not start" if nodes else "does not start, or not with every node"
        return ProviderError(f"provider {provider!r} {fault}: {reason}; {REMEDIES[provider]}.")
    named = ", ".join(stranded[:5]) + (", ..." if len(stranded) > 5 else "")
    return ProviderError(
        f"provider {provider!r} does not run every node of {path.name}: {len(stranded)} of "
        f"{len(nodes)} are left to the CPU ({named}); update onnxruntime, or use provider 'cpu'."
    )


def _assigned(session: onnxruntime.InferenceSession) -> list[tuple[str, str]]:
    """(node, ONNX Runtime's name of the provider it runs on); none if it reports none."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except (AttributeError, RuntimeError):
        return []
    return [
        (f"{node.op_type} {node.name}", part.ep_name) for part in parts for node in part.get_nodes()
    ]


# By CUDA's major version. cuFFT and NVRTC are loaded when first used, which is never here.
_CUDA_LIBRARIES = {
    major: (
        "libcuda.so.1",
        f"libcudart.so.{major}",
        f"libcublasLt.so.{major}",
        f"libcublas.so.{major}",
        "libcurand.so.10",
        "libcudnn.so.9",
    )
    for major in ("12", "13")
}


def _library_remedy(missing: list[str]) -> str:
    if any(line.startswith("libcuda.so") for line in missing):
        return "install NVIDIA's driver; libcuda.so comes with it and with nothing else"
    return (
        f"run `{providers.INSTALL_CUDA}`, which brings them for CUDA {providers.built_for_cuda()}"
    )


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """CPU quotas, in cores, of this process's cgroups and of all that they lie in."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = cgroups / controllers / place.strip("/")
        while folder.is_relative_to(cgroups):
            yield from _quota(folder)
            folder = folder.parent


def _quota(folder: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError):  # not there, or 'max'
        quota, period = (folder / "cpu.max").read_text().split()  # cgroup v2
        yield int(quota) / int(period)
    with contextlib.suppress(OSError):
        quota, period = (
            (folder / f"cpu.cfs_{name}_us").read_text()  # cgroup v1
            for name in ("quota", "period")
        )
        if int(quota) > 0:
            yield int(quota) / int(period)
