"""``python -m bench.central RECORD...``: the central station with live patients, measured.

The records' starts are played at real pace by ``ekg central`` and watched to their end in Chromium,
beside an empty page in a second browser: gaps between frames, memory, and whether every beat that
`annotate` finds in the same signal is on the page. All records are of one rate. Needs Chromium and
playwright.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import positive, unwind_on_sigterm
from bench.page import (
    FORGET,
    FRAMES,
    ROOT,
    SAME_S,
    SETTLED_S,
    SIZE,
    STOP_WITHIN_S,
    WATCH,
    beats,
    chromium,
    empty_page,
    figures,
    free_port,
    heap_mb,
    unmatched,
    wait_ready,
)
from runtime.detector import Detector
from runtime.findings import Record
from runtime.records import read


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status is 1 if something was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.central", description=__doc__)
    parser.add_argument("records", nargs="+", help="a patient each, all of one rate")
    parser.add_argument("--seconds", type=positive, default=600.0)
    parser.add_argument("--out", type=Path, help="file for the result, JSON")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        parts = [_cut(path, Path(folder), args.seconds) for path in args.records]
        files = [Path(folder) / f"{part.name}.npy" for part in parts]
        rate = f"{parts[0].fs:g}"
        with (
            station(*files, "--fs", rate, "--units", "mV") as url,
            chromium() as browser,
        ):
            measured = _watch(browser, url, args.seconds, parts, Path(folder))
    detector = Detector.load(provider="cpu")
    shown, found = measured.pop("beats"), {}
    measured["beats_before_opening"] = 0
    for part in parts:
        annotation = detector.annotate(part)
        every = [(beat.time, beat.label) for beat in annotation.beats]
        # The page has what is found once it is open.
        opened = min((time for time, _ in shown[part.name]), default=0.0) - SAME_S
        found[part.name] = [(time, label) for time, label in every if time > opened]
        measured["beats_before_opening"] += len(every) - len(found[part.name])
    measured |= {
        "beats_annotate": sum(map(len, found.values())),
        "beats_shown": sum(map(len, shown.values())),
        "missing": sum(len(unmatched(found[name], shown[name])) for name in found),
        "extra": sum(len(unmatched(shown[name], found[name])) for name in found),
    }
    text = json.dumps(measured, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    own = measured["gaps_over_100_ms"] - measured["with_a_gap_of_the_empty_page"]
    return int(bool(measured["missing"] or measured["extra"] or own > 0))


def _cut(path: str, folder: Path, seconds: float) -> Record:
    record = read(path)
    signal = record.signal[: round(seconds * record.fs)].astype(np.float32)
    np.save(folder / f"{record.name}.npy", signal)
    return Record(record.name, record.lead, record.fs, signal.astype(np.float64), 0.0)


@contextmanager
def station(*arguments: object) -> Iterator[str]:
    """Run ``ekg central`` with these arguments on a free port; gives the address of its page."""
    port = free_port()
    command = [sys.executable, "-m", "runtime", "--provider", "cpu", "central"]
    process = subprocess.Popen(
        [*command, *map(str, arguments), "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}/static/central.html"
    finally:
        process.terminate()
        process.wait(STOP_WITHIN_S)


def _watch(
    browser: Any, url: str, seconds: float, parts: Sequence[Record], folder: Path
) -> dict[str, Any]:
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(WATCH)
    with empty_page(browser) as empty:
        page.goto(url)
        tools = page.context.new_cdp_session(page)
        load, memory = [os.getloadavg()[0]], []
        page.wait_for_timeout(1000 * min(SETTLED_S, seconds / 3))
        memory.append(heap_mb(tools))
        for one in (page, empty):
            one.evaluate(FORGET)  # the forced collection's own gap does not count
        while page.locator(".tile.ended").count() < len(parts):
            page.wait_for_timeout(1000)
        frames, idle = (np.array(one.evaluate(FRAMES)) for one in (page, empty))
        tasks = page.evaluate("window.tasks")
        memory.append(heap_mb(tools))
        load.append(os.getloadavg()[0])
    return {
        "patients": len(parts),
        "seconds": seconds,
        **figures(frames, idle, tasks, memory, load),
        "beats": {part.name: _saved(page, part.name, folder) for part in parts},
    }


def _saved(page: Any, name: str, folder: Path) -> list[tuple[float, str]]:
    page.get_by_role("button", name=name, exact=True).click()
    with page.expect_download() as download:
        page.locator("#bed-beats").click()
    path = folder / f"{name}.csv"
    download.value.save_as(path)
    page.locator("#bed-close").click()
    return beats(path)


if __name__ == "__main__":
    sys.exit(main())
