"""Clients that are silent, slow or endless, and foreign hosts: a real server's answers."""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from serving import SIGNAL, Server, linux, run

from runtime.client import Client

GOOD_BODY = SIGNAL[:360].astype("<f4").tobytes()
ALIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 40  # connections of a worker
PROMPT_S = 5  # on a busy machine; each of these cost 10 s at least, or all


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of few connections."""
    folder = tmp_path_factory.mktemp("small")
    with run(folder, GUNICORN_CMD_ARGS=f"--worker-connections {LIMIT}") as started:
        yield started


def post(
    body: bytes, *, target: str = "/predict?fs=360", more: str = "", announced: int = -1
) -> bytes:
    length = len(body) if announced < 0 else announced
    return (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        f"{more}Content-Length: {length}\r\n\r\n"
    ).encode() + body


def connect(server: Server, stack: ExitStack, timeout: float = 10) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout))


def statuses(link: socket.socket) -> list[int]:
    """Of all answers, until the server closes."""
    received = b"".join(iter(lambda: link.recv(1 << 16), b""))
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", received)]


def waits(server: Server, path: str = "/health/live") -> float:
    """Time that a new client waits, s."""
    started = time.monotonic()
    server.text(path)
    return time.monotonic() - started


def test_silent_connections_give_way_to_new_ones(small: Server) -> None:
    with ExitStack() as stack:
        silent = [connect(small, stack) for _ in range(4 * LIMIT)]
        time.sleep(0.2)
        assert waits(small) < PROMPT_S
        with Client(small.url) as client:
            assert client.predict(SIGNAL, 360)["beats"]
        closed = []
        for link in silent:
            link.settimeout(0.01)
            try:
                closed.append(link.recv(1) == b"")
            except ConnectionResetError:
                closed.append(True)
            except TimeoutError:
                closed.append(False)
        assert sum(closed) >= 2 * LIMIT
        assert sum(closed[: 2 * LIMIT]) > sum(closed[2 * LIMIT :])  # the oldest went


def test_a_stream_that_is_in_use_outlives_silent_connections(small: Server) -> None:
    with ExitStack() as stack:
        used = connect(small, stack)
        for _ in range(8):
            for _ in range(LIMIT // 2):
                connect(small, stack)
            used.sendall(post(GOOD_BODY))
            assert used.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_requests_and_answers_have_ten_seconds(server: Server) -> None:
    """To arrive, and to leave; all of them wait together."""
    parts = (b"", b"GET /", ALIVE[:-2], post(b"12", announced=400), b"\r\n\r\n")
    with ExitStack() as stack, selectors.DefaultSelector() as waiting:
        unread = stack.enter_context(socket.socket())
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.connect(("127.0.0.1", server.port))
        unread.settimeout(14)
        for _ in range(200):  # more answers than the system holds for a client that reads none
            unread.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        sent_all = time.monotonic()
        started = {}
        for sent in (*parts, post(b"", announced=9)):
            link = connect(server, stack, 14)
            waiting.register(link, selectors.EVENT_READ, sent)
            link.sendall(sent)
            started[sent] = time.monotonic()
        took = {}
        while waiting.get_map() and (ready := waiting.select(14)):
            for key, _ in ready:
                assert key.fileobj.recv(1) == b""
                took[key.data] = time.monotonic() - started[key.data]
                waiting.unregister(key.fileobj)
        assert took.keys() == started.keys()
        assert all(9 < seconds < 13 for seconds in took.values()), took
        time.sleep(max(0.0, sent_all + 13 - time.monotonic()))
        found = 0
        with suppress(ConnectionResetError):  # it was closed, most answers unsent
            while piece := unread.recv(1 << 20):
                found += piece.count(b"HTTP/1.1 200")
        assert found < 200
        assert waits(server) < PROMPT_S


def test_stalled_bodies_delay_nobody(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(140):
            connect(server, stack).sendall(post(b"1", announced=70_000))
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert waits(server, path) < PROMPT_S
        with Client(server.url) as client:
            assert client.predict(SIGNAL, 360)["beats"]


def test_what_is_left_of_a_refused_body_is_no_request(server: Server) -> None:
    """Whenever the refusal is sent, and however the rest comes."""
    inner = ALIVE * 50
    with ExitStack() as stack:
        for refused in (
            post(b"", target="/predict?fs=360", announced=20 << 20),
            post(b"", more="Content-Encoding: gzip\r\n", announced=len(inner)),
            post(b"", target="/nothing", announced=len(inner)),
            post(b"", more="Expect: nothing\r\n", announced=len(inner)),
        ):
            link = connect(server, stack)
            link.sendall(refused)
            time.sleep(0.05)
            link.sendall(inner)
            link.shutdown(socket.SHUT_WR)
            found = statuses(link)
            assert len(found) == 1
            assert 400 <= found[0] < 500


@pytest.mark.parametrize("path", ["/predict", "/model", "/health/live", "/nothing"])
@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n", False),
        ("A: b\r\n" * 99, True),
        ("A: " + "b" * 9000 + "\r\n", True),
    ],
)
def test_heads_get_one_answer_on_all_ways(
    server: Server, path: str, fields: str, broken: bool
) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    with ExitStack() as stack:
        plain, given = connect(server, stack), connect(server, stack)
        plain.sendall(f"{head}\r\n".encode())
        given.sendall(f"{head}{fields}\r\n".encode())
        assert statuses(given) == ([431] if broken else statuses(plain))


def test_an_endless_head_is_refused(server: Server) -> None:
    with ExitStack() as stack:
        link = connect(server, stack)
        link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        for _ in range(8):
            link.sendall(b"b" * 32_768)
            time.sleep(0.01)
        assert statuses(link) == [431]


def test_broken_http_is_counted(server: Server) -> None:
    def counted() -> float:
        found = re.search(
            r'ekg_requests_total\{route="other",code="400"\} (\d+)', server.text("/metrics")
        )
        return float(found[1]) if found else 0.0

    before = counted()
    with ExitStack() as stack:
        for _ in range(3):
            link = connect(server, stack)
            link.sendall(b"GARBAGE\r\n\r\n")
            assert statuses(link) == [400]
    assert counted() - before == 3


def test_a_body_that_breaks_off_is_answered_once_and_counts_as_no_window(server: Server) -> None:
    def windows() -> float:
        found = re.findall(r"ekg_windows_total\{.*\} (\d+)", server.text("/metrics"))
        return sum(map(float, found))

    before = windows()
    chunked = (
        b"POST /predict?fs=360 HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5a0\r\n" + GOOD_BODY + b"\r\n"
    )
    with ExitStack() as stack:
        for octets in (
            chunked,
            chunked + b"ZZ\r\n",
            ALIVE + chunked + b"ZZ\r\n",
            post(b"1", announced=9),
        ):
            link = connect(server, stack)
            link.sendall(octets)
            link.shutdown(socket.SHUT_WR)
            assert statuses(link) == [200, 400][-1 - octets.startswith(ALIVE) :]
    assert windows() == before


class TestHosts:
    def status(self, server: Server, host: str, path: str = "/model") -> int:
        with ExitStack() as stack:
            link = connect(server, stack)
            fields = f"Host: {host}\r\n" if host else ""
            link.sendall(f"GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n".encode())
            return statuses(link)[0]

    def test_on_loopback_only_its_own_names_are_answered(self, server: Server) -> None:
        for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]", "a.localhost", "x"):
            assert self.status(server, host) == 200  # x is allowed by EKG_ALLOW_HOST
        for host in ("evil.example:8000", "10.0.0.1", "localhost.evil.example", "127.0.0.1.nip.io"):
            assert self.status(server, host) == 421
            assert self.status(server, host, "/health/live") == 200  # a probe asks by address
        for host in ("", "a,b", "a b", "/", "localhost\r\nHost: x"):
            assert self.status(server, host) == 400

    def test_a_refusal_is_a_problem_that_says_what_to_do(self, server: Server) -> None:
        with ExitStack() as stack:
            link = connect(server, stack)
            link.sendall(
                b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            )
            head, _, body = b"".join(iter(lambda: link.recv(1 << 16), b"")).partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert "--allow-host" in json.loads(body)["detail"]


@linux
def test_a_server_of_few_files_stays(tmp_path: Path) -> None:
    """At the limit of files, which 256 is on a Mac and is not raised here, new clients come in."""
    import resource

    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, was[1]))
    try:
        limit = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (128, 128))"
        (tmp_path / "sitecustomize.py").write_text(limit)
        with run(tmp_path, PYTHONPATH=str(tmp_path)) as server, ExitStack() as stack:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, was[1]), was[1]))
            workers = server.workers()
            for _ in range(400):
                connect(server, stack)
            assert waits(server) < PROMPT_S
            with Client(server.url) as client:
                assert client.predict(SIGNAL, 360)["beats"]
            assert server.workers() == workers
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, was)
