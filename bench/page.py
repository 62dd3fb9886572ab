"""``python -m bench.page``: the monitor page at real pace in Chromium, measured.

A recording is dropped on the page and watched to its end: gaps between frames, memory, and whether
every beat that `annotate` finds in the same file is on the page. Needs Chromium and playwright.

A second browser shows an empty page meanwhile. Every gap of the monitor counts, whatever caused
it; those in which the empty page waited too come from the machine alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure import positive, unwind_on_sigterm
from runtime.cli.source import recording_or_simulated
from runtime.errors import EkgError
from runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)
SETTLED_S = 60.0  # loading, compiling and the first sweep are over; from here memory must not grow
SHORTEST_S = 10.0  # of signal, half of which are left once the page has settled
STOP_WITHIN_S = 10.0
SAME_S = 0.005
SIZE = {"width": 1280, "height": 800}
# Playwright's own waiting needs eval, which the page's policy forbids; this runs before that.
# The notes lie outside of the heap that is measured.
WATCH = """window.frames_at = new Float64Array(1 << 20); window.frames = 0; window.tasks = [];
    requestAnimationFrame(function frame(at) {
        window.frames_at[window.frames++] = performance.timeOrigin + at;
        requestAnimationFrame(frame); });
    new PerformanceObserver((list) => list.getEntries().forEach(({startTime, duration}) =>
        window.tasks.push([performance.timeOrigin + startTime, duration])))
        .observe({type: "longtask"});"""
FORGET = "window.frames = window.tasks.length = 0"
FRAMES = "Array.from(window.frames_at.subarray(0, window.frames))"
LONG_MS = 100.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status is 1 if something was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("record", nargs="?", help="any that `annotate` reads; simulated by default")
    parser.add_argument("--lead")
    parser.add_argument("--seconds", type=positive, default=600.0)
    parser.add_argument(
        "--hours",
        type=positive,
        help="instead: memory over so many hours of a simulated feed, as fast as the page takes it",
    )
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    if args.hours:
        with chromium() as browser:
            print(json.dumps(watch_hours(browser, args.hours), indent=1))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.csv"
        try:
            seconds = write_table(file, args.record, args.lead, args.seconds)
        except EkgError as error:
            parser.exit(2, f"{error}\n")
        with served() as server, chromium() as browser:
            measured = watch(browser, server.url, file, seconds)
        on_page = measured.pop("beats")
        subprocess.run(
            [
                sys.executable,
                "-m",
                "runtime",
                "annotate",
                str(file),
                "--csv",
                "--out",
                folder + "/out",
            ],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found = beats(Path(folder) / "out" / "record.ekg.csv")
    measured |= {
        "beats_annotate": len(found),
        "beats_shown": len(on_page),
        "missing": len(unmatched(found, on_page)),
        "extra": len(unmatched(on_page, found)),
    }
    print(json.dumps(measured, indent=1))
    return int(any(measured[fault] for fault in ("missing", "extra", "gaps_over_100_ms")))


class Server:
    """``python -m runtime serve`` with one worker, on a free port or the one given."""

    def __init__(self, port: int | None = None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, or start it again, and wait until it is ready; else it is stopped."""
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "runtime",
                "serve",
                "--port",
                str(self.port),
                "--workers",
                "1",
                "--log",
                "error",
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"EKG_DRAIN": "0"},
        )
        try:
            wait_ready(self.url, self.process)
        except BaseException:  # Ctrl-C too
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its worker sees that, and ends
            self.process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_ready(url: str, process: subprocess.Popen[Any]) -> None:
    """Wait until a server that was started answers."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the server stopped at once (it says why above)")
        try:
            urllib.request.urlopen(url + "/health/ready").close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not come up")


@contextmanager
def served(port: int | None = None) -> Iterator[Server]:
    """A server for as long as the block runs."""
    server = Server(port)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser for as long as the block runs."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit(
            "playwright is missing; install it with `pip install playwright`"
        ) from None
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise SystemExit("Chromium is missing; install it with `apt-get install chromium`")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def empty_page(browser: Any) -> Iterator[Any]:
    """A page with nothing on it, in a browser of its own of the same kind."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    other = browser.browser_type.launch(executable_path=path, args=list(ARGUMENTS))
    page = other.new_page(viewport=SIZE)
    page.evaluate(WATCH)
    yield page
    other.close()


def write_table(path: Path, record: str | None, lead: str | None, seconds: float) -> float:
    """The recording's start as a CSV file, which the page and `annotate` both read; its seconds."""
    recording = recording_or_simulated(record, lead=lead, seconds=seconds)
    part = recording.signal[: round(seconds * recording.fs)]
    seconds = len(part) / recording.fs  # it may end before
    if seconds < SHORTEST_S:
        raise SystemExit(
            f"{seconds:.3g} s of signal are over before the page has settled; at "
            f"least {SHORTEST_S:g} s are needed."
        )
    times = np.arange(len(part)) / recording.fs
    np.savetxt(
        path,
        np.stack([times, part], axis=1),
        fmt=("%.9f", "%.6f"),
        delimiter=",",
        header="time,ECG",
        comments="",
    )
    return seconds


def watch(browser: Any, url: str, file: Path, seconds: float) -> dict[str, Any]:
    """Play the file to its end; frames, memory and the beats that the page then saves."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(WATCH)
    with empty_page(browser) as empty:
        page.goto(url)
        page.locator("#pace").evaluate("pace => pace.value = 'real'")
        page.locator("#files").set_input_files(file)
        tools = page.context.new_cdp_session(page)
        load, memory = [os.getloadavg()[0]], []
        page.wait_for_timeout(1000 * min(SETTLED_S, seconds / 2))
        memory.append(heap_mb(tools))
        for one in (page, empty):
            one.evaluate(FORGET)  # the forced collection's own gap does not count
        while page.locator("#state").inner_text() != "Finished":
            page.wait_for_timeout(1000)
        frames, idle = (np.array(one.evaluate(FRAMES)) for one in (page, empty))
        tasks = page.evaluate("window.tasks")
        memory.append(heap_mb(tools))
        load.append(os.getloadavg()[0])
    with page.expect_download() as download:
        page.locator("#save-beats").click()
    return {
        "seconds": seconds,
        **figures(frames, idle, tasks, memory, load),
        "beats": beats(Path(download.value.path())),
    }


def figures(
    frames: NDArray[np.float64],
    idle: NDArray[np.float64],
    tasks: Sequence[tuple[float, float]],
    memory: Sequence[float],
    load: Sequence[float],
) -> dict[str, float]:
    """What was measured of a page beside an empty one.

    Parameters
    ----------
    frames, idle : when each frame of the page and of the empty one was drawn, ms
    tasks : start and length of the page's long tasks, ms
    memory : of the page's objects once it has settled and at the end, MB
    load : of the machine before and after
    """
    gaps, long, idle_long = np.diff(frames), long_gaps(frames), long_gaps(idle)
    return {
        "frames": len(gaps),
        "median_ms": round(float(np.median(gaps)), 2),
        "p99_ms": round(float(np.percentile(gaps, 99)), 2),
        "longest_ms": round(float(gaps.max()), 2),
        "gaps_over_100_ms": len(long),
        "with_a_long_task": len(overlapping(long, [(at, at + ms) for at, ms in tasks])),
        "with_a_gap_of_the_empty_page": len(overlapping(long, idle_long)),
        "empty_page_p99_ms": round(float(np.percentile(np.diff(idle), 99)), 2),
        "empty_page_longest_ms": round(float(np.diff(idle).max()), 2),
        "empty_page_gaps_over_100_ms": len(idle_long),
        "long_tasks": len(tasks),
        "longest_task_ms": max((ms for _, ms in tasks), default=0),
        "heap_mb_settled": memory[0],
        "heap_mb_end": memory[1],
        "load_before": round(load[0], 2),
        "load_after": round(load[1], 2),
    }


def watch_hours(browser: Any, hours: float) -> list[dict[str, Any]]:
    """Feed the page a simulated patient; gives its objects' memory each half hour of signal."""
    fs, port = 250, free_port()
    signal = simulate(600, fs=fs, seed=4, ectopic=0.25).signal
    lines = [f"{value:.4f}\n" for value in signal]
    minute, rows = 60 * fs, []
    with subprocess.Popen(
        [sys.executable, "-m", "runtime", "stream", "-", "--fs", str(fs), "--page", str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
    ) as feed:
        try:
            assert feed.stdin is not None
            url = f"http://127.0.0.1:{port}"
            wait_ready(url, feed)
            page = browser.new_page(viewport=SIZE)
            page.goto(url)
            tools = page.context.new_cdp_session(page)
            for fed in range(1, round(60 * hours) + 1):
                at = fed * minute % len(lines)
                feed.stdin.writelines(lines[at : at + minute])
                feed.stdin.flush()
                page.wait_for_timeout(150)
                if fed % 30 == 0:
                    rows.append(
                        {
                            "minutes": fed,
                            "beats": settled_beats(page),
                            "heap_mb": heap_mb(tools),
                            "lines": page.locator("#list button").count(),
                        }
                    )
        finally:
            feed.kill()  # leaving the block waits for its end, whatever happened in it
    return rows


def settled_beats(page: Any) -> int:
    """Number of beats that the page has counted once no more come."""
    before, counted = -1, 0
    while counted != before:
        page.wait_for_timeout(5000)
        before, counted = (
            counted,
            sum(int(text) for text in page.locator("#counts span[id]").all_inner_texts()),
        )
    return counted


def long_gaps(frames: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Begin and end of each gap between frames that is seen as a halt, ms."""
    return [(float(a), float(b)) for a, b in pairwise(frames) if b - a > LONG_MS]


def overlapping(
    some: list[tuple[float, float]], others: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Those during which one of the others was, too."""
    return [(a, b) for a, b in some if any(c < b and d > a for c, d in others)]


def heap_mb(tools: Any) -> float:
    """Memory of the page's objects once all garbage is gone, MB."""
    tools.send("HeapProfiler.collectGarbage")
    return round(tools.send("Runtime.getHeapUsage")["usedSize"] / 1e6, 2)


def beats(path: Path) -> list[tuple[float, str]]:
    """Time in s and label of each beat in a table of `annotate` or of the page."""
    with path.open(newline="") as file:
        return [(float(row["time"]), row["label"]) for row in csv.DictReader(file)]


def unmatched(
    some: list[tuple[float, str]], others: list[tuple[float, str]]
) -> list[tuple[float, str]]:
    """Those that have no beat of the same time and label among the others."""
    times = np.array([time for time, _ in others])
    return [
        (time, label)
        for time, label in some
        if not any(others[i][1] == label for i in np.flatnonzero(np.abs(times - time) < SAME_S))
    ]


if __name__ == "__main__":
    sys.exit(main())
