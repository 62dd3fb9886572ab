"""Requests to the event loop's application without a server around it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from flask import Flask

from runtime.server.asgi import Application


class Request(NamedTuple):
    """Method, path, query and headers as they are sent, and the body."""

    target: str
    media_type: str | None = None
    body: bytes = b""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()


class Answer(NamedTuple):
    """Status, headers by lower-case name, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def ask(application: Application, *requests: Request, late: int = 0) -> list[Answer]:
    """Answers to requests that come in together; the last of them so many passes later."""

    async def after(passes: int, request: Request) -> Answer:
        for _ in range(passes):
            await asyncio.sleep(0)
        return await _one(application, request)

    async def together() -> list[Answer]:
        first = [_one(application, one) for one in requests[:-1]]
        return list(await asyncio.gather(*first, after(late, requests[-1])))

    return asyncio.run(together())


async def _one(application: Application, request: Request) -> Answer:
    path, _, query = request.target.partition("?")
    headers = {"host": "localhost", "content-length": str(len(request.body))}
    if request.media_type is not None:
        headers["content-type"] = request.media_type
    scope = {
        "type": "http",
        "method": request.method,
        "path": path,
        "query_string": query.encode(),
        "http_version": "1.1",
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in [*headers.items(), *request.headers]
        ],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], named, body)


def ask_flask(flask: Flask, request: Request) -> Answer:
    """The answer of Flask alone."""
    answer = flask.test_client().open(
        request.target,
        method=request.method,
        data=request.body,
        content_type=request.media_type,
        headers=list(request.headers),
    )
    named = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status_code, named, answer.get_data())


def count(flask: Flask, series: str) -> float:
    """A metric's sum over all labels."""
    lines = flask.test_client().get("/metrics").get_data(as_text=True).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))
