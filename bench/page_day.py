"""``python -m bench.page_day FILE...``: a long recording on the page and by `annotate`, in turns.

The recording's files are given to the page of a server with one worker, the whole at once, and
timed to its "Finished"; then `annotate` reads the same. Each runs alone. Frames are counted beside
an empty page meanwhile. The page must not take 10 s longer, and both must find the same beats.
Without a file it is a made-up day. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import positive, unwind_on_sigterm
from bench.page import (
    FORGET,
    FRAMES,
    ROOT,
    SIZE,
    WATCH,
    beats,
    chromium,
    empty_page,
    figures,
    heap_mb,
    served,
    unmatched,
)
from runtime.simulate import simulate

FS = 250
LONGER_S = 10.0
LONGEST_S = 3600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status is 1 if the page is slower than it may be, or differs."""
    parser = argparse.ArgumentParser(prog="python -m bench.page_day", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="of a recording, that read by first")
    parser.add_argument("--hours", type=positive, default=24.0, help="of the made-up recording")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for the result, JSON")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    turns: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = args.files or [_made_up(Path(folder), args.hours)]
        for turn in range(args.turns):
            with chromium() as browser:
                before = _processor_s()
                with served() as server:
                    measured = watch_whole(browser, server.url, files)
                measured["server_processor_s"] = round(_processor_s() - before, 1)
            shown, out = measured.pop("beats"), Path(folder) / str(turn)
            measured |= time_annotate(files[0], out)
            found = beats(next(out.glob("*.csv")))
            measured |= {
                "beats": len(found),
                "missing": len(unmatched(found, shown)),
                "extra": len(unmatched(shown, found)),
            }
            turns.append(measured)
    text = json.dumps(turns, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    late = [turn["page_s"] > turn["annotate_s"] + LONGER_S for turn in turns]
    return int(any(late) or any(turn["missing"] or turn["extra"] for turn in turns))


def watch_whole(browser: Any, url: str, files: Sequence[Path]) -> dict[str, Any]:
    """Give the files to the page; time to its end, frames, memory and its beats."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(WATCH)
    with empty_page(browser) as empty:
        page.goto(url)
        page.locator("#pace").evaluate("pace => pace.value = 'fast'")
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable")
        load, memory = [os.getloadavg()[0]], [heap_mb(tools)]
        for one in (page, empty):
            one.evaluate(FORGET)
        started = time.perf_counter()
        page.locator("#files").set_input_files(list(files))
        page.get_by_text("Finished", exact=True).wait_for(timeout=1000 * LONGEST_S)
        page_s = time.perf_counter() - started
        frames, idle = (np.array(one.evaluate(FRAMES)) for one in (page, empty))
        tasks = page.evaluate("window.tasks")
        used = {
            one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]
        }
        memory.append(heap_mb(tools))
        load.append(os.getloadavg()[0])
    with page.expect_download() as download:
        page.locator("#save-beats").click()
    return {
        "page_s": round(page_s, 1),
        "page_tasks_s": round(used["TaskDuration"], 1),
        "page_script_s": round(used["ScriptDuration"], 1),
        **figures(frames, idle, tasks, memory, load),
        "beats": beats(Path(download.value.path())),
    }


def time_annotate(file: Path, out: Path) -> dict[str, float]:
    """Annotate the recording into a folder: seconds, and processor time."""
    command = [sys.executable, "-m", "runtime", "--provider", "cpu", "annotate", str(file)]
    before, started = _processor_s(), time.perf_counter()
    subprocess.run(
        [*command, "--csv", "--out", str(out)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    seconds, used = time.perf_counter() - started, _processor_s() - before
    return {"annotate_s": round(seconds, 1), "annotate_processor_s": round(used, 1)}


def _processor_s() -> float:
    """Processor time of processes that were started here and have ended, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _made_up(folder: Path, hours: float) -> Path:
    """Write a simulated patient's hours as NumPy's archive."""
    minute = simulate(600, fs=FS, seed=4, ectopic=0.1).signal.astype(np.float32)
    signal = np.resize(minute, round(hours * 3600 * FS))
    path = folder / "day.npz"
    np.savez(path, signal=signal[:, None], fs=FS, units=["mV"], leads=["II"])
    return path


if __name__ == "__main__":
    sys.exit(main())
