"""Candidates inside one process: this project's graphs, and their alternatives.

All of them label the same seconds of signal with the same weights, so each one's answer can be
compared with `bench.reference`.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.reference import FUSED, PAST_S, Array, Pair, network
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.providers import ONNX_NAMES, choose
from runtime.model.session import Session
from training import dsp_cpu
from training.model import HOP, EkgNet
from training.recordings import FS

GRAPHS = {
    "fused": FUSED,
    "static": "ekg_fused_static.onnx",
    "int8": "ekg_fused_int8.onnx",
}
CNN = "ekg_cnn.onnx"
WINDOWS = "SciPy + torch eager, windows"
CARRIED = "SciPy + torch eager, with our carry"


@dataclass(frozen=True)
class Candidate:
    """One way from a second of signal to probabilities.

    Attributes
    ----------
    name : as it stands in the tables
    provider : the execution provider requested, or 'torch'
    run : (ecg [batch, 360], carry) -> (probabilities, carry)
    carry_size : floats a patient
    stages : filter and model, if they are apart: each is called with (ecg, carry)
    ours : True if this project ships it
    fixed_batch : the only batch it takes, or None
    exact : True if it must agree with the reference to `TOLERANCE` (INT8 is only reported)
    nodes : nodes by execution provider
    """

    name: str
    provider: str
    run: Callable[[Array, Array], Pair]
    carry_size: int
    stages: dict[str, Callable[[Array, Array], object]] = field(default_factory=dict)
    ours: bool = False
    fixed_batch: int | None = None
    exact: bool = True
    nodes: dict[str, int] = field(default_factory=dict)

    def takes(self, batch: int) -> bool:
        return self.fixed_batch in (None, batch)

    def start(self, batch: int) -> Array:
        return np.zeros((batch, self.carry_size), dtype=np.float32)


def candidates(artifacts: Path, *, compiled: bool) -> tuple[list[Candidate], list[dict[str, str]]]:
    """The candidates that run here, and those that do not, with the reason.

    Parameters
    ----------
    compiled : also torch.compile, which takes half a minute
    """
    net, trained = network(artifacts), network(artifacts, folded=False)
    builders: list[tuple[str, Callable[[], Candidate]]] = []
    for provider in ONNX_NAMES:
        builders += [
            (f"{graph}, {provider}", partial(_graph, artifacts, graph, provider))
            for graph in GRAPHS
        ]
        builders.append(
            (f"SciPy filter + CNN graph, {provider}", partial(_filter_and_cnn, artifacts, provider))
        )
    builders += [
        ("plain ONNX Runtime", partial(_plain_onnxruntime, artifacts)),
        (WINDOWS, partial(_scipy_and_torch_windows, trained)),
        (CARRIED, partial(_scipy_and_torch, trained)),
        (
            "torch eager, fused and folded",
            partial(_torch, "torch eager, fused and folded", net, net),
        ),
        ("TorchScript", partial(_torch_script, net)),
        ("torch.compile", partial(_torch_compile, net, compiled)),
    ]
    found, refused = [], []
    for name, build in builders:
        try:
            found.append(build())
        except (Refused, EkgError) as reason:
            refused.append({"what": name, "reason": str(reason)})
    return found, refused


class Refused(Exception):  # noqa: N818 (it is an outcome, listed with its reason)
    """A candidate that cannot run here, or does not do what its name says."""


def require_provider(provider: str, nodes: dict[str, int], name: str) -> None:
    """Refuse what does not run, node for node, on the requested provider."""
    wanted = ONNX_NAMES[provider]
    elsewhere = {where: count for where, count in nodes.items() if where != wanted}
    if elsewhere or not nodes.get(wanted):
        placed = ", ".join(f"{count} nodes on {where}" for where, count in nodes.items())
        raise Refused(
            f"{name} was asked to run on {provider} but has "
            f"{placed or 'no node whose place is known'}"
        )


def _graph(artifacts: Path, graph: str, provider: str) -> Candidate:
    session, batch = _session(artifacts, GRAPHS[graph], provider)
    return Candidate(
        f"ekg {graph}",
        provider,
        session.run,
        int(session.metadata["carry_size"]),
        ours=True,
        fixed_batch=batch,
        exact=graph != "int8",
        nodes=session.placement,
    )


def _filter_and_cnn(artifacts: Path, provider: str) -> Candidate:
    session, batch = _session(artifacts, CNN, provider)
    taps = _taps(session.metadata)
    history, size = len(taps) - 1, int(session.metadata["carry_size"])

    def model(filtered: Array, carry: Array) -> Pair:
        return session.run(filtered[:, :FS].astype(np.float32), carry[:, history:])

    return _staged(
        "SciPy filter + ekg cnn",
        provider,
        taps,
        model,
        size,
        ours=True,
        fixed_batch=batch,
        nodes=session.placement,
    )


def _plain_onnxruntime(artifacts: Path) -> Candidate:
    """The graph as a user loads it who sets nothing: as many threads as cores, all spinning."""
    path = Artifacts(artifacts).path(FUSED)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    size = int(session.get_modelmeta().custom_metadata_map["carry_size"])
    return Candidate(
        "plain ONNX Runtime",
        "cpu",
        lambda ecg, carry: tuple(session.run(None, {"ecg": ecg, "carry": carry})),
        size,
    )


def _scipy_and_torch_windows(net: EkgNet) -> Candidate:
    """A sliding window, as of a user whose network takes windows, each labelled anew."""
    cnn, taps = _on_torch(net.cnn), dsp_cpu.taps(net.design.band_taps)

    def run(ecg: Array, past: Array) -> Pair:
        window = np.concatenate([past, ecg], axis=1)
        filtered, _ = dsp_cpu.fir_filter(window, taps)
        given, _ = cnn(
            filtered.astype(np.float32), np.zeros((len(ecg), net.cnn.carry_size), dtype=np.float32)
        )
        return given[:, -(FS // HOP) :], window[:, FS:]

    return Candidate(WINDOWS, "torch", run, PAST_S * FS, fixed_batch=1)


def _scipy_and_torch(net: EkgNet) -> Candidate:
    cnn = _on_torch(net.cnn)
    history = net.fir.history
    return _staged(
        CARRIED,
        "torch",
        dsp_cpu.taps(net.design.band_taps),
        lambda filtered, carry: cnn(filtered.astype(np.float32), carry[:, history:]),
        net.cnn.carry_size,
    )


def _torch(name: str, net: EkgNet, module: Callable[..., tuple[Tensor, Tensor]]) -> Candidate:
    return Candidate(name, "torch", _on_torch(module), net.carry_size)


def _torch_script(net: EkgNet) -> Candidate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it is deprecated; users still have it
        try:
            # A free batch needs a script that does not remember the example's: 2 and 3 differ.
            traced = torch.jit.trace(
                net,
                (torch.zeros(3, 2 * FS), net.start(3)),
                check_inputs=[(torch.zeros(2, FS), net.start(2))],
            )
            module = torch.jit.freeze(traced.eval())
        except Exception as error:  # the tracer raises many types
            raise Refused(f"torch.jit.trace failed: {str(error).splitlines()[0]}") from error
    return _torch("TorchScript", net, module)


def _torch_compile(net: EkgNet, wanted: bool) -> Candidate:
    if not wanted:
        raise Refused("left out by --quick: compiling takes longer than the rest")
    if not (shutil.which("g++") or shutil.which("clang++")):
        raise Refused("torch.compile needs a C++ compiler, and there is none")
    candidate = _torch("torch.compile", net, torch.compile(net, dynamic=False))
    try:
        candidate.run(np.zeros((1, FS), dtype=np.float32), candidate.start(1))
    except Exception as error:  # whatever the compiler behind it says
        raise Refused(f"torch.compile failed: {str(error).splitlines()[0][:200]}") from error
    return candidate


def _staged(
    name: str,
    provider: str,
    taps: NDArray[np.float32],
    model: Callable[[NDArray[np.floating], Array], Pair],
    size: int,
    *,
    ours: bool = False,
    fixed_batch: int | None = None,
    nodes: dict[str, int] | None = None,
) -> Candidate:
    """SciPy's filter, then a model with a carry of its own; both carries in one array."""
    history = len(taps) - 1

    def filtered(ecg: Array, carry: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return dsp_cpu.fir_filter(ecg, taps, carry[:, :history])

    def run(ecg: Array, carry: Array) -> Pair:
        signal, past = filtered(ecg, carry)
        given, rest = model(signal, carry)
        return given, np.concatenate([past, rest], axis=1, dtype=np.float32)

    return Candidate(
        name,
        provider,
        run,
        history + size,
        {"filter": filtered, "model": model},
        ours,
        fixed_batch,
        nodes=nodes or {},
    )


def _on_torch(module: Callable[..., tuple[Tensor, Tensor]]) -> Callable[[Array, Array], Pair]:
    def run(ecg: Array, carry: Array) -> Pair:
        with torch.inference_mode():
            given, after = module(torch.from_numpy(ecg), torch.from_numpy(carry))
        return given.numpy(), after.numpy()

    return run


def _session(artifacts: Path, file: str, provider: str) -> tuple[Session, int | None]:
    """A session that runs wholly on its provider, and the batch it is fixed to."""
    files = Artifacts(artifacts)
    if file not in files.files:
        raise Refused(f"{file} is not in {artifacts.name}/")
    choose(provider)
    session = Session(files.path(file), provider)
    require_provider(provider, session.placement, file)
    first = onnx.load(files.path(file)).graph.input[0].type.tensor_type.shape.dim[0]
    return session, first.dim_value or None


def _taps(metadata: dict[str, str]) -> Array:
    """The filter that a model file's metadata names, float32 [taps]."""
    return np.array(json.loads(metadata["fir_taps"]), dtype=np.float32)
