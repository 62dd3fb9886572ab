"""Health, tokens, headers, logs and metrics: what an operator relies on."""

from __future__ import annotations

import logging

import pytest
from flask.testing import FlaskClient
from http_client import FS, SECOND, SIGNAL, refusal

from runtime import Detector
from runtime.server import metrics
from runtime.server.admission import Admission
from runtime.server.app import create_app


class TestOperations:
    def test_a_draining_server_is_live_but_not_ready(self, detector: Detector) -> None:
        app = create_app(detector)
        http = app.test_client()
        assert http.get("/health/ready").get_json()["provider"] == "cpu"
        app.config["DRAINING"] = True  # as on SIGTERM
        assert "shutting down" in refusal(http.get("/health/ready"), 503)
        assert "shutting down" in refusal(http.get("/v2/health/ready"), 503)
        assert http.get("/health/live").status_code == 200
        assert http.post("/predict", json={"signal": SECOND, "fs": FS}).status_code == 200

    def test_model_route_gives_hash_and_provider(
        self, http: FlaskClient, detector: Detector
    ) -> None:
        model = http.get("/model").get_json()
        assert model["sha256"] == detector.digest.hex()
        assert model["provider"] == "cpu"

    def test_a_full_server_answers_503_at_once(
        self, http: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Admission, "room", 0)
        for path in ("/predict", "/stream", "/v2/models/ekg/infer"):
            answer = http.post(path, json={"signal": SECOND, "fs": FS})
            refusal(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        assert http.get("/health/live").status_code == 200
        assert http.get("/metrics").status_code == 200

    def test_every_route_but_the_probes_requires_the_token(self, detector: Detector) -> None:
        http = create_app(detector, bearer="s3cret").test_client()
        body = {"signal": SECOND, "fs": FS}
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic s3cret"},
            {"Authorization": "Bearer s3cret\xff"},
            {"Authorization": "s3cret"},
        ):
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
        self, detector: Detector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EKG_TOKEN", "s3cret\n")
        given = {"Authorization": "Bearer s3cret"}
        for http in (
            create_app(detector).test_client(),
            create_app(detector, bearer=" s3cret\r\n").test_client(),
        ):
            assert http.get("/model", headers=given).status_code == 200
            refusal(http.get("/model"), 401)

    @pytest.mark.parametrize("bearer", ["s3 cret", "s3cret€", "\n"])
    def test_a_token_that_no_header_carries_is_not_served(
        self, detector: Detector, bearer: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as raised:
            create_app(detector, bearer=bearer)
        assert raised.value.code == 4
        said = capsys.readouterr().err
        assert said.startswith("cannot serve: the bearer token ")
        assert len(said.splitlines()) == 1
        assert "s3" not in said

    def test_every_answer_carries_safe_headers_and_an_id(self, http: FlaskClient) -> None:
        for answer in (
            http.get("/health/live"),
            http.get("/nothing"),
            http.post("/predict", data=b"x"),
        ):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
            assert len(answer.headers["X-Request-ID"]) == 32
        given = http.get("/nothing", headers={"X-Request-ID": "ward-3.42"})
        assert given.headers["X-Request-ID"] == given.get_json()["request_id"] == "ward-3.42"
        odd = http.get("/nothing", headers={"X-Request-ID": "a b<script>"})
        assert "script" not in odd.headers["X-Request-ID"]

    def test_logs_quote_no_request(
        self, http: FlaskClient, caplog: pytest.LogCaptureFixture
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
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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

        series = (
            'ekg_requests_total{route="/predict",code="200"}',
            'ekg_requests_total{route="/predict",code="400"}',
            "ekg_windows_total",
            "ekg_beats_total",
            'ekg_request_seconds_count{route="/predict"}',
            'ekg_requests_total{route="other",code="404"}',
        )
        before = [value(one) for one in series]
        beats = http.post("/predict", json={"signal": SIGNAL.tolist(), "fs": FS}).get_json()
        http.post("/predict", json={"signal": [SECOND] * 3, "fs": FS})
        http.post("/predict", json={"signal": []})
        http.get("/some/" + "path" * 20)
        after = [value(one) for one in series]
        assert [b - a for a, b in zip(before, after, strict=True)] == [
            2,
            1,
            4,
            len(beats["beats"]),
            3,
            1,
        ]
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
                assert (
                    name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
                    in typed
                )
                float(line.rsplit(" ", 1)[1])
            if line.startswith('ekg_request_seconds_bucket{route="/predict"'):
                buckets.append(float(line.rsplit(" ", 1)[1]))
        assert buckets == sorted(buckets)  # cumulative

    def test_more_routes_than_a_row_holds_are_refused(self) -> None:
        with pytest.raises(ValueError, match="raise ROW_BYTES"):
            metrics.Metrics().count_each(map(str, range(100)), ())

    def test_rows_of_all_workers_are_summed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "_memory", metrics._memory)
        monkeypatch.setattr(metrics, "_row", metrics._row)
        shared = memoryview(bytearray(4 * metrics.ROW_BYTES))  # the last is no worker's
        for row in range(3):
            metrics.attach(shared, row)
            worker = metrics.Metrics()
            worker.count_each(["/predict"], ())
            worker.provider("cpu")
            worker.request("/predict", 200, 0.02)
        metrics.attach(shared, 1)  # the second died; its successor goes on counting there
        successor = metrics.Metrics()
        successor.count_each(["/predict"], ())
        successor.request("/predict", 200, 0.02)
        text = successor.render()
        assert 'ekg_requests_total{route="/predict",code="200"} 4' in text
        assert 'ekg_request_seconds_bucket{route="/predict",le="0.01"} 0' in text
        assert 'ekg_request_seconds_bucket{route="/predict",le="0.025"} 4' in text
        assert 'ekg_workers{provider="cpu"} 2' in text
