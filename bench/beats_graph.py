"""The graphs that give beats, beside the runtime's arrays; and the page without a server.

``python -m bench.beats_graph --out FILE``. Candidates take turns; of the page the median and the
smallest of several visits are given, each with an empty cache. The page wants Node.js, Chromium and
onnxruntime-web (``make web`` installs it; else NODE_PATH names the ``node_modules`` it lies in).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.environments import ROOT
from runtime import Detector
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.model.contract import FS
from runtime.model.embedded import BEATS, WHOLE, BeatsGraph
from runtime.simulate import simulate
from training.download import data_folder

SIZES = ((1, 1), (1, 60), (90, 1), (90, 10))  # patients and seconds in a run
WARM = 20  # s of each patient before what is measured
PUSHED = "ECG to beats, arrays of the runtime"
PUSHES = """async () => {
  const { open } = await import("./ekg.js");
  const detector = await open();
  const stream = detector.stream();
  const second = Float64Array.from({ length: 360 }, (_, i) => Math.sin(i / 30));
  const times = [];
  for (let i = 0; i < 200; i += 1) {
    const started = performance.now();
    await stream.push(second);
    times.push(performance.now() - started);
  }
  detector.close();
  return times;
}"""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.beats_graph", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a file of results, JSON")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each size")
    parser.add_argument("--visits", type=int, default=7, help="of the page")
    args = parser.parse_args()
    found: dict[str, Any] = {"load average before": os.getloadavg()[0]}
    found["microseconds"] = [graphs(*size, seconds=args.seconds) for size in SIZES]
    found["page"] = page(args.visits)
    found["load average after"] = os.getloadavg()[0]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


def graphs(patients: int, length: int, *, seconds: float) -> dict[str, Any]:
    """Median microseconds of a push of each, in turns: rhythm followed, without naming events."""
    detector, files = Detector.load(provider="cpu"), Artifacts(DEFAULT_ARTIFACTS)
    contract, samples = detector.contract, length * FS
    one, whole = BeatsGraph(files, BEATS), BeatsGraph(files, WHOLE)
    ecg = np.stack([simulate(WARM + length, seed=row % 8).signal for row in range(patients)])
    before, now = ecg[:, : -samples or None], ecg[:, -samples:]
    streams = [detector.stream(FS, events=True) for _ in range(patients)]
    detector.push(streams, list(before))
    tokens = [stream.save() for stream in streams]
    carry = np.zeros((patients, contract.carry_size), np.float32)
    less_first = ecg - ecg[:, :1]
    frames, carry = detector.session.run(less_first[:, :-samples], carry)
    given: dict[str, NDArray[Any]] = {
        "probabilities": frames,
        "ecg": less_first[:, :-samples],
        "missing": _there(before),
    }
    _, memory = one.run(given, np.zeros((patients, one.state_size), np.float32))
    ecg64 = ecg.astype(np.float64)
    given = {"ecg": ecg64[:, :-samples], "missing": _there(before)}
    _, state = whole.run(given, np.zeros((patients, whole.state_size), np.float32))
    there, frames_now = _there(now), detector.session.run(less_first[:, -samples:], carry)[0]
    to_beats: dict[str, NDArray[Any]] = {
        "probabilities": frames_now,
        "ecg": less_first[:, -samples:],
        "missing": there,
    }
    to_all: dict[str, NDArray[Any]] = {"ecg": ecg64[:, -samples:], "missing": there}
    candidates: dict[str, Callable[[], object]] = {
        f"frames to beats, {BEATS}": lambda: one.run(to_beats, memory),
        "ECG to frames": lambda: detector.session.run(less_first[:, -samples:], carry),
        f"ECG to beats, {WHOLE}": lambda: whole.run(to_all, state),
    }
    times: dict[str, list[float]] = {name: [] for name in (*candidates, PUSHED)}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[PUSHED]) < 5:
        streams = [detector.resume(token) for token in tokens]
        turns = candidates | {PUSHED: functools.partial(detector.push, streams, list(now))}
        for name, run in turns.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    medians = {name: round(1e6 * statistics.median(t), 1) for name, t in times.items()}
    ratios = (a / b for a, b in zip(times[f"ECG to beats, {WHOLE}"], times[PUSHED], strict=True))
    ratio = round(statistics.median(ratios), 2)
    return {"patients": patients, "seconds": length, **medians, "graph over arrays": ratio}


def _there(ecg: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.zeros(ecg.shape, dtype=np.uint8)


def page(visits: int) -> dict[str, Any] | str:
    """Sizes and times of the page in Chromium, or why there are none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        build = ["node", str(ROOT / "web" / "build.mjs"), folder]
        try:
            built = subprocess.run(build, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            return f"not built: {error}"
        if chromium is None:
            return "no Chromium"
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = [_visit(chromium, server.server_port) for _ in range(visits)]
        server.shutdown()
        server.server_close()
    figures = {
        name: {
            "median": round(statistics.median(visit[name] for visit in found), 4),
            "smallest": round(min(visit[name] for visit in found), 4),
        }
        for name in found[0]
    }
    return {"compressed": built.rsplit(": ", 1)[1].strip(), **figures}


def _visit(chromium: str, port: int) -> dict[str, float]:
    """Seconds of a visit by a browser of its own."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(f"http://127.0.0.1:{port}/", wait_until="commit")
        tab.click("#sample")
        tab.wait_for_selector("#save:not([hidden])")
        found = {"first answer, s": time.perf_counter() - started}
        pushes = sorted(tab.evaluate(PUSHES))
        found["a second of ECG, s"] = pushes[len(pushes) // 2] / 1000
        if (folder := data_folder()) is not None:
            files = [str(folder / "mitdb" / f"200.{ending}") for ending in ("hea", "dat")]
            started = time.perf_counter()
            tab.set_input_files("#files", files)
            expect(tab.locator("#status")).to_contain_text("200, ", timeout=60_000)
            expect(tab.locator("#status")).to_contain_text("of ECG in", timeout=60_000)
            found["a 30-minute file, s"] = time.perf_counter() - started
        browser.close()
    return found


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing."""


if __name__ == "__main__":
    sys.exit(main())
