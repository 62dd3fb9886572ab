"""The Flask application: every route as a thin view over the detector.

It answers alone under any WSGI server (``flask run``, waitress); under gunicorn `.asgi` answers
/predict, /stream and the health checks in the event loop and leaves the rest to it. Errors are
``application/problem+json`` (RFC 9457). The server keeps nothing of a patient: a stream's state
travels with its client. ``/openapi.json``, made of the routes, describes all but the page.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from ..detector import DEFAULT_ARTIFACTS, Detector
from ..errors import EkgError
from . import routes
from .admission import Admission
from .bodies import FILES, MAX_BODY, MAX_FILES
from .frame import HEADERS, log_request, most_bytes, problem_of, request_id, too_large
from .gate import Gate, check_tls
from .metrics import Metrics
from .openapi import document
from .service import Service
from .site import Site, problem

log = logging.getLogger("ekg")


def create_app(
    detector: Detector | None = None,
    *,
    bearer: str | None = None,
    address: str | None = None,
    more: Iterable[Callable[[Site], Blueprint]] = (),
) -> Flask:
    """The WSGI application, warmed up.

    Parameters
    ----------
    detector : by default loaded from ``EKG_ARTIFACTS`` on ``EKG_PROVIDER``
    bearer : token that every request but the health checks must carry; by default ``EKG_TOKEN``
    address : that it will be served on; by default ``EKG_BIND``, else loopback
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
    app.config["DRAINING"] = False  # `.asgi` sets it on SIGTERM
    try:
        gate = Gate.of_environment(bearer, address)
        model = detector or load_model()
    except EkgError as error:
        print(f"cannot serve: {error}", file=sys.stderr, flush=True)
        sys.exit(4)  # gunicorn takes 4 as 'the app does not load' and stops instead of retrying
    metrics = Metrics()
    _warm_up(model)
    service, admission = Service(model, metrics), Admission(metrics.in_work)
    site = Site(model, service, admission, metrics, gate)
    _frame(app, site)
    for add in (*(module.routes for module in routes.modules()), *more):
        app.register_blueprint(add(site))
    site.specification = document(app, routes.schemas())
    metrics.count_each(
        (rule.rule for rule in app.url_map.iter_rules()),
        dict.fromkeys(client.name for client in gate.clients.values()),
    )
    metrics.provider(model.provider)
    app.extensions["site"] = site
    return app


def load_model() -> Detector:
    """Return the model that ``EKG_ARTIFACTS`` and ``EKG_PROVIDER`` name."""
    return Detector.load(
        os.environ.get("EKG_ARTIFACTS", DEFAULT_ARTIFACTS),
        provider=os.environ.get("EKG_PROVIDER", "auto"),
    )


def fault_of_start() -> str:
    """Return why a worker could not begin with what lies there now; nothing if it could."""
    try:
        Gate.of_environment()
        check_tls(os.environ.get("EKG_TLS_CERT", ""), os.environ.get("EKG_TLS_KEY", ""))
        load_model()
    except EkgError as error:
        return str(error)
    return ""


def _frame(app: Flask, site: Site) -> None:
    """Add the frame of every request: identity, limits, authority, errors, counts, log."""

    @app.before_request
    def arrive() -> Response | None:
        g.started = time.perf_counter()
        g.request_id = request_id(request.headers.get("X-Request-ID", ""))
        g.client = ""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if "HTTP_HOST" not in request.environ:  # werkzeug would make one up
            headers.pop("host", None)
        version = request.environ["SERVER_PROTOCOL"].removeprefix("HTTP/")
        client = site.gate.check(request.method, request.path, version, headers)
        g.client = client.name if client else ""
        if "asgi.scope" not in request.environ:  # else the loop before this has counted it
            site.keep_limit(client)
        if request.method == "POST" and request.url_rule is not None:
            # Before a place is taken: a slow sender keeps nobody from computing.
            site.admission.check()
            files = request.path == FILES
            limit = MAX_FILES if files else most_bytes(request.mimetype, headers)
            if (request.content_length or 0) > limit:
                raise too_large(limit)
            if files:
                request.max_content_length = limit
                return None
            return _take_body(limit)
        return None

    @app.after_request
    def depart(response: Response) -> Response:
        response.headers.extend({k: v for k, v in HEADERS.items() if k not in response.headers})
        response.headers["X-Request-ID"] = g.request_id
        rule = request.url_rule.rule if request.url_rule else "other"
        log_request(
            site.metrics,
            rule,
            request.method if rule != "other" else "other",
            response.status_code,
            time.perf_counter() - g.started,
            g.request_id,
            request.content_length or 0,
            g.client,
        )
        return response

    @app.errorhandler(EkgError)
    def refused(error: EkgError) -> Response:
        status, headers, fields = problem_of(error)
        return problem(status, str(error), headers, fields)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        methods = sorted(getattr(error, "valid_methods", None) or [])
        details = {
            400: "the request cannot be understood; expected what /openapi.json describes.",
            404: "there is nothing here; expected POST /predict or /stream, or one of the routes "
            "in /openapi.json.",
            405: f"this method is not for this route; expected {', '.join(methods)}.",
            413: str(too_large(MAX_BODY)),
            416: "the file has no such bytes; expected another Range, or none.",
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


def _take_body(limit: int) -> Response | None:
    """Read the body to its end."""
    try:
        body, announced = request.get_data(), request.content_length
    except HTTPException:
        raise
    except Exception:  # the server below has its own types for broken chunked coding
        body, announced = b"", 1
    if announced is not None and len(body) != announced:  # half a signal is another signal
        return problem(400, "the request's body ended early; expected all of it.")
    if len(body) > limit:
        raise too_large(limit)
    return None


def _warm_up(model: Detector) -> None:
    """Run what requests will run, so that the first patient does not wait for it."""
    stream = model.stream(250)
    stream.push(np.sin(np.arange(500) / 40))
    model.resume(stream.save()).finish()
    model.predict(np.zeros(model.contract.fs), model.contract.fs)
