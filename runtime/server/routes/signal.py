"""POST /predict and /stream: signal in, beats and events out."""

from __future__ import annotations

import time

from flask import Blueprint, Response, g, request

from ..service import Fields
from ..site import Site, query_fields
from ..wire import JSON, dump, read_chunks, read_window


def routes(site: Site) -> Blueprint:
    """Return the routes that carry signal."""
    signal = Blueprint("signal", __name__)

    def respond(fields: Fields) -> Response:
        origin = {
            "provider": site.model.provider,
            "latency_ms": round(1000 * (time.perf_counter() - g.started), 3),
        }
        return Response(dump(fields | origin), content_type=JSON)

    @signal.post("/predict")
    def predict() -> Response:
        with site.admission.work():
            window = read_window(request.get_data(), request.mimetype, query_fields())
            return respond(site.service.predict([window])[0])

    @signal.post("/stream")
    def stream() -> Response:
        with site.admission.work():
            chunks = read_chunks(request.get_data(), request.mimetype, query_fields())
            return respond(site.service.stream([chunks])[0])

    return signal
