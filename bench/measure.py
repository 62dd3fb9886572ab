"""Timing in turns, and facts about the machine and a process; nothing here knows of ECG."""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

SETTLE_S = 0.01  # between two candidates: a thread pool that still spins would slow the next one
SGEMM_SIDE = 512  # 3 MiB in all: large enough to be arithmetic, small enough for the cache


class Stopwatch:
    """How long each part of a run took, with the processes that it started.

    Attributes
    ----------
    wall_s, processor_s : part -> seconds
    """

    def __init__(self) -> None:
        self.wall_s: dict[str, float] = {}
        self.processor_s: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began, used = time.perf_counter(), sum(os.times()[:4])
        yield
        self.wall_s[part] = time.perf_counter() - began
        self.processor_s[part] = sum(os.times()[:4]) - used

    def to_dict(self) -> dict[str, dict[str, float]]:
        return {
            part: {"wall": round(wall, 1), "processor": round(self.processor_s[part], 1)}
            for part, wall in self.wall_s.items()
        }


@dataclass(frozen=True)
class Timing:
    """Duration of one call.

    Attributes
    ----------
    calls : number that were timed
    p50_ms, p95_ms, p99_ms : wall clock
    cpu_ms : processor time of a call over all of the process's threads, mean
    """

    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float

    def to_dict(self) -> dict[str, float]:
        return {key: round(value, 5) for key, value in asdict(self).items()}

    @classmethod
    def of(cls, wall_s: list[float], cpu_s: float) -> Timing:
        p50, p95, p99 = (1000 * np.percentile(wall_s, (50, 95, 99))).tolist()
        return cls(len(wall_s), p50, p95, p99, 1000 * cpu_s / len(wall_s))


def take_turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    block_s: float,
    step: Callable[[str], None] = lambda name: None,
) -> dict[str, Timing]:
    """Time candidates in alternation, so that a busy moment of the machine hits all of them.

    Parameters
    ----------
    calls : name -> call to time
    rounds : turns of each candidate, each beginning with the next one
    block_s : length of a turn, s; at least one call
    step : called with the name of each candidate as its turn begins
    """
    names = list(calls)
    for call in calls.values():  # first calls allocate and compile
        call()
        call()
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu = dict.fromkeys(names, 0.0)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            step(name)
            time.sleep(SETTLE_S)
            cpu[name] += _block(calls[name], block_s, wall[name])
    return {name: Timing.of(wall[name], cpu[name]) for name in names}


def sgemms(
    turns: Callable[[dict[str, Callable[[], object]]], dict[str, Timing]],
) -> dict[str, float]:
    """This machine's one-thread float32 matrix product, GFLOP/s, by library.

    Parameters
    ----------
    turns : `take_turns` with its settings
    """
    import onnx
    import onnxruntime
    import torch
    from onnx import TensorProto, helper

    side = SGEMM_SIDE
    a, b = np.random.default_rng(0).normal(size=(2, side, side)).astype(np.float32)
    out, first, second = np.empty_like(a), torch.from_numpy(a), torch.from_numpy(b)
    product = torch.empty(side, side)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["out"])],
        "sgemm",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, a.shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, a.shape)],
        [onnx.numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    timings = turns(
        {
            "numpy": lambda: np.matmul(a, b, out=out),
            "torch": lambda: torch.mm(first, second, out=product),
            "onnxruntime": lambda: session.run(None, {"a": a}),
        }
    )
    return {name: 2 * side**3 / timing.p50_ms / 1e6 for name, timing in timings.items()}


def machine() -> dict[str, object]:
    """The machine measured on: no host name, nothing that identifies its owner."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def machine_folder() -> str:
    """A folder's name made of the processor and its cores."""
    slug = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    return f"{slug}-{os.cpu_count()}-cores"


def cpu_name() -> str:
    """The processor's model as the system calls it."""
    board = Path("/proc/device-tree/model")  # boards such as the Raspberry Pi
    if board.is_file():
        return board.read_text().strip("\0\n ")
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if found:
            return re.sub(r"\((R|TM)\)", "", found[1]).strip()
    if platform.system() == "Darwin":
        return subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=True
        ).stdout.strip()
    return platform.processor() or platform.machine()


def resident_mb(pid: int) -> float | None:
    """Memory that a process and its descendants keep resident, MB (10^6 bytes).

    Memory that they share with each other is counted once (Linux's PSS); elsewhere in each of
    them. None if the process is gone or the system does not report it.
    """
    family = _family(pid)
    return (
        sum(_proportional_kib(process) or rss for process, rss in family.items()) * 1024 / 1e6
        if family
        else None
    )


def processor_s(pid: int) -> float | None:
    """Processor time that a process and its descendants have used, s; None off Linux."""
    family = _family(pid)
    try:
        ticks = [sum(map(int, _stat(process)[11:13])) for process in family]
    except OSError:
        return None
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def children(pid: int) -> list[int]:
    """Process ids of a process's children; none if the system does not list them."""
    return sorted(child for child, parent, _ in _processes() if parent == pid)


def unwind_on_sigterm() -> None:
    """From here on SIGTERM ends this process as Ctrl-C does: what it started is stopped."""

    def unwind(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut that short
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, unwind)


def cores() -> list[int]:
    """Cores this process may use; none are listed if they cannot be chosen."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def first_core() -> None:
    """Keep this process on the first of its cores, if that can be chosen (Linux)."""
    if cores():
        os.sched_setaffinity(0, cores()[:1])


@contextmanager
def last_core() -> Iterator[None]:
    """Meanwhile keep this process on the last of its cores, if that can be chosen."""
    before = cores()
    if not before:
        yield
        return
    os.sched_setaffinity(0, before[-1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _family(pid: int) -> dict[int, int]:
    """A process and its descendants -> their resident memory, KiB."""
    processes = _processes()
    family, grown = {pid}, True
    while grown:
        children = {child for child, parent, _ in processes if parent in family} - family
        family, grown = family | children, bool(children)
    return {process: rss for process, _, rss in processes if process in family}


def _processes() -> list[tuple[int, int, int]]:
    """Every process, its parent and its resident memory in KiB; none if nothing lists them.

    A slim container has no ``ps``, and macOS no /proc.
    """
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    if numbers:
        page_kib, found = os.sysconf("SC_PAGE_SIZE") // 1024, []
        for number in numbers:
            with suppress(OSError):  # it has ended in the meantime
                fields = _stat(number)
                found.append((number, int(fields[1]), int(fields[21]) * page_kib))
        return found
    try:
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [
        (int(pid), int(parent), int(rss))
        for pid, parent, rss in map(str.split, listed.splitlines())
    ]


def _stat(pid: int) -> list[str]:
    """The fields of Linux's /proc/PID/stat after the name, which may hold spaces: proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _proportional_kib(pid: int) -> int | None:
    """A process's PSS, KiB; None if the system does not report it."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) if found else None


def _block(call: Callable[[], object], seconds: float, wall: list[float]) -> float:
    """Call for so long; adds to the wall clock times, gives the processor time, both in s."""
    cpu, end = time.process_time(), time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        call()
        now = time.perf_counter()
        wall.append(now - started)
        if now >= end:
            return time.process_time() - cpu


def positive(text: str) -> float:
    """An argument that has to be above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return number


def count(text: str) -> int:
    """An argument that counts something, from 1 on."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1 on")
    return number
