"""The short way past Flask: it answers as the long way does, or leaves the request to it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from flask import Flask

from runtime import Detector
from runtime.server.admission import LONGEST, SHORTEST
from runtime.server.app import create_app
from runtime.server.direct import LISTS, MAX_BODY, MAX_HEAD, SHORT, Asked, Direct
from runtime.server.wire import JSON, RAW
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(12, seed=2).signal
PLAIN = (
    b"POST /predict?fs=360 HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: x/1.0 (y; z)\r\n"
    b"Accept: */*\r\nContent-Type: application/octet-stream\r\nContent-Length: 1440\r\n\r\n"
)


@pytest.fixture(scope="module")
def app(detector: Detector) -> Flask:
    return create_app(detector)


@pytest.fixture(scope="module")
def direct(app: Flask) -> Direct:
    made: Direct = app.extensions["direct"]
    return made


def asked(direct: Direct, target: str, kind: str, body: bytes, more: str = "") -> Asked:
    head = (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n{more}\r\n"
    ).encode()
    made = direct.begin(head)
    assert made is not None
    assert (made.head, made.size) == (len(head), len(head) + len(body))
    made.body = body
    return made


def answers(direct: Direct, *requests: Asked) -> list[tuple[bytes, dict[str, Any]] | None]:
    """Head and fields of the answer to each."""
    for one in requests:
        assert direct.enter(one)
    read = []
    for octets in direct.answer(requests):
        if octets is None:
            read.append(None)
            continue
        head, _, body = octets.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        read.append((head, json.loads(body)))
    return read


def count(app: Flask, series: str) -> float:
    """A metric's sum over all labels."""
    lines = app.test_client().get("/metrics").get_data(as_text=True).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))


def as_json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


class TestPlain:
    def test_a_plain_head_is_understood(self, direct: Direct) -> None:
        made = direct.begin(PLAIN)
        assert made is not None
        assert (made.route, made.query, made.kind) == ("/predict", {"fs": "360"}, RAW)
        assert made.size == len(PLAIN) + 1440
        assert made.short

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"POST", b"GET"),
            (b"POST", b"post"),
            (b"/predict?", b"/model?"),
            (b"HTTP/1.1", b"HTTP/1.0"),
            (b"/predict?", b"/predict/?"),
            (b"fs=360", b"fs=%33"),
            (b"fs=360", b"fs=360&fs=250"),
            (b"fs=360", b"fs=360&fs=360"),
            (b"fs=360", b"fs"),
            (b"fs=360", b"a=b=c"),
            (b"?fs=360", b"?fs=360#x"),
            (b"Host: localhost:8000\r\n", b""),
            (b"Host:", b"Host :"),
            (b"Host:", b" Host:"),
            (b"Accept: */*", b"Host: other"),
            (b"Accept: */*", b"Content-Length: 0"),
            (b"Accept: */*", b"Content-Type: text/plain"),
            (b"Accept: */*", b"Transfer-Encoding: chunked"),
            (b"Accept: */*", b"Expect: 100-continue"),
            (b"Accept: */*", b"Connection: close"),
            (b"Accept: */*", b"Upgrade: h2c"),
            (b"Accept: */*", b"Content-Encoding: gzip"),
            (b"Accept: */*", b"X_Y: z"),
            (b"Accept: */*", b"A: b\r\n folded"),
            (b"Accept: */*", b"A: b\nB: c"),
            (b"Accept: */*", b"A: \x00"),
            (b"Accept: */*", b"A: \xe9"),
            (b"Accept: */*", b"A"),
            (b"1440", b"-1"),
            (b"1440", b"+1"),
            (b"1440", b"1 440"),
            (b"1440", b"0x10"),
            (b"1440", b"9" * 30),
            (b"1440", b""),
            (b"Content-Length: 1440\r\n", b""),
        ],
    )
    def test_any_other_head_is_left_to_gunicorns_parser(
        self, direct: Direct, old: bytes, new: bytes
    ) -> None:
        assert PLAIN.count(old) >= 1
        assert direct.begin(PLAIN.replace(old, new)) is None

    def test_the_loop_waits_only_for_a_possible_head(self, direct: Direct) -> None:
        assert all(direct.may_be(PLAIN[:size]) for size in range(len(PLAIN)))
        assert direct.may_be(b"GET / HTTP/1.1\r\n")  # by no thread either
        assert not direct.may_be(PLAIN.replace(b"\r\n", b"\n"))
        assert not direct.may_be(PLAIN[:-2] + b"A" * MAX_HEAD)

    def test_the_bearer_token_is_required_here_too(self, detector: Detector) -> None:
        direct: Direct = create_app(detector, bearer="s3cret").extensions["direct"]
        given = b"Authorization: Bearer s3cret\r\n"
        assert direct.begin(PLAIN) is None
        assert direct.begin(PLAIN.replace(b"Accept: */*\r\n", given)) is not None
        assert direct.begin(PLAIN.replace(b"Accept: */*\r\n", given.replace(b"3", b"4"))) is None

    def test_the_loop_does_not_compute_long_requests(self, direct: Direct) -> None:
        assert not asked(direct, "/predict?fs=360", RAW, bytes(SHORT[RAW] + 4)).short
        assert not asked(direct, "/predict", JSON, bytes(SHORT[JSON] + 1)).short
        assert not asked(direct, "/stream", "text/plain", bytes(MAX_BODY)).short
        for patients, short in ((1, True), (LISTS - 1, True), (LISTS, False), (512, False)):
            batch = as_json(signal=[[0.1]] * patients, fs=FS)  # few bytes, but much work
            assert asked(direct, "/stream", JSON, batch).short is short


class TestAnswers:
    @pytest.mark.parametrize(
        ("target", "kind", "body"),
        [
            ("/predict", JSON, as_json(signal=SIGNAL[:720].tolist(), fs=FS)),
            ("/predict?fs=360", RAW, SIGNAL[:720].astype("<f4").tobytes()),
            ("/predict?fs=250&units=uV", RAW, (1000 * SIGNAL).astype("<f4").tobytes()),
            ("/predict", JSON, as_json(signal=[SIGNAL[:360].tolist()] * 3, fs=FS)),
            ("/predict", JSON, as_json(signal=[SIGNAL[:360].tolist()], fs=FS)),
            ("/stream", JSON, as_json(signal=SIGNAL[:2000].tolist(), fs=FS)),
            ("/stream?fs=360&end=true", RAW, SIGNAL.astype("<f4").tobytes()),
            ("/stream", JSON, as_json(signal=[[0.1] * 9, []], fs=[250, 360], end=[True, False])),
        ],
    )
    def test_answers_are_those_of_flask(
        self, app: Flask, direct: Direct, target: str, kind: str, body: bytes
    ) -> None:
        long = app.test_client().post(target, data=body, content_type=kind)
        (short,) = answers(direct, asked(direct, target, kind, body))
        assert short is not None
        head, fields = short
        assert long.status_code == 200
        assert fields.pop("latency_ms") > 0
        assert fields == {k: v for k, v in long.get_json().items() if k != "latency_ms"}
        names = {line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:]}
        assert names == set(long.headers.keys()) | {"Date", "Connection"}
        for name in ("Content-Type", "Content-Security-Policy", "Cache-Control"):
            assert f"{name}: {long.headers[name]}".encode() in head

    def test_batch_composition_does_not_change_answers(self, direct: Direct) -> None:
        token = base64.b64decode(
            answers(
                direct,
                asked(  # type: ignore[index]
                    direct, "/stream?fs=360", RAW, SIGNAL[:700].astype("<f4").tobytes()
                ),
            )[0][1]["carry"]
        )
        bodies = [
            ("/predict?fs=360", RAW, SIGNAL[:360].astype("<f4").tobytes()),
            ("/stream?fs=250", RAW, SIGNAL[:360].astype("<f4").tobytes()),
            ("/predict", JSON, as_json(signal=SIGNAL[360:720].tolist(), fs=FS)),
            ("/predict", JSON, as_json(signal=[SIGNAL[:400].tolist()] * 2, fs=FS)),
            (
                f"/stream?carry_bytes={len(token)}",
                RAW,
                token + SIGNAL[700:1400].astype("<f4").tobytes(),
            ),
            ("/predict?fs=200", RAW, SIGNAL[:360].astype("<f4").tobytes()),
            ("/stream", JSON, as_json(signal=[SIGNAL[:90].tolist()] * 2, fs=FS)),
        ]
        together = answers(direct, *(asked(direct, *one) for one in bodies))
        alone = [answers(direct, asked(direct, *one))[0] for one in bodies]
        for one, other in zip(together, alone, strict=True):
            assert one is not None
            assert other is not None
            assert one[1] | {"latency_ms": 0} == other[1] | {"latency_ms": 0}

    @pytest.mark.parametrize(
        "bad",
        [
            ("/predict", JSON, b"{"),
            ("/predict", "text/plain", b"{}"),
            ("/predict?fs=360", RAW, b""),
            ("/predict?fs=3_60", RAW, bytes(4 * FS)),
            ("/predict?fs=360", RAW, b"\0\0\xc0\x7f" * FS),
            ("/stream", JSON, as_json(signal=[0.1])),
            ("/stream", JSON, as_json(signal=[0.1], carry="AAAA")),
        ],
    )
    def test_a_bad_request_is_left_to_flask_and_the_others_are_answered(
        self, direct: Direct, bad: tuple[str, str, bytes]
    ) -> None:
        good = "/predict?fs=360", RAW, SIGNAL[:360].astype("<f4").tobytes()
        found = answers(direct, asked(direct, *good), asked(direct, *bad), asked(direct, *good))
        assert found[1] is None
        for one in (found[0], found[2]):
            assert one is not None
            assert one[1]["beats"]

    def test_a_failure_of_the_detector_is_left_to_flask(
        self, direct: Direct, detector: Detector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("x")

        monkeypatch.setattr(detector, "predict", fail)
        good = "/predict?fs=360", RAW, SIGNAL[:360].astype("<f4").tobytes()
        assert answers(direct, asked(direct, *good), asked(direct, *good)) == [None, None]

    def test_a_valid_request_id_is_kept(self, direct: Direct) -> None:
        body = SIGNAL[:360].astype("<f4").tobytes()
        for given, kept in (("ward-3.42", True), ("a b<script>", False)):
            found = answers(
                direct, asked(direct, "/predict?fs=360", RAW, body, f"X-Request-ID: {given}\r\n")
            )[0]
            assert found is not None
            assert (f"X-Request-ID: {given}\r\n".encode() in found[0] + b"\r\n") is kept

    def test_metrics_count_as_those_of_flask(self, app: Flask, direct: Direct) -> None:
        series = (
            'ekg_requests_total{route="/predict",code="200"}',
            "ekg_windows_total",
            'ekg_requests_total{route="/predict",code="503"}',
            "ekg_beats_total",
            'ekg_request_seconds_count{route="/predict"}',
        )
        before = [count(app, one) for one in series]
        good = asked(direct, "/predict?fs=360", RAW, SIGNAL[:720].astype("<f4").tobytes())
        beats = sum(len(one[1]["beats"]) for one in answers(direct, good, good) if one)
        direct.refusal(good)
        assert [count(app, one) - b for one, b in zip(series, before, strict=True)] == [
            2,
            2,
            1,
            beats,
            3,
        ]
        assert count(app, "ekg_requests_in_work") == 0

    @pytest.mark.parametrize("bad", ["/predict?fs=360", "/stream?fs=360"])
    def test_requests_beside_a_bad_one_are_counted_once(
        self, app: Flask, direct: Direct, bad: str
    ) -> None:
        good = SIGNAL[:720].astype("<f4").tobytes()
        before = count(app, "ekg_windows_total"), count(app, "ekg_beats_total")
        found = answers(
            direct,
            asked(direct, "/predict?fs=360", RAW, good),
            asked(direct, "/stream?fs=360", RAW, good),
            asked(direct, bad, RAW, b"abc"),
        )
        assert found[2] is None
        assert count(app, "ekg_windows_total") - before[0] == 1
        assert count(app, "ekg_beats_total") - before[1] == sum(
            len(one[1]["beats"]) for one in found if one
        )


class TestRefusals:
    def test_a_refusal_is_a_503_with_retry_after(self, direct: Direct) -> None:
        octets = direct.refusal(asked(direct, "/predict?fs=360", RAW, b""))
        head, _, body = octets.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 1\r\n" in head + b"\r\n"
        assert b"\r\nContent-Type: application/problem+json\r\n" in head
        assert json.loads(body)["status"] == 503

    def test_short_and_long_requests_have_a_queue_each(self, detector: Detector) -> None:
        direct: Direct = create_app(detector).extensions["direct"]
        long = asked(direct, "/predict?fs=100", RAW, bytes(MAX_BODY))
        short = asked(direct, "/predict?fs=360", RAW, bytes(1440))
        entered = 0
        while direct.enter(long):
            entered += 1
        assert entered == SHORTEST  # until it is known how long they take
        assert direct.full(long)
        assert sum(direct.enter(short) for _ in range(2 * LONGEST)) == LONGEST
        for one, places in ((long, SHORTEST), (short, LONGEST)):
            direct.answer([one] * places)
            assert not direct.full(one)
