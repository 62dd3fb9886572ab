"""The server as it is run: gunicorn, its workers and its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from serving import FS, SIGNAL, Server, exchange, linux, run

from runtime import Detector
from runtime.client import Client, RequestError


@linux
def test_the_master_loads_no_onnxruntime(server: Server) -> None:
    # A worker forked from one that has aborts when it exits, and may hang before that.
    assert "onnxruntime" not in Path(f"/proc/{server.process.pid}/maps").read_text()
    for worker in server.workers():
        assert "onnxruntime" in Path(f"/proc/{worker}/maps").read_text()


def test_metrics_are_of_all_workers(server: Server) -> None:
    def answered() -> float:
        found = re.search(
            r'ekg_requests_total\{route="/predict",code="200"\} (\d+)', server.text("/metrics")
        )
        return float(found[1]) if found else 0.0

    before = answered()
    for _ in range(12):  # each on a connection of its own, so on either worker
        with Client(server.url) as client:
            client.predict(SIGNAL, FS)
    assert answered() - before == 12


@linux
def test_a_killed_worker_loses_no_beat(server: Server, detector: Detector) -> None:
    expected = [(round(b.time, 4), b.label) for b in detector.predict(SIGNAL, FS).beats]  # type: ignore[union-attr]
    client, found = Client(server.url), []
    for i, answer in enumerate(client.stream(np.array_split(SIGNAL, 20), FS)):
        found += [(beat["time"], beat["label"]) for beat in answer["beats"]]
        if i in (5, 12):
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)
    client.close()
    assert found == expected


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/7.7\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA B: c\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nTransfer-Encoding: odd\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /predict?fs=360 HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: 4000\r\n\r\n" + bytes(2000),
            400,
        ),
        (b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nExpect: nothing\r\nContent-Length: 2\r\n\r\n{}", 417),
    ],
)
def test_broken_http_is_answered_once_and_as_a_problem(
    server: Server, octets: bytes, status: int
) -> None:
    received = exchange(server, octets)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"\r\n\r\n") == 1
    assert b"application/problem+json" in received
    head, _, body = received.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert problem["status"] == status
    assert re.fullmatch(r".*\bexpected\b[^\n]*\.", problem["detail"])
    assert re.fullmatch(r"[0-9a-f]{32}", problem["request_id"])
    assert f"x-request-id: {problem['request_id']}\r\n".encode() in head.lower() + b"\r\n"


def request(body: bytes, *, target: str = "/predict?fs=360", more: str = "") -> bytes:
    return (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def answer(link: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and fields of one answer; the connection stays open."""
    with link.makefile("rb") as octets:
        status = int(octets.readline().split()[1])
        fields = dict(
            line.decode().rstrip().lower().split(": ", 1) for line in iter(octets.readline, b"\r\n")
        )
        body = json.loads(octets.read(int(fields["content-length"])))
    return status, body


GOOD = request(SIGNAL[:FS].astype("<f4").tobytes())


def test_a_request_in_pieces_is_answered_once(server: Server) -> None:
    whole = exchange(server, GOOD)
    for cut in (5, 30, len(GOOD) - 1440, len(GOOD) - 7):
        with socket.create_connection(("127.0.0.1", server.port), 10) as link:
            link.sendall(GOOD[:cut])
            time.sleep(0.05)
            link.sendall(GOOD[cut:])
            status, fields = answer(link)
            assert status == 200
            assert fields["beats"] == json.loads(whole.partition(b"\r\n\r\n")[2])["beats"]


def test_requests_sent_without_waiting_are_answered_in_turn(server: Server) -> None:
    received = exchange(server, GOOD + request(b"abc") + GOOD)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"400", b"200"]


def test_a_connection_serves_requests_of_all_kinds_in_turn(server: Server) -> None:
    alive = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    long = request(SIGNAL.astype("<f4").tobytes() * 4)  # for the thread
    larger = request(SIGNAL.astype("<f4").tobytes() * 8)
    strange = request(SIGNAL[:FS].astype("<f4").tobytes(), more="X_Y: z\r\nCookie: a=b\r\n")
    with socket.create_connection(("127.0.0.1", server.port), 10) as link:
        for octets, status in 2 * (
            (GOOD, 200),
            (alive, 200),
            (GOOD, 200),
            (long, 200),
            (request(b"abc"), 400),
            (GOOD, 200),
            (larger, 200),
            (long, 200),
            (strange, 200),
            (GOOD, 200),
        ):
            link.sendall(octets)
            assert answer(link)[0] == status


@pytest.mark.parametrize(
    "head",
    [
        "POST /predict?fs=360&fs=360 HTTP/1.1\r\nHost: x\r\n",
        "POST /predict?fs=360 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
        "POST /predict?fs=%33%36%30 HTTP/1.1\r\nHost: x\r\nX-A: \u00e9\r\n",
        "POST /predict?fs=360 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n",
    ],
)
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_unusual_requests_are_answered_without_delay(
    server: Server, head: str, pause: float
) -> None:
    head += "Content-Type: application/octet-stream\r\nContent-Length: 1440\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 5) as link:
        link.sendall(head.encode("latin-1"))
        time.sleep(pause)
        link.sendall(bytes(1440))
        received = link.recv(1 << 16).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (received or link.recv(1 << 16)).startswith(b"HTTP/1.1 200 ")


def test_a_refused_client_can_send_again_on_its_connection(server: Server) -> None:
    # Sixteen times as much as the two workers let wait.
    slow = request(np.tile(SIGNAL, 4).astype("<f4").tobytes(), target="/predict?fs=100")
    links = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(64)]
    try:
        for link in links:
            link.sendall(slow)
        statuses = [answer(link)[0] for link in links]
        assert set(statuses) == {200, 503}
        until = time.monotonic() + 10
        for link in links:
            link.sendall(GOOD)
            while (status := answer(link)[0]) == 503 and time.monotonic() < until:
                link.sendall(GOOD)
            assert status == 200
    finally:
        for link in links:
            link.close()


def test_a_body_that_is_too_large_is_read_to_its_end(server: Server) -> None:
    with pytest.raises(HTTPError) as raised:
        urlopen(f"{server.url}/predict?fs=360", b"\0" * (40 << 20), timeout=20)
    assert raised.value.code == 413
    raised.value.close()


def test_slow_clients_do_not_delay_others(server: Server) -> None:
    half = b"POST /predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"
    links = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(150)]
    try:
        for link in links[:40]:
            link.sendall(half)
        started = time.monotonic()
        for _ in range(4):
            server.text("/health/live")
        assert time.monotonic() - started < 4
    finally:
        for link in links:
            link.close()


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_no_thread_waits_for_the_rest_of_a_head(server: Server, before: bytes) -> None:
    links = [socket.create_connection(("127.0.0.1", server.port), 13) for _ in range(200)]
    try:
        for link in links:
            link.sendall(before + b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        server.text("/health/live")
        assert time.monotonic() - started < 4
        for link in links[:2]:
            if before:
                assert answer(link)[0] == 200
            link.sendall(b"X-A: b\r\n\r\n")  # may come late, and is answered
            assert answer(link)[0] == 200
        if not before:  # but not for ever: the connection is closed
            assert links[2].recv(1) == b""
            assert 9 < time.monotonic() - started < 13
    finally:
        for link in links:
            link.close()


def test_clients_that_do_not_hang_up_do_not_delay_others(server: Server) -> None:
    links = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(20)]
    try:
        for link in links:
            link.sendall(b"GARBAGE\r\n\r\n")
        for link in links:
            assert link.recv(12) == b"HTTP/1.1 400"
        started = time.monotonic()
        for _ in range(4):
            server.text("/health/live")
        assert time.monotonic() - started < 3
    finally:
        for link in links:
            link.close()


def test_sigterm_is_not_ready_then_drain_then_a_clean_end(tmp_path: Path) -> None:
    with run(tmp_path, EKG_DRAIN="1") as server:
        client = Client(server.url)
        client.push(SIGNAL, FS)
        server.process.terminate()
        time.sleep(0.4)
        with (
            Client(server.url, patience=0) as probe,
            pytest.raises(RequestError, match="shutting down"),
        ):
            probe.get("/health/ready")
        assert client.push(SIGNAL, FS)["beats"]  # what is still asked is still answered
        client.close()
        assert server.process.wait(15) == 0
        assert {line["level"] for line in server.lines() if "level" in line} == {"info"}
        assert "terminate called" not in server.log.read_text()
        requests = [line for line in server.lines() if line["event"] == "request"]
        assert all(re.fullmatch(r"[0-9a-f]{32}", str(line["id"])) for line in requests)


def test_with_an_access_log_gunicorn_handles_every_request(tmp_path: Path) -> None:
    accessed = tmp_path / "access"
    with run(tmp_path, EKG_DRAIN="0", GUNICORN_CMD_ARGS=f"--access-logfile {accessed}") as server:
        with Client(server.url) as client:
            assert client.predict(SIGNAL, FS)["beats"]
            assert client.push(SIGNAL, FS)["beats"]
        # A line is written after its answer is sent: all are there once the server has ended.
        server.process.terminate()
        server.process.wait(15)
    assert sum("POST /" in line for line in accessed.read_text().splitlines()) == 2


@pytest.mark.parametrize("setting", ["--keep-alive 0", "--limit-request-fields 10"])
def test_gunicorns_own_settings_are_kept(tmp_path: Path, setting: str) -> None:
    with (
        run(tmp_path, EKG_DRAIN="0", GUNICORN_CMD_ARGS=setting) as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as link,
    ):
        link.sendall(
            b"POST /predict?fs=360 HTTP/1.1\r\nHost: x\r\nContent-Length: 1440\r\n"
            b"Content-Type: application/octet-stream\r\n"
            + b"X-A: 1\r\n" * 9
            + b"\r\n"
            + SIGNAL[:360].astype("<f4").tobytes()
        )
        answer = b"".join(iter(lambda: link.recv(1 << 16), b"")).decode()
    status = "431" if "limit" in setting else "200"
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert "connection: close" in answer.lower()
