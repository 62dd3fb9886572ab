"""The OpenAPI document is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from http_client import FS, MAX_TOKEN, SECOND, SIGNAL, refusal
from werkzeug.test import TestResponse

import runtime
from runtime import Detector
from runtime.rhythm import kinds
from runtime.server.app import create_app
from runtime.server.asgi import BROKEN
from runtime.server.bodies import MAX_BATCH
from runtime.server.frame import REFUSALS
from runtime.server.schemas import CALM, attributes, shared
from runtime.server.wire import MAX_SAMPLES

SERVER = Path(runtime.__file__).parent / "server"


class TestOpenApi:
    def test_exactly_the_served_routes_are_described(self, app: Flask) -> None:
        described = {
            (path, method.upper())
            for path, item in app.test_client().get("/openapi.json").get_json()["paths"].items()
            for method in item
            if method != "parameters"
        }
        served = {
            (rule.rule.replace("<", "{").replace(">", "}"), method)
            for rule in app.url_map.iter_rules()
            for method in rule.methods or ()
            if method not in ("HEAD", "OPTIONS")
            and rule.rule != "/"
            and not rule.rule.startswith("/static")
        }
        assert described == served

    def test_limits_are_those_of_the_server(self, app: Flask) -> None:
        schemas = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]
        assert schemas["Signal"]["maxItems"] == MAX_SAMPLES
        assert schemas["Batch"]["maxItems"] == MAX_BATCH
        assert schemas["Token"]["maxLength"] == MAX_TOKEN

    def test_event_kinds_are_those_of_the_rules(self, app: Flask) -> None:
        schemas = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]
        names = [kind.name for kind in kinds()]
        assert schemas["Event"]["properties"]["kind"]["enum"] == names
        assert schemas["Rhythm"]["enum"] == [*CALM, *names]

    def test_the_page_imports_the_registry_of_events(self, app: Flask) -> None:
        answer = app.test_client().get("/static/kinds.js")
        assert answer.mimetype == "text/javascript"
        table = json.loads(answer.get_data(as_text=True).partition("=")[2].rstrip(";\n"))
        assert tuple(table) == tuple(kind.name for kind in kinds())
        assert [name for name, kind in table.items() if kind["critical"]] == [
            "ventricular_fibrillation",
            "asystole",
            "ventricular_tachycardia",
        ]
        assert {name: kind["madeOf"] for name, kind in table.items() if kind["madeOf"]} == {
            "ventricular_tachycardia": "V",
            "ventricular_run": "V",
            "couplet": "V",
            "bigeminy": "V",
            "trigeminy": "V",
            "supraventricular_run": "S",
        }
        assert [name for name, kind in table.items() if kind["noBeats"]] == [
            "ventricular_fibrillation",
            "asystole",
        ]
        script = (SERVER / "static" / "beats.js").read_text(encoding="utf-8")
        assert 'from "./kinds.js"' in script

    def test_answers_conform_to_the_schema(self, app: Flask) -> None:
        schemathesis = pytest.importorskip(
            "schemathesis", reason="needs `pip install schemathesis`; bench/server_fuzz.py runs it"
        )
        from hypothesis import HealthCheck, given, settings

        schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
        for operation in schema.get_all_operations():

            @given(case=operation.ok().as_strategy())
            @settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
            def conforms(case: Any) -> None:
                # No JSON schema can say that a signal lasts a second at its own rate.
                case.call_and_validate(
                    excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
                )

            conforms()

    def test_operations_keep_their_names(self, app: Flask) -> None:
        paths = app.test_client().get("/openapi.json").get_json()["paths"]
        names = {operation["operationId"] for item in paths.values() for operation in item.values()}
        assert names == {
            *("predict", "stream", "readFiles", "live", "ready", "metrics", "model", "openapi"),
            *("v2Server", "v2Live", "v2Ready", "v2Model", "v2ModelReady", "v2Infer"),
        }

    def test_every_operation_says_what_it_is_for(self, app: Flask) -> None:
        paths = app.test_client().get("/openapi.json").get_json()["paths"]
        for path, item in paths.items():
            for operation in item.values():
                assert not operation["summary"].startswith("/"), path
                assert operation["responses"]["200"]["content"], path


def request(http: FlaskClient, status: int) -> tuple[str, TestResponse]:
    """A request that is refused with this status, as its path in the document, and its answer."""
    signal = {"signal": SECOND, "fs": FS}
    match status:
        case 400:
            return "/predict", http.post("/predict", json={"signal": SECOND})
        case 404:
            return "/v2/models/{name}/infer", http.post("/v2/models/other/infer", json={})
        case 413:
            return "/stream", http.post("/stream", json={"signal": ["x" * (5 << 20)]})
        case 415:
            return "/predict", http.post("/predict", data="1, 2", content_type="text/csv")
        case 417:
            return "/model", http.get("/model", headers={"Expect": "the best"})
        case 421:
            return "/metrics", http.get("/metrics", headers={"Host": "another.example"})
    return "/predict", http.post("/predict", json=signal, headers={"Authorization": "Bearer no"})


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 417, 421])
def test_refusals_are_described(detector: Detector, status: int) -> None:
    http = create_app(detector, bearer="secret" if status == 401 else None).test_client()
    path, answer = request(http, status)
    refusal(answer, status)
    (operation,) = (
        create_app(detector).test_client().get("/openapi.json").get_json()["paths"][path].values()
    )
    assert str(status) in operation["responses"]


def test_what_the_loop_refuses_is_described_of_every_route(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    for item in document["paths"].values():
        for operation in item.values():
            assert {str(status) for status in BROKEN} <= set(operation["responses"])
    assert {int(status) for status in document["components"]["responses"]} == set(REFUSALS)


def test_answers_have_the_fields_that_are_described_and_no_others(app: Flask) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs `pip install jsonschema`")
    http = app.test_client()
    document = http.get("/openapi.json").get_json()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    signal, fs = SIGNAL[: 11 * FS].tolist(), FS
    ecg = {"name": "ecg", "shape": [1, 18], "datatype": "FP32", "data": [0.0] * 18}
    answers = {
        "Prediction": http.post("/predict", json={"signal": signal, "fs": fs}),
        "Predictions": http.post("/predict", json={"signal": [signal], "fs": fs}),
        "StreamAnswer": http.post("/stream", json={"signal": signal, "fs": fs}),
        "StreamAnswers": http.post("/stream", json={"signal": [signal], "fs": fs, "end": True}),
        "Ready": http.get("/health/ready"),
        "Model": http.get("/model"),
        "TensorModel": http.get("/v2/models/ekg"),
        "InferAnswer": http.post("/v2/models/ekg/infer", json={"inputs": [ecg], "id": "a"}),
        "Problem": http.post("/predict", json={}),
    }
    for name, answer in answers.items():
        closed = {"$ref": f"#/components/schemas/{name}", "unevaluatedProperties": False}
        jsonschema.validate(answer.get_json(), closed | {"components": document["components"]})
    found = answers["Prediction"].get_json()
    assert found["beats"]
    for name, values in (("Beat", found["beats"]), ("Quality", [found["quality"]])):
        properties = document["components"]["schemas"][name]["properties"]
        assert all(set(value) == set(properties) for value in values)


def test_words_of_a_finding_are_those_of_its_class() -> None:
    schema = shared()["Quality"]["properties"]
    assert schema["flat"]["description"].startswith("share of the seconds in which the signal")
    assert schema["noise"]["description"] == schema["powerline"]["description"]
    assert "ok" in schema
    assert attributes("No section.") == {}
