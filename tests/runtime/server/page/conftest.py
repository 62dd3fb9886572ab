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


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """Opens the page; when the test ends no error was logged and nobody else was asked."""
    contexts, errors, strangers = [], [], []

    def open_page(
        url: str = server.url,
        *,
        outage: bool = False,  # the server goes away
        refusals: bool = False,  # it refuses files, which a browser logs
        script: str = "",
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
        context = browser.new_context(**options)
        contexts.append(context)
        if script:  # before any of the page's own
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda line: (
                errors.append(line.text)
                if line.type == "error"
                and not (outage and "Failed to load resource" in line.text)
                and not (refusals and "status of 400" in line.text)
                else None
            ),
        )
        page.on(
            "request",
            lambda asked: (
                strangers.append(asked.url) if not asked.url.startswith((url, "blob:")) else None
            ),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")  # one may still wait for its answer
        context.close()
    assert not errors
    assert not strangers
