"""Conclusions of `bench.cuda`: the best of each, the batches from which one is faster, the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


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
