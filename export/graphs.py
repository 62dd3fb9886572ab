"""The ONNX graphs: exported, described in their own metadata, and proven equal to torch."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from runtime.model.contract import FORMAT, BeatPolicy
from training import dsp_cpu
from training.model import FRAME_CLASSES, HOP, Cnn, EkgNet
from training.recordings import FS

CHUNK = FS  # samples of the static graph and of the Core ML package: one second
# ONNX Runtime 1.16, the last release of onnxruntime-silicon, reads these and nothing newer.
OPSET, IR_VERSION = 18, 9
# Probabilities in float32 differ by rounding alone: 1e-6 is seen, ten times that is a fault.
TOLERANCE = 1e-5


class ExportError(Exception):
    """An exported graph does not do what the network does; nothing was written."""


@dataclass(frozen=True)
class Graph:
    """One exported graph, in memory.

    Attributes
    ----------
    name, role : of the file
    module : the torch module it must equal, called with (signal, carry)
    carry_size : of its own carry
    model : the ONNX model, metadata included
    chunk : samples it takes at once, of one signal; None if both are free
    """

    name: str
    role: str
    module: nn.Module
    carry_size: int
    model: onnx.ModelProto
    chunk: int | None = None


def graphs(net: EkgNet, described: dict[str, str]) -> Iterator[Graph]:
    """The graphs of a network (as `training.model.deployed` gives it), not yet proven.

    Each takes seconds, and is made when it is asked for.
    """

    def build(name: str, role: str, module: EkgNet | Cnn, chunk: int | None = None) -> Graph:
        carry_size = module.carry_size
        model = _export(module, carry_size, chunk)
        onnx.helper.set_model_props(
            model,
            described
            | {
                "role": role,
                "carry_size": str(carry_size),
                "carry_layout": _carry_layout(module),
                "input": "filtered signal" if module is net.cnn else "raw signal",
            },
        )
        return Graph(name, role, module, carry_size, model, chunk)

    yield build("ekg_fused.onnx", "filter and CNN, batch and samples free", net)
    yield build("ekg_cnn.onnx", "CNN without the filter, for CuPy-filtered signal", net.cnn)
    role = f"filter and CNN, one signal, {CHUNK} samples, for Core ML"
    yield build("ekg_fused_static.onnx", role, net, CHUNK)


def describe(net: EkgNet, *, policy: BeatPolicy, data: str, commit: str) -> dict[str, str]:
    """The contract that travels in every model file's metadata."""
    design, taps = net.design, dsp_cpu.taps(net.design.band_taps)
    return {
        "format": str(FORMAT),
        "fs": str(FS),
        "units": "mV",
        "hop": str(HOP),
        "delay_samples": str(design.delay_samples),
        "delay": str(design.delay_samples / FS),
        "classes": ",".join(FRAME_CLASSES),
        "threshold": str(policy.threshold),
        "apart": str(policy.min_frames_between),
        "class_weights": json.dumps(policy.class_weights),
        "fir_taps": json.dumps([float(tap) for tap in taps]),
        "fir_design": f"band-pass {dsp_cpu.BAND_HZ[0]:g} to {dsp_cpu.BAND_HZ[1]:g} Hz "
        f"({design.band_taps} taps, Hamming) with zero gain at 0 Hz, and a moving "
        f"average of {dsp_cpu.AVERAGE_TAPS}",
        "carry_layout": _carry_layout(net),
        "trained_on": data,
        "commit": commit,
        "simulated": "true" if data.startswith("SIMULATED") else "false",
    }


def prove(graph: Graph, signals: NDArray[np.float32], *, seed: int = 0) -> float:
    """Run a graph against its torch module, whole and cut at random places.

    Parameters
    ----------
    signals : float32 [signals, samples], mV, samples a multiple of the hop

    Returns
    -------
    the largest difference seen

    Raises
    ------
    ExportError
        It exceeds `TOLERANCE`, in the probabilities or (of its own size) in the carry.
    """
    session = onnxruntime.InferenceSession(
        graph.model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    start = np.zeros((len(signals), graph.carry_size), dtype=np.float32)
    with torch.inference_mode():
        expected, last = (
            t.numpy() for t in graph.module(torch.from_numpy(signals), torch.from_numpy(start))
        )
    worst = 0.0
    scale = max(1.0, float(np.abs(last).max()))
    for rows, pieces in _cuts(signals, graph.chunk, seed):
        carry, given = start[rows], []
        for piece in pieces:
            frames, carry = session.run(None, {"ecg": piece, "carry": carry})
            given.append(frames)
        worst = max(
            worst,
            float(np.abs(np.concatenate(given, axis=1) - expected[rows]).max()),
            float(np.abs(carry - last[rows]).max()) / scale,
        )
    if not worst <= TOLERANCE:
        raise ExportError(
            f"{graph.name} differs from torch by {worst:.2g}; at most "
            f"{TOLERANCE:g} is allowed. Nothing was written."
        )
    return worst


def golden(
    net: EkgNet, ecg: NDArray[np.float32], chunks: int = 8
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """An input in one-second chunks and torch's answer to each, for ``golden.npz``."""
    pieces = ecg[: chunks * FS].reshape(chunks, FS) - ecg[0]
    carry, answers = net.start(1), []
    with torch.inference_mode():
        for piece in pieces:
            frames, carry = net(torch.from_numpy(piece[None]), carry)
            answers.append(frames[0].numpy())
    return pieces.astype(np.float32), np.stack(answers)


def _carry_layout(module: EkgNet | Cnn) -> str:
    """Parts of a module's carry, in order: name and size of each, as JSON."""
    fir, cnn = (
        ([], module) if isinstance(module, Cnn) else ([("fir", module.fir.history)], module.cnn)
    )
    return json.dumps([*fir, *((f"layer{i}", size) for i, size in enumerate(cnn.carry_sizes))])


def _export(module: nn.Module, carry_size: int, chunk: int | None) -> onnx.ModelProto:
    batch, hops = torch.export.Dim("batch", min=1), torch.export.Dim("hops", min=1)
    # Three and seven: a size that could be taken for a constant would become one.
    rows, samples = (1, chunk) if chunk else (3, 7 * HOP)
    example = (torch.zeros(rows, samples), torch.zeros(rows, carry_size))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module,
            example,
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=["ecg", "carry"],
            output_names=["probabilities", "carry_out"],
            dynamic_shapes=None if chunk else ({0: batch, 1: HOP * hops}, {0: batch}),
        )
        model = onnx.load(path)
    model.ir_version = IR_VERSION
    model.producer_name = "ekg"
    if not chunk:
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "frames"
        _remove_shape_nodes(model.graph)
        join_parts(model.graph)
    shapes = [] if chunk else _shapes_of_convolutions(model.graph)
    for node in model.graph.node:  # source lines of the exporting machine
        del node.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shapes)
    onnx.checker.check_model(model)
    return model


def _remove_shape_nodes(graph: onnx.GraphProto) -> None:
    """Write shapes that are computed from an input as Reshape's own 0 (kept) and -1 (the rest).

    ONNX Runtime runs what computes with a Shape's output on the CPU, on CUDA as well, so a
    session that allows no other provider would refuse the graph.
    """
    computed: set[str] = set()
    for node in list(graph.node):
        if node.op_type == "Shape" or (node.op_type == "Concat" and set(node.input) <= computed):
            computed.update(node.output)
            graph.node.remove(node)
        elif node.op_type == "Reshape" and node.input[1] in computed:
            node.input[1] = "keep_batch"
            del node.attribute[:]  # allowzero, under which 0 is not 'kept'
    if computed:
        graph.initializer.append(numpy_helper.from_array(np.array([0, -1]), "keep_batch"))


def join_parts(graph: onnx.GraphProto) -> None:
    """Split the carry once, and put it together once, where the modules of a network do so in turn.

    Each copies the whole carry of all patients.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    by_output = {name: node for node in graph.node for name in node.output}
    for node in list(graph.node):
        inner = by_output.get(node.input[-1] if node.op_type == "Concat" else node.input[0])
        if (
            inner is None
            or inner.op_type != node.op_type
            or node.op_type not in ("Split", "Concat")
        ):
            continue
        if node.op_type == "Concat" and inner.attribute == node.attribute:
            parts = [*node.input[:-1], *inner.input]
            del node.input[:]
            node.input.extend(parts)
            graph.node.remove(inner)
        elif node.op_type == "Split" and node.input[0] == inner.output[-1]:
            sizes = [numpy_helper.to_array(constants[one.input[1]]) for one in (inner, node)]
            joined = np.concatenate([sizes[0][:-1], sizes[1]])
            constants[inner.input[1]].CopyFrom(numpy_helper.from_array(joined, inner.input[1]))
            graph.initializer.remove(constants[node.input[1]])
            inner.output.pop()
            inner.output.extend(node.output)
            graph.node.remove(node)


def _shapes_of_convolutions(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The shapes that torch states of convolutions: their lengths are multiples of ``hops``.

    ONNX Runtime cannot follow lengths through a carry that is put before the signal and cut off
    again. With them it adds what goes past a block within the block's last convolution, instead of
    in nodes of their own with their copies: a seventh of one patient's second.
    """
    answers = {name for node in graph.node if node.op_type == "Conv" for name in node.output}
    shapes = [value for value in graph.value_info if value.name in answers]
    for value in shapes:
        length = value.type.tensor_type.shape.dim[3]
        length.dim_param = re.sub(r"\bs\d+\b", "hops", length.dim_param)
    return shapes


def _cuts(
    signals: NDArray[np.float32], chunk: int | None, seed: int
) -> Iterator[tuple[slice, list[NDArray[np.float32]]]]:
    """Rows, and their signal in pieces: one by one in chunks, or all whole and cut at random."""
    if chunk:
        for row in range(len(signals)):
            rows = slice(row, row + 1)
            yield rows, np.split(signals[rows], range(chunk, signals.shape[1], chunk), axis=1)
        return
    hops = signals.shape[1] // HOP
    for count in (1, 4, 40):
        rng = np.random.default_rng((seed, count))
        places = np.sort(rng.choice(np.arange(1, hops), size=min(count, hops) - 1, replace=False))
        yield slice(None), np.split(signals, places * HOP, axis=1)
