"""The Open Inference Protocol, version 2, which KServe's and Triton's clients speak.

It serves the network itself, as the model file has it: `ecg` and `carry` in, `probabilities` and
`carry_out` out. For beats there are ``/predict`` and ``/stream``. Triton's binary tensor
extension is understood in both directions.
https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flask import Blueprint, Response, jsonify, request
from numpy.typing import NDArray

from ...errors import InputError
from ...model.artifacts import Run
from ...model.contract import FORMAT
from ..bodies import MAX_BATCH, MAX_JSON, json_object
from ..frame import UnknownModelError, too_large
from ..openapi import described
from ..schemas import COUNT, INTEGER, NUMBER, OBJECT, TEXT, Schema, array, record, ref
from ..site import Site
from ..wire import JSON, MAX_SAMPLES, RAW, MediaTypeError, dump
from ..wire import TENSORS as HEADER
from .health import readiness

NAME = "ekg"
INPUTS, OUTPUTS = ("ecg", "carry"), ("probabilities", "carry_out")
NAMES: dict[str, Schema] = {"name": {"enum": [NAME]}}
FP32: Schema = {"const": "FP32"}
LENGTHS: Schema = array(
    {"type": "integer", "minimum": 1, "maximum": MAX_SAMPLES}, minItems=2, maxItems=2
)
TENSOR = {"name": TEXT, "datatype": FP32, "shape": array(INTEGER)}
SCHEMAS: dict[str, Schema] = {
    "TensorMetadata": record(TENSOR),
    "TensorModel": record(
        {
            "name": {"const": NAME},
            "versions": array(TEXT),
            "platform": TEXT,
            "inputs": array(ref("TensorMetadata")),
            "outputs": array(ref("TensorMetadata")),
        }
    ),
    "InferRequest": record(
        {
            "inputs": array(
                record(
                    {"name": {"enum": [*INPUTS]}, "shape": LENGTHS, "datatype": FP32},
                    {
                        "parameters": record({}, {"binary_data_size": COUNT}),
                        "data": array({"anyOf": [NUMBER, array(NUMBER)]}),
                    },
                ),
                minItems=1,
                maxItems=2,
            )
        },
        {
            "id": {"type": "string", "maxLength": 128},
            "parameters": OBJECT,
            "outputs": array(record({"name": {"enum": [*OUTPUTS]}}, {"parameters": OBJECT})),
        },
    ),
    "InferAnswer": record(
        {
            "model_name": {"const": NAME},
            "model_version": TEXT,
            "outputs": array(
                record(TENSOR | {"name": {"enum": [*OUTPUTS]}}, {"data": array(NUMBER)})
            ),
        },
        {"id": TEXT},
    ),
}
ONE_HOP = {"name": "ecg", "shape": [1, 18], "datatype": "FP32", "data": [0.0] * 18}
EXAMPLE = {"inputs": [ONE_HOP]}
RUN_ROWS, RUN_SAMPLES = 64, 1 << 15  # in one run of the network


def routes(site: Site) -> Blueprint:
    """Return the protocol's routes."""
    v2 = Blueprint("v2", __name__, url_prefix="/v2")
    detector, contract = site.model, site.model.contract

    @v2.get("/health/live")
    @described(answer=record({"live": {"const": True}}), words="Alive.")
    def live() -> Response:
        """Open Inference Protocol: live."""
        return jsonify({"live": True})

    @v2.get("/health/ready")
    @described(answer=ref("Ready"), words="Ready.", refusals=(503,))
    def ready() -> Response:
        """Open Inference Protocol: ready."""
        return readiness(site)

    @v2.get("")
    @described(
        answer=record({"name": TEXT, "version": TEXT, "extensions": array(TEXT)}),
        words="The server.",
    )
    def server() -> Response:
        """Open Inference Protocol: server metadata."""
        return jsonify(
            {"name": "ekg", "version": str(FORMAT), "extensions": ["binary_tensor_data"]}
        )

    @v2.get("/models/<name>")
    @described(answer=ref("TensorModel"), words="The model's tensors.", arguments=NAMES)
    def model(name: str) -> Response:
        """Open Inference Protocol: model metadata."""
        _known(name)
        return jsonify(
            {
                "name": NAME,
                "versions": [detector.digest.hex()[:8]],
                "platform": "onnx_onnxv1",
                "inputs": [_tensor("ecg", [-1, -1]), _tensor("carry", [-1, contract.carry_size])],
                "outputs": [
                    _tensor("probabilities", [-1, -1, len(contract.classes)]),
                    _tensor("carry_out", [-1, contract.carry_size]),
                ],
            }
        )

    @v2.get("/models/<name>/ready")
    @described(answer=ref("Ready"), words="Ready.", refusals=(503,), arguments=NAMES)
    def model_ready(name: str) -> Response:
        """Open Inference Protocol: model ready."""
        _known(name)
        return readiness(site)

    @v2.post("/models/<name>/infer")
    @described(
        words="The network's output; with `binary_data_output`, or `binary_data` of an output, "
        "JSON and the tensors in binary behind it.",
        arguments=NAMES,
        body={JSON: {"schema": ref("InferRequest"), "example": EXAMPLE}},
        more={
            "content": {JSON: {"schema": ref("InferAnswer")}, RAW: {"schema": {}}},
            "headers": {
                HEADER: {
                    "description": "Of a binary answer: how many bytes of it are JSON.",
                    "schema": {"type": "string", "pattern": "^[0-9]+$"},
                }
            },
        },
    )
    def infer(name: str) -> Response:
        """Open Inference Protocol: run the network itself.

        `ecg` [batch, samples] in mV at the model's rate less the recording's first sample, samples
        a multiple of the hop; `carry` [batch, carry_size], zeros if it is not given. Tensors may
        follow the JSON in binary (Triton's extension, header Inference-Header-Content-Length).
        """
        _known(name)
        body = request.get_data()
        with site.admission.work(), site.long_work(len(body)):
            fields, binary = _split(body)
            tensors, outputs = _inputs(fields, binary), _requested(fields)
            ecg, carry = _checked(tensors, contract.hop, contract.carry_size)
            probabilities, carry_out = run_in_pieces(detector.session.run, ecg, carry, contract.hop)
            answers = {"probabilities": probabilities, "carry_out": carry_out}
            head = {"model_name": NAME, "model_version": detector.digest.hex()[:8]}
            if "id" in fields:
                head["id"] = fields["id"]
            return _answer(head, {name: answers[name] for name in outputs}, outputs)

    return v2


def run_in_pieces(
    run: Run, ecg: NDArray[np.float32], carry: NDArray[np.float32], hop: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what ``run`` gives, of a few rows and some seconds at a time.

    What the layers hold between them is some hundred times the signal.
    """
    batch, samples = ecg.shape
    rows = min(batch, RUN_ROWS)
    piece = RUN_SAMPLES // rows // hop * hop
    frames, carries = [], []
    for row in range(0, batch, rows):
        state, found = carry[row : row + rows], []
        for at in range(0, samples, piece):
            probabilities, state = run(ecg[row : row + rows, at : at + piece], state)
            found.append(probabilities)
        frames.append(np.concatenate(found, axis=1))
        carries.append(state)
    return np.concatenate(frames), np.concatenate(carries)


def _split(body: bytes) -> tuple[dict[str, Any], bytes]:
    """The request's JSON object, and the binary tensors behind it."""
    given = request.headers.get(HEADER)
    if given is None and request.mimetype != JSON:
        raise MediaTypeError(
            f"the content type is not {JSON}; with binary tensors the header {HEADER} is expected."
        )
    size = given if given is not None else str(len(body))
    if not (size.isascii() and size.isdecimal() and len(size) < 9 and int(size) <= len(body)):
        raise InputError(
            f"{HEADER} is wrong; expected how many of the body's {len(body)} bytes are JSON."
        )
    if int(size) > MAX_JSON:
        raise too_large(MAX_JSON)
    fields = json_object(body[: int(size)])
    if fields is None or not isinstance(fields.get("inputs"), list):
        raise InputError(
            'the request is not the JSON object that is expected: {"inputs": '
            '[{"name": "ecg", "shape": [1, 360], "datatype": "FP32", "data": [...]}'
            ", ...]}."
        )
    # It comes back in the answer, so it has to be text: half of a surrogate pair is none.
    if "id" in fields and not (
        isinstance(fields["id"], str)
        and len(fields["id"]) <= 128
        and not any("\ud800" <= c <= "\udfff" for c in fields["id"])
    ):
        raise InputError("'id' is no string of at most 128 characters.")
    return fields, body[int(size) :]


def _inputs(fields: dict[str, Any], binary: bytes) -> dict[str, NDArray[np.float32]]:
    tensors: dict[str, NDArray[np.float32]] = {}
    for entry in fields["inputs"]:
        if not isinstance(entry, dict) or entry.get("name") not in INPUTS:
            raise InputError("an input is not named 'ecg' or 'carry'; see /v2/models/ekg.")
        name, shape = entry["name"], entry.get("shape")
        if name in tensors:
            raise InputError(f"input {name!r} is there twice.")
        if entry.get("datatype") != "FP32":
            raise InputError(f"the datatype of {name!r} is not FP32.")
        if not (
            isinstance(shape, list)
            and len(shape) == 2
            and all(type(n) is int and 0 < n <= MAX_SAMPLES for n in shape)
        ):
            raise InputError(f"the shape of {name!r} is no pair of positive numbers.")
        size = _parameters(entry).get("binary_data_size")
        if size is None:
            values = _numbers(name, entry.get("data"), shape[1])
        elif type(size) is int and 0 <= size <= len(binary) and size % 4 == 0:
            values, binary = np.frombuffer(binary[:size], dtype="<f4"), binary[size:]
        else:
            raise InputError(f"binary_data_size of {name!r} does not fit the body.")
        if len(values) != math.prod(shape):
            raise InputError(
                f"{name!r} has {len(values)} values, its shape wants {math.prod(shape)}."
            )
        tensors[name] = values.reshape(shape)
    if binary:
        raise InputError(f"{len(binary)} bytes of the body belong to no input.")
    return tensors


def _numbers(name: str, data: Any, columns: int) -> NDArray[np.float32]:
    """Values row by row, flat or nested as the protocol allows both."""
    if isinstance(data, list) and data and all(isinstance(row, list) for row in data):
        if {len(row) for row in data} != {columns}:  # one patient's would go to another
            raise InputError(
                f"a row of the data of {name!r} has not the {columns} values that its shape wants."
            )
        data = [value for row in data for value in row]
    if not isinstance(data, list) or not set(map(type, data)) <= {int, float}:
        raise InputError(f"the data of {name!r} are not numbers, flat or one list a row.")
    try:
        with np.errstate(over="ignore"):  # infinity is refused with the others
            return np.array(data, dtype=np.float64).astype(np.float32)
    except OverflowError:
        return np.array([np.inf], dtype=np.float32)


def _checked(
    tensors: dict[str, NDArray[np.float32]], hop: int, carry_size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if "ecg" not in tensors:
        raise InputError("the input 'ecg' is missing.")
    ecg = tensors["ecg"]
    batch, samples = ecg.shape
    carry = tensors.get("carry", np.zeros((min(batch, MAX_BATCH), carry_size), dtype=np.float32))
    if batch > MAX_BATCH or ecg.size > MAX_SAMPLES:
        raise InputError(
            f"'ecg' has the shape [{batch}, {samples}]; at most {MAX_BATCH} rows and "
            f"{MAX_SAMPLES} samples are taken at once."
        )
    if samples % hop:
        raise InputError(f"'ecg' has {samples} samples a row; expected a multiple of {hop}.")
    if carry.shape != (batch, carry_size):
        raise InputError(
            f"'carry' has the shape {list(carry.shape)}; expected "
            f"[{batch}, {carry_size}], zeros or the last answer's carry_out."
        )
    for name, tensor in (("ecg", ecg), ("carry", carry)):
        # The bound keeps float32 finite all the way through the network.
        if not (np.abs(tensor) <= 1e9).all():
            raise InputError(f"{name!r} holds values that are not finite, or absurdly large.")
    return ecg, carry


def _requested(fields: dict[str, Any]) -> dict[str, bool]:
    """Names of the requested outputs, each with True if it is to be binary."""
    binary = _parameters(fields).get("binary_data_output") is True
    if "outputs" not in fields:
        return dict.fromkeys(OUTPUTS, binary)
    outputs = fields["outputs"]
    requested = {}
    for entry in outputs if isinstance(outputs, list) else [None]:
        if not isinstance(entry, dict) or entry.get("name") not in OUTPUTS:
            raise InputError("an output is not named 'probabilities' or 'carry_out'.")
        requested[entry["name"]] = _parameters(entry).get("binary_data", binary) is True
    return requested


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InputError("'parameters' is no JSON object.")
    return parameters


def _answer(
    head: dict[str, Any], tensors: dict[str, NDArray[np.float32]], binary: dict[str, bool]
) -> Response:
    outputs, blobs = [], []
    for name, tensor in tensors.items():
        entry = _tensor(name, list(tensor.shape))
        if binary[name]:
            blobs.append(tensor.astype("<f4").tobytes())
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = tensor.ravel().tolist()
        outputs.append(entry)
    text = dump({**head, "outputs": outputs})
    if not blobs:
        return Response(text, content_type=JSON)
    return Response(text + b"".join(blobs), content_type=RAW, headers={HEADER: str(len(text))})


def _tensor(name: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": shape}


def _known(name: str) -> None:
    if name != NAME:
        raise UnknownModelError(f"there is no model of that name here; expected {NAME!r}.")
