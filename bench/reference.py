"""The reference that every candidate is compared with, and the network in it.

SciPy's filter and the network in torch, both in float64, with the weights that the graph carries.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from runtime import Detector
from runtime.model.artifacts import Artifacts
from training import dsp_cpu
from training.model import EkgNet, deployed
from training.recordings import FS

Array = NDArray[np.float32]
Pair = tuple[Array, Array]
FUSED = "ekg_fused.onnx"
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
# float32 against float64: 1e-6 is seen. A GPU that sums in another order stays within this too.
TOLERANCE = 1e-3
# The network's past, rounded up: a window that does not hold it is labelled otherwise.
PAST_S = 12
CHUNKS = 4  # seconds that are compared with the reference, after a whole past


def network(artifacts: Path, *, folded: bool = True) -> EkgNet:
    """The torch network with the weights that `ekg_fused.onnx` carries.

    Parameters
    ----------
    folded : as it is deployed; else with its batch norms, as training leaves it. They scale by
        one here, because the graph holds them folded, and cost what they would.

    Notes
    -----
    A fresh clone has no checkpoint. The graph's convolutions come in the order in which the
    network calls its own, the filter first; `agreement` shows that none were mixed up.
    """
    model = onnx.load(Artifacts(artifacts).path(FUSED))
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = [
        [stored[name] for name in node.input[1:]]
        for node in model.graph.node
        if node.op_type == "Conv"
    ][1:]
    net = deployed(EkgNet()) if folded else EkgNet().eval()
    convolutions = [module for module in net.cnn.modules() if isinstance(module, CONVOLUTIONS)]
    norms = iter([module for module in net.cnn.modules() if isinstance(module, nn.BatchNorm2d)])
    with torch.no_grad():
        for module, (weight, bias) in zip(convolutions, weights, strict=True):
            module.weight.copy_(torch.from_numpy(weight.reshape(module.weight.shape).copy()))
            adds = module.bias if module.bias is not None else _neutral(next(norms)).bias
            adds.copy_(torch.from_numpy(bias.copy()))
    return net.requires_grad_(False)


def reference(net: EkgNet) -> Callable[[Array, Array], Pair]:
    """SciPy's filter and the network, in float64; its carry is float64 too."""
    exact = copy.deepcopy(net.cnn).double()
    history, taps = net.fir.history, dsp_cpu.taps(net.design.band_taps)

    def run(ecg: NDArray[np.floating], carry: NDArray[np.floating]) -> Any:
        filtered, past = dsp_cpu.fir_filter(ecg, taps, carry[:, :history])
        with torch.inference_mode():
            given, rest = exact(
                torch.from_numpy(filtered), torch.from_numpy(carry[:, history:].astype(np.float64))
            )
        return given.numpy(), np.concatenate([past, rest.numpy()], axis=1)

    return run


def expected_answers(net: EkgNet, ecg: Array) -> list[Array]:
    """The reference's answer to each second of signal."""
    run, answers = reference(net), []
    carry = np.zeros((len(ecg), net.carry_size), dtype=np.float32)
    for chunk in seconds(ecg):
        given, carry = run(chunk, carry)
        answers.append(given)
    return answers


def agreement(
    run: Callable[[Array, Array], Pair], carry: Array, expected: Sequence[Array], ecg: Array
) -> float:
    """Largest difference of a probability from the reference's, over the last seconds.

    Only over the last, because without a carry none can know where a recording starts.
    """
    worst = 0.0
    for i, (chunk, answer) in enumerate(zip(seconds(ecg), expected, strict=True)):
        given, carry = run(chunk, carry)
        if i < len(expected) - CHUNKS:
            continue
        difference = np.abs(given - answer).max()
        worst = max(worst, float(difference)) if np.isfinite(difference) else np.inf
    return worst


def differing_beats(
    detector: Detector, net: EkgNet, ecg: Array, *, events: bool = False
) -> tuple[int, int]:
    """Beats of the product's stream that differ from the reference network's, and all beats.

    With ``events`` both follow the rhythm.
    """
    run = reference(net)
    ours = detector.stream(FS, events=events)
    # The reference's own carry: the graph's may be laid out otherwise.
    theirs = detector.with_network(
        lambda chunk, carry: _as_float32(*run(chunk, carry)),
        replace(detector.contract, carry_size=net.carry_size),
    ).stream(FS, events=events)
    found = [
        [(beat.time, beat.label) for beat in stream.push(ecg) + stream.finish()]
        for stream in (ours, theirs)
    ]
    return len(set(found[0]) ^ set(found[1])), len(found[1])


def multiply_adds(net: EkgNet) -> int:
    """Multiply-adds of one second of signal: the filter's taps and every convolution's."""
    counted = [FS * (net.fir.history + 1)]

    def count(module: nn.Module, inputs: object, output: Tensor) -> None:
        counted.append(output.shape[-1] * cast(Tensor, module.weight).numel())

    hooks = [
        module.register_forward_hook(count)
        for module in net.cnn.modules()
        if isinstance(module, CONVOLUTIONS)
    ]
    with torch.inference_mode():
        net(torch.zeros(1, FS), net.start(1))
    for hook in hooks:
        hook.remove()
    return sum(counted)


def seconds(ecg: Array) -> Iterator[Array]:
    """A signal's consecutive seconds, each [batch, 360]."""
    return (np.ascontiguousarray(ecg[:, at : at + FS]) for at in range(0, ecg.shape[1], FS))


def _neutral(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """A batch norm that only adds its bias."""
    assert norm.running_var is not None
    norm.running_var.fill_(1.0 - norm.eps)
    return norm


def _as_float32(given: NDArray[np.floating], carry: NDArray[np.floating]) -> Pair:
    return given.astype(np.float32), carry.astype(np.float32)
