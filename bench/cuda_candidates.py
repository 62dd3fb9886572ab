"""The candidates of `bench.cuda`: the CPU with all cores, and the ways through CUDA."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.utils import Extractor

from kernels import CupyFir, cupy_fir
from runtime.detector import Detector
from runtime.model.artifacts import Artifacts
from runtime.model.cuda import GRAPHS, CudaNet
from runtime.model.session import Session, usable_cores

Calls = dict[str, Callable[[], object]]


def candidates(artifacts: Path, ecg: np.ndarray) -> tuple[Calls, dict[str, np.ndarray]]:
    """The calls that can be timed on this chunk, and their answers."""
    batch = len(ecg)
    cpu, cuda = load(artifacts, "cpu"), load(artifacts, "cuda")
    start = np.zeros((batch, cpu.contract.carry_size), dtype=np.float32)
    calls: Calls = {
        "cpu": lambda: cpu.session.run(ecg, start),
        "cuda, host arrays": lambda: cuda.session.run(ecg, start),
    }
    answers = {name: call()[0] for name, call in calls.items()}  # type: ignore[index]
    shared_out = calls["cpu, a session a core"] = on_every_core(artifacts, ecg, start)
    answers["cpu, a session a core"] = np.concatenate([answer for answer, _ in shared_out()])
    for way in GRAPHS:
        for recorded in (False,) if way == "kernels" else (False, True):
            name = f"{way}, CUDA graph" if recorded else way
            net = (
                CudaNet.load(artifacts, way=way, cuda_graph=True)
                if recorded
                else load(artifacts, way)
            )
            calls[name] = on_gpu(net, ecg)
            answers[name] = net.run(ecg, start)[0]
    calls["kernels, host arrays"] = lambda: load(artifacts, "kernels").run(ecg, start)
    return calls, answers


def filters(artifacts: Path, net: CudaNet, ecg: np.ndarray) -> tuple[Calls, dict[str, np.ndarray]]:
    """As `candidates`, for the filter alone, with everything on the GPU."""
    cupy, batch = net.cupy, len(ecg)
    fir = CupyFir(net.fir_taps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "filter.onnx"
        onnx.save(filter_of(onnx.load(Artifacts(artifacts).path(GRAPHS["fused"]))), path)
        graph = Session(path, "cuda", extra={"user_compute_stream": str(net.stream.ptr)})
    with net.stream:
        arrays = {"ecg": cupy.asarray(ecg), "carry": fir.start(batch)}
        arrays |= {
            "filtered": cupy.empty_like(arrays["ecg"]),
            "carry_out": cupy.empty_like(arrays["carry"]),
        }
        moved = sum(array.nbytes for array in arrays.values())
        source = cupy.ones(moved // 8, cupy.float32)
        target = cupy.empty_like(source)
        kernel = tuple(map(cupy.empty_like, (arrays["filtered"], arrays["carry_out"])))
    binding = graph.inference_session.io_binding()
    for name, array in arrays.items():
        bind = binding.bind_input if name in ("ecg", "carry") else binding.bind_output
        bind(name, "cuda", 0, np.float32, array.shape, array.data.ptr)

    def run_kernel() -> None:
        fir(arrays["ecg"], arrays["carry"], out=kernel[0], carry_out=kernel[1], stream=net.stream)
        net.stream.synchronize()

    def run_graph() -> None:
        graph.inference_session.run_with_iobinding(binding)
        net.stream.synchronize()

    def copy() -> None:
        with net.stream:
            cupy.copyto(target, source)
        net.stream.synchronize()

    calls: Calls = {
        "filter, our kernel": run_kernel,
        "filter, fused graph's": run_graph,
        "copy of the same bytes": copy,
    }
    run_kernel()
    run_graph()
    some = slice(0, 256)  # of the streams: the definition sums every output in float64
    expected, _ = cupy_fir.reference(ecg[some], cupy.asnumpy(arrays["carry"][some]), net.fir_taps)
    return calls, {
        "the definition": expected,
        "filter, our kernel": cupy.asnumpy(kernel[0][some]),
        "filter, fused graph's": cupy.asnumpy(arrays["filtered"][some]),
    }


def filter_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """The filter of the fused graph: `ecg` and its part of `carry` to `filtered`, `carry_out`."""

    def first(kind: str, takes: str | None = None) -> str:
        return str(
            next(
                node.output[0]
                for node in model.graph.node
                if node.op_type == kind and (takes is None or takes in node.input)
            )
        )

    line = first("Concat", "ecg")
    names = {
        first("Split", "carry"): "carry",
        first("Reshape"): "filtered",
        first("Slice", line): "carry_out",
    }
    past, *outputs = names
    part = Extractor(onnx.shape_inference.infer_shapes(model)).extract_model(
        ["ecg", past], list(outputs)
    )
    for node in part.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(end, end) for end in ends]
    for tensor in (*part.graph.input, *part.graph.output):
        tensor.name = names.get(tensor.name, tensor.name)
    return part


def on_every_core(
    artifacts: Path, ecg: np.ndarray, carry: np.ndarray
) -> Callable[[], list[tuple[np.ndarray, np.ndarray]]]:
    """The batch shared out among sessions of one thread, one for each core that it can feed.

    Their answers stay apart: joining them would be a sixth of the time.
    """
    cores = min(usable_cores(), len(ecg))
    sessions = [load(artifacts, "cpu", core).session for core in range(cores)]
    parts = list(zip(np.array_split(ecg, cores), np.array_split(carry, cores), strict=True))
    if cores == 1:  # no thread between
        return lambda: [sessions[0].run(ecg, carry)]
    pool = ThreadPoolExecutor(cores)
    return lambda: list(pool.map(lambda session, part: session.run(*part), sessions, parts))


def on_gpu(net: CudaNet, ecg: np.ndarray) -> Callable[[], object]:
    """One step with signal and carry on the GPU, finished when it returns."""
    carry = net.start(len(ecg))
    with net.stream:
        signal = net.cupy.asarray(ecg)

    def step() -> None:
        net.step(signal, carry)
        net.stream.synchronize()

    return step


@cache
def load(artifacts: Path, what: str, core: int | None = None) -> Any:
    """A `Detector` or a way of `CudaNet`, which serve every batch; loading takes seconds."""
    if what in GRAPHS:
        return CudaNet.load(artifacts, way=what)
    return Detector.load(artifacts, provider=what, threads=0 if core is None else 1)
