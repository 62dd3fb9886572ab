"""The client: a server that is busy, absent or of another kind, and signals it does not send."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
from client_servers import FINE, Answer, answers, breaks_off, hangs_up, scripted, serving

from runtime import Detector, InputError, TokenError
from runtime.client import Client, RequestError, back_off
from runtime.server.app import create_app
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(10, seed=6).signal


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Times that the client waited, s; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("runtime.client.time.sleep", waited.append)
    return waited


@pytest.mark.parametrize(
    "fault",
    [
        hangs_up,
        breaks_off,
        answers(503, {"detail": "full."}, Retry_After="3"),
        answers(502, "x"),
        answers(429, {}),
    ],
)
def test_a_temporary_fault_is_tried_again(fault: Answer, naps: list[float]) -> None:
    with scripted(fault, fault, FINE) as url, Client(url) as client:
        assert client.predict(SIGNAL, FS) == {"label": "N"}
        assert client.retries == 2
    assert len(naps) == 2


def test_retry_after_is_heeded(naps: list[float]) -> None:
    with scripted(answers(503, {}, Retry_After="3"), FINE) as url, Client(url) as client:
        client.predict(SIGNAL, FS)
    assert naps == [3.0]


def test_a_refusal_is_not_tried_again(naps: list[float]) -> None:
    with (
        scripted(answers(400, {"detail": "fs is 5 Hz."}), FINE) as url,
        Client(url) as client,
        pytest.raises(RequestError, match=r"400: fs is 5 Hz\."),
    ):
        client.predict(SIGNAL, FS)
    assert naps == []


def test_patience_ends() -> None:
    with (
        scripted(answers(503, {"detail": "full."})) as url,
        Client(url, patience=0) as client,
        pytest.raises(RequestError, match="503: full"),
    ):
        client.predict(SIGNAL, FS)
    started = time.monotonic()
    with pytest.raises(RequestError, match=r"does not answer.*`python -m runtime serve`"):
        Client("http://127.0.0.1:9", patience=0.3).get("/model")
    assert time.monotonic() - started < 5


def test_back_off_grows_to_a_bound() -> None:
    pauses = [back_off(attempt) for attempt in range(12)]
    assert pauses[0] == 0.0
    assert 0.05 <= pauses[1] <= 0.1
    assert all(1.0 <= pause <= 2.0 for pause in pauses[7:])


@pytest.mark.parametrize("fs", [None, "abc", float("nan"), 5.0])
def test_an_impossible_rate_is_refused_before_anything_is_sent(fs: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        Client("http://127.0.0.1:9").predict(np.zeros(360), fs)


def test_a_path_that_no_url_has_is_refused() -> None:
    with pytest.raises(RequestError, match="is no path of a URL"):
        Client("http://127.0.0.1:9").get("/mo del")


@pytest.mark.parametrize("times", [{"timeout": -1.0}, {"timeout": 0.0}, {"patience": -1.0}])
def test_timeout_and_patience_are_checked(times: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected a timeout above 0"):
        Client(**times)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "ftp://x",
        "http://",
        "http://x:y",
        "http://x:0",
        "http://exa mple",
        "http://my..host",
        f"http://{'x' * 64}",
    ],
)
def test_a_url_of_no_server_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="is no server"):
        Client(url)


@pytest.mark.parametrize("more", ["x/ekg/v3", "x//", "x?a=b", "x/#a", "me:secret@x"])
def test_a_url_with_more_than_host_and_port_is_refused(more: str) -> None:
    with pytest.raises(RequestError, match="expected scheme, host and port only") as raised:
        Client(f"http://{more}")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://x", ("x", 80)),
        ("https://x/", ("x", 443)),
        ("http://[::1]", ("::1", 80)),
        ("http://[::1]:8000/", ("::1", 8000)),
    ],
)
def test_a_url_names_host_and_port(
    url: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected_to = []

    def connect(to: tuple[str, int], *_: object) -> None:
        connected_to.append(to)
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", connect)
    with pytest.raises(RequestError, match="does not answer"):
        Client(url, patience=0).get("/model")
    assert set(connected_to) == {address}


def test_whitespace_around_a_token_does_not_count() -> None:
    given = []

    def looks(handler: BaseHTTPRequestHandler) -> None:
        given.append(handler.headers["Authorization"])
        FINE(handler)

    for bearer in ("s3cret", " s3cret\r\n", "", None):
        with scripted(looks) as url, Client(url, bearer=bearer) as client:
            client.predict(SIGNAL, FS)
    assert given == ["Bearer s3cret", "Bearer s3cret", None, None]


NOT_ONE_SIGNAL = [
    np.stack([SIGNAL, -SIGNAL]),
    SIGNAL * 1j,
    SIGNAL > 0,
    ["0.1"] * FS,
    0.5,
]


@pytest.mark.parametrize("samples", NOT_ONE_SIGNAL)
def test_a_body_that_is_not_one_signal_is_not_sent(samples: Any) -> None:
    with scripted(FINE) as url, Client(url) as client:
        for ask in (client.predict, client.push):
            with pytest.raises(InputError, match="expected"):
                ask(samples, FS)


@pytest.mark.parametrize(
    "samples",
    [
        SIGNAL,
        (),
        [],
        SIGNAL[:0],
        [1, -2, 3],
        np.arange(9, dtype=np.int16),
        SIGNAL[::-2],
        np.ma.masked_greater(SIGNAL, 900),
    ],
)
def test_signals_are_sent_as_float32_in_their_units(samples: Any) -> None:
    sent = []

    def keeps(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.body)  # type: ignore[attr-defined]
        FINE(handler)

    with scripted(keeps) as url, Client(url) as client:
        client.predict(samples, FS, units="uV")
        client.push(samples, FS, "AAAA", units="uV")
    raw = np.asarray(samples, "<f4").tobytes()
    assert sent == [raw, bytes(3) + raw]


@pytest.mark.parametrize("carry", ["abc", "a b=", "\xe9"])
def test_a_carry_that_no_answer_gave_is_refused(carry: str) -> None:
    with (
        scripted(FINE) as url,
        Client(url) as client,
        pytest.raises(TokenError, match="'carry' is not the token of an earlier answer"),
    ):
        client.push(SIGNAL, FS, carry)


def test_a_stream_continues_after_a_restart_of_its_server(detector: Detector) -> None:
    expected = [(round(b.time, 4), b.label) for b in detector.predict(SIGNAL, FS).beats]  # type: ignore[union-attr]
    with serving(create_app(detector)) as port:
        client = Client(f"http://127.0.0.1:{port}")
        stream = client.stream(np.array_split(SIGNAL, 20), FS)
        found = [beat for _ in range(9) for beat in next(stream)["beats"]]
        client.close()

    def later() -> None:
        time.sleep(0.3)
        with serving(create_app(detector), port):
            done.wait()

    done = threading.Event()
    successor = threading.Thread(target=later)
    successor.start()
    try:
        found += [beat for answer in stream for beat in answer["beats"]]
    finally:
        client.close()
        done.set()
        successor.join()
    assert [(beat["time"], beat["label"]) for beat in found] == expected
