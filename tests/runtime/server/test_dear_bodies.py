"""Bodies that are dear to parse or to answer: they are refused by counting, or cost little."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from http_client import refusal
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from serving import Server, linux

from runtime import Detector
from runtime.errors import InputError
from runtime.server import bodies
from runtime.server.asgi import Application
from runtime.server.bodies import CHEAP, MAX_COUNTS, MAX_JSON, json_object
from runtime.server.routes.open_inference import RUN_SAMPLES, run_in_pieces
from runtime.server.site import LARGE
from runtime.server.wire import JSON, TENSORS

# The shapes that took a worker 1.7 to 6.6 s, of 16 MiB: what is repeated, and what is around it.
SHAPES = {
    "a million unknown keys": (b"{", b'"k":1,', b'"k":1}'),
    "millions of empty lists": (b'{"signal":[', b"[],", b"[]]}"),
    "objects": (b'{"signal":[', b"{},", b"{}]}"),
    "strings": (b'{"signal":[', b'"",', b'""]}'),
    "escapes": (b'{"signal":["', b"\\u0000", b'"]}'),
    "nesting": (b"", b"[", b""),
}


def filled(shape: str, size: int) -> bytes:
    before, unit, after = SHAPES[shape]
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_loaded", lambda _: pytest.fail("it was parsed"))


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", ["/predict", "/stream", "/v2/models/ekg/infer"])
def test_a_rich_body_is_refused_before_it_is_parsed(
    http: FlaskClient, path: str, shape: str
) -> None:
    answer = http.post(path, data=filled(shape, MAX_JSON), content_type=JSON)
    assert "more objects, lists or strings" in refusal(answer, 400)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("path", ["/predict", "/stream", "/v2/models/ekg/infer"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_16_mib_is_refused_once_it_is_too_long(
    app: Flask, path: str, announced: bool
) -> None:
    """Announced: before any of it is read; in chunks: with the first that is too much."""
    piece, taken, sent = b"0" * (1 << 20), [0], []

    async def receive() -> dict[str, Any]:
        taken[0] += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", JSON.encode())]
    headers += [(b"content-length", b"%d" % (16 << 20))] if announced else []
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "http_version": "1.1",
        "headers": headers,
    }
    asyncio.run(Application(app)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"])["detail"].startswith("the body is larger than 4 MiB")
    assert taken[0] == (0 if announced else MAX_JSON + len(piece))


@given(st.sampled_from([*MAX_COUNTS]), st.integers(1, 50), st.binary(max_size=20), st.booleans())
def test_a_body_beyond_a_count_is_refused_whatever_it_is(
    mark: bytes, beyond: int, other: bytes, first: bool
) -> None:
    many = mark * (MAX_COUNTS[mark] + beyond)
    with pytest.raises(InputError, match=r"expected lists of numbers"):
        json_object((many + other if first else other + many) + b" " * CHEAP)


def infer_request(samples: int) -> tuple[bytes, dict[str, str]]:
    """A tensor in binary behind its JSON."""
    ecg = {
        "name": "ecg",
        "shape": [1, samples],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 4 * samples},
    }
    head = json.dumps({"inputs": [ecg], "parameters": {"binary_data_output": True}}).encode()
    return head + bytes(4 * samples), {"Content-Type": JSON, TENSORS: str(len(head))}


class TestInfer:
    @given(st.integers(1, 70), st.integers(1, 40))
    def test_a_run_of_the_network_is_of_bounded_size(self, rows: int, hops: int) -> None:
        """And the pieces, put together, are the whole: each sample once, each row's state its."""
        hop, sizes = 500, []

        def run(
            ecg: NDArray[np.float32], carry: NDArray[np.float32]
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            sizes.append(ecg.size)
            frames = ecg.reshape(len(ecg), -1, hop).sum(axis=2, dtype=np.float64)
            so_far = carry + np.cumsum(frames, axis=1)
            return so_far[:, :, None], so_far[:, -1:]

        rng = np.random.default_rng(rows * 100 + hops)
        ecg = rng.integers(-9, 9, (rows, hops * hop)).astype(np.float32)
        carry = rng.integers(-9, 9, (rows, 1)).astype(np.float32)
        found, carried = run_in_pieces(run, ecg, carry, hop)
        assert max(sizes) <= RUN_SAMPLES
        assert sum(sizes) == ecg.size
        whole, state = run(ecg, carry)
        assert np.array_equal(found, whole)
        assert np.array_equal(carried, state)

    def test_large_requests_compute_one_at_a_time(
        self, app: Flask, detector: Detector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = detector.session.run
        lock, inside, most = threading.Lock(), [0], [0]

        def counting(*given: Any) -> Any:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)  # the others would come in
            try:
                return run(*given)
            finally:
                with lock:
                    inside[0] -= 1

        monkeypatch.setattr(detector.session, "run", counting)
        body, headers = infer_request(LARGE // 4 // 18 * 18 + 18)

        def send(_: int) -> int:
            return (
                app.test_client()
                .post("/v2/models/ekg/infer", data=body, headers=headers)
                .status_code
            )

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(send, range(4))) == {200}
        assert most == [1]

    @linux
    def test_a_request_of_8_mb_leaves_no_memory_behind(self, server: Server) -> None:
        """It took 366 MB and kept them."""

        def total(field: str) -> float:
            lines = [
                line
                for worker in server.workers()
                for line in Path(f"/proc/{worker}/status").read_text().splitlines()
            ]
            return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

        def send(samples: int) -> None:
            body, headers = infer_request(samples)
            link = HTTPConnection("127.0.0.1", server.port, timeout=60)
            link.request("POST", "/v2/models/ekg/infer", body, headers | {"Host": "x"})
            answer = link.getresponse()
            octets = answer.read()
            assert answer.status == 200
            assert len(octets) > samples // 18 * 6 * 4
            link.close()

        for _ in range(6):  # either worker has computed
            send(36_000)
        before = total("VmRSS")
        send(1_999_998)
        assert total("VmHWM") < before + 150
        until = time.monotonic() + 20
        while total("VmRSS") > before * 1.2:
            assert time.monotonic() < until
            time.sleep(0.2)
