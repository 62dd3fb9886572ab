"""Requests that have to succeed, and refusals as they have to be."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(12, seed=2).signal
PROBLEM = "application/problem+json"
MAX_TOKEN = 32 * 1024  # base64, on the wire
SECOND = [0.1] * FS


def push(http: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = http.post("/stream", json=fields)
    assert answer.status_code == 200, answer.get_json()
    body: dict[str, Any] = answer.get_json()
    return body


def refusal(answer: TestResponse, status: int) -> str:
    """The sentence of a refusal that is as it has to be."""
    assert answer.status_code == status, answer.get_data()
    assert answer.mimetype == PROBLEM
    body = json.loads(answer.get_data())
    assert body["status"] == status
    assert body["detail"].endswith(".")
    return str(body["detail"])
