"""The application and a client of it, and a real server."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from http_client import FS, SIGNAL, push
from serving import Server, run

from runtime import Detector
from runtime.server.app import create_app


@pytest.fixture(scope="module")
def app(detector: Detector) -> Flask:
    return create_app(detector)


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def token(app: Flask) -> bytes:
    """Of a stream that has run for some seconds."""
    answer = push(app.test_client(), signal=SIGNAL[:1000].tolist(), fs=FS)
    return base64.b64decode(answer["carry"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run(tmp_path_factory.mktemp("server")) as started:
        yield started
