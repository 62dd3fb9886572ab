"""The monitor page in a real browser.

Needs Chromium and the package playwright (`apt-get install chromium-headless-shell`,
`pip install playwright`).
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from page_driver import PATIENCE_MS, Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def idle(browser: Any) -> Iterator[dict[str, list[Any]]]:
    """Emptied pages by the options of their context: a new one costs half as much again."""
    pages: dict[str, list[Any]] = {}
    yield pages
    for page in [page for alike in pages.values() for page in alike]:
        page.context.close()


@pytest.fixture
def open_page(
    browser: Any, server: Server, idle: dict[str, list[Any]]
) -> Iterator[Callable[..., Any]]:
    """Opens the page; when the test ends no error was logged and nobody else was asked."""
    used: list[tuple[str, Any, dict[str, Callable[[Any], None]]]] = []
    errors, strangers = [], []

    def open_page(
        url: str = server.url,
        *,
        outage: bool = False,  # the server goes away
        refusals: bool = False,  # it refuses files, which a browser logs
        script: str = "",  # runs before any of the page's own
        **options: Any,
    ) -> Any:
        for _ in range(200):
            try:
                urllib.request.urlopen(url + "/health/ready").close()
                break
            except OSError as error:
                if isinstance(error, HTTPError) and error.code == 404:
                    break  # a central station answers, and has no such route
                time.sleep(0.1)

        def logged(line: Any) -> None:
            expected = (outage and "Failed to load resource" in line.text) or (
                refusals and "status of 400" in line.text
            )
            if line.type == "error" and not expected:
                errors.append(line.text)

        def asked(request: Any) -> None:
            if not request.url.startswith((url, "blob:")):
                strangers.append(request.url)

        listeners = {
            "pageerror": lambda error: errors.append(str(error)),
            "console": logged,
            "request": asked,
        }
        kind = "" if script else repr(sorted(options.items()))
        if idle.get(kind):
            page = idle[kind].pop()
        else:
            context = browser.new_context(**options)
            if script:
                context.add_init_script(script)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
        for event, listener in listeners.items():
            page.on(event, listener)
        used.append((kind, page, listeners))
        page.goto(url)
        return page

    yield open_page
    for kind, page, listeners in used:
        page.unroute_all(behavior="ignoreErrors")  # one may still wait for its answer
        if kind:
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        if kind:
            page.goto("about:blank")
            idle.setdefault(kind, []).append(page)
        else:
            page.context.close()
    assert not errors
    assert not strangers
