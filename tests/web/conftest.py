"""Recordings and their beats, Node's packages, and the built page in Chromium."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from web_driver import ROOT, Known, require_node_package

from runtime import Detector
from runtime.records import read


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def known(detector: Detector) -> Known:
    """Signal of a record, and R peaks and labels as `ekg annotate` gives them."""

    def beats(path: str) -> Any:
        record = read(path)
        stream = detector.stream(record.fs, events=True)
        found = stream.push(record.signal) + stream.finish()
        return record.signal, [(round(beat.time * 360), beat.label) for beat in found]

    return beats


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the built page."""
    require_node_package("onnxruntime-web", "web")
    require_node_package("edfjs", "web")
    folder = tmp_path_factory.mktemp("dist") / "web"
    (folder.parent / "package.json").write_text('{"type": "module"}')  # for Node.js
    done = subprocess.run(
        ["node", str(ROOT / "web" / "build.mjs"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "MB compressed" in done.stdout
    return folder


@pytest.fixture(scope="session")
def site(dist: Path) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """The page served; the server, to stop it, and the page's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(dist)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


# Of a module: a new one would fetch, compile and keep the page's 4 MB again.
@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    """The browser's storage, in which the page's service worker keeps the page."""
    context = browser.new_context(accept_downloads=True)
    yield context
    context.close()


def opened(context: Any, url: str) -> tuple[Any, list[str]]:
    """The page, opened anew, and what is logged as an error from then on."""
    errors: list[str] = []
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    return page, errors


@pytest.fixture(scope="module")
def open_for_all(context: Any, site: tuple[ThreadingHTTPServer, str]) -> tuple[Any, list[str]]:
    return opened(context, site[1])


@pytest.fixture
def used_page(open_for_all: tuple[Any, list[str]]) -> Iterator[Any]:
    """The page as tests before have left it: its network, which takes seconds, is loaded once."""
    page, errors = open_for_all
    errors.clear()
    yield page
    assert errors == []


@pytest.fixture
def page(context: Any, site: tuple[ThreadingHTTPServer, str]) -> Iterator[Any]:
    """The page, opened anew; when the test ends nothing was logged as an error."""
    before = context.pages
    page, errors = opened(context, site[1])
    yield page
    context.set_offline(False)
    for opened_since in set(context.pages) - set(before):
        opened_since.close()
    assert errors == []
