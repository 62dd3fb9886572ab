"""The HTTP interface: what it answers, what it refuses and how, what it tells an operator."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from runtime import Detector
from runtime.server import metrics
from runtime.server.admission import LONGEST, SHORTEST, UNDER_OVERLOAD, Admission, OverloadError
from runtime.server.app import create_app
from runtime.server.open_inference import HEADER
from runtime.server.wire import MAX_BATCH, MAX_SAMPLES, RAW, result_fields
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(12, seed=2).signal
PROBLEM = "application/problem+json"
MAX_TOKEN = 32 * 1024  # base64, on the wire


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


class TestPredict:
    def test_json_and_raw_answer_what_the_detector_finds(
            self, http: FlaskClient, detector: Detector) -> None:
        found = detector.predict(SIGNAL, FS, events=True)
        expected = result_fields(found)  # type: ignore[arg-type]
        as_json = http.post("/predict", json={"signal": SIGNAL.tolist(), "fs": FS}).get_json()
        as_raw = http.post(f"/predict?fs={FS}", data=SIGNAL.astype("<f4").tobytes(),
                           content_type=RAW).get_json()
        assert {k: as_json[k] for k in expected} == expected
        assert {k: as_raw[k] for k in expected} == expected
        assert as_json["provider"] == "cpu"
        assert as_json["latency_ms"] > 0

    def test_a_batch_answers_as_each_alone(self, http: FlaskClient, detector: Detector) -> None:
        rows = [SIGNAL[i * FS : (i + 2) * FS].tolist() for i in range(4)]
        together = http.post("/predict", json={"signal": rows, "fs": FS}).get_json()["results"]
        for row, found in zip(rows, together, strict=True):
            alone = http.post("/predict", json={"signal": row, "fs": FS}).get_json()
            assert found == {key: alone[key] for key in found}

    def test_units_are_converted(self, http: FlaskClient) -> None:
        in_uv = {"signal": (SIGNAL * 1000).tolist(), "fs": FS, "units": "uV"}
        in_mv = {"signal": SIGNAL.tolist(), "fs": FS}
        assert (http.post("/predict", json=in_uv).get_json()["beats"]
                == http.post("/predict", json=in_mv).get_json()["beats"])


class TestStream:
    def test_any_cut_gives_the_beats_of_the_whole(
            self, http: FlaskClient, detector: Detector) -> None:
        chance, at, carry, beats = random.Random(1), 0, None, []
        while at < len(SIGNAL):
            size = chance.choice((0, 1, 17, 90, 400))
            raw, chunk = chance.random() < 0.5, SIGNAL[at : at + size]
            if raw:  # the token comes first in the body, decoded
                token = base64.b64decode(carry or "")
                answer = http.post(f"/stream?fs={FS}&carry_bytes={len(token)}",
                                   data=token + chunk.astype("<f4").tobytes(),
                                   content_type=RAW).get_json()
            else:
                answer = push(http, signal=chunk.tolist(), fs=FS, carry=carry)
            carry, at = answer["carry"], at + size
            beats += answer["beats"]
        last = push(http, signal=[], carry=carry, end=True)
        assert last["carry"] is None
        assert last["decided"] == pytest.approx(len(SIGNAL) / FS, abs=1e-3)
        expected = result_fields(detector.predict(SIGNAL, FS))["beats"]  # type: ignore[arg-type]
        assert [b["label"] for b in beats + last["beats"]] == [b["label"] for b in expected]
        assert [b["time"] for b in beats + last["beats"]] == [b["time"] for b in expected]

    def test_patients_of_a_batch_are_as_they_are_alone(self, http: FlaskClient) -> None:
        rates = [360, 250, 128]
        signals = [simulate(8, fs=fs, seed=fs).signal for fs in rates]
        carries: list[Any] = [None] * 3
        together: list[list[Any]] = [[], [], []]
        for second in range(8):
            chunks = [s[second * fs : (second + 1) * fs].tolist()
                      for s, fs in zip(signals, rates, strict=True)]
            answers = push(http, signal=chunks, fs=rates, carry=carries,
                           end=[second == 7] * 3)["results"]
            carries = [answer["carry"] for answer in answers]
            for beats, answer in zip(together, answers, strict=True):
                beats += answer["beats"]
        for signal, fs, beats in zip(signals, rates, together, strict=True):
            alone = push(http, signal=signal.tolist(), fs=fs, end=True)["beats"]
            assert [(b["time"], b["label"]) for b in beats] == [
                (b["time"], b["label"]) for b in alone]
            assert len(beats) > 5

    @pytest.mark.parametrize("fs", [100, 250, 360, 359.9, 1000])
    def test_tokens_fit_the_wire(self, http: FlaskClient, fs: float) -> None:
        carry, sizes = None, []
        for piece in np.array_split(simulate(6, fs=fs).signal, 50):
            carry = push(http, signal=piece.tolist(), fs=fs, carry=carry)["carry"]
            sizes.append(len(carry))
        assert max(sizes) <= MAX_TOKEN

    def test_a_refused_batch_takes_nothing(self, http: FlaskClient) -> None:
        answer = http.post("/stream", json={"signal": [[0.1] * 9, [None]], "fs": FS})
        assert "numbers only" in refusal(answer, 400)
        answer = http.post("/stream", json={"signal": [[[0.1] * 9]], "fs": FS})
        assert "three dimensions" in refusal(answer, 400)
        answer = http.post("/stream", json={"signal": [[0.1], [1e9]], "fs": FS})
        assert refusal(answer, 400).startswith("patient 1 of the batch: sample 0")


class TestTokens:
    def give(self, http: FlaskClient, token: bytes, **fields: Any) -> TestResponse:
        carry = base64.b64encode(token).decode()
        return http.post("/stream", json={"signal": [0.0] * 90, "carry": carry} | fields)

    @pytest.mark.parametrize("damage", [
        lambda t: t[:-1], lambda t: t[: len(t) // 2], lambda t: b"", lambda t: t + b"\0",
        lambda t: b"XXXX" + t[4:], lambda t: t[:50] + bytes([t[50] ^ 1]) + t[51:],
        lambda t: b"\x80\x04" + t])
    def test_a_damaged_one_is_a_400(self, http: FlaskClient, token: bytes,
                                    damage: Callable[[bytes], bytes]) -> None:
        assert "token" in refusal(self.give(http, damage(token)), 400)

    @pytest.mark.parametrize("carry", ["*", "é", "AAA", 7, True, {}, ["x"]])
    def test_what_is_no_token_is_a_400(self, http: FlaskClient, carry: object) -> None:
        answer = http.post("/stream", json={"signal": [0.0], "fs": FS, "carry": carry})
        assert "'carry'" in refusal(answer, 400)

    @pytest.mark.parametrize("at", [4, 6])  # the format's version, the model's hash
    def test_another_models_or_versions_is_a_409(self, http: FlaskClient, token: bytes, at: int
                                                 ) -> None:
        foreign = bytearray(token)
        foreign[at] ^= 1
        foreign[-4:] = zlib.crc32(foreign[:-4]).to_bytes(4, "little")
        assert "another model or version" in refusal(self.give(http, bytes(foreign)), 409)

    def test_another_rate_is_a_409(self, http: FlaskClient, token: bytes) -> None:
        assert "keeps its rate" in refusal(self.give(http, token, fs=250), 409)

    def test_a_forged_one_never_fails_the_server(self, http: FlaskClient, token: bytes) -> None:
        chance = random.Random(0)
        for _ in range(300):
            forged = bytearray(token)
            for _ in range(chance.choice((1, 2, 10))):
                if chance.random() < 0.5:
                    forged[chance.randrange(6, 110)] = chance.randrange(256)
                else:
                    place = 106 + 4 * chance.randrange((len(forged) - 110) // 4)
                    forged[place : place + 4] = struct.pack("<f", chance.choice(
                        (float("nan"), float("inf"), 1e38, -1e9, 0.0, -1.0)))
            forged[-4:] = zlib.crc32(forged[:-4]).to_bytes(4, "little")
            answer = self.give(http, bytes(forged), end=chance.random() < 0.5)
            assert answer.status_code in (200, 400, 409), answer.get_data()
            if answer.status_code == 200:  # and what is answered is JSON, not NaN
                json.loads(answer.get_data(), parse_constant=pytest.fail)


SECOND = [0.1] * FS
HOSTILE = [
    ("no object", b"[]", 400), ("no JSON", b"{", 400), ("not text", b"\xff\xfe{}", 400),
    ("deep", b"[" * 100_000, 400), ("empty", b"", 400), ("no signal", b"{}", 400),
    ("signal is text", b'{"signal": "x", "fs": 360}', 400),
    ("empty signal", b'{"signal": [], "fs": 360}', 400),
    ("one sample", b'{"signal": [0.1], "fs": 360}', 400),
    ("text among numbers", b'{"signal": [0.1, "x"], "fs": 360}', 400),
    ("true among numbers", json.dumps({"signal": [True] * 400, "fs": FS}).encode(), 400),
    ("three dimensions", json.dumps({"signal": [[SECOND]], "fs": FS}).encode(), 400),
    ("ragged", json.dumps({"signal": [SECOND, SECOND[1:]], "fs": FS}).encode(), 400),
    ("NaN", json.dumps({"signal": [float("nan")] * FS, "fs": FS}).encode(), 400),
    ("infinity", b'{"signal": [1e999], "fs": 360}', 400),
    ("endless integer", b'{"signal": [1' + b"0" * 400 + b'], "fs": 360}', 400),
    ("longer integer", b'{"signal": [1' + b"0" * 5000 + b'], "fs": 360}', 400),
    ("volts for millivolts", json.dumps({"signal": [5000.0] * FS, "fs": FS}).encode(), 400),
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
    @pytest.mark.parametrize(("body", "status"), [case[1:] for case in HOSTILE],
                             ids=[case[0] for case in HOSTILE])
    @pytest.mark.parametrize("path", ["/predict", "/stream"])
    def test_bad_json_gets_a_sentence(self, http: FlaskClient, path: str, body: bytes,
                                      status: int, request: pytest.FixtureRequest) -> None:
        answer = http.post(path, data=body, content_type="application/json")
        fine_in_a_stream = "empty signal" in request.node.name or "one sample" in request.node.name
        if path == "/stream" and ("ragged" in request.node.name or fine_in_a_stream):
            assert answer.status_code == 200
        else:
            refusal(answer, status)

    @pytest.mark.parametrize(("query", "body", "part"), [
        ("", b"\0" * 4, "'fs' is missing"), ("?fs=360", b"\0" * 5, "4 bytes a sample"),
        ("?fs=x", b"\0" * 4, "'fs' is 'x'"), ("?fs=nan", b"\0" * 4, "nan Hz"),
        ("?fs=360", b"\0\0\xc0\x7f" * FS, "not a finite number"),
        ("?fs=3_60", b"\0" * 4 * FS, "'fs' is '3_60'"),
        ("?fs=%D9%A3%D9%A6%D9%A0", b"\0" * 4 * FS, "expected the sampling rate"),
        ("?fs=360&fs=100", b"\0" * 4 * FS, "'fs' is in the query 2 times"),
        ("?fs=360&gain=200", b"", "'gain' is unknown"),
        ("?fs=360", b"\0" * 4 * (MAX_SAMPLES + 1), f"at most {MAX_SAMPLES}")])
    def test_bad_binary_gets_a_sentence(self, http: FlaskClient, query: str, body: bytes,
                                        part: str) -> None:
        answer = http.post(f"/predict{query}", data=body, content_type=RAW)
        assert part in refusal(answer, 400)

    def test_a_repeated_field_has_to_say_the_same(self, http: FlaskClient) -> None:
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
        answer = http.post("/predict?fs=360", data=gzip.compress(bytes(4 * FS)), content_type=RAW,
                           headers={"Content-Encoding": "gzip"})
        assert "compressed" in refusal(answer, 415)

    def test_unknown_paths_and_methods(self, http: FlaskClient) -> None:
        assert "/openapi.json" in refusal(http.get("/nothing"), 404)
        answer = http.get("/predict")
        assert "POST" in refusal(answer, 405)
        assert "POST" in answer.headers["Allow"]

    def test_an_error_of_ours_tells_nothing(
            self, detector: Detector, monkeypatch: pytest.MonkeyPatch,
            caplog: pytest.LogCaptureFixture) -> None:
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


class TestOperations:
    def test_live_and_ready_are_two_things(self, detector: Detector) -> None:
        app = create_app(detector)
        http = app.test_client()
        assert http.get("/health/ready").get_json()["provider"] == "cpu"
        app.config["DRAINING"] = True  # as on SIGTERM
        assert "shutting down" in refusal(http.get("/health/ready"), 503)
        assert "shutting down" in refusal(http.get("/v2/health/ready"), 503)
        assert http.get("/health/live").status_code == 200
        assert http.post("/predict", json={"signal": SECOND, "fs": FS}).status_code == 200

    def test_the_model_says_what_it_is(self, http: FlaskClient, detector: Detector) -> None:
        model = http.get("/model").get_json()
        assert model["sha256"] == detector.digest.hex()
        assert model["provider"] == "cpu"

    def test_full_means_503_at_once(self, http: FlaskClient, monkeypatch: pytest.MonkeyPatch
                                    ) -> None:
        monkeypatch.setattr(Admission, "room", 0)
        for path in ("/predict", "/stream", "/v2/models/ekg/infer"):
            answer = http.post(path, json={"signal": SECOND, "fs": FS})
            refusal(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        assert http.get("/health/live").status_code == 200
        assert http.get("/metrics").status_code == 200

    def test_a_token_is_wanted_of_everyone_but_probes(self, detector: Detector) -> None:
        http = create_app(detector, bearer="s3cret").test_client()
        body = {"signal": SECOND, "fs": FS}
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"},
                      {"Authorization": "Bearer s3cret\xff"}, {"Authorization": "s3cret"}):
            answer = http.post("/predict", json=body, headers=given)
            refusal(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/metrics", "/model", "/v2", "/openapi.json", "/v2/models/ekg"):
            refusal(http.get(path), 401)
        for path in ("/health/live", "/health/ready", "/v2/health/live"):
            assert http.get(path).status_code == 200
        for scheme in ("Bearer", "bearer"):
            given = {"Authorization": f"{scheme} s3cret"}
            assert http.post("/predict", json=body, headers=given).status_code == 200

    def test_whitespace_around_the_token_does_not_count(
            self, detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EKG_TOKEN", "s3cret\n")
        given = {"Authorization": "Bearer s3cret"}
        for http in (create_app(detector).test_client(),
                     create_app(detector, bearer=" s3cret\r\n").test_client()):
            assert http.get("/model", headers=given).status_code == 200
            refusal(http.get("/model"), 401)

    @pytest.mark.parametrize("bearer", ["s3 cret", "s3cret€", "\n"])
    def test_a_token_that_no_header_carries_is_not_served(
            self, detector: Detector, bearer: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as raised:
            create_app(detector, bearer=bearer)
        assert raised.value.code == 4
        said = capsys.readouterr().err
        assert said.startswith("cannot serve: the bearer token ")
        assert len(said.splitlines()) == 1
        assert "s3" not in said

    def test_every_answer_carries_safe_headers_and_an_id(self, http: FlaskClient) -> None:
        for answer in (http.get("/health/live"), http.get("/nothing"),
                       http.post("/predict", data=b"x")):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
            assert len(answer.headers["X-Request-ID"]) == 32
        given = http.get("/nothing", headers={"X-Request-ID": "ward-3.42"})
        assert given.headers["X-Request-ID"] == given.get_json()["request_id"] == "ward-3.42"
        odd = http.get("/nothing", headers={"X-Request-ID": "a b<script>"})
        assert "script" not in odd.headers["X-Request-ID"]

    def test_logs_quote_no_request(self, http: FlaskClient, caplog: pytest.LogCaptureFixture
                                   ) -> None:
        with caplog.at_level(logging.DEBUG, "ekg"):
            http.post("/predict", json={"signal": [4711.5], "fs": FS, "units": "PAT-NAME"})
            http.get("/PAT-NAME?x=4711.5")
            http.open("/predict", method="PATNAME")
        told = [{"event": r.getMessage(), **r.fields} for r in caplog.records]  # type: ignore[attr-defined]
        assert [line["status"] for line in told] == [400, 404, 405]
        assert "4711.5" not in str(told)  # four digits may be in an id by chance
        assert "PAT" not in str(told)

    def test_a_log_that_cannot_be_written_is_counted_not_raised(
            self, monkeypatch: pytest.MonkeyPatch) -> None:
        from runtime.server.gunicorn_conf import JsonLines

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        lost: list[int] = []
        monkeypatch.setattr(JsonLines, "lost", staticmethod(lambda: lost.append(1)))
        monkeypatch.setattr("os.write", full)
        JsonLines().emit(logging.makeLogRecord({"msg": "x", "levelname": "INFO"}))
        monkeypatch.undo()
        assert lost == [1]


class TestMetrics:
    def test_requests_windows_and_beats_are_counted(self, detector: Detector) -> None:
        http = create_app(detector).test_client()

        def value(series: str) -> float:
            lines = http.get("/metrics").get_data(as_text=True).splitlines()
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))

        series = ('ekg_requests_total{route="/predict",code="200"}',
                  'ekg_requests_total{route="/predict",code="400"}', "ekg_windows_total",
                  "ekg_beats_total", 'ekg_request_seconds_count{route="/predict"}',
                  'ekg_requests_total{route="other",code="404"}')
        before = [value(one) for one in series]
        beats = http.post("/predict", json={"signal": SIGNAL.tolist(), "fs": FS}).get_json()
        http.post("/predict", json={"signal": [SECOND] * 3, "fs": FS})
        http.post("/predict", json={"signal": []})
        http.get("/some/" + "path" * 20)
        after = [value(one) for one in series]
        assert [b - a for a, b in zip(before, after, strict=True)] == [
            2, 1, 4, len(beats["beats"]), 3, 1]
        assert value('ekg_workers{provider="cpu"}') == 1
        assert value("ekg_requests_in_work") == 0

    def test_the_text_is_prometheus_format(self, http: FlaskClient) -> None:
        http.post("/predict", json={"signal": SECOND, "fs": FS})
        answer = http.get("/metrics")
        assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
        typed, buckets = set(), []
        for line in answer.get_data(as_text=True).splitlines():
            if line.startswith("# TYPE "):
                typed.add(line.split()[2])
            elif not line.startswith("#"):
                name = line.partition("{")[0].split()[0]
                assert name.removesuffix("_bucket").removesuffix("_sum").removesuffix(
                    "_count") in typed
                float(line.rsplit(" ", 1)[1])
            if line.startswith('ekg_request_seconds_bucket{route="/predict"'):
                buckets.append(float(line.rsplit(" ", 1)[1]))
        assert buckets == sorted(buckets)  # cumulative

    def test_rows_of_all_workers_are_summed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "_memory", metrics._memory)
        monkeypatch.setattr(metrics, "_row", metrics._row)
        shared = memoryview(bytearray(3 * metrics.ROW_BYTES))
        for row in range(3):
            metrics.attach(shared, row)
            worker = metrics.Metrics()
            worker.provider("cpu")
            worker.request("/predict", 200, 0.02)
        metrics.attach(shared, 1)  # the second died; its successor goes on counting there
        successor = metrics.Metrics()
        successor.request("/predict", 200, 0.02)
        text = successor.render()
        assert 'ekg_requests_total{route="/predict",code="200"} 4' in text
        assert 'ekg_request_seconds_bucket{route="/predict",le="0.01"} 0' in text
        assert 'ekg_request_seconds_bucket{route="/predict",le="0.025"} 4' in text
        assert 'ekg_workers{provider="cpu"} 2' in text


class TestAdmission:
    def work(self, admission: Admission, clock: list[float], seconds: float) -> None:
        with admission.work():
            clock[0] += seconds

    def test_a_burst_of_short_requests_is_taken(self) -> None:
        admission = Admission()
        entered = [admission.work() for _ in range(LONGEST)]
        for one in entered:
            one.__enter__()
        with pytest.raises(OverloadError, match="Retry-After"):
            admission.check()
        for one in entered:
            one.__exit__(None, None, None)
        admission.check()

    def test_long_requests_queue_less(self) -> None:
        clock = [0.0]
        admission = Admission(clock=lambda: clock[0])
        for _ in range(500):
            self.work(admission, clock, 0.004)
        assert 12 <= admission.room <= 13  # 50 ms of them

    def test_one_that_was_held_up_makes_no_burst_too_many(self) -> None:
        clock = [0.0]
        admission = Admission(clock=lambda: clock[0])
        self.work(admission, clock, 2.0)
        assert admission.room > 2 * SHORTEST
        for _ in range(30):  # but many of such a length are no mishap
            self.work(admission, clock, 2.0)
        assert admission.room == SHORTEST

    def test_an_overload_gives_up_the_queue_and_comes_back(self) -> None:
        admission, clock = Admission(), [0.0]
        entered = [admission.work() for _ in range(LONGEST)]
        for one in entered:
            one.__enter__()
        for _ in range(100):
            with pytest.raises(OverloadError):
                admission.check()
        assert admission.room == UNDER_OVERLOAD
        for one in entered:
            one.__exit__(None, None, None)
        for _ in range(100):
            self.work(admission, clock, 0.0)
        assert admission.room > UNDER_OVERLOAD

    def test_at_ten_times_capacity_who_is_accepted_hardly_waits(self) -> None:
        admission, chance, service_s = Admission(), random.Random(0), 0.05
        now, free, leaving, sojourns, refused = 0.0, 0.0, [], [], 0
        while now < 60:  # one computes after the other
            now += chance.expovariate(10 / service_s)
            while leaving and leaving[0] <= now:
                leaving.pop(0)
                admission.leave(service_s)
            try:
                admission.enter()
            except OverloadError:
                refused += 1
                continue
            free = max(free, now) + service_s
            leaving.append(free)
            sojourns.append(free - now)
        assert np.percentile(sojourns, 99) == pytest.approx(service_s)
        assert max(sojourns) < 0.05 * LONGEST
        assert len(sojourns) > 0.85 * 60 / service_s  # and hardly any time is wasted
        assert refused > 8 * len(sojourns)

    def test_work_is_told_and_ends_with_an_error_too(self) -> None:
        told: list[int] = []
        admission = Admission(told.append)
        with pytest.raises(ValueError, match="x"), admission.work():
            raise ValueError("x")
        assert told == [1, -1]


class TestOpenInference:
    def infer(self, http: FlaskClient, **fields: Any) -> TestResponse:
        return http.post("/v2/models/ekg/infer", json=fields)

    def tensor(self, name: str, values: np.ndarray) -> dict[str, Any]:
        return {"name": name, "shape": list(values.shape), "datatype": "FP32",
                "data": values.ravel().tolist()}

    def test_metadata(self, http: FlaskClient, detector: Detector) -> None:
        assert http.get("/v2").get_json()["name"] == "ekg"
        assert http.get("/v2/health/live").get_json() == {"live": True}
        assert http.get("/v2/models/ekg/ready").get_json()["ready"] is True
        model = http.get("/v2/models/ekg").get_json()
        assert {t["name"]: t["shape"] for t in model["inputs"] + model["outputs"]} == {
            "ecg": [-1, -1], "carry": [-1, detector.contract.carry_size],
            "probabilities": [-1, -1, 6], "carry_out": [-1, detector.contract.carry_size]}

    def test_json_and_binary_run_the_network(self, http: FlaskClient, detector: Detector) -> None:
        ecg = np.stack([SIGNAL[:720], SIGNAL[720:1440]]) - SIGNAL[0]
        carry = np.zeros((2, detector.contract.carry_size), np.float32)
        expected, carry_out = detector.session.run(ecg[:, :360], carry)
        expected, _ = detector.session.run(ecg[:, 360:], carry_out)
        first = self.infer(http, id="a", inputs=[self.tensor("ecg", ecg[:, :360])]).get_json()
        assert first["id"] == "a"
        carried = {t["name"]: t for t in first["outputs"]}["carry_out"]
        second = self.infer(http, inputs=[
            self.tensor("ecg", ecg[:, 360:]), carried | {"name": "carry"}],
            outputs=[{"name": "probabilities"}]).get_json()
        assert np.allclose(np.reshape(second["outputs"][0]["data"], second["outputs"][0]["shape"]),
                           expected, atol=1e-5)
        head = json.dumps({"inputs": [
            {"name": "ecg", "shape": [2, 360], "datatype": "FP32",
             "parameters": {"binary_data_size": 2880}},
            {"name": "carry", "shape": list(carry.shape), "datatype": "FP32",
             "parameters": {"binary_data_size": carry.nbytes}}],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}).encode()
        answer = http.post("/v2/models/ekg/infer", content_type=RAW,
                           data=head + ecg[:, 360:].tobytes() + carry_out.tobytes(),
                           headers={HEADER: str(len(head))})
        size = int(answer.headers[HEADER])
        told = json.loads(answer.get_data()[:size])["outputs"][0]
        values = np.frombuffer(answer.get_data()[size:], "<f4").reshape(told["shape"])
        assert told["parameters"]["binary_data_size"] == values.nbytes
        assert np.allclose(values, expected, atol=1e-5)

    @pytest.mark.parametrize("change", [
        {"inputs": []}, {"inputs": [{}]}, {"inputs": 7}, {"outputs": [{"name": "x"}]},
        {"outputs": None}, {"id": 5}, {"id": "\ud800"}, {"parameters": []},
        *({"inputs": [{"name": "ecg", "shape": [1, 18], "datatype": "FP32",
                       "data": [0.0] * 18} | wrong]}
          for wrong in ({"shape": [18]}, {"shape": [1, 17], "data": [0.0] * 17}, {"data": [0.0]},
                        {"datatype": "FP64"}, {"name": "x"}, {"shape": [1, 2**62]},
                        {"data": [1e39] * 18}, {"data": ["0"] * 18}, {"data": None},
                        {"parameters": {"binary_data_size": 72}},
                        {"shape": [2, 18], "data": [[0.0] * 6, [0.0] * 30]}))])
    def test_refusals_are_problems_and_protocol_errors(
            self, http: FlaskClient, change: dict[str, Any]) -> None:
        good = {"inputs": [self.tensor("ecg", np.zeros((1, 18)))]}
        answer = self.infer(http, **(good | change))
        assert refusal(answer, 400) == answer.get_json()["error"]

    def test_another_model_is_a_404(self, http: FlaskClient) -> None:
        for answer in (http.get("/v2/models/x"), http.get("/v2/models/x/ready"),
                       http.post("/v2/models/x/infer", json={})):
            refusal(answer, 404)


class TestOpenApi:
    def test_it_names_exactly_the_routes_there_are(self, app: Flask) -> None:
        described = {(path, method.upper()) for path, item in
                     app.test_client().get("/openapi.json").get_json()["paths"].items()
                     for method in item if method != "parameters"}
        served = {(rule.rule.replace("<", "{").replace(">", "}"), method)
                  for rule in app.url_map.iter_rules() for method in rule.methods or ()
                  if method not in ("HEAD", "OPTIONS")
                  and rule.rule != "/" and not rule.rule.startswith("/static")}
        assert described == served

    def test_its_limits_are_the_servers(self, app: Flask) -> None:
        schemas = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]
        assert schemas["Signal"]["maxItems"] == MAX_SAMPLES
        assert schemas["Batch"]["maxItems"] == MAX_BATCH
        assert schemas["Token"]["maxLength"] == MAX_TOKEN

    def test_metrics_know_every_route(self, app: Flask) -> None:
        assert {rule.rule for rule in app.url_map.iter_rules()} <= set(metrics.ROUTES)

    def test_schemathesis_finds_it_true(self, app: Flask) -> None:
        schemathesis = pytest.importorskip(
            "schemathesis", reason="needs `pip install schemathesis`; bench/server_fuzz.py runs it")
        from hypothesis import HealthCheck, given, settings

        schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
        for operation in schema.get_all_operations():
            @given(case=operation.ok().as_strategy())
            @settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
            def conforms(case: Any) -> None:
                # No JSON schema can say that a signal lasts a second at its own rate.
                case.call_and_validate(excluded_checks=[
                    schemathesis.checks.CHECKS.get_one("positive_data_acceptance")])

            conforms()

    def test_the_committed_file_is_what_is_served(self, app: Flask) -> None:
        import runtime

        file = Path(runtime.__file__).parent / "server" / "openapi.json"
        assert app.test_client().get("/openapi.json").get_data() == file.read_bytes()
