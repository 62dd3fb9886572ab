"""Hostile requests: valid ones mutated, stream tokens mutated, and broken HTTP on raw sockets."""

from __future__ import annotations

import base64
import json
import random
import re
import socket
import struct
import time
import zlib
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from bench.fuzz_tally import ANSWER_WITHIN_S, JSON, RAW, Sender, Tally
from bench.server_common import FS
from runtime.client import Client
from runtime.server.bodies import MAX_JSON
from runtime.simulate import simulate

POSTS = ("/predict", "/stream", "/v2/models/ekg/infer")
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    10**400,
    2**63,
    "",
    "mV",
    "\ud800",
    "a" * 5000,
    [],
    [[]],
    [[[]]],
    {},
    {"a": 1},
    [None],
    [True] * 400,
    [[0.1] * 400] * 3,
    [[0.1] * 400, [0.1]],
    [1e400] * 400,
    "NaN",
    0.1,
    99.999,
    1000.001,
    123.456789,
    [360],
    "360",
    -0.0,
    5e-324,
)
QUERY_NAMES = ("fs", "units", "carry_bytes", "end", "x")
QUERY_VALUES = ("360", "0", "-1", "nan", "1e9", "", "mV", "kV", "true")


def requests(sender: Sender, chance: random.Random) -> Callable[[], None]:
    """Valid requests with something wrong in them: values, bytes, headers, methods."""
    signal = [round(float(v), 4) for v in simulate(2, seed=1).signal]
    tensor = {"name": "ecg", "shape": [1, 360], "datatype": "FP32", "data": signal[:360]}
    valid: dict[str, dict[str, Any]] = {
        "/predict": {"signal": signal, "fs": FS, "units": "mV"},
        "/stream": {"signal": signal[:90], "fs": FS, "units": "mV", "carry": None, "end": False},
        "/v2/models/ekg/infer": {
            "id": "1",
            "inputs": [tensor],
            "outputs": [{"name": "probabilities"}],
        },
    }

    def values() -> None:
        path = chance.choice(POSTS)
        fields = json.loads(json.dumps(valid[path]))
        target = chance.choice([fields, *fields.get("inputs", []), *fields.get("outputs", [])])
        for _ in range(chance.choice((1, 1, 2))):
            key = chance.choice([*target, "unknown"])
            place = target.get(key)
            if isinstance(place, list) and place and chance.random() < 0.5:
                place[chance.randrange(len(place))] = deepcopy(chance.choice(ODD_VALUES))
            elif chance.random() < 0.2:
                target.pop(key, None)
            else:
                target[key] = deepcopy(chance.choice(ODD_VALUES))
        sender.send("mutated requests", path, json.dumps(fields).encode())

    def octets() -> None:
        path = chance.choice(POSTS)
        body = damaged(json.dumps(valid[path]).encode(), chance)
        sender.send("mutated requests", path, body)

    def raw() -> None:
        size = chance.choice((0, 1, 3, 4, 400, 1440, 1441, 20_000))
        query = "&".join(
            f"{chance.choice(QUERY_NAMES)}={chance.choice(QUERY_VALUES)}"
            for _ in range(chance.randrange(4))
        )
        sender.send(
            "mutated requests",
            f"{chance.choice(POSTS)}?fs=360&{query}",
            chance.randbytes(size),
            RAW,
        )

    def around() -> None:
        path = chance.choice(
            (
                *POSTS,
                "/model",
                "/metrics",
                "/",
                "/v2",
                "/v2/models/x",
                "/%00",
                "/static/%2e%2e/app.py",
                "//predict",
                "/predict/",
                "/" + "x" * 3000,
            )
        )
        kind = chance.choice(
            (
                JSON,
                RAW,
                "",
                "text/plain",
                "application/json; charset=utf-7",
                "multipart/form-data",
                "application/x-www-form-urlencoded",
                "\x7f",
            )
        )
        headers = {
            chance.choice(
                (
                    "Accept",
                    "X-Request-ID",
                    "Authorization",
                    "Content-Encoding",
                    "Inference-Header-Content-Length",
                    "Range",
                    "Cookie",
                )
            ): chance.choice(
                ("", "*/*", "a" * 200, "Bearer x", "gzip", "-1", "9" * 20, "\xff\xfe", "bytes=0-1")
            )
        }
        method = chance.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"))
        sender.send(
            "mutated requests",
            path,
            json.dumps(valid["/predict"]).encode(),
            kind,
            method=method,
            headers=headers,
        )

    return lambda: chance.choice((values, values, octets, raw, around))()


def bodies(sender: Sender, chance: random.Random) -> Callable[[], None]:
    """Bodies up to the limits and beyond, of shapes that are dear to parse or to compute."""

    def filled(before: bytes, unit: bytes, after: bytes, size: int) -> bytes:
        return before + unit * ((size - len(before) - len(after)) // len(unit)) + after

    def send() -> None:
        path = chance.choice(POSTS)
        size = round(MAX_JSON * chance.choice((0.1, 0.5, 0.99, 0.999, 1.5)))
        start = b'{"fs":360,"signal":['
        shape = chance.choice(
            (
                (start, b"0.1,", b"0.1]}"),
                (start, b"0.1,", b"x]}"),
                (start, b"[],", b"[]]}"),
                (start, b"{},", b"{}]}"),
                (b"", b"[", b""),
                (b"{", b'"a":1,', b'"b":2}'),
                (start, b"9", b"]}"),
                (b'{"signal":"', b"\\ud800", b'"}'),
                (b'{"fs":360', b',"signal":[0.1,0.2]', b"}"),
            )
        )
        if chance.random() < 0.2:
            raw = bytes(4 * chance.choice((1000, 20_000, 500_000)))
            sender.send("large bodies", "/predict?fs=360", raw, RAW)
        else:
            sender.send("large bodies", path, filled(*shape, size))

    return send


def tokens(url: str, sender: Sender, chance: random.Random) -> Callable[[], None]:
    """Stream tokens with something wrong in them, half of them with a right checksum."""
    good = []
    for fs in (100, 250, 360, 1000):
        client, carry = Client(url), None
        for piece in range(3):
            signal = simulate(6, fs=fs, seed=piece).signal
            carry = client.push(signal[: len(signal) // (piece + 1)], fs, carry)["carry"]
            good.append(base64.b64decode(carry))

    def send() -> None:
        token = bytearray(chance.choice(good))
        for _ in range(chance.choice((1, 1, 3, 20))):
            what = chance.randrange(7)
            at = chance.randrange(len(token)) if token else 0
            if what == 0 and token:
                token[at] ^= 1 << chance.randrange(8)
            elif what == 1 and len(token) > 120:  # the head: rates, counts and lengths
                token[chance.randrange(120)] = chance.randrange(256)
            elif what == 2:
                token = token[:at]
            elif what == 3:
                token += chance.randbytes(chance.randrange(1, 50))
            elif what == 4:
                other = chance.choice(good)
                token = token[:at] + bytearray(other[at:])
            elif what == 5 and len(token) > 140:  # a value of the state
                place = 106 + 4 * chance.randrange((len(token) - 110) // 4)
                token[place : place + 4] = struct.pack(
                    "<f",
                    chance.choice((float("nan"), float("inf"), -1e38, 1e38, 1e9, 1e-45, 0.0, -1.0)),
                )
            elif len(token) > 60:  # a count
                place = chance.choice((14, 18, 22, 30, 38, 47, 55))
                token[place : place + 8] = struct.pack(
                    "<Q",
                    chance.choice((0, 1, 2**31, 2**40, 2**63, 2**64 - 1, chance.getrandbits(20))),
                )
        if chance.random() < 0.5 and len(token) > 4:
            token[-4:] = zlib.crc32(token[:-4]).to_bytes(4, "little")
        body: dict[str, Any] = {
            "signal": [0.1] * chance.choice((0, 1, 90, 400)),
            "end": chance.random() < 0.3,
            "carry": base64.b64encode(token).decode(),
        }
        if chance.random() < 0.2:
            body["carry"] = chance.choice((body["carry"][:-1], body["carry"] + "=", "*" * 50, 7))
        sender.send("mutated tokens", "/stream", json.dumps(body).encode())

    return send


def broken_http(port: int, tally: Tally, chance: random.Random) -> Callable[[], None]:
    """Octets that are hardly HTTP."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    seeds = [
        head + b"Content-Length: 2\r\n\r\n{}",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Content-Length: 99\r\n\r\n{}",
        head + b"Content-Length: 2, 3\r\n\r\n{}",
        head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}!",
        head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        head + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: y\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n",
    ]

    def send() -> None:
        octets = chance.choice(seeds)
        if chance.random() < 0.6:
            octets = damaged(octets, chance)
        started, received = time.monotonic(), b""
        try:
            with socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN_S) as link:
                link.sendall(octets)
                if chance.random() < 0.1:
                    return  # gone without listening
                link.shutdown(socket.SHUT_WR)
                while piece := link.recv(1 << 16):
                    received += piece
        except TimeoutError:
            tally.faults.append(f"broken HTTP: hangs on {octets[:200]!r}")
        except OSError:
            pass  # closed while we were sending
        answer = final(received)
        match = re.match(rb"HTTP/1.1 (\d{3})", answer)
        kind = re.search(rb"(?i)content-type: *([^\r;]+)", answer)
        tally.note(
            "broken HTTP",
            int(match[1]) if match else None,
            kind[1].decode() if kind else "",
            time.monotonic() - started,
            repr(octets),
        )

    return send


def final(received: bytes) -> bytes:
    """The received bytes from the answer on: ``100 Continue`` and its like only come before it."""
    while re.match(rb"HTTP/1.1 1\d\d", received):
        received = received.partition(b"\r\n\r\n")[2]
    return received


def damaged(octets: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, lost, doubled or cut off."""
    data = bytearray(octets)
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif what == 1:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif what == 2:
            del data[at : at + chance.randrange(1, 9)]
        elif chance.random() < 0.3:
            del data[at:]
    return bytes(data)
