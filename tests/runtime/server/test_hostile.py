"""Requests as attackers and broken programs send them: a sentence for each, and no failure."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest
from flask.testing import FlaskClient
from http_client import SECOND, refusal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from serving import FS, SIGNAL, Server, exchange

from runtime.errors import InputError
from runtime.server.bodies import MAX_COUNTS, json_object

SAMPLES = SIGNAL[:FS].astype("<f4").tobytes()
BODY = json.dumps({"signal": SIGNAL[:FS].tolist(), "fs": FS}).encode()
JSON = "Content-Type: application/json\r\n"
RAW = "Content-Type: application/octet-stream\r\n"


def whole(head: str, body: bytes = BODY, fields: str = JSON, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = f"{head} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {size}\r\n\r\n"
    return lines.encode("latin-1") + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", fields: str = JSON) -> bytes:
    lines = f"POST /predict HTTP/1.1\r\nHost: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"
    return lines.encode() + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end


def predict(**changes: object) -> bytes:
    fields = {"signal": SECOND, "fs": FS} | changes
    return whole("POST /predict", json.dumps(fields).encode())


UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
HOSTILE = {
    # methods and paths
    "PUT": (whole("PUT /predict"), 405),
    "TRACE": (whole("TRACE /predict", b"", ""), 405),
    "an unknown method": (whole("BREW /predict"), 400),
    "a method in small letters": (whole("post /predict"), 400),
    "a path with a dot segment": (whole("POST /x/../predict"), 404),
    "a path with another slash": (whole("POST /predict/"), 404),
    "a path in capitals": (whole("POST /PREDICT"), 404),
    "an encoded slash": (whole("POST /%2Fpredict%2F"), 404),
    "an encoded NUL": (whole("POST /predict%00"), 404),
    "encoded bytes that are no text": (whole("POST /predict%FF%FE"), 404),
    "a broken encoding": (whole("POST /predict%ZZ"), 404),
    "bytes beyond ASCII in the path": (whole("POST /pr\u00e9dict"), (400, 404)),
    "bytes beyond ASCII in the query": (whole("POST /predict?fs=36\u00b3", SAMPLES, RAW), 400),
    "a parameter in the path": (whole("POST /predict;fs=360"), 404),
    "a file outside": (whole("GET /static/..%2f..%2f..%2fetc/passwd", b"", ""), 404),
    "a range beyond a file": (whole("GET /static/icon.svg", b"", "Range: bytes=999999-\r\n"), 416),
    "an endless query": (whole("POST /predict?" + "a" * 5000), 414),
    "a thousand query fields": (whole("POST /predict?" + "&".join("abc") * 900), 414),
    # headers
    "two hosts": (whole("POST /predict", fields=JSON + "Host: y\r\n"), 400),
    "a huge header": (whole("POST /predict", fields=f"{JSON}X-A: {'a' * 9000}\r\n"), 431),
    "many headers": (whole("POST /predict", fields=JSON + "X-A: b\r\n" * 101), 431),
    "a huge head": (whole("POST /predict", fields=JSON + f"X-A: {'a' * 8000}\r\n" * 20), 431),
    "a control character": (whole("POST /predict", fields=JSON + "X-A: a\x00b\r\n"), 400),
    "a folded header": (whole("POST /predict", fields=JSON + "X-A: a\r\n b\r\n"), 400),
    "Expect of what is not known": (whole("POST /predict", fields=JSON + "Expect: x\r\n"), 417),
    "a web socket": (whole("GET /stream", b"", UPGRADE, length=0), 400),
    "a body behind an upgrade": (whole("POST /predict", fields=JSON + UPGRADE), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    # bodies
    "a gzip body": (
        whole("POST /predict", gzip.compress(BODY), JSON + "Content-Encoding: gzip\r\n"),
        415,
    ),
    "a gzip body unsaid": (whole("POST /predict", gzip.compress(BODY)), 400),
    "text": (whole("POST /predict", fields="Content-Type: text/plain\r\n"), 415),
    "a form": (whole("POST /predict", fields="Content-Type: multipart/form-data\r\n"), 415),
    "two types": (whole("POST /predict", fields=JSON + RAW), 415),
    "no type": (whole("POST /predict", fields=""), 415),
    "half a JSON": (whole("POST /predict", BODY[:-9]), 400),
    "two JSON": (whole("POST /predict", BODY * 2), 400),
    "deep nesting": (whole("POST /predict", b'{"signal":' + b"[" * 1500 + b"]" * 1500 + b"}"), 400),
    "deeper nesting": (whole("POST /predict", b"[" * 200_000), 400),
    "deep objects": (whole("POST /predict", b'{"a":' * 60 + b"1" + b"}" * 60), 400),
    "a field twice": (whole("POST /predict", BODY[:-1] + b',"fs":250}'), 400),
    "a field twice, once escaped": (whole("POST /predict", BODY[:-1] + b',"f\\u0073":250}'), 400),
    "a signal of text": (predict(signal="0" * 400), 400),
    "a signal of objects": (predict(signal=[{}] * 400), 400),
    "a rate of text": (predict(fs="360"), 400),
    "a rate of nothing": (predict(fs=None), 400),
    "a token that is none": (
        whole("POST /stream", json.dumps({"signal": SECOND, "carry": "AAAA"}).encode()),
        400,
    ),
    "a token of noise": (
        whole(
            "POST /stream",
            json.dumps(
                {"signal": [0.1], "carry": base64.b64encode(bytes(range(256)) * 90).decode()}
            ).encode(),
        ),
        400,
    ),
    "a token and nothing": (whole("POST /stream?carry_bytes=8", bytes(8), RAW), 400),
    # chunks
    "a chunk whose size is no number": (chunked(end=b"0x5\r\nabcde\r\n0\r\n\r\n"), 400),
    "a chunk longer than its size": (chunked(end=b"3\r\nabcde\r\n0\r\n\r\n"), 400),
    "an endless chunk": (chunked(end=b"f" * 17 + b"\r\nabc"), 400),
    "chunks that end early": (chunked(BODY[:99], end=b""), 400),
    "chunks of half a JSON": (chunked(BODY[:99], BODY[99:-3]), 400),
    "chunks and a length": (chunked(BODY, fields=JSON + "Content-Length: 4\r\n"), 400),
    "chunks that are compressed": (
        chunked(BODY, fields=JSON).replace(b"Encoding: chunked", b"Encoding: gzip, chunked"),
        400,
    ),
    "a body that ends early": (whole("POST /predict", BODY[:-9], length=len(BODY)), 400),
    "no body": (whole("POST /predict", b""), 400),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_gets_one_clear_sentence(server: Server, name: str) -> None:
    octets, status = HOSTILE[name]
    received = exchange(server, octets)
    head, _, body = received.partition(b"\r\n\r\n")
    found = int(head[9:12])
    assert found in (status if isinstance(status, tuple) else (status,)), body
    assert b"content-type: application/problem+json" in head.lower()
    problem = json.loads(body[: int(re.search(rb"(?i)content-length: (\d+)", head)[1])])  # type: ignore[index]
    assert problem["status"] == found
    assert re.fullmatch(r"[^\n]*\bexpected\b[^\n]*\.", problem["detail"]), problem["detail"]


@pytest.mark.parametrize(
    "octets",
    [
        chunked(BODY[:7], BODY[7:]),
        chunked(*(BODY[i : i + 1] for i in range(len(BODY)))),
        whole("POST http://x/predict"),
        whole("POST /%70redict"),
        whole("POST /predict", fields="content-TYPE: Application/JSON; charset=utf-8\r\n"),
        whole("POST /predict", fields=JSON + "Connection: content-length\r\n"),
        whole("POST /predict", json.dumps(json.loads(BODY), indent=2).encode()),
        whole("POST /predict", BODY[:-1] + b',"units":"m\\u0056"}'),
        whole("POST /predict", BODY.decode().encode("utf-16")),
        whole("POST /predict", b"\xef\xbb\xbf" + BODY),
        whole("POST /predict", BODY.replace(b"[", b"[Infinity,1e999,NaN,null,", 1)),  # missing
        b"\r\n\r\n" + whole("POST /predict"),
    ],
)
def test_what_is_unusual_and_right_is_answered(server: Server, octets: bytes) -> None:
    received = exchange(server, octets)
    assert received.startswith(b"HTTP/1.1 200 "), received
    body = received.partition(b"\r\n\r\n")[2]
    assert json.loads(body)["label"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("HEAD", "/model", 200),
        ("HEAD", "/predict", 405),
        ("HEAD", "/nothing", 404),
        ("OPTIONS", "/predict", 200),
        ("OPTIONS", "*", 404),
    ],
)
def test_a_head_has_no_body_and_options_name_methods(
    server: Server, method: str, path: str, status: int
) -> None:
    received = exchange(server, whole(f"{method} {path}", b"", ""))
    assert received.startswith(b"HTTP/1.1 %d " % status)
    head, _, body = received.partition(b"\r\n\r\n")
    if method == "HEAD":
        assert body == b""
    elif status == 200:
        assert {b"POST", b"OPTIONS"} == {
            *re.search(rb"(?i)allow: (.*)\r?", head)[1].strip().split(b", ")
        }  # type: ignore[index]


@pytest.mark.parametrize("path", ["/predict", "/stream", "/v2/models/ekg/infer"])
def test_a_field_that_is_there_twice_is_refused_on_every_route(
    http: FlaskClient, path: str
) -> None:
    body = b'{"signal": [0.1], "inputs": [], "fs": 360, "fs": 250}'
    answer = http.post(path, data=body, content_type="application/json")
    assert "stands there twice" in refusal(answer, 400)


# Larger numbers a reader may take as the nearest float.
WHOLE = st.integers(-(1 << 63), (1 << 64) - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=6), st.booleans())
def test_only_objects_with_a_name_twice_are_refused(
    fields: dict[str, object], ascii_only: bool
) -> None:
    """Whatever strings they have: quotation marks, backslashes, escapes, in names and values."""
    text = json.dumps(fields, ensure_ascii=ascii_only).encode()
    assume(all(text.count(mark) <= most // 2 for mark, most in MAX_COUNTS.items()))
    read = json_object(text)
    assert read == json.loads(text)
    for name in fields:
        again = json.dumps({name: 1}, ensure_ascii=ascii_only).encode()[1:]
        with pytest.raises(InputError, match="stands there twice"):
            json_object(text[:-1] + b"," + again)
