"""``python -m bench.demo_video all``: the recorded demo, the README's picture and the screenshots.

All of it is the real program: commands run and their output is filmed as it comes, the page runs
in Chromium against the real server. Needs Chromium, playwright, poppler, ffmpeg
and six minutes.
"""

from __future__ import annotations

import argparse
import base64
import html
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.measure import unwind_on_sigterm
from bench.page import ROOT, Server, chromium, served
from training.download import data_folder

PORT = 8000  # as a reader who repeats the commands has it
SIZE = {"width": 1280, "height": 800}
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body{margin:0;background:#0a0f12;color:#e7eef2;font:17px/1.45 "DejaVu Sans Mono",monospace}
h1{margin:0;padding:18px 28px;font:600 20px system-ui,sans-serif;background:#121a1f;color:#45d0bd}
pre{margin:0;padding:18px 28px;white-space:pre-wrap;word-break:break-word}b{color:#5cf2a5}
</style><h1>%s</h1><pre>%s</pre>"""
LINES = 27  # of the terminal that are in the picture
LONGEST_WAIT_S = 0.5  # between two lines of output; the film cuts the rest
REPORTED = "mitdb/207"  # the report's pictures
API_CALL = (
    'python -c "import json; from runtime.simulate import simulate; '
    "print(json.dumps({'signal': simulate(10, seed=1).signal.tolist(), 'fs': 360}))\" | "
    "curl -s -H 'Content-Type: application/json' --data-binary @- "
    f"http://127.0.0.1:{PORT}/predict | python -m json.tool --compact"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.demo_video", description=__doc__)
    parser.add_argument("what", choices=("all", "pictures", "gif", "video"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder")
    parser.add_argument(
        "--benchmark",
        default="python -m bench.compare --quick --out dist/quick",
        help="the command that the video begins with",
    )
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    images = args.out / "img"
    images.mkdir(parents=True, exist_ok=True)
    # Each in a browser of its own: nothing of one is left when the next is filmed.
    if args.what in ("all", "pictures"):
        with chromium() as browser, served() as server:
            pictures(browser, server, images)
            report_pictures(browser, images)
    if args.what in ("all", "gif"):
        with chromium() as browser, served() as server:
            animation(browser, server, images / "monitor.gif")
    if args.what in ("all", "video"):
        with chromium() as browser:
            video(browser, args.out / "demo.mp4", args.benchmark)
    return 0


def pictures(browser: Any, server: Server, folder: Path, seconds: float = 87.0) -> None:
    """A screenshot at a moment when the patient has a ventricular run."""
    views = {
        "monitor-light": ("light", SIZE, 1),
    }
    pages = []
    for name, (scheme, size, scale) in views.items():
        page = browser.new_page(color_scheme=scheme, viewport=size, device_scale_factor=scale)
        page.goto(server.url)
        pages.append((name, page))
    pages[0][1].wait_for_timeout(1000 * seconds)
    for name, page in pages:
        path = folder / f"{name}.png"
        page.bring_to_front()
        page.screenshot(path=path)
        smaller(path)
        page.close()


def report_pictures(browser: Any, folder: Path) -> None:
    """A report on a real record, on screen and printed; without one the old pictures stay."""
    records = data_folder()
    if records is None:
        print(f"{folder}: no report, {REPORTED} is not at hand")
        return
    from PIL import Image

    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "runtime", "report", str(records / REPORTED)]
        subprocess.run(
            [*command, "--out", out, "--paper", "A4", "--pdf"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (written,) = Path(out).glob("*.html")
        page = browser.new_page(viewport={"width": 1080, "height": 1350})
        page.goto(written.as_uri())
        page.screenshot(path=folder / "report-screen.png")
        page.close()
        pages = ["pdftoppm", "-r", "62", "-l", "3", "-png", str(written.with_suffix(".pdf"))]
        subprocess.run([*pages, f"{out}/page"], check=True)
        drawn = [Image.open(path).convert("RGB") for path in sorted(Path(out).glob("page-*.png"))]
    width, gap = drawn[0].width, 10
    beside = Image.new(
        "RGB", (len(drawn) * (width + gap) + gap, drawn[0].height + 2 * gap), "#9aa4ab"
    )
    for i, one in enumerate(drawn):
        beside.paste(one, (gap + i * (width + gap), gap))
    beside.save(folder / "report-print.png")
    for name in ("report-screen.png", "report-print.png"):
        smaller(folder / name)


def animation(
    browser: Any, server: Server, path: Path, *, start: float = 20.0, seconds: float = 14.0
) -> None:
    """A short animated picture of the page, from sinus rhythm into bigeminy."""
    page = browser.new_page(color_scheme="dark", viewport={"width": 1100, "height": 720})
    page.goto(server.url)
    page.wait_for_timeout(1000 * start)
    film = Film()
    film.follow(page, seconds)
    page.close()
    # Few colours and no dithering: what stands still costs nothing then.
    film.write(
        path,
        "fps=12,scale=960:-1:flags=lanczos,split[a][b];"
        "[a]palettegen=max_colors=128[p];"
        "[b][p]paletteuse=dither=none:diff_mode=rectangle",
        "-loop",
        "0",
    )


def video(browser: Any, path: Path, benchmark: str) -> None:
    """A benchmark run, one API call, and the page live, with a restart of its server."""
    film, terminal = Film(), browser.new_page(viewport=SIZE)
    film.command(terminal, "1. What it costs: the benchmark (the wait is cut)", benchmark)
    with served(PORT) as server:
        film.command(
            terminal, "2. One call of the API: ten seconds of ECG in, labelled beats out", API_CALL
        )
        page = browser.new_page(color_scheme="dark", viewport=SIZE)
        page.goto(server.url)
        film.follow(page, 50)
        page.locator("#list button").nth(2).click()  # an event's strip
        film.follow(page, 8)
        page.locator("#newest").click()
        restart = threading.Thread(target=_restart, args=(server,))
        restart.start()  # no beat is lost
        film.follow(page, 15)
        restart.join()
        page.emulate_media(color_scheme="light")
        film.follow(page, 40)
    film.write(
        path,
        "fps=20,format=yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "slow",
        "-crf",
        "26",
        "-movflags",
        "+faststart",
    )


class Film:
    """Pictures, each with how long it is shown."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._pictures: list[tuple[Path, float]] = []

    def _keep(self, picture: bytes, seconds: float) -> None:
        path = Path(self._folder.name) / f"{len(self._pictures):06d}.img"
        path.write_bytes(picture)
        self._pictures.append((path, seconds))

    def command(self, page: Any, title: str, command: str) -> None:
        """Run a command in the project's folder and film what it prints."""
        text = f"<b>$ {html.escape(command)}</b>\n"

        def show(seconds: float) -> None:
            page.set_content(TERMINAL % (html.escape(title), "\n".join(text.split("\n")[-LINES:])))
            self._keep(page.screenshot(), seconds)

        show(2.5)
        # The command stands for itself: with this interpreter first on the path.
        run = subprocess.Popen(
            ["bash", "-c", f'PATH="{Path(sys.executable).parent}:$PATH"; {command}'],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert run.stdout is not None
        last = time.monotonic()
        for line in run.stdout:
            text += html.escape(line)
            show(min(LONGEST_WAIT_S, max(0.1, time.monotonic() - last)))
            last = time.monotonic()
        if run.wait():
            raise SystemExit(f"{command} failed:\n{html.unescape(text)}")
        show(8.0)

    def follow(self, page: Any, seconds: float) -> None:
        """Film a page as it moves."""
        tools = page.context.new_cdp_session(page)
        frames: list[tuple[float, bytes]] = []

        def take(frame: dict[str, Any]) -> None:
            frames.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
            tools.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

        tools.on("Page.screencastFrame", take)
        tools.send("Page.startScreencast", {"format": "png", "everyNthFrame": 3})
        page.wait_for_timeout(1000 * seconds)
        tools.remove_listener("Page.screencastFrame", take)
        tools.send("Page.stopScreencast")
        tools.detach()
        for (at, picture), (until, _) in pairwise(frames):
            self._keep(picture, until - at)

    def write(self, path: Path, filters: str, *options: str) -> None:
        """Join the pictures with ffmpeg."""
        if shutil.which("ffmpeg") is None:
            raise SystemExit("ffmpeg is missing; install it with `apt-get install ffmpeg`")
        listed = Path(self._folder.name) / "list"
        listed.write_text(
            "ffconcat version 1.0\n"
            + "".join(
                f"file {picture}\nduration {seconds:.4f}\n" for picture, seconds in self._pictures
            )
        )
        subprocess.run(
            [
                "ffmpeg",
                "-v",
                "error",
                "-y",
                "-f",
                "concat",
                "-safe",
                "0",
                "-i",
                listed,
                "-filter_complex",
                filters,
                *options,
                path,
            ],
            check=True,
        )
        print(
            f"{path}: {path.stat().st_size / 1e6:.2f} MB, "
            f"{sum(seconds for _, seconds in self._pictures):.0f} s"
        )


def _restart(server: Server) -> None:
    server.stop()
    time.sleep(3)  # long enough to be seen
    server.start()


def smaller(path: Path, wide: int | None = None) -> None:
    """A screenshot with a palette that keeps rare colours: a page of flat ones needs no more.

    Parameters
    ----------
    wide : pixels, if it is to be scaled down
    """
    from PIL import Image

    with Image.open(path) as picture:
        drawn = picture.convert("RGB")
        if wide is not None:
            drawn = drawn.resize((wide, round(wide * drawn.height / drawn.width)))
        small = drawn.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
