"""The floor under Flask: a route that parses the body and does nothing; gunicorn serves it."""

from __future__ import annotations

import numpy as np
from flask import Flask, Response, jsonify, request

app = Flask("empty")


@app.post("/predict")
def predict() -> Response:
    if request.mimetype == "application/json":
        samples = len(request.get_json()["signal"])
    else:
        samples = len(np.frombuffer(request.get_data(), dtype="<f4"))
    return jsonify({"samples": samples})
