"""``python -m bench.page_pictures``: pictures of a recording and of the central view, in docs/img.

The real page, in Chromium: a record with its reference on a desktop, a tablet, a phone, in dark
colours and with calipers; sixteen of 36 patients in light and in dark colours, and on a phone; a
strip as the page saves it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.central import station
from bench.demo_video import smaller
from bench.measure import unwind_on_sigterm
from bench.page import ROOT, chromium, served
from training.download import data_folder

RECORD = "mitdb/200"
WATCHED = "mitdb/200 mitdb/207 mitdb/208 mitdb/119 mitdb/106 mitdb/203".split()
DESKTOP, TABLET, PHONE = ((1280, 900), 1), ((820, 1180), 1), ((390, 844), 2)
RECORDING = {
    "monitor-desktop": ("light", DESKTOP),
    "monitor-tablet": ("light", TABLET),
    "monitor-phone": ("light", PHONE),
    "monitor-dark": ("dark", DESKTOP),
    "monitor-calipers": ("light", DESKTOP),
}
CENTRAL = {
    "central-light": ("light", DESKTOP),
    "central-dark": ("dark", DESKTOP),
    "central-phone": ("dark", PHONE),
}
PATIENCE_MS = 240_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.page_pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img", help="folder")
    parser.add_argument("--only", choices=("recording", "central"), help="not the others")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the central view before")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    data = data_folder()
    if data is None:
        parser.exit(2, "no recordings at hand (set EKG_DATA to the folder that holds mitdb/).\n")
    if args.only != "central":
        with chromium() as browser, served() as server:
            for name, view in RECORDING.items():
                path = args.out / f"{name}.png"
                picture_recording(browser, server.url, data / RECORD, path, view)
    if args.only != "recording":
        watched = [data / name for name in WATCHED]
        with chromium() as browser, station(*watched, "--simulate", 36 - len(watched)) as url:
            picture_central(browser, url, args.out, args.seconds)
    return 0


def opened(browser: Any, url: str, view: tuple[str, Any]) -> Any:
    """Return a page of this size and colour scheme."""
    scheme, ((width, height), scale) = view
    page = browser.new_page(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
    )
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    return page


def picture_recording(
    browser: Any, url: str, record: Path, path: Path, view: tuple[str, Any]
) -> None:
    """A whole recording with its reference, at an event; with calipers if the name says so."""
    page = opened(browser, url, view)
    files = [record.with_suffix(end) for end in (".hea", ".dat", ".atr")]
    page.locator("#files").set_input_files(files)
    page.get_by_text("of these with the same class").wait_for()
    page.get_by_role("button", name="Bigeminy").first.click()
    if path.stem.endswith("calipers"):
        page.locator("#strip").focus()
        page.keyboard.press("c")
        page.keyboard.press("m")
        page.locator("#review").screenshot(path=path)
        with page.expect_download() as download:
            page.get_by_role("button", name="PNG", exact=True).click()
        download.value.save_as(path.with_name("strip.png"))
        smaller(path.with_name("strip.png"), 1400)
    else:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=path)
    smaller(path)
    page.close()


def picture_central(browser: Any, url: str, folder: Path, seconds: float) -> None:
    """Sixteen of the patients, once there have been alarms."""
    pages = {name: opened(browser, url, view) for name, view in CENTRAL.items()}
    next(iter(pages.values())).wait_for_timeout(1000 * seconds)
    for name, page in pages.items():
        page.bring_to_front()
        page.screenshot(path=folder / f"{name}.png")
        smaller(folder / f"{name}.png")
        page.close()


if __name__ == "__main__":
    sys.exit(main())
