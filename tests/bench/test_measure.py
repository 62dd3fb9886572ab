"""Measuring: turns, percentiles, names, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import measure


def test_candidates_alternate_and_each_begins_a_round():
    order: list[str] = []
    timings = measure.take_turns(
        {"a": lambda: None, "b": lambda: None, "c": lambda: None},
        rounds=3,
        block_s=0.0,
        step=order.append,
    )
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert {name: timing.calls for name, timing in timings.items()} == dict.fromkeys("abc", 3)


def test_a_part_counts_the_processes_it_started():
    took = measure.Stopwatch()
    with took("waiting"):
        time.sleep(0.05)
    with took("working"):
        work = "import time\nwhile time.process_time() < 0.2: pass"
        subprocess.run([sys.executable, "-c", work], check=True)
    assert took.wall_s["waiting"] >= 0.05 > took.processor_s["waiting"]
    assert took.to_dict()["working"]["processor"] >= 0.2


def test_percentiles_are_in_milliseconds():
    timing = measure.Timing.of([0.001] * 99 + [0.101], 0.5)
    assert timing.to_dict() == {
        "calls": 100,
        "p50_ms": 1.0,
        "p95_ms": 1.0,
        "p99_ms": 2.0,
        "cpu_ms": 5.0,
    }


def test_the_folder_names_the_processor_and_no_host(monkeypatch):
    monkeypatch.setattr(measure, "cpu_name", lambda: "Made Up(R) CPU @ 3 GHz")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert measure.machine_folder() == "made-up-r-cpu-3-ghz-4-cores"


def test_memory_counts_the_children():
    nothing = measure.resident_mb(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", "b = bytearray(b'x') * 50_000_000; print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        child.stdout.readline()
        assert measure.resident_mb(os.getpid()) > nothing + 45
        child.stdin.close()


def test_processes_are_found_without_ps(monkeypatch):
    if not Path("/proc/self/stat").exists():
        pytest.skip("only Linux has /proc")
    monkeypatch.setenv("PATH", "")
    assert measure.resident_mb(os.getpid()) > 10
    others = measure.children(os.getpid())  # of a test before, in the same process
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert set(measure.children(os.getpid())) - set(others) == {child.pid}
        child.stdin.close()


def test_memory_is_none_if_the_system_does_not_report_it(monkeypatch):
    monkeypatch.setattr(measure, "Path", lambda _: Path("/nonexistent"))
    monkeypatch.setenv("PATH", "")
    assert measure.resident_mb(os.getpid()) is None
    assert measure.processor_s(os.getpid()) is None
    assert measure.children(os.getpid()) == []


def test_sigterm_unwinds():
    before = signal.getsignal(signal.SIGTERM)
    try:
        measure.unwind_on_sigterm()
        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # once more, as what was started is stopped
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 128 + signal.SIGTERM


def test_a_core_is_given_back():
    before = measure.cores()
    with measure.last_core():
        assert measure.cores() == before[-1:]
    assert measure.cores() == before


def test_processor_time_is_counted():
    before = measure.processor_s(os.getpid())
    if before is None:
        return  # only Linux tells
    sum(i * i for i in range(3_000_000))
    assert measure.processor_s(os.getpid()) > before
