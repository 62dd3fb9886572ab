"""Requests that are refused get a status and a sentence."""

from __future__ import annotations

import gzip
import json
import logging

import pytest
from flask.testing import FlaskClient
from http_client import FS, SECOND, refusal

from runtime import Detector
from runtime.server.app import create_app
from runtime.server.bodies import MAX_BATCH
from runtime.server.wire import MAX_SAMPLES, RAW

HOSTILE = [
    ("no object", b"[]", 400),
    ("no JSON", b"{", 400),
    ("not text", b"\xff\xfe{}", 400),
    ("deep", b"[" * 100_000, 400),
    ("empty", b"", 400),
    ("no signal", b"{}", 400),
    ("signal is text", b'{"signal": "x", "fs": 360}', 400),
    ("empty signal", b'{"signal": [], "fs": 360}', 400),
    ("one sample", b'{"signal": [0.1], "fs": 360}', 400),
    ("text among numbers", b'{"signal": [0.1, "x"], "fs": 360}', 400),
    ("true among numbers", json.dumps({"signal": [True] * 400, "fs": FS}).encode(), 400),
    ("three dimensions", json.dumps({"signal": [[SECOND]], "fs": FS}).encode(), 400),
    ("ragged", json.dumps({"signal": [SECOND, SECOND[1:]], "fs": FS}).encode(), 400),
    ("longer integer", b'{"signal": [1' + b"0" * 5000 + b'], "fs": 360}', 400),
    ("null for a row", json.dumps({"signal": [SECOND, None], "fs": FS}).encode(), 400),
    ("no rate", json.dumps({"signal": SECOND}).encode(), 400),
    ("odd rates", json.dumps({"signal": SECOND, "fs": "360"}).encode(), 400),
    ("endless rate", b'{"signal": [0.1], "fs": 1' + b"0" * 400 + b"}", 400),
    ("wrong rate", json.dumps({"signal": SECOND, "fs": 50}).encode(), 400),
    ("wrong units", json.dumps({"signal": SECOND, "fs": FS, "units": "adu"}).encode(), 400),
    ("units in a list", json.dumps({"signal": SECOND, "fs": FS, "units": ["mV"]}).encode(), 400),
    ("unknown field", json.dumps({"signal": SECOND, "fs": FS, "lead": "I"}).encode(), 400),
    ("too many patients", json.dumps({"signal": [[]] * (MAX_BATCH + 1), "fs": FS}).encode(), 400),
    ("10 million samples", b'{"fs":360,"signal":[' + b"0," * 10_000_000 + b"0]}", 413),
]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "status"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
    )
    @pytest.mark.parametrize("path", ["/predict", "/stream"])
    def test_bad_json_gets_a_sentence(
        self, http: FlaskClient, path: str, body: bytes, status: int, request: pytest.FixtureRequest
    ) -> None:
        answer = http.post(path, data=body, content_type="application/json")
        fine_in_a_stream = "empty signal" in request.node.name or "one sample" in request.node.name
        if path == "/stream" and ("ragged" in request.node.name or fine_in_a_stream):
            assert answer.status_code == 200
        else:
            refusal(answer, status)

    @pytest.mark.parametrize(
        ("query", "body", "part"),
        [
            ("", b"\0" * 4, "'fs' is missing"),
            ("?fs=360", b"\0" * 5, "4 bytes a sample"),
            ("?fs=x", b"\0" * 4, "'fs' is 'x'"),
            ("?fs=nan", b"\0" * 4, "nan Hz"),
            ("?fs=3_60", b"\0" * 4 * FS, "'fs' is '3_60'"),
            ("?fs=%D9%A3%D9%A6%D9%A0", b"\0" * 4 * FS, "expected the sampling rate"),
            ("?fs=360&fs=100", b"\0" * 4 * FS, "'fs' is in the query 2 times"),
            ("?fs=360&gain=200", b"", "'gain' is unknown"),
            ("?fs=360", b"\0" * 4 * (MAX_SAMPLES + 1), f"at most {MAX_SAMPLES}"),
        ],
    )
    def test_bad_binary_gets_a_sentence(
        self, http: FlaskClient, query: str, body: bytes, part: str
    ) -> None:
        answer = http.post(f"/predict{query}", data=body, content_type=RAW)
        assert part in refusal(answer, 400)

    @pytest.mark.parametrize(
        ("path", "limits"), [("/predict", "100 to 20,000"), ("/stream", "100 to 1000")]
    )
    def test_a_refused_rate_names_the_limits_of_its_route(
        self, http: FlaskClient, path: str, limits: str
    ) -> None:
        for sent in (
            http.post(path, json={"signal": SECOND, "fs": 20_001}),
            http.post(path, json={"signal": SECOND, "fs": "360"}),
            http.post(path, json={"signal": SECOND}),
            http.post(f"{path}?fs=50", data=b"\0" * 4 * FS, content_type=RAW),
            http.post(f"{path}?fs=x", data=b"\0" * 4 * FS, content_type=RAW),
        ):
            assert limits in refusal(sent, 400)

    def test_a_repeated_field_with_another_value_is_refused(self, http: FlaskClient) -> None:
        for path, body in (("/predict", b"\0" * 4 * FS), ("/stream", b"")):
            same = http.post(f"{path}?fs=360&fs=360", data=body, content_type=RAW)
            assert same.status_code == 200
            other = http.post(f"{path}?fs=360&fs=250", data=body, content_type=RAW)
            assert "'fs' is in the query 2 times" in refusal(other, 400)

    @pytest.mark.parametrize("size", ["-1", "5", "x", "٣", "9" * 30])
    def test_carry_bytes_has_to_fit(self, http: FlaskClient, size: str) -> None:
        answer = http.post(f"/stream?fs=360&carry_bytes={size}", data=b"\0" * 4, content_type=RAW)
        assert "carry_bytes" in refusal(answer, 400)

    def test_fields_in_the_query_do_not_go_with_json(self, http: FlaskClient) -> None:
        answer = http.post("/predict?fs=250", json={"signal": SECOND, "fs": FS})
        assert "query" in refusal(answer, 400)

    @pytest.mark.parametrize("kind", ["text/plain", "", "multipart/form-data; boundary=x"])
    def test_other_types_are_a_415(self, http: FlaskClient, kind: str) -> None:
        answer = http.post("/predict", data=b"{}", content_type=kind)
        assert "application/json" in refusal(answer, 415)

    def test_a_compressed_body_is_a_415(self, http: FlaskClient) -> None:
        answer = http.post(
            "/predict?fs=360",
            data=gzip.compress(bytes(4 * FS)),
            content_type=RAW,
            headers={"Content-Encoding": "gzip"},
        )
        assert "compressed" in refusal(answer, 415)

    def test_unknown_paths_and_methods(self, http: FlaskClient) -> None:
        assert "/openapi.json" in refusal(http.get("/nothing"), 404)
        answer = http.get("/predict")
        assert "POST" in refusal(answer, 405)
        assert "POST" in answer.headers["Allow"]

    def test_an_unexpected_error_reveals_nothing_of_the_request(
        self, detector: Detector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        from runtime.server.gunicorn_conf import JsonLines

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("patient 4711 has 12.5 mV")

        http = create_app(detector).test_client()
        monkeypatch.setattr(detector, "predict", fail)
        written: list[bytes] = []
        monkeypatch.setattr("os.write", lambda _, line: written.append(line))
        with caplog.at_level(logging.INFO, "ekg"):
            answer = http.post("/predict", json={"signal": SECOND, "fs": FS})
        for record in caplog.records:
            JsonLines().emit(record)
        monkeypatch.undo()
        refusal(answer, 500)
        assert b"4711" not in answer.get_data()
        assert b"4711" not in b"".join(written)
        where = [json.loads(line) for line in written if b"unexpected" in line]
        assert where[0]["error"] == "RuntimeError"
        assert where[0]["id"] == answer.headers["X-Request-ID"]
