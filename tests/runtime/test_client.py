"""The client: a server that is busy, absent or of another kind, and signals it does not send."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from werkzeug.serving import make_server

from runtime import Detector, InputError, TokenError
from runtime.cli.main import main as command
from runtime.client import Client, RequestError, back_off
from runtime.server.app import create_app
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(10, seed=6).signal
Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Times that the client waited, s; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("runtime.client.time.sleep", waited.append)
    return waited


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's waits pass at once, on a clock of their own."""
    now = [0.0]
    monkeypatch.setattr("runtime.client.time.monotonic", lambda: now[0])
    monkeypatch.setattr("runtime.client.time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    return now


@contextmanager
def scripted(*answers: Answer) -> Iterator[str]:
    """A server that gives these answers, one after another, then the last for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.body = self.rfile.read(int(self.headers["Content-Length"]))
            (left.pop(0) if len(left) > 1 else left[0])(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answers(status: int, body: object, **headers: str) -> Answer:
    def give(handler: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        handler.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return give


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"label"')


@contextmanager
def serving(app: Flask, port: int = 0) -> Iterator[int]:
    """The application on a port, for as long as this lasts."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


FINE = answers(200, {"label": "N"})


@pytest.mark.parametrize(
    "fault",
    [hangs_up, breaks_off, answers(503, {"detail": "full."}, Retry_After="3"), answers(502, "x")],
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


@pytest.mark.parametrize("bearer", ["s3\ncret", "s3 cret", "s3cret€", "s3cr\xe9t", "\n"])
def test_a_token_that_no_header_carries_is_refused_unquoted(
    bearer: str, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert command(["client", "--token", bearer, "--url", url, "--count", "1"]) == 2
    said = capsys.readouterr().err
    assert "expected printable ASCII without spaces." in said
    assert "s3" not in said
    assert clock == [0.0]


NOT_ONE_SIGNAL = [
    np.stack([SIGNAL, -SIGNAL]),
    np.ma.masked_less(SIGNAL, 0),
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


@pytest.fixture(scope="module")
def url(detector: Detector) -> Iterator[str]:
    with serving(create_app(detector)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in SIGNAL))
    return tmp_path / "sim.csv"


def test_stream_prints_the_same_with_a_server_and_without(
    record: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--provider", "cpu", "stream", str(record), "--fs", str(FS)]
    assert command(arguments) == 0
    here = capsys.readouterr().out
    assert command([*arguments, "--url", url]) == 0
    assert capsys.readouterr().out == here
    assert len(here.splitlines()) > 8


def test_stream_reads_a_line_feed(
    record: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import os

    command(["--provider", "cpu", "stream", str(record), "--fs", str(FS)])
    expected = capsys.readouterr().out
    device = tmp_path / "ttyECG"
    os.mkfifo(device)

    def feed() -> None:
        with device.open("w") as line:
            line.writelines(f"{1000 * float(f'{v:.5f}'):.2f}\r\n" for v in SIGNAL)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert command(["stream", str(device), "--fs", str(FS), "--units", "uV", "--url", url]) == 0
    feeder.join()
    assert capsys.readouterr().out == expected


def test_stream_names_a_bad_line(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("0.1\n" * 200 + "oops\n"))
    assert command(["stream", "-", "--fs", "360", "--url", url]) == 2
    assert "line 201 of standard input is 'oops'" in capsys.readouterr().err


def test_client_sends_a_record_window_by_window(
    record: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["client", str(record), "--fs", str(FS), "--url", url, "--count", "8"]) == 0
    out = capsys.readouterr().out
    assert "8 one-second windows, 0 failures" in out
    assert "p99" in out


def test_an_absent_server_is_waited_for_once(
    record: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(record), "--fs", str(FS), "--url", f"http://127.0.0.1:{free_port()}"]
    assert command(["client", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "does not answer" in err
    assert len(err.splitlines()) == 1
    assert clock[0] <= 60


def test_windows_answered_before_the_server_ended_are_reported(
    record: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(FINE, answers(400, {"detail": "no."}), FINE, hangs_up) as url:
        assert command(["client", str(record), "--fs", str(FS), "--url", url]) == 1
    out = capsys.readouterr().out
    assert "4 of 10 one-second windows, 2 failures" in out
    assert "does not answer" in out
    assert "labels: N 2" in out
    assert clock[0] <= 60


@pytest.mark.parametrize("fs", ["nan", "inf", "1e18"])
def test_a_rate_that_cannot_be_simulated_is_refused(
    fs: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["client", "--fs", fs, "--url", url]) == 2
    assert "expected a sampling rate from 100 to 1000 Hz" in capsys.readouterr().err


def test_stream_reports_an_absent_server(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "stream",
        str(record),
        "--fs",
        "360",
        "--patience",
        "0",
        "--url",
        f"http://127.0.0.1:{free_port()}",
    ]
    assert command(arguments) == 2
    assert "does not answer" in capsys.readouterr().err
