"""Shared by the tests of the page: a server to kill, and actions on an open page."""

from __future__ import annotations

import os
import signal as signals
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from runtime import Beat, Detector

ROOT = Path(__file__).resolve().parents[4]
NEAR_S = 0.01  # a saved signal has five digits; an R peak may move by a sample
PATIENCE_MS = 20_000
HEART_RATE = "document.getElementById('heart-rate').textContent > 0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``python -m runtime serve`` on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "runtime",
                "--provider",
                "cpu",
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
            start_new_session=True,
        )

    def kill(self) -> None:
        """As a crash or a power cut would."""
        os.killpg(self.process.pid, signals.SIGKILL)
        self.process.wait()


def saved(page: Any, button: str) -> np.ndarray:
    """The table that a button of the page saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return np.genfromtxt(
        download.value.path(), delimiter=",", names=True, dtype=None, encoding="utf-8", ndmin=1
    )


def saved_signal(page: Any) -> np.ndarray:
    """The samples that the page saves, mV."""
    table = saved(page, "Save signal")
    return np.asarray(table[table.dtype.names[1]], float)


def is_shown(page: Any, beats: list[Beat]) -> None:
    """The page has these beats, each once."""
    shown = saved(page, "Save beats")
    assert [str(label) for label in shown["label"]] == [beat.label for beat in beats]
    np.testing.assert_allclose(shown["time"], [beat.time for beat in beats], atol=NEAR_S)
    counted = {
        line.split()[0]: int(line.split()[1])
        for line in page.locator("#counts li").all_inner_texts()
    }
    assert counted == {k: sum(beat.label == k for beat in beats) for k in "NSVFQ"}


def until(page: Any, expression: str) -> None:
    """Wait until it is true; playwright's own waiting needs eval, which the page forbids.

    The page itself looks every 50 ms: to be asked each time costs a hundred times more.
    """
    came = page.evaluate(
        f"""new Promise(resolve => {{
            const begun = performance.now();
            const look = () => {{
                if ({expression}) resolve(true);
                else if (performance.now() - begun > {PATIENCE_MS}) resolve(false);
                else setTimeout(look, 50);
            }};
            look();
        }})"""
    )
    assert came, f"never came true: {expression}"


def frames(page: Any) -> int:
    """How many the page asks for in a third of a second."""
    asked = page.evaluate("""new Promise(resolve => {
        let asked = 0;
        const plain = window.requestAnimationFrame;
        window.requestAnimationFrame = (act) => { asked += 1; return plain(act); };
        setTimeout(() => { window.requestAnimationFrame = plain; resolve(asked); }, 333); })""")
    return int(asked)


def vital_signs(page: Any) -> list[str]:
    return [
        page.locator(f"#{name}").inner_text() for name in ("heart-rate", "rhythm-now", "quality")
    ]


def state(page: Any, word: str) -> None:
    """Wait for what the page says of itself."""
    until(page, f"document.getElementById('state').textContent === '{word}'")


def whole(detector: Detector, signal: np.ndarray, fs: float) -> list[Beat]:
    return detector.predict(signal, fs).beats  # type: ignore[union-attr]


def csv(signal: np.ndarray, fs: float) -> str:
    return "time,MLII\n" + "".join(f"{i / fs:.6f},{mv:.6f}\n" for i, mv in enumerate(signal))


def piece_by_piece(page: Any) -> None:
    """Let no answers follow a file, as if they had broken off: the page asks for each piece."""
    page.route(
        "**/read?*answers=true*",
        lambda route: route.continue_(url=route.request.url.replace("=true", "=false")),
    )


def table(times: np.ndarray, decimals: int, head: str = "time,MLII") -> str:
    return head + "".join(f"\n{t:.{decimals}f},{i % 17}" for i, t in enumerate(times))


def drop(page: Any, text: str, name: str = "made.csv") -> None:
    page.evaluate(
        """([text, name]) => {
        const data = new DataTransfer();
        data.items.add(new File([text], name));
        for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(
                new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
        }}""",
        [text, name],
    )
