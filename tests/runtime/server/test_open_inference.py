"""The Open Inference Protocol."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from http_client import SIGNAL, refusal
from werkzeug.test import TestResponse

from runtime import Detector
from runtime.server.routes.open_inference import HEADER
from runtime.server.wire import RAW


class TestOpenInference:
    def infer(self, http: FlaskClient, **fields: Any) -> TestResponse:
        return http.post("/v2/models/ekg/infer", json=fields)

    def tensor(self, name: str, values: np.ndarray) -> dict[str, Any]:
        return {
            "name": name,
            "shape": list(values.shape),
            "datatype": "FP32",
            "data": values.ravel().tolist(),
        }

    def test_metadata(self, http: FlaskClient, detector: Detector) -> None:
        assert http.get("/v2").get_json()["name"] == "ekg"
        assert http.get("/v2/health/live").get_json() == {"live": True}
        assert http.get("/v2/models/ekg/ready").get_json()["ready"] is True
        model = http.get("/v2/models/ekg").get_json()
        assert {t["name"]: t["shape"] for t in model["inputs"] + model["outputs"]} == {
            "ecg": [-1, -1],
            "carry": [-1, detector.contract.carry_size],
            "probabilities": [-1, -1, 6],
            "carry_out": [-1, detector.contract.carry_size],
        }

    def test_json_and_binary_run_the_network(self, http: FlaskClient, detector: Detector) -> None:
        ecg = np.stack([SIGNAL[:720], SIGNAL[720:1440]]) - SIGNAL[0]
        carry = np.zeros((2, detector.contract.carry_size), np.float32)
        expected, carry_out = detector.session.run(ecg[:, :360], carry)
        expected, _ = detector.session.run(ecg[:, 360:], carry_out)
        first = self.infer(http, id="a", inputs=[self.tensor("ecg", ecg[:, :360])]).get_json()
        assert first["id"] == "a"
        carried = {t["name"]: t for t in first["outputs"]}["carry_out"]
        second = self.infer(
            http,
            inputs=[self.tensor("ecg", ecg[:, 360:]), carried | {"name": "carry"}],
            outputs=[{"name": "probabilities"}],
        ).get_json()
        assert np.allclose(
            np.reshape(second["outputs"][0]["data"], second["outputs"][0]["shape"]),
            expected,
            atol=1e-5,
        )
        head = json.dumps(
            {
                "inputs": [
                    {
                        "name": "ecg",
                        "shape": [2, 360],
                        "datatype": "FP32",
                        "parameters": {"binary_data_size": 2880},
                    },
                    {
                        "name": "carry",
                        "shape": list(carry.shape),
                        "datatype": "FP32",
                        "parameters": {"binary_data_size": carry.nbytes},
                    },
                ],
                "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
            }
        ).encode()
        answer = http.post(
            "/v2/models/ekg/infer",
            content_type=RAW,
            data=head + ecg[:, 360:].tobytes() + carry_out.tobytes(),
            headers={HEADER: str(len(head))},
        )
        size = int(answer.headers[HEADER])
        told = json.loads(answer.get_data()[:size])["outputs"][0]
        values = np.frombuffer(answer.get_data()[size:], "<f4").reshape(told["shape"])
        assert told["parameters"]["binary_data_size"] == values.nbytes
        assert np.allclose(values, expected, atol=1e-5)

    @pytest.mark.parametrize(
        "change",
        [
            {"inputs": []},
            {"inputs": [{}]},
            {"inputs": 7},
            {"outputs": [{"name": "x"}]},
            {"outputs": None},
            {"id": 5},
            {"id": "\ud800"},
            {"parameters": []},
            *(
                {
                    "inputs": [
                        {"name": "ecg", "shape": [1, 18], "datatype": "FP32", "data": [0.0] * 18}
                        | wrong
                    ]
                }
                for wrong in (
                    {"shape": [18]},
                    {"shape": [1, 17], "data": [0.0] * 17},
                    {"data": [0.0]},
                    {"datatype": "FP64"},
                    {"name": "x"},
                    {"shape": [1, 2**62]},
                    {"data": [1e39] * 18},
                    {"data": ["0"] * 18},
                    {"data": None},
                    {"parameters": {"binary_data_size": 72}},
                    {"shape": [2, 18], "data": [[0.0] * 6, [0.0] * 30]},
                )
            ),
        ],
    )
    def test_refusals_are_problems_and_protocol_errors(
        self, http: FlaskClient, change: dict[str, Any]
    ) -> None:
        good = {"inputs": [self.tensor("ecg", np.zeros((1, 18)))]}
        answer = self.infer(http, **(good | change))
        assert refusal(answer, 400) == answer.get_json()["error"]

    def test_another_model_is_a_404(self, http: FlaskClient) -> None:
        for answer in (
            http.get("/v2/models/x"),
            http.get("/v2/models/x/ready"),
            http.post("/v2/models/x/infer", json={}),
        ):
            refusal(answer, 404)
