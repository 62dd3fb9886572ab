"""POST /predict and /stream: signal in, beats and events out."""

from __future__ import annotations

import time

from flask import Blueprint, Response, g, request

from ..bodies import MAX_BATCH
from ..openapi import described
from ..schemas import BOOLEAN, COUNT, NOTES, SECONDS, Schema, array, record, ref
from ..service import Fields
from ..site import Site, query_fields
from ..wire import (
    JSON,
    PREDICT_FIELDS,
    RAW,
    RAW_STREAM_FIELDS,
    STREAM_FIELDS,
    dump,
    read_chunks,
    read_window,
)

BYTES: Schema = {"type": "string", "format": "binary"}
FIELDS: dict[str, Schema] = {
    "signal": {"anyOf": [ref("Signal"), ref("Batch")]},
    "fs": ref("Rate") | {"description": "Hz."},
    "units": ref("Units"),
    "carry": ref("Token"),
    "carry_bytes": COUNT | {"description": "Bytes of the token at the body's start."},
    "recent": {
        "anyOf": [ref("Signal"), {"type": "null"}],
        "description": "The last samples before the signal; read if the token is another model's.",
    },
    "recent_bytes": COUNT | {"description": "Bytes of recent signal, after the token."},
    "bits": {"enum": [32, 64], "description": "Of a float of raw signal; 32 by default."},
    "end": BOOLEAN | {"description": "No more comes: decide the last beats too."},
}


def each(one: Schema) -> Schema:
    """Return the schema of a field that may be a list, a value for each patient of a batch."""
    return {"anyOf": [one, array(one, maxItems=MAX_BATCH)]}


TAKEN = {
    "beats": array(ref("Beat")),
    "carry": ref("Token"),
    "decided": SECONDS | {"description": "No beat before this moment, s, is still to come."},
    "seconds": SECONDS | {"description": "Signal taken so far."},
    "quality": {"oneOf": [ref("Quality"), {"type": "null"}]},
    "events": array(ref("Event"))
    | {"description": "Rhythm events that began or ended since the last answer."},
    "rhythm": ref("Rhythm"),
    "heart_rate": {
        "type": ["number", "null"],
        "description": "Beats a minute; null if beats cannot be trusted.",
    },
}
SCHEMAS: dict[str, Schema] = {
    "PredictRequest": {
        **record({name: FIELDS[name] for name in PREDICT_FIELDS}),
        "required": ["signal", "fs"],
        "additionalProperties": False,
    },
    "StreamRequest": {
        **record(
            {name: FIELDS[name] for name in STREAM_FIELDS}
            | {
                "fs": each({"anyOf": [FIELDS["fs"], {"type": "null"}]}),
                "carry": each(FIELDS["carry"]),
                "end": each(FIELDS["end"]),
                "recent": each(FIELDS["recent"]),
            }
        ),
        "required": ["signal"],
        "additionalProperties": False,
    },
    "Taken": record(TAKEN, {"notes": NOTES}),
    "Prediction": {"allOf": [ref("Found"), ref("Origin")]},
    "Predictions": {"allOf": [record({"results": array(ref("Found"))}), ref("Origin")]},
    "StreamAnswer": {"allOf": [ref("Taken"), ref("Origin")]},
    "StreamAnswers": {"allOf": [record({"results": array(ref("Taken"))}), ref("Origin")]},
}
SILENCE = [0.0] * 360


def body(schema: str, **example: object) -> dict[str, Schema]:
    """Return a route's bodies: of JSON and of raw samples."""
    return {JSON: {"schema": ref(schema), "example": example}, RAW: {"schema": BYTES}}


def query(names: tuple[str, ...]) -> dict[str, Schema]:
    """Return the fields that stand in the query of a raw body."""
    return {name: FIELDS[name] for name in names}


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
    @described(
        answer={"oneOf": [ref("Prediction"), ref("Predictions")]},
        words="What was found.",
        body=body("PredictRequest", signal=SILENCE, fs=360, units="mV"),
        query=query(PREDICT_FIELDS[1:]),
    )
    def predict() -> Response:
        """Label a signal of at least one second.

        As JSON, one signal or a batch of equally long ones; or as raw little-endian float32, with
        `fs` and `units` in the query. The query is read with a raw body only, the JSON fields with
        a JSON body only.
        """
        with site.admission.work():
            window = read_window(request.get_data(), request.mimetype, query_fields())
            return respond(site.service.predict([window])[0])

    @signal.post("/stream")
    @described(
        answer={"oneOf": [ref("StreamAnswer"), ref("StreamAnswers")]},
        words="The beats decided so far.",
        body=body("StreamRequest", signal=SILENCE[:90], fs=360, carry=None),
        query=query(RAW_STREAM_FIELDS),
        refusals=(409,),
    )
    def stream() -> Response:
        """Take the next chunk of a live signal.

        Give back `carry` of the last answer with the next chunk; null or nothing where a recording
        starts. Chunks may have any length, none at all included. A batch is a list of chunks with
        a list of tokens. A token of another model, version or rate is a 409; if that has
        `recent_s`, the same request with the last `recent_s` of signal before the chunk as
        `recent` goes on, and no beat is lost or given twice. As raw little-endian float32:
        `?fs=&units=&carry_bytes=&recent_bytes=&end=&bits=`, where the first carry_bytes bytes of
        the body are the base64-decoded token, and the next recent_bytes the recent signal. With
        bits=64 all samples are float64.
        """
        with site.admission.work():
            chunks = read_chunks(request.get_data(), request.mimetype, query_fields())
            return respond(site.service.stream([chunks])[0])

    return signal
