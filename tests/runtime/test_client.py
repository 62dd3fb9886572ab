"""The client: what it does when the server is busy, gone, or another."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from werkzeug.serving import make_server

from runtime import Detector
from runtime.__main__ import main as command
from runtime.app import create_app
from runtime.client import Client, RequestError, _pause
from runtime.client import main as send_record
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(10, seed=6).signal
Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited each time, s; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("runtime.client.time.sleep", waited.append)
    return waited


@contextmanager
def scripted(*answers: Answer) -> Iterator[str]:
    """A server that gives these answers, one after another, then the last for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
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


FINE = answers(200, {"label": "N"})


@pytest.mark.parametrize("fault", [
    hangs_up, breaks_off, answers(503, {"detail": "full."}, Retry_After="3"), answers(502, "x")])
def test_a_fault_that_passes_is_tried_again(fault: Answer, naps: list[float]) -> None:
    with scripted(fault, fault, FINE) as url, Client(url) as client:
        assert client.predict(SIGNAL, FS) == {"label": "N"}
    assert len(naps) == 2


def test_retry_after_is_heeded(naps: list[float]) -> None:
    with scripted(answers(503, {}, Retry_After="3"), FINE) as url, Client(url) as client:
        client.predict(SIGNAL, FS)
    assert naps == [3.0]


def test_a_refusal_is_not_tried_again(naps: list[float]) -> None:
    with (scripted(answers(400, {"detail": "fs is 5 Hz."}), FINE) as url, Client(url) as client,
          pytest.raises(RequestError, match=r"400: fs is 5 Hz\.")):
        client.predict(SIGNAL, FS)
    assert naps == []


def test_patience_ends() -> None:
    with (scripted(answers(503, {"detail": "full."})) as url, Client(url, patience=0) as client,
          pytest.raises(RequestError, match="503: full")):
        client.predict(SIGNAL, FS)
    started = time.monotonic()
    with pytest.raises(RequestError, match=r"does not answer.*make serve"):
        Client("http://127.0.0.1:9", patience=0.3).get("/model")
    assert time.monotonic() - started < 5


def test_back_off_grows_to_a_bound() -> None:
    pauses = [_pause(attempt) for attempt in range(12)]
    assert pauses[0] == 0.0
    assert 0.05 <= pauses[1] <= 0.1
    assert all(1.0 <= pause <= 2.0 for pause in pauses[7:])


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x", "http://", "http://x:y"])
def test_what_is_no_server_is_said(url: str) -> None:
    with pytest.raises(RequestError, match="is no server"):
        Client(url)


def test_a_stream_outlives_its_server(detector: Detector) -> None:
    expected = [(round(b.time, 4), b.label) for b in
                detector.predict(SIGNAL, FS).beats]  # type: ignore[union-attr]
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
        record: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--provider", "cpu", "stream", str(record), "--fs", str(FS)]
    assert command(arguments) == 0
    here = capsys.readouterr().out
    assert command([*arguments, "--url", url]) == 0
    assert capsys.readouterr().out == here
    assert len(here.splitlines()) > 8


def test_stream_reads_a_line_feed(
        record: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("0.1\n" * 200 + "oops\n"))
    assert command(["stream", "-", "--fs", "360", "--url", url]) == 2
    assert "line 201 of standard input is 'oops'" in capsys.readouterr().err


def test_a_record_is_sent_window_by_window(
        record: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert send_record([str(record), "--fs", str(FS), "--url", url, "--count", "8"]) == 0
    told = capsys.readouterr().out
    assert "8 one-second windows, 0 failures" in told
    assert "p99" in told


@pytest.mark.parametrize("fs", ["nan", "inf", "1e18"])
def test_a_rate_that_nothing_can_be_simulated_at_is_said(
        fs: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert send_record(["--fs", fs, "--url", url]) == 2
    assert "expected a sampling rate from 100 to 1000 Hz" in capsys.readouterr().err


def test_an_absent_server_is_said(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["stream", str(record), "--fs", "360", "--patience", "0", "--url",
                 f"http://127.0.0.1:{port}"]
    assert command(arguments) == 2
    assert "does not answer" in capsys.readouterr().err
