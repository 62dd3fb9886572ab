"""The OpenAPI document, made of the application: its rules, its views' docstrings, its refusals.

A view's first line is the summary and the rest the description; `described` adds what it takes
and gives. Which refusals a route has follows from its method and path.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from flask import Flask
from werkzeug.routing import Rule

from .frame import AGAIN, PROBLEM, REFUSALS
from .gate import HEALTH, OPEN
from .schemas import OBJECT, TEXT, Schema, ref, shared
from .wire import JSON

ABOUT = (
    "Single-lead ECG in, labelled beats out. Not a medical device. Errors are "
    "application/problem+json (RFC 9457). The server keeps nothing of a patient: a stream's state "
    "travels in `carry`. A POST is answered 503 with Retry-After when the server is full; every "
    "request can be sent again."
)
EVERYWHERE = (400, 414, 417, 431)  # what a head may have wrong
POSTED = (413, 415, 503)  # and a body
View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """What `described` was given."""

    answer: Schema = field(default_factory=lambda: OBJECT)
    media_type: str = JSON
    words: str = "The answer."
    body: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)
    arguments: Mapping[str, Schema] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


_operations: WeakKeyDictionary[Callable[..., Any], Operation] = WeakKeyDictionary()


def described(**about: Any) -> Callable[[View], View]:
    """Describe a view beyond its docstring.

    Parameters
    ----------
    answer, media_type, words : of status 200
    body : media type -> OpenAPI media type object
    query, arguments : field of the query, or of the path -> schema
    refusals : statuses beside those that follow from method and path
    more : fields of the answer's OpenAPI object
    """

    def mark(view: View) -> View:
        _operations[view] = Operation(**about)
        return view

    return mark


def document(app: Flask, schemas: Iterable[Mapping[str, Schema]] = ()) -> bytes:
    """Return the document of an application as JSON; the page and its files are not in it.

    Parameters
    ----------
    schemas : named ones, beside those that are shared
    """
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        if rule.rule != "/" and not rule.rule.startswith("/static"):
            path = rule.rule.replace("<", "{").replace(">", "}")
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                paths.setdefault(path, {})[method.lower()] = _operation(app, rule, method)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "EKG anomaly detector",
            "version": "1",
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "If the server was started with EKG_TOKEN or EKG_CLIENTS.",
                }
            },
            "responses": {str(status): _refusal(status) for status in REFUSALS},
            "schemas": {name: one for part in (shared(), *schemas) for name, one in part.items()},
        },
    }
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def _operation(app: Flask, rule: Rule, method: str) -> dict[str, Any]:
    view = app.view_functions[rule.endpoint]
    about = _operations.get(view, Operation())
    summary, _, description = (inspect.getdoc(view) or rule.rule).partition("\n")
    blueprint, _, name = rule.endpoint.rpartition(".")
    first, *others = (
        f"{blueprint}_{name}" if app.blueprints[blueprint].url_prefix else name
    ).split("_")
    query = [{"name": one, "in": "query", "schema": schema} for one, schema in about.query.items()]
    path = [
        {"name": one, "in": "path", "required": True, "schema": about.arguments.get(one, TEXT)}
        for one in sorted(rule.arguments)
    ]
    entry: dict[str, Any] = {
        "operationId": first + "".join(word.capitalize() for word in others),
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()),
        "parameters": [*path, *query],
        "responses": {
            "200": {
                "description": about.words,
                "content": {about.media_type: {"schema": about.answer}},
                **about.more,
            },
            **{
                str(status): {"$ref": f"#/components/responses/{status}"}
                for status in sorted({*_statuses(rule, method), *about.refusals})
            },
        },
    }
    if about.body:
        entry["requestBody"] = {"required": True, "content": about.body}
    if rule.rule.startswith(OPEN):
        entry["security"] = [{}]
    return {name: value for name, value in entry.items() if value}


def _statuses(rule: Rule, method: str) -> set[int]:
    """Return the refusals that a route's method and path bring."""
    return {
        *EVERYWHERE,
        *(() if rule.rule.startswith(OPEN) else (401, 429)),
        *(() if rule.rule.startswith(HEALTH) else (421,)),
        *(POSTED if method == "POST" else ()),
        *((404,) if rule.arguments else ()),
    }


def _refusal(status: int) -> dict[str, Any]:
    retry = {"Retry-After": {"schema": {"type": "string"}, "description": "s"}}
    return {
        "description": REFUSALS[status],
        **({"headers": retry} if status in AGAIN else {}),
        "content": {PROBLEM: {"schema": ref("Problem")}},
    }
