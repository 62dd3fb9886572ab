"""GET /, /model, /metrics and /openapi.json: the monitor page, and the server about itself."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from ..openapi import described
from ..schemas import BOOLEAN, INTEGER, POSITIVE, TEXT, array, record, ref
from ..site import Site

SCHEMAS = {
    "Model": record(
        {
            "fs": INTEGER,
            "units": {"const": "mV"},
            "classes": array(TEXT),
            "delay": POSITIVE | {"description": "s"},
            "trained_on": TEXT,
            "simulated": BOOLEAN,
            "provider": TEXT,
            "nodes": {"type": "object", "additionalProperties": INTEGER},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        }
    )
}
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def routes(site: Site) -> Blueprint:
    """Return the page and the descriptions."""
    about = Blueprint("about", __name__)

    @about.get("/")
    def monitor() -> Response:
        return current_app.send_static_file("index.html")

    @about.get("/model")
    @described(answer=ref("Model"), words="The model.")
    def model() -> Response:
        """Describe the model, and what runs it."""
        detector, contract = site.model, site.model.contract
        return jsonify(
            {
                "fs": contract.fs,
                "units": "mV",
                "classes": contract.classes,
                "delay": contract.delay / contract.fs,
                "trained_on": contract.trained_on,
                "simulated": contract.simulated,
                "provider": detector.provider,
                "nodes": detector.session.placement,
                "sha256": detector.digest.hex(),
                **site.more,
            }
        )

    @about.get("/metrics")
    @described(answer=TEXT, media_type=PROMETHEUS, words="Text format 0.0.4.")
    def metrics() -> Response:
        """Prometheus metrics over all workers."""
        return Response(site.metrics.render(), content_type=PROMETHEUS)

    @about.get("/openapi.json")
    @described(words="OpenAPI 3.1.")
    def openapi() -> Response:
        """The server described in OpenAPI."""
        return Response(site.specification, content_type="application/json")

    return about
