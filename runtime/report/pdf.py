"""A page printed to PDF, by a browser of the Chromium family that is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import MissingPackageError, RecordError

VARIABLE = "EKG_BROWSER"
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "brave-browser",
)
PLACES = {
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
        r"C:\Program Files\Microsoft\Edge\Application\msedge.exe",
    ),
}
PATIENCE_S = 300.0  # a day with full disclosure takes a minute


def find_browser() -> str:
    """Return the browser that prints: the one that EKG_BROWSER names, else the first that is there.

    Raises
    ------
    MissingPackageError
        There is none; says which would do.
    """
    named = os.environ.get(VARIABLE)
    candidates = [named] if named else [*NAMES, *PLACES.get(sys.platform, ())]
    found = next(filter(None, map(shutil.which, candidates)), None)
    if found is None:
        missing = f"{VARIABLE} names {named!r}, which is none" if named else "none was found"
        raise MissingPackageError(
            "--pdf prints with a browser of the Chromium family (Chromium, Chrome or Edge), and "
            f"{missing}: install one (`apt install chromium`), or print the page yourself."
        )
    return found


def print_page(page: Path, pdf: Path) -> None:
    """Print a page to PDF, on the paper that it asks for.

    Raises
    ------
    MissingPackageError
        No browser is there.
    RecordError
        The browser printed nothing.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--disable-extensions",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={pdf.resolve()}",
            page.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # refused to root otherwise; the page has no script
        pdf.unlink(missing_ok=True)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RecordError(f"{browser} did not print {pdf}: {error}.") from error
    if not pdf.is_file():
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RecordError(f"{browser} did not print {pdf}: {words}.")
