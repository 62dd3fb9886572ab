"""Clients with names: their file, their tokens, their counts and limits."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from asgi_client import Request, ask, ask_flask
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from serving import FS, SIGNAL, linux, run

from runtime import Detector
from runtime.client import Client as HttpClient
from runtime.client import RequestError
from runtime.server import metrics
from runtime.server.app import create_app
from runtime.server.asgi import Application
from runtime.server.clients import MAX_CLIENTS, Client, read_clients
from runtime.server.wire import RAW

TWO = """
[ward-3]
tokens = ["old-token", "new-token"]
requests_per_second = 3

[lab]
tokens = ["lab-token"]
"""
SECOND = SIGNAL[:FS].astype("<f4").tobytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "clients.toml"
    path.write_text(TWO)
    return path


@pytest.fixture
def flask(detector: Detector, file: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setenv("EKG_CLIENTS", str(file))
    monkeypatch.setenv("EKG_TOKEN", "operator-token")
    return create_app(detector)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands until it is set."""
    now = SimpleNamespace(s=1000.25)
    monkeypatch.setattr(metrics, "time", SimpleNamespace(time=lambda: now.s))
    return now


def predict(token: str | None = None) -> Request:
    headers = () if token is None else (("Authorization", f"Bearer {token}"),)
    return Request("/predict?fs=360", RAW, SECOND, headers=headers)


class TestFile:
    def test_clients_are_read(self, file: Path) -> None:
        assert read_clients(str(file)) == [
            Client("ward-3", ("old-token", "new-token"), 3),
            Client("lab", ("lab-token",)),
        ]
        assert read_clients("") == []

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("", "0 clients; expected 1 to 64"),
            ("tokens = ['sec-ret']", "other fields than expected"),
            ("[a]", "tokens of the client a"),
            ("[a]\ntokens = []", "tokens of the client a"),
            ("[a]\ntokens = 'sec-ret'", "tokens of the client a"),
            ("[a]\ntokens = ['sec ret']", "tokens of the client a"),
            ("[a]\ntokens = ['sec-ret']\nlimit = 3", "other fields than expected"),
            ("[a]\ntokens = ['sec-ret']\nrequests_per_second = 0", "whole number from 1 on"),
            ("[a]\ntokens = ['sec-ret']\nrequests_per_second = true", "whole number from 1 on"),
            ("[a]\ntokens = ['sec-ret']\n[b]\ntokens = ['sec-ret']", "stands twice"),
            ("['a b']\ntokens = ['sec-ret']", "named 'a b'"),
            ("[a\ntokens = ['sec-ret']", "is no TOML"),
            (
                "".join(f"[c{i}]\ntokens=['sec-ret{i}']\n" for i in range(MAX_CLIENTS + 1)),
                "65 clients",
            ),
        ],
    )
    def test_a_bad_file_gets_a_sentence_that_quotes_no_token(
        self, file: Path, text: str, part: str
    ) -> None:
        file.write_text(text)
        with pytest.raises(ValueError, match=re.escape(part)) as raised:
            read_clients(str(file))
        assert "-ret" not in str(raised.value)
        assert str(raised.value).endswith(".")

    @given(st.binary(max_size=60))
    def test_any_other_file_is_refused_in_a_sentence(
        self, tmp_path_factory: pytest.TempPathFactory, octets: bytes
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "any.toml"
        path.write_bytes(octets)
        with pytest.raises(ValueError, match=r"expected .*\.$"):
            read_clients(str(path))

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="nothing here cannot be read"):
            read_clients(str(tmp_path / "nothing here"))


def test_any_token_of_any_client_is_taken_and_no_other(flask: Flask) -> None:
    application = Application(flask)
    for token in ("old-token", "lab-token", "operator-token"):
        assert ask(application, predict(token))[0].status == 200
        assert ask_flask(flask, predict(token)).status == 200
    for token in (None, "", "old-toke", "old-token2", "OLD-TOKEN", "Bearer old-token"):
        assert ask(application, predict(token))[0].status == 401
        assert ask_flask(flask, predict(token)).status == 401


def test_requests_are_counted_by_client(flask: Flask) -> None:
    def counts() -> list[float]:
        """Of ward-3's and lab's answers, and of all clients'."""
        lines = flask.extensions["site"].metrics.render().splitlines()
        series = ('client="ward-3",code="200"', 'client="lab",code="200"', "400", "client=")
        return [
            sum(
                float(line.rsplit(" ", 1)[1])
                for line in lines
                if line.startswith("ekg_client_requests_total{") and one in line
            )
            for one in series
        ]

    time.sleep(1.1)  # what came in the tests before counts no more against the client's rate
    before = counts()
    application = Application(flask)
    bad = predict("lab-token")._replace(body=b"abc")
    model = Request("/model", method="GET", headers=predict("lab-token").headers)  # Flask's
    alive = Request("/health/live", method="GET")  # nobody's
    ask(application, predict("old-token"), predict("new-token"), predict("lab-token"))
    ask(application, bad, model, alive)
    ask_flask(flask, predict("lab-token"))
    ask_flask(flask, predict())
    assert [b - a for a, b in zip(before, counts(), strict=True)] == [2, 3, 1, 6]


def test_without_tokens_no_client_is_counted(detector: Detector) -> None:
    flask = create_app(detector)

    def counted() -> str:
        lines = flask.extensions["site"].metrics.render().splitlines()
        return "\n".join(line for line in lines if line.startswith("ekg_client_requests_total{"))

    before = counted()
    assert ask(Application(flask), predict())[0].status == 200
    assert counted() == before


@pytest.mark.parametrize("loop", [True, False])
def test_a_limit_holds_for_each_second(flask: Flask, clock: SimpleNamespace, loop: bool) -> None:
    application = Application(flask)

    def status(request: Request) -> int:
        answer = ask(application, request)[0] if loop else ask_flask(flask, request)
        if answer.status == 429:
            assert answer.headers["retry-after"] == "1"
            assert "ward-3 has asked 3 times in this second" in answer.fields["detail"]
        return answer.status

    model = Request("/model", method="GET", headers=predict("new-token").headers)
    asked = [predict("old-token"), model, predict("new-token"), model, predict("old-token")]
    assert [status(one) for one in asked] == [200, 200, 200, 429, 429]
    assert status(predict("lab-token")) == 200  # others are not concerned
    clock.s += 1
    assert status(predict("old-token")) == 200


def test_a_limit_holds_for_all_workers_together(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    for name in ("_memory", "_row", "_clients"):
        monkeypatch.setattr(metrics, name, getattr(metrics, name))
    shared = memoryview(bytearray(4 * metrics.ROW_BYTES))
    workers = []
    for row in range(3):
        metrics.attach(shared, row, ["gone", "ward-3"])
        workers.append(metrics.Metrics())
    assert [workers[i % 3].within("ward-3", 5) for i in range(7)] == [True] * 5 + [False] * 2
    clock.s += 1
    assert workers[2].within("ward-3", 5)
    # A client that came after this worker began counts under another name, not in another's place.
    workers[0].request("/predict", 200, 0.01, "newer")
    assert 'ekg_client_requests_total{client="other",code="200"} 1' in workers[1].render()


@linux
def test_tokens_change_at_a_reload(tmp_path: Path, file: Path) -> None:
    """A new token is handed out, an old one goes; no count is lost, a bad file changes nothing."""
    file.write_text('[ward-3]\ntokens = ["old-token"]\n')
    settings = {"EKG_CLIENTS": str(file), "EKG_DRAIN": "0"}
    with run(tmp_path, bearer="old-token", **settings) as server:

        def accepted(token: str) -> bool:
            with HttpClient(server.url, bearer=token, patience=5) as client:
                try:
                    return bool(client.predict(SIGNAL, FS)["beats"])
                except RequestError as error:
                    return "401" not in str(error)

        def served() -> str:
            found = re.search(r'client="ward-3",code="200"\} (\d+)', server.text("/metrics"))
            return found[1] if found else "0"

        assert accepted("old-token")
        assert not accepted("new-token")
        file.write_text('[ward-3]\ntokens = ["old-token", 7]\n')
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: "the tokens of the client ward-3" in server.text("/health/ready"))
        assert accepted("old-token")
        before = int(served())
        file.write_text(
            '[first]\ntokens = ["first-token"]\n[ward-3]\ntokens = ["old-token", "new-token"]\n'
        )
        old = server.workers()
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: not set(server.workers()) & set(old))
        assert accepted("new-token")
        assert accepted("old-token")
        assert accepted("first-token")
        assert int(served()) >= before + 2
        requests = [line for line in server.lines() if line["event"] == "request"]
        assert {"ward-3", "first"} <= {line.get("client") for line in requests}
        assert not {"old-token", "new-token"} & set(re.findall(r"[\w-]+", server.log.read_text()))
