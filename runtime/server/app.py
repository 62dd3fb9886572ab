"""The HTTP server: thin views over the detector. ``python -m runtime serve`` runs it.

Errors are ``application/problem+json`` (RFC 9457). The server keeps nothing of a patient: a
stream's state travels with its client. ``openapi.json`` describes every route but the page.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..detector import DEFAULT_ARTIFACTS, Detector
from ..errors import EkgError, StaleTokenError
from . import routes
from .admission import Admission, OverloadError
from .direct import Direct, log_request, request_id
from .metrics import Metrics
from .openapi import document
from .service import HEADERS, Service
from .site import Site, UnknownModelError, problem
from .wire import MAX_BODY, MediaTypeError, bearer_token

STATUS = {
    StaleTokenError: 409,
    OverloadError: 503,
    MediaTypeError: 415,
    UnknownModelError: 404,
}  # any other EkgError of a request is a 400
MAX_DISCARDED = 256 << 20  # bytes of a body that is refused unread
OPEN = ("/health/", "/v2/health/", "/static/")  # without a token: nothing about anyone is there
log = logging.getLogger("ekg")


def create_app(
    detector: Detector | None = None,
    *,
    bearer: str | None = None,
    more: Iterable[Callable[[Site], Blueprint]] = (),
) -> Flask:
    """The WSGI application, warmed up.

    Parameters
    ----------
    detector : by default loaded from ``EKG_ARTIFACTS`` on ``EKG_PROVIDER``
    bearer : token that every request but the health checks must carry; by default ``EKG_TOKEN``
    more : routes beside those of the folder ``routes``

    Raises
    ------
    SystemExit
        With status 4 and a sentence, if the model cannot be loaded or no header can carry the
        token: nothing is served then.
    """
    app = Flask(__name__, root_path=str(Path(__file__).parent))
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.merge_slashes = False  # a redirect would be no problem+json
    app.config["DRAINING"] = False  # gunicorn_conf.Worker sets it on SIGTERM
    try:
        secret = bearer_token(bearer or os.environ.get("EKG_TOKEN"))
        model = detector or Detector.load(
            os.environ.get("EKG_ARTIFACTS", DEFAULT_ARTIFACTS),
            provider=os.environ.get("EKG_PROVIDER", "auto"),
        )
    except EkgError as error:
        print(f"cannot serve: {error}", file=sys.stderr, flush=True)
        sys.exit(4)  # gunicorn takes 4 as 'the app does not load' and stops instead of retrying
    metrics = Metrics()
    metrics.provider(model.provider)
    _warm_up(model)
    service, admission = Service(model, metrics), Admission(metrics.in_work)
    site = Site(model, service, admission, metrics, document(routes.paths()))
    _frame(app, admission, metrics, secret)
    for add in (*(module.routes for module in routes.modules()), *more):
        app.register_blueprint(add(site))
    metrics.count_routes(rule.rule for rule in app.url_map.iter_rules())
    # gunicorn_conf.Worker answers what it can without the rest of this.
    app.extensions["direct"] = Direct(service, metrics, lambda given: _authorized(given, secret))
    return app


def _frame(app: Flask, admission: Admission, metrics: Metrics, secret: str | None) -> None:
    """Add the frame of every request: identity, limits, authority, errors, counts, log."""

    @app.before_request
    def arrive() -> Response | None:
        g.started = time.perf_counter()
        g.request_id = request_id(request.headers.get("X-Request-ID", ""))
        if "HTTP_HOST" not in request.environ and request.environ["SERVER_PROTOCOL"] == "HTTP/1.1":
            return problem(400, "the request has no header Host; expected one (RFC 9112).")
        if not (
            request.path.startswith(OPEN)
            or request.path == "/"
            or _authorized(request.headers.get("Authorization", ""), secret)
        ):
            return problem(
                401,
                "the request has no valid bearer token; expected the header "
                "'Authorization: Bearer TOKEN'.",
                {"WWW-Authenticate": "Bearer"},
            )
        if request.method == "POST" and request.url_rule is not None:
            # Before a place is taken: a slow sender keeps nobody from computing.
            refused = _take_body(admission)
            coding = request.content_encoding or "identity"
            if refused is None and coding.lower() != "identity":
                return problem(
                    415, "the body is compressed (Content-Encoding); expected it as it is."
                )
            return refused
        return None

    @app.after_request
    def depart(response: Response) -> Response:
        response.headers.extend({k: v for k, v in HEADERS.items() if k not in response.headers})
        response.headers["X-Request-ID"] = g.request_id
        rule = request.url_rule.rule if request.url_rule else "other"
        log_request(
            metrics,
            rule,
            request.method if rule != "other" else "other",
            response.status_code,
            time.perf_counter() - g.started,
            g.request_id,
            request.content_length or 0,
        )
        return response

    @app.errorhandler(EkgError)
    def refused(error: EkgError) -> Response:
        return problem(STATUS.get(type(error), 400), str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        methods = sorted(getattr(error, "valid_methods", None) or [])
        details = {
            400: "the request cannot be understood; expected what /openapi.json describes.",
            404: "there is nothing here; expected POST /predict or /stream, or one of the routes "
            "in /openapi.json.",
            405: f"this method is not for this route; expected {', '.join(methods)}.",
            413: f"the body is larger than {MAX_BODY >> 20} MiB; send the signal in pieces to "
            "/stream.",
        }
        code = error.code or 500
        return problem(
            code,
            details.get(code, f"{error.name}."),
            {"Allow": ", ".join(methods)} if methods else None,
        )

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("unexpected error", exc_info=error, extra={"fields": {"id": g.request_id}})
        return problem(500, "the server failed on this request; its log says where.")


def _take_body(admission: Admission) -> Response | None:
    """Read the body, or discard it if it is refused unread."""
    try:
        admission.check()
        body, announced = request.get_data(), request.content_length
    except (OverloadError, RequestEntityTooLarge):
        _discard_body()
        raise
    except HTTPException:
        raise
    except Exception:  # the server below has its own types for broken chunked coding
        body, announced = b"", 1
    if announced is not None and len(body) != announced:  # half a signal is another signal
        return problem(400, "the request's body ended early; expected all of it.")
    return None


def _discard_body() -> None:
    """Read what is refused to its end, within reason: most clients listen only after sending."""
    stream, left = request.environ["wsgi.input"], MAX_DISCARDED
    with contextlib.suppress(Exception):  # the answer is the same, heard or not
        while left > 0 and (read := len(stream.read(1 << 16))):
            left -= read


def _authorized(given: str, secret: str | None) -> bool:
    """True if an Authorization header gives the secret, or none is wanted."""
    if secret is None:
        return True
    scheme, _, token = given.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), secret.encode())


def _warm_up(model: Detector) -> None:
    """Run what requests will run, so that the first patient does not wait for it."""
    stream = model.stream(250)
    stream.push(np.sin(np.arange(500) / 40))
    model.resume(stream.save()).finish()
    model.predict(np.zeros(model.contract.fs), model.contract.fs)
