"""A route is added by one new file in the folder ``routes``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from http_client import refusal

from runtime import Detector
from runtime.server import routes
from runtime.server.app import create_app

MODULE = """
from flask import Blueprint, Response, jsonify

from runtime.errors import InputError


def routes(site):
    dummy = Blueprint("dummy", __name__)

    @dummy.get("/dummy/<word>")
    def say(word: str) -> Response:
        \"\"\"The rate of the model.\"\"\"
        if word != "rate":
            raise InputError("the word is unknown; expected rate.")
        return jsonify({"fs": site.model.contract.fs})

    return dummy
"""


def counted(http: FlaskClient) -> int:
    """Answers of the new route, as the metrics have them."""
    found = re.search(
        r'ekg_requests_total\{route="/dummy/<word>",code="200"\} (\d+)',
        http.get("/metrics").get_data(as_text=True),
    )
    assert found
    return int(found[1])


@pytest.fixture
def dummy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dummy.py").write_text(MODULE)
    monkeypatch.setattr(routes, "__path__", [*routes.__path__, str(tmp_path)])


@pytest.mark.usefixtures("dummy")
def test_a_new_file_is_served_described_and_counted(detector: Detector) -> None:
    http = create_app(detector).test_client()
    assert http.get("/dummy/rate").get_json() == {"fs": detector.contract.fs}
    assert "expected rate" in refusal(http.get("/dummy/x"), 400)
    described = http.get("/openapi.json").get_json()["paths"]["/dummy/{word}"]["get"]
    assert described["summary"] == "The rate of the model"
    assert described["parameters"][0]["name"] == "word"
    before = counted(http)
    http.get("/dummy/rate")
    assert counted(http) - before == 1


def test_without_the_file_the_route_does_not_exist(detector: Detector) -> None:
    refusal(create_app(detector).test_client().get("/dummy/rate"), 404)
