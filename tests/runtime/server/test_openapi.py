"""The OpenAPI document is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from http_client import MAX_TOKEN

import runtime
from runtime.server.bodies import MAX_BATCH
from runtime.server.openapi import CALM, event_kinds
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
        assert tuple(schemas["Event"]["properties"]["kind"]["enum"]) == event_kinds()
        assert schemas["Taken"]["properties"]["rhythm"]["enum"] == [*CALM, *event_kinds()]

    def test_the_page_imports_the_registry_of_events(self, app: Flask) -> None:
        answer = app.test_client().get("/static/kinds.js")
        assert answer.mimetype == "text/javascript"
        table = json.loads(answer.get_data(as_text=True).partition("=")[2].rstrip(";\n"))
        assert tuple(table) == event_kinds()
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

    def test_the_committed_file_is_what_is_served(self, app: Flask) -> None:
        assert (
            app.test_client().get("/openapi.json").get_data()
            == (SERVER / "openapi.json").read_bytes()
        )
