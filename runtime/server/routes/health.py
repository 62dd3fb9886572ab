"""GET /health/live and /health/ready: is the server alive, and may it get requests."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from ..openapi import described
from ..schemas import record, ref
from ..site import DRAINING, Site, problem


def routes(site: Site) -> Blueprint:
    """Return the health checks."""
    health = Blueprint("health", __name__)

    @health.get("/health/live")
    @described(answer=record({"status": {"const": "live"}}), words="Alive.")
    def live() -> Response:
        """The process answers."""
        return jsonify({"status": "live"})

    @health.get("/health/ready")
    @described(answer=ref("Ready"), words="Ready.", refusals=(503,))
    def ready() -> Response:
        """The model is loaded, checked and warm, and the server is not shutting down."""
        return readiness(site)

    return health


def readiness(site: Site) -> Response:
    """Answer ready, or 503 once the server shuts down."""
    if current_app.config["DRAINING"]:
        return problem(503, DRAINING)
    return jsonify(site.readiness())
