"""The event loop's application: it answers as Flask does, many requests as one batch."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from asgi_client import Request, ask, ask_flask, count
from flask import Flask
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime import Detector
from runtime.server import asgi
from runtime.server.admission import LONGEST, SHORTEST, Admission
from runtime.server.app import create_app
from runtime.server.asgi import Application
from runtime.server.batches import LISTS, SHORT, Asked
from runtime.server.bodies import MAX_JSON
from runtime.server.wire import JSON, RAW
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(12, seed=2).signal
SECOND = SIGNAL[:FS].astype("<f4").tobytes()
GOOD = Request("/predict?fs=360", RAW, SECOND)


@pytest.fixture(scope="module")
def flask(detector: Detector) -> Flask:
    return create_app(detector)


@pytest.fixture(scope="module")
def application(flask: Flask) -> Application:
    return Application(flask)


def as_json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def same(application: Application, flask: Flask, request: Request) -> int:
    """Hold the loop's answer and Flask's against each other; gives their status."""
    (ours,), theirs = ask(application, request), ask_flask(flask, request)
    assert ours.status == theirs.status
    assert ours.headers.keys() == theirs.headers.keys()
    volatile = {"x-request-id", "content-length"}
    for name in ours.headers.keys() - volatile:
        assert ours.headers[name] == theirs.headers[name]
    changing = {"latency_ms": 0, "request_id": ""}
    assert ours.fields | changing == theirs.fields | changing
    assert ours.headers["content-length"] == str(len(ours.body))
    return ours.status


CHUNKS = st.one_of(
    st.lists(st.floats(-5, 5, width=32), max_size=500),
    st.lists(st.lists(st.floats(-5, 5, width=32), max_size=400), max_size=4),
    st.sampled_from([SIGNAL[:720].tolist(), [SIGNAL[:400].tolist()] * 3, "x", None, [None], {}]),
)
FIELDS = st.fixed_dictionaries(
    {"signal": CHUNKS, "fs": st.sampled_from([360, 250, 100.5, 99, "360", None, True])},
    optional={
        "units": st.sampled_from(["mV", "uV", "kV", 7]),
        "end": st.sampled_from([True, False, 1]),
        "carry": st.sampled_from([None, "AAAA", "*", ["x"]]),
        "lead": st.just("I"),
    },
)
BODIES = st.one_of(
    FIELDS.map(lambda fields: json.dumps(fields).encode()),
    st.binary(max_size=64),
    st.integers(0, 900).map(lambda samples: SIGNAL[:samples].astype("<f4").tobytes()),
)
QUERIES = st.lists(
    st.sampled_from(
        [
            "fs=360",
            "fs=250",
            "fs=360",
            "units=uV",
            "end=true",
            "carry_bytes=0",
            "x=1",
            "fs=%33%36",
            "a",
        ]
    ),
    max_size=3,
).map("&".join)
HEADERS = st.lists(
    st.sampled_from(
        [
            ("Content-Encoding", "gzip"),
            ("Expect", "100-continue"),
            ("Expect", "nothing"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Ssl", "off"),
            ("Authorization", "Basic x"),
        ]
    ),
    max_size=2,
    unique_by=lambda field: field[0],
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["/predict", "/stream"]),
    QUERIES,
    st.sampled_from([JSON, RAW, "application/json; charset=utf-8", "text/plain", None]),
    BODIES,
    HEADERS,
)
@example("/predict", "fs=360", RAW, SECOND, [])
@example("/stream", "", JSON, as_json(signal=[[0.1] * 9, []], fs=[250, 360], end=[True, False]), [])
@example("/predict", "", JSON, b'{"signal":[' + b"0," * (MAX_JSON // 2) + b"0]}", [])
def test_the_loop_answers_as_flask_does(
    application: Application,
    flask: Flask,
    path: str,
    query: str,
    media_type: str | None,
    body: bytes,
    headers: list[tuple[str, str]],
) -> None:
    target = f"{path}?{query}" if query else path
    same(application, flask, Request(target, media_type, body, headers=tuple(headers)))


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize("draining", [False, True])
def test_health_is_that_of_flask(detector: Detector, path: str, draining: bool) -> None:
    flask = create_app(detector)
    flask.config["DRAINING"] = draining
    status = same(Application(flask), flask, Request(path, method="GET"))
    assert status == (503 if draining and path.endswith("ready") else 200)


@pytest.mark.parametrize(
    "request_",
    [
        Request("/model", method="GET"),
        Request("/nothing", method="GET"),
        Request("/predict", method="GET"),
        Request("/v2/models/ekg/infer", JSON, b"{}"),
        Request("/v2/models/ekg/infer", RAW, b"{}"),
        Request("/v2/models/ekg/infer", JSON, bytes(MAX_JSON + 1)),
    ],
)
def test_other_routes_are_flasks(application: Application, flask: Flask, request_: Request) -> None:
    same(application, flask, request_)


def test_the_bearer_token_is_required_on_both_ways(detector: Detector) -> None:
    flask = create_app(detector, bearer="s3cret")
    application = Application(flask)
    for given_, status in (("Bearer s3cret", 200), ("bearer s3cret", 200), ("Bearer x", 401)):
        request = GOOD._replace(headers=(("Authorization", given_),))
        assert same(application, flask, request) == status
    assert same(application, flask, GOOD) == 401


class TestBatches:
    def test_batch_composition_does_not_change_answers(self, application: Application) -> None:
        (first,) = ask(
            application, Request("/stream?fs=360", RAW, SIGNAL[:700].astype("<f4").tobytes())
        )
        token = base64.b64decode(first.fields["carry"])
        requests = [
            GOOD,
            Request("/stream?fs=250", RAW, SECOND),
            Request("/predict", JSON, as_json(signal=SIGNAL[360:720].tolist(), fs=FS)),
            Request("/predict", JSON, as_json(signal=[SIGNAL[:400].tolist()] * 2, fs=FS)),
            Request(
                f"/stream?carry_bytes={len(token)}",
                RAW,
                token + SIGNAL[700:1400].astype("<f4").tobytes(),
            ),
            Request("/predict?fs=200", RAW, SECOND),
            Request("/stream", JSON, as_json(signal=[SIGNAL[:90].tolist()] * 2, fs=FS)),
            Request("/predict?fs=100", RAW, SIGNAL.astype("<f4").tobytes()),  # for the thread
        ]
        together = ask(application, *requests)
        alone = [ask(application, one)[0] for one in requests]
        for one, other in zip(together, alone, strict=True):
            assert one.status == 200
            assert one.fields | {"latency_ms": 0} == other.fields | {"latency_ms": 0}

    def test_requests_that_wait_together_run_as_one_batch(
        self, application: Application, sizes: list[tuple[int, ...]]
    ) -> None:
        ask(application, *[GOOD] * SHORTEST)  # more may be refused on a busy machine
        assert sizes == [(SHORTEST, FS)]

    def test_where_several_wait_one_that_comes_a_little_later_joins(
        self, application: Application, sizes: list[tuple[int, ...]]
    ) -> None:
        ask(application, GOOD, GOOD, GOOD, late=2)
        assert sizes == [(3, FS)]
        ask(application, GOOD, GOOD, late=2)  # nobody who is alone waits for another
        assert sizes[1:] == [(FS,), (FS,)]

    @pytest.fixture
    def sizes(self, detector: Detector, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
        """Shapes of what the detector gets from now on."""
        found: list[tuple[int, ...]] = []
        predict = detector.predict

        def counting(window: Any, *args: Any, **options: Any) -> Any:
            found.append(window.shape)
            return predict(window, *args, **options)

        monkeypatch.setattr(detector, "predict", counting)
        return found

    @pytest.mark.parametrize("bad", ["/predict?fs=360", "/stream?fs=360"])
    def test_a_bad_request_costs_the_others_nothing(
        self, application: Application, flask: Flask, bad: str
    ) -> None:
        series = ("ekg_windows_total", "ekg_beats_total", 'ekg_requests_total{route="/predict"')
        before = [count(flask, one) for one in series]
        found = ask(application, GOOD, Request(bad, RAW, b"abc"), GOOD)
        assert [one.status for one in found] == [200, 400, 200]
        beats = sum(len(one.fields["beats"]) for one in (found[0], found[2]))
        after = [count(flask, one) for one in series]
        assert [b - a for a, b in zip(before, after, strict=True)] == [
            2,
            beats,
            3 if "predict" in bad else 2,
        ]
        assert count(flask, "ekg_requests_in_work") == 0

    def test_a_failure_of_the_detector_is_a_500(
        self, application: Application, detector: Detector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("patient 4711")

        monkeypatch.setattr(detector, "predict", fail)
        for answer in ask(application, GOOD, GOOD):
            assert answer.status == 500
            assert b"4711" not in answer.body


class TestAdmission:
    def asked(self, path: str, media_type: str, body: bytes) -> Asked:
        return Asked("POST", path, "", {}, "", media_type, 0.0, len(body), body)

    def test_the_loop_does_not_compute_long_requests(self) -> None:
        assert self.asked("/predict", RAW, bytes(SHORT[RAW])).short
        assert not self.asked("/predict", RAW, bytes(SHORT[RAW] + 4)).short
        assert not self.asked("/predict", JSON, bytes(SHORT[JSON] + 1)).short
        for patients, short in ((1, True), (LISTS - 1, True), (LISTS, False), (512, False)):
            batch = as_json(signal=[[0.1]] * patients, fs=FS)  # few bytes, but much work
            assert self.asked("/stream", JSON, batch).short is short

    def test_short_and_long_requests_have_a_queue_each(self, detector: Detector) -> None:
        flask = create_app(detector)
        long = Request("/predict?fs=100", RAW, bytes(SHORT[RAW] * 8))
        found = ask(Application(flask), *[long] * 9, *[GOOD] * (LONGEST + 5))
        assert [one.status for one in found].count(503) == 9 - SHORTEST + 5
        assert {one.status for one in found[:SHORTEST]} == {200}
        refused = next(one for one in found if one.status == 503)
        assert refused.headers["retry-after"] == "1"
        assert refused.fields["status"] == 503
        assert count(flask, "ekg_requests_in_work") == 0

    def test_a_full_server_refuses_before_it_reads(
        self, application: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Admission, "room", 0)
        for path in ("/predict?fs=360", "/stream?fs=360", "/v2/models/ekg/infer"):
            (answer,) = ask(application, Request(path, RAW, SECOND))
            assert answer.status == 503
        (alive,) = ask(application, Request("/health/live", method="GET"))
        assert alive.status == 200

    def test_bodies_in_memory_are_bounded(
        self, application: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Large ones that have not arrived to the end hold no more than the bound together."""
        monkeypatch.setattr(asgi, "HELD", 250_000)

        async def statuses() -> list[int]:
            found: list[int] = []
            released = asyncio.Event()

            async def one() -> None:
                pieces = [b"x" * 60_000, b"x" * 60_000, b""]

                async def receive() -> dict[str, Any]:
                    if not pieces[0]:
                        await released.wait()
                    body = pieces.pop(0)
                    return {"type": "http.request", "body": body, "more_body": bool(pieces)}

                async def send(message: Any) -> None:
                    found.append(message.get("status", 0))

                scope = {
                    "type": "http",
                    "method": "POST",
                    "path": "/model",
                    "query_string": b"",
                    "http_version": "1.1",
                    "headers": [(b"host", b"localhost")],
                }
                await application(scope, receive, send)

            tasks = [asyncio.create_task(one()) for _ in range(5)]
            await asyncio.sleep(0.05)
            early = [status for status in found if status]
            released.set()
            await asyncio.gather(*tasks)
            return early

        assert asyncio.run(statuses()) == [503] * 3
        (after,) = ask(application, Request("/predict?fs=100", RAW, SIGNAL.astype("<f4").tobytes()))
        assert after.status == 200
