"""GET /, /model, /metrics and /openapi.json: the monitor page, and the server about itself."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from ..site import Site


def routes(site: Site) -> Blueprint:
    """Return the page and the descriptions."""
    about = Blueprint("about", __name__)

    @about.get("/")
    def monitor() -> Response:
        return current_app.send_static_file("index.html")

    @about.get("/model")
    def describe() -> Response:
        model, contract = site.model, site.model.contract
        return jsonify(
            {
                "fs": contract.fs,
                "units": "mV",
                "classes": contract.classes,
                "delay": contract.delay / contract.fs,
                "trained_on": contract.trained_on,
                "simulated": contract.simulated,
                "provider": model.provider,
                "nodes": model.session.placement,
                "sha256": model.digest.hex(),
                **site.more,
            }
        )

    @about.get("/metrics")
    def counted() -> Response:
        return Response(
            site.metrics.render(), content_type="text/plain; version=0.0.4; charset=utf-8"
        )

    @about.get("/openapi.json")
    def openapi() -> Response:
        return Response(site.specification, content_type="application/json")

    return about
