"""A live feed on the page."""

from __future__ import annotations

import signal as signals
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from page_driver import (
    HEART_RATE,
    ROOT,
    frames,
    free_port,
    is_shown,
    state,
    until,
    vital_signs,
    whole,
)

from runtime import Detector
from runtime.simulate import simulate


def test_a_whole_live_feed_is_shown(open_page: Callable[..., Any], detector: Detector) -> None:
    signal = simulate(30, fs=250, seed=9, ectopic=0.3).signal
    port = free_port()
    with feeding(port, 250) as device:
        give(device, signal[:3000])  # before anybody looks
        page = open_page(f"http://127.0.0.1:{port}")
        state(page, "Live")
        give(device, signal[3000:])
        device.stdin.close()  # type: ignore[union-attr]
        state(page, "Finished")
        is_shown(page, whole(detector, signal, 250))
        assert page.locator("#name").inner_text() == "Live feed"
        device.send_signal(signals.SIGINT)
        assert device.wait(10) == 0


@contextmanager
def feeding(port: int, fs: float) -> Iterator[subprocess.Popen[str]]:
    """A live feed's page, and the process that takes the device's lines."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "runtime",
            "--provider",
            "cpu",
            "stream",
            "-",
            "--fs",
            str(fs),
            "--units",
            "uV",
            "--page",
            str(port),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def give(device: subprocess.Popen[str], signal: np.ndarray) -> None:
    assert device.stdin is not None
    device.stdin.writelines(f"{1000 * mv:.4f}\n" for mv in signal)
    device.stdin.flush()


def test_a_silent_live_feed_blanks_the_vital_signs(open_page: Callable[..., Any]) -> None:
    signal = simulate(40, fs=250, seed=9).signal
    port = free_port()
    with feeding(port, 250) as device:
        give(device, signal[:5000])
        page = open_page(f"http://127.0.0.1:{port}", outage=True)
        until(page, HEART_RATE)
        state(page, "No signal")
        assert frames(page) == 0  # the pen rests, and so does the machine
        assert vital_signs(page) == ["--", "--", "--"]
        assert "no sample for 5 s" in page.get_by_role("alert").first.inner_text()
        give(device, signal[5000:])
        assert frames(page) > 1
        state(page, "Live")
        until(page, HEART_RATE)
        assert page.locator("#problem").is_hidden()
        device.kill()
        state(page, "Feed away")
        assert vital_signs(page) == ["--", "--", "--"]
        assert "does not answer" in page.get_by_role("alert").first.inner_text()


def test_a_live_feed_that_is_started_again_is_shown_from_its_beginning(
    open_page: Callable[..., Any], detector: Detector
) -> None:
    port = free_port()
    with feeding(port, 250) as device:
        give(device, simulate(20, fs=250, seed=9).signal)
        page = open_page(f"http://127.0.0.1:{port}", outage=True)
        until(page, HEART_RATE)
    signal = simulate(30, fs=500, seed=10).signal
    with feeding(port, 500) as device:
        give(device, signal)
        device.stdin.close()  # type: ignore[union-attr]
        state(page, "Finished")
        is_shown(page, whole(detector, signal, 500))
