"""Measure the CUDA kernels on a GPU: `python -m bench.kernels`.

Correctness comes first: a kernel that does not equal its reference is not timed. Then, for every
size, our kernel, CuPy's own way if it has one, and a copy of as many bytes take turns, timed by
CUDA events, over inputs that rotate so that a small size is not read from the cache alone. It
writes bench/results/<machine>/kernels.json. `kernels/README.md` says what the limits mean.
"""

import argparse
import json
import platform
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # before this folder, which holds a `kernels` of its own: this file

from kernels import (  # noqa: E402
    CupyFir,
    CupyNet,
    CupyStft,
    Network,
    cupy_fir,
    cupy_net,
    stft_kernel,
)
from kernels.common import import_cupy  # noqa: E402

TAPS = 217
N_FFT, HOP = 256, 90
FIR_SIZES = [(1, 18), (1, 360), (1, 21600), (1000, 18), (100_000, 18), (4096, 360), (1000, 21600)]
NET_SIZES = [(1, 18), (1, 360), (1, 21600), (1000, 18), (1000, 360), (16384, 360), (65536, 360)]
STFT_SIZES = [(1, 21600), (1000, 3600), (1000, 21600)]
COPY_FLOATS, MATRIX_SIDE = 2**27, 8192  # far larger than any cache

# Largest error over the largest output: float32 sums of 217 products lie far below, float16 or
# TensorFloat32 arithmetic far above.
TOLERANCE = 1e-5

Calls = Sequence[Callable[[], object]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, measure, print a table, write the JSON; without a GPU, exit with one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.kernels", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--machine", help="folder under bench/results (default: the GPU's name)")
    parser.add_argument("--rounds", type=int, default=50, help="timings of each candidate")
    options = parser.parse_args(arguments)
    bench = Bench(gpu_or_exit(), options.rounds)

    rows = []
    plan = (bench.fir, FIR_SIZES), (bench.net, NET_SIZES), (bench.stft, STFT_SIZES)
    for measure, sizes in plan:
        for batch, samples in sizes:
            rows.append(measure(batch, samples))
            print_row(rows[-1])

    report = {"machine": bench.machine, "limits": bench.limits, "rows": rows}
    name = re.sub(r"[^a-z0-9]+", "-", bench.machine["gpu"].lower()).strip("-")
    path = ROOT / "bench" / "results" / (options.machine or name) / "kernels.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {path.relative_to(ROOT)}.")


def gpu_or_exit() -> Any:
    """The module `cupy` if it has a GPU; else exit with one sentence and status 1."""
    try:
        cupy = import_cupy()
    except ImportError as error:
        sys.exit(str(error))
    if not cupy.cuda.is_available():
        sys.exit("CuPy finds no CUDA GPU on this machine, so there is nothing to measure.")
    return cupy


class Bench:
    """Everything that needs the GPU.

    Parameters
    ----------
    cupy
        The module.
    rounds
        Timings of each candidate.

    Attributes
    ----------
    machine
        The GPU, its software, the timing and the date.
    limits
        The two ceilings: bytes read plus written, and float32 multiply-adds, per second.
    """

    def __init__(self, cupy: Any, rounds: int) -> None:
        self.cupy = cupy
        self.rounds = rounds
        self.random = cupy.random.default_rng(0)
        self.machine = self._describe()
        self.limits = self._measure_limits()

    def fir(self, batch: int, samples: int) -> dict[str, Any]:
        """One row for the FIR filter."""
        taps = np.random.default_rng(0).normal(size=TAPS).astype(np.float32) / np.float32(TAPS)
        fir = CupyFir(taps)
        moved = 4 * batch * 2 * (samples + TAPS - 1)
        sets = [(self.noise(batch, samples), self.noise(batch, TAPS - 1)) for _ in self.sets(moved)]
        results = [fir(ecg, carry) for ecg, carry in sets]
        error = self.checked("fir", results[0][0], cupy_fir.reference(*sets[0], taps)[0])
        ours = [
            partial(fir, ecg, carry, out=out, carry_out=carry_out)
            for (ecg, carry), (out, carry_out) in zip(sets, results, strict=True)
        ]
        by_sum, by_fft = (cupy_fir.cupyx_baseline(taps, method=m) for m in ("direct", "fft"))
        direct = [partial(by_sum, ecg, carry) for ecg, carry in sets]
        fft = [partial(by_fft, ecg, carry) for ecg, carry in sets]
        return {
            "kernel": "fir",
            "batch": batch,
            "samples": samples,
            "taps": TAPS,
            "largest_relative_error": error,
            **self.floor(moved, batch * samples * TAPS),
            "ms": self.summary({"ours": ours, "cupyx direct": direct, "cupyx fft": fft}, moved),
        }

    def net(self, batch: int, samples: int) -> dict[str, Any]:
        """One row for the network; CuPy has no way of its own, `bench.cuda` has ONNX Runtime's."""
        network = Network.of(onnx.load(ROOT / "artifacts" / "ekg_cnn.onnx"))
        net, frames = CupyNet(network), samples // network.frame
        moved = 4 * batch * (samples + frames * network.classes + 2 * network.carry_size)
        sets = [
            (self.noise(batch, samples), self.cupy.abs(self.noise(batch, network.carry_size)))
            for _ in self.sets(moved)
        ]
        some = slice(0, 8)  # the reference works in float64
        filtered, carry = (part[some].get() for part in sets[0])
        expected, _ = cupy_net.reference(filtered, carry, network)
        error = self.checked("net", net(*sets[0])[0][some], self.cupy.asarray(expected))
        ours = [partial(net, filtered, carry) for filtered, carry in sets]
        return {
            "kernel": "net",
            "batch": batch,
            "samples": samples,
            "largest_relative_error": error,
            **self.floor(moved, batch * frames * multiply_adds(network)),
            "ms": self.summary({"ours": ours}, moved),
        }

    def stft(self, batch: int, samples: int) -> dict[str, Any]:
        """One row for the spectra."""
        stft = CupyStft(N_FFT, hop=HOP)
        frames = stft_kernel.frame_count(samples, N_FFT, HOP)
        moved = 4 * batch * (samples + frames * (N_FFT // 2 + 1))
        sets = [self.noise(batch, samples) for _ in self.sets(moved)]
        results = [stft(ecg) for ecg in sets]
        some = slice(0, 8)  # the reference holds every frame in float64
        expected = stft_kernel.reference(sets[0][some], N_FFT, hop=HOP)
        error = self.checked("stft", results[0][some], expected)
        ours = [partial(stft, ecg, out=out) for ecg, out in zip(sets, results, strict=True)]
        theirs = stft_kernel.cupyx_baseline(N_FFT, hop=HOP)
        cupyx = [partial(theirs, ecg) for ecg in sets]
        return {
            "kernel": "stft",
            "batch": batch,
            "samples": samples,
            "n_fft": N_FFT,
            "hop": HOP,
            "largest_relative_error": error,
            **self.floor(moved, 0),
            "ms": self.summary({"ours": ours, "cupyx": cupyx}, moved),
        }

    def checked(self, kernel: str, got: Any, expected: Any) -> float:
        """The largest error over the largest output; exits if that is too large or NaN."""
        error = float(self.cupy.abs(got - expected).max() / self.cupy.abs(expected).max())
        if not error <= TOLERANCE:
            sys.exit(f"{kernel} is off by {error:.1e} of its largest output, nothing was timed.")
        return error

    def floor(self, moved: int, multiply_adds: int) -> dict[str, Any]:
        """The shortest time that the measured ceilings allow, and which of them sets it."""
        memory = 1e3 * moved / self.limits["bytes_per_s"]
        arithmetic = 1e3 * multiply_adds / self.limits["fp32_multiply_adds_per_s"]
        return {
            "bytes": moved,
            "multiply_adds": multiply_adds or None,
            "floor_ms": max(memory, arithmetic),
            "floor_set_by": "memory" if memory >= arithmetic else "arithmetic",
        }

    def summary(self, candidates: dict[str, Calls], moved: int) -> dict[str, dict[str, float]]:
        """Median and the middle 90 % in ms per candidate, a copy of `moved` bytes among them."""
        summary = {}
        times_ms = self.take_turns(candidates | {"copy of the same bytes": self.copies(moved)})
        for name, times in times_ms.items():
            p5, median, p95 = np.percentile(times, (5, 50, 95)).tolist()
            summary[name] = {"median": median, "p5": p5, "p95": p95}
        return summary

    def take_turns(self, candidates: dict[str, Calls]) -> dict[str, list[float]]:
        """Times in ms; the first calls, which compile and allocate, are not among them."""
        for calls in candidates.values():
            for call in calls:
                call()
        times: dict[str, list[float]] = {name: [] for name in candidates}
        for turn in range(self.rounds):
            for name, calls in candidates.items():
                times[name].append(self.milliseconds(calls[turn % len(calls)]))
        return times

    def milliseconds(self, call: Callable[[], object]) -> float:
        """One call between two events."""
        before, after = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        before.record()
        call()
        after.record()
        after.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(before, after))

    def copies(self, moved: int) -> Calls:
        """Copies that read and write `moved` bytes together, over as many arrays as the others."""
        sources = [self.noise(moved // 8) for _ in self.sets(moved)]
        return [partial(self.cupy.copyto, self.cupy.empty_like(array), array) for array in sources]

    def sets(self, moved: int) -> range:
        """One turn per input set: together four times the cache, but 64 at most."""
        return range(min(64, -(-4 * self.machine["l2_cache_bytes"] // moved)))

    def noise(self, *shape: int) -> Any:
        """Random numbers: zeros can run faster than data does."""
        return self.random.standard_normal(shape, dtype=np.float32)

    def _describe(self) -> dict[str, Any]:
        cuda = self.cupy.cuda
        properties = cuda.runtime.getDeviceProperties(cuda.Device().id)
        return {
            "gpu": properties["name"].decode(),
            "multiprocessors": properties["multiProcessorCount"],
            "l2_cache_bytes": properties["l2CacheSize"],
            "driver": cuda.runtime.driverGetVersion(),
            "cuda_runtime": cuda.runtime.runtimeGetVersion(),
            "nvrtc": list(cuda.nvrtc.getVersion()),
            "cupy": self.cupy.__version__,
            "python": platform.python_version(),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "timing": f"CUDA events around one call, {self.rounds} rounds, candidates in turn, "
            "warm, arrays on the GPU, launch included",
        }

    def _measure_limits(self) -> dict[str, float]:
        source = self.noise(COPY_FLOATS)
        matrix = self.noise(MATRIX_SIDE, MATRIX_SIDE)  # float32 proper: CuPy leaves TF32 off
        product = self.cupy.empty_like(matrix)
        # One after the other: after a product the clock may be lower. And the fastest of each.
        copy_ms, product_ms = (
            min(self.take_turns({"": [call]})[""])
            for call in (
                partial(self.cupy.copyto, self.cupy.empty_like(source), source),
                partial(self.cupy.matmul, matrix, matrix, out=product),
            )
        )
        return {
            "bytes_per_s": 1e3 * 2 * source.nbytes / copy_ms,
            "fp32_multiply_adds_per_s": 1e3 * MATRIX_SIDE**3 / product_ms,
        }


def multiply_adds(network: Network) -> int:
    """Multiply-adds of one frame."""
    total, outputs = network.head.weight.size, network.frame
    for layer in network.front:
        outputs //= layer.step
        total += layer.weight.size * outputs
    return total + sum(layer.weight.size for block in network.blocks for layer in block)


def print_row(row: dict[str, Any]) -> None:
    """One line: the size, the floor, then each candidate's median."""
    times = ", ".join(f"{name} {ms['median']:.4f} ms" for name, ms in row["ms"].items())
    size = f"{row['kernel']} {row['batch']} x {row['samples']}"
    print(f"{size}: floor {row['floor_ms']:.4f} ms ({row['floor_set_by']}), {times}", flush=True)


if __name__ == "__main__":
    main()
