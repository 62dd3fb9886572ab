"""The committed model, and the recordings if they are at hand, for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from runtime import Detector

try:
    import hypothesis
except ImportError:
    from property_testing import stand_in

    stand_in()
    import hypothesis

ROOT = Path(__file__).resolve().parent.parent
BUSY = {"export", "training"}  # folders whose tests keep a core busy
# The first has no window, tabs and menus to draw: half of the work.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)

# Deterministic, and no example counts as slow on a shared machine.
hypothesis.settings.register_profile("ekg", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("ekg")


def pytest_report_header() -> str:
    providers = ", ".join(onnxruntime.get_available_providers())
    data = "at hand" if data_folder() else "absent: tests of real records skip"
    return f"onnxruntime {onnxruntime.__version__} ({providers}); recordings {data}"


@pytest.hookimpl(trylast=True)  # after those that mark tests as slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, so that no process is left alone with one at the end.

    Slow tests mostly wait, for a browser or a server, and those of training and export compute.
    Their files take turns, so that at any time some processes wait and others have the cores.
    """
    files = dict.fromkeys(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    busy = [file for file in files if file not in slow and file.parent.name in BUSY]
    waiting = [file for file in files if file in slow]
    turns = [file for pair in zip_longest(waiting, busy) for file in pair if file]
    place = {file: at for at, file in enumerate(dict.fromkeys([*turns, *files]))}
    items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(tryfirst=True)  # before fixtures, which may need the package too
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for package in marker.args:
            pytest.importorskip(package, reason=f"no {package} (pip install {package})")


def data_folder() -> Path | None:
    """Return the folder that holds mitdb/ and the others, None if there is none.

    Where only the runtime's requirements are installed there is nothing to read them with.
    """
    try:
        from training import download
    except ImportError:
        return None
    return download.data_folder()


@pytest.fixture(scope="session")
def detector() -> Detector:
    """The committed model on the CPU."""
    return Detector.load(ROOT / "artifacts", provider="cpu")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with mitdb/ and the others; a test that wants it skips if there is none."""
    pytest.importorskip("wfdb", reason="no wfdb to read records with (pip install wfdb)")
    folder = data_folder()
    if folder is None:
        pytest.skip("no recordings at hand (set EKG_DATA to the folder that holds mitdb/)")
    return folder


# Of a module: as long as it lasts an event loop runs in this thread, and `asyncio.run` refuses.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright (pip install playwright)"
    )
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium (apt-get install chromium-headless-shell)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(BROWSER_ARGUMENTS))
        yield browser
        browser.close()
