"""Measure the ways through CUDA against all CPU cores: ``python -m bench.cuda``.

For every batch of one-second chunks the candidates take turns, each checked against the CPU
first: the CPU with all cores (one session for all of them, or one for each), CUDA with arrays on
the host, and, with signal and carry on the GPU, the fused graph and the CuPy filter before the
CNN, each with and without a CUDA graph, and our kernels for both, also with arrays on the host.
Then the filter alone: our kernel, the fused graph's convolution, and a copy of as many bytes, which
nothing that reads and writes them can beat. It writes bench/results/<machine>/cuda.json and
cuda.png.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from bench.measure import cpu_name
from kernels import CupyFir, cupy_fir
from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.cuda import GRAPHS, CudaNet
from runtime.model.session import Session, usable_cores

RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16384)  # four times more fill 80 GB with all ways
CPU_BATCHES = 4096  # larger ones would take seconds a call, and a core is at its best from 16 on
TOLERANCE = 1e-4  # float32 sums in another order; TF32 arithmetic is ten times farther off

Calls = dict[str, Callable[[], object]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print, write the JSON; without a GPU one sentence and status 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=main.__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--machine", help="folder under bench/results; the GPU's name by default")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each candidate and batch")
    parser.add_argument("--largest", type=int, default=BATCHES[-1], help="batch")
    parser.add_argument(
        "--draw",
        action="store_true",
        help="only draw the cuda.json of --machine that is there, again",
    )
    args = parser.parse_args(arguments)
    if args.largest < BATCHES[0]:
        parser.error(f"--largest {args.largest}: the smallest batch is {BATCHES[0]}")
    if args.draw:
        path = RESULTS / (args.machine or "") / "cuda.json"
        if not path.is_file():
            parser.error(f"--draw: there is no {path}; name its folder by --machine.")
        draw(json.loads(path.read_text()), path.with_suffix(".png"))
        return 0
    batches = [batch for batch in BATCHES if batch <= args.largest]
    try:
        machine = describe(args.artifacts)
        folder = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower()).strip("-")
        path = RESULTS / (args.machine or folder) / "cuda.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        report: dict[str, Any] = {"machine": machine, "conclusions": {}, "rows": [], "filters": []}
        for kind, measured in (("filters", measure_filter), ("rows", measure)):
            for batch in batches:
                try:
                    report[kind] += measured(args.artifacts, batch, args.seconds)
                except (MemoryError, RuntimeError) as error:  # of CuPy, of ONNX Runtime
                    if isinstance(error, EkgError) or not re.search("memory|allocat", str(error)):
                        raise
                    print(
                        f"a batch of {batch} needs more memory than this GPU has: "
                        f"{str(error).splitlines()[0]}",
                        file=sys.stderr,
                    )
                    break
                _save(report, path)  # what a larger batch, or its end, breaks off is not lost
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report["conclusions"] = conclusions(report["rows"])
    _save(report, path)
    for name, value in report["conclusions"].items():
        print(f"{name}: {value}")
    print(f"wrote {path}")
    draw(report, path.with_suffix(".png"))
    return 0


def _save(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")


def measure(artifacts: Path, batch: int, seconds: float) -> list[dict[str, Any]]:
    """One row for each candidate at this batch, largest difference from the CPU included.

    Raises
    ------
    EkgError
        CUDA or CuPy cannot be used here.
    """
    ecg = np.random.default_rng(batch).normal(size=(batch, 360)).astype(np.float32)
    calls, answers = candidates(artifacts, ecg)
    differences = _checked(answers, batch)
    if batch > CPU_BATCHES:
        calls = {name: call for name, call in calls.items() if not name.startswith("cpu")}
    return _rows(calls, batch, seconds, differences)


def measure_filter(artifacts: Path, batch: int, seconds: float) -> list[dict[str, Any]]:
    """As `measure`, for the filter alone."""
    ecg = np.random.default_rng(batch).normal(size=(batch, 360)).astype(np.float32)
    calls, answers = filters(artifacts, load(artifacts, "cupy"), ecg)
    return _rows(calls, batch, seconds, _checked(answers, batch))


def _checked(answers: dict[str, np.ndarray], batch: int) -> dict[str, float]:
    """Each one's difference from the first; `EkgError` if it is too large."""
    reference, *_ = answers
    found = {
        name: float(np.abs(answer - answers[reference]).max()) for name, answer in answers.items()
    }
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise EkgError(
                f"{name} differs from {reference} by {difference:.2g} at batch {batch}; "
                f"at most {TOLERANCE:g} is allowed, so nothing was timed."
            )
    return found


def _rows(
    calls: Calls, batch: int, seconds: float, differences: dict[str, float]
) -> list[dict[str, Any]]:
    rows = []
    for name, times in take_turns(calls, seconds).items():
        p5, median, p95 = np.percentile(times, (5, 50, 95)).tolist()
        rows.append(
            {
                "candidate": name,
                "batch": batch,
                "ms": 1000 * median,
                "p5_ms": 1000 * p5,
                "p95_ms": 1000 * p95,
                "windows_per_s": batch / median,
                "runs": len(times),
                "differs_by": differences.get(name),
            }
        )
        print(
            f"batch {batch:6d}  {name:32s} {1000 * median:9.3f} ms  "
            f"{batch / median:12,.0f} windows/s",
            flush=True,
        )
    return rows


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


@cache
def load(artifacts: Path, what: str, core: int | None = None) -> Any:
    """A `Detector` or a way of `CudaNet`, which serve every batch; loading takes seconds."""
    if what in GRAPHS:
        return CudaNet.load(artifacts, way=what)
    return Detector.load(artifacts, provider=what, threads=0 if core is None else 1)


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


def on_gpu(net: CudaNet, ecg: np.ndarray) -> Callable[[], object]:
    """One step with signal and carry on the GPU, finished when it returns."""
    carry = net.start(len(ecg))
    with net.stream:
        signal = net.cupy.asarray(ecg)

    def step() -> None:
        net.step(signal, carry)
        net.stream.synchronize()

    return step


def take_turns(calls: Calls, seconds: float) -> dict[str, list[float]]:
    """Times in s; the first calls, which compile, search and record, are not among them."""
    for call in calls.values():
        for _ in range(5):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or not all(times.values()):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return times


def conclusions(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Conclusions from the rows: the best of each, the batches from which one is faster."""

    def best(names: Callable[[str], bool]) -> float:
        return max(row["windows_per_s"] for row in rows if names(row["candidate"]))

    def fastest(names: Callable[[str], bool]) -> dict[int, tuple[float, str]]:
        """At each batch, the shortest time in ms and whose it is."""
        found: dict[int, tuple[float, str]] = {}
        for row in rows:
            if names(row["candidate"]):
                time_and_name = row["ms"], row["candidate"]
                found[row["batch"]] = min(found.get(row["batch"], time_and_name), time_and_name)
        return found

    def overtakes(
        new: dict[int, tuple[float, str]], old: dict[int, tuple[float, str]]
    ) -> int | None:
        """The batch from which `new` stays the faster one."""
        ahead = None
        for batch in sorted(new.keys() & old.keys(), reverse=True):
            if new[batch][0] >= old[batch][0]:
                break
            ahead = batch
        return ahead

    def cpus(name: str) -> bool:
        return name.startswith("cpu")

    cpu, gpu = fastest(cpus), fastest(lambda name: not cpus(name))
    cpu_best, gpu_best = best(cpus), best(lambda name: not cpus(name))
    graph_best = best(lambda name: not name.startswith(("cpu", "kernels")))
    return {
        "windows/s, CPU with all cores": round(cpu_best),
        "windows/s, CUDA": round(gpu_best),
        "CUDA over CPU": round(gpu_best / cpu_best, 2),
        "windows/s, CUDA by ONNX Runtime": round(graph_best),
        "CUDA by ONNX Runtime over CPU": round(graph_best / cpu_best, 2),
        "fastest way by batch": {batch: name for batch, (_, name) in gpu.items()},
        "CUDA is faster from batch": overtakes(gpu, cpu),
        "one window, CUDA, ms": round(gpu[min(gpu)][0], 4),
        "one window, CPU, ms": round(cpu[min(cpu)][0], 4),
        "CuPy filter is faster from batch": overtakes(
            fastest(lambda name: "cupy" in name), fastest(lambda name: "fused" in name)
        ),
    }


def draw(report: dict[str, Any], path: Path) -> None:
    """Windows per second by batch: the CPU, ONNX Runtime's ways through CUDA, our kernels."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("matplotlib is not installed, so nothing is drawn; --draw does it later.")
        return

    looks = {
        "cpu": ("CPU, one session for all cores", "#909090", "--"),
        "cpu, a session a core": ("CPU, a session for each core", "#505050", "-"),
        "cuda, host arrays": ("ONNX Runtime, arrays on the host", "tab:orange", ":"),
        "fused": ("ONNX Runtime, fused graph", "tab:orange", "--"),
        "fused, CUDA graph": ("fused graph as a CUDA graph", "tab:orange", "-"),
        "cupy": ("our filter, ONNX Runtime", "tab:green", "--"),
        "cupy, CUDA graph": ("our filter, ONNX Runtime as a CUDA graph", "tab:green", "-"),
        "kernels, host arrays": ("our kernels, arrays on the host", "tab:blue", ":"),
        "kernels": ("our kernels", "tab:blue", "-"),
    }
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    for name, (label, color, style) in looks.items():
        points = [
            (row["batch"], row["windows_per_s"])
            for row in report["rows"]
            if row["candidate"] == name
        ]
        if points:
            axes.loglog(
                *zip(*points, strict=True),
                style,
                color=color,
                marker=".",
                label=label,
                linewidth=2.5 if name == "kernels" else 1.2,
            )
    axes.set_xlabel("streams in a batch, one second of each")
    axes.set_ylabel("seconds of ECG labelled in a second")
    axes.set_title(
        f"{report['machine']['gpu']} and the {report['machine']['cores']} CPU cores "
        "beside it; arrays on the GPU unless said",
        loc="left",
        fontsize=10,
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


def describe(artifacts: Path) -> dict[str, Any]:
    """The machine, the versions and the model."""
    cupy = CudaNet.load(artifacts).cupy
    return {
        "gpu": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "cuda": onnxruntime.cuda_version,
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "model": Artifacts(artifacts).digest(GRAPHS["fused"]).hex(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "timing": "wall clock around one call and its end on the GPU, candidates in turn, warm; "
        "'host arrays' includes both copies, the other CUDA rows none",
    }


if __name__ == "__main__":
    sys.exit(main())
