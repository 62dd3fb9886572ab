"""The Core ML package: converted, described, and proven equal to torch from what was saved.

``python -m export.coreml`` checks the package in ``artifacts/`` on this machine: with Core ML on
macOS, elsewhere with NumPy, operation by operation.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import platform
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.graphs import CHUNK, TOLERANCE, ExportError
from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.simulate import simulate
from training.model import EkgNet

logging.getLogger("coremltools").setLevel(logging.ERROR)  # it warns of every newer torch
import coremltools as ct  # noqa: E402
from coremltools.converters.mil.frontend.milproto.load import load as load_program  # noqa: E402

NAME = "ekg.mlpackage"
INSIDE = (
    "Manifest.json",
    "Data/com.apple.CoreML/model.mlmodel",
    "Data/com.apple.CoreML/weights/weight.bin",
)
FILES = tuple(f"{NAME}/{name}" for name in INSIDE)
# Core ML may sum on the GPU, in another order; elsewhere the arithmetic is float32 in NumPy.
PREDICT_TOLERANCE = 1e-3

_DESCRIPTIONS = {
    "ecg": "ECG, mV at 360 Hz, less the recording's first sample: one second",
    "carry": "history: zeros where a recording starts, then carry_out of the chunk before",
    "probabilities": "for each 50 ms frame the probability of none, N, S, V, F, Q; a frame speaks "
    "of the moment `delay` seconds (see the metadata) before its middle",
    "carry_out": "history to hand in with the next chunk",
}


def write(net: EkgNet, described: dict[str, str], folder: Path, *, half: bool = False) -> Path:
    """Convert the network and save it as ``folder/ekg.mlpackage``.

    Parameters
    ----------
    net : as `training.model.deployed` gives it
    described : the contract, which becomes the package's metadata
    half : compute in float16 (see `half_difference`)

    Returns
    -------
    the package
    """
    example = torch.zeros(1, CHUNK), torch.zeros(1, net.carry_size)
    precision = ct.precision.FLOAT16 if half else ct.precision.FLOAT32
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        model = ct.convert(
            torch.jit.trace(net, example),
            convert_to="mlprogram",
            compute_precision=precision,
            minimum_deployment_target=ct.target.macOS12,
            skip_model_load=True,
            inputs=[
                ct.TensorType(name, tensor.shape, dtype=np.float32)
                for name, tensor in zip(("ecg", "carry"), example, strict=True)
            ],
            outputs=[
                ct.TensorType(name, dtype=np.float32) for name in ("probabilities", "carry_out")
            ],
        )
    model.short_description = (
        "Finds heart beats in one lead of ECG and labels them, live. Not a medical device."
    )
    model.license, model.author, model.version = "MIT", "ekg", described["format"]
    for name in ("ecg", "carry"):
        model.input_description[name] = _DESCRIPTIONS[name]
    for name in ("probabilities", "carry_out"):
        model.output_description[name] = _DESCRIPTIONS[name]
    model.user_defined_metadata.clear()  # the day of conversion is among it
    model.user_defined_metadata.update(
        described
        | {
            "role": f"filter and CNN, one signal, {CHUNK} samples, for Core ML without ONNX "
            "Runtime",
            "carry_size": str(net.carry_size),
        }
    )
    path = folder / NAME
    shutil.rmtree(path, ignore_errors=True)
    model.save(str(path))
    _settle(path)
    return path


def prove(path: Path, net: EkgNet, signals: NDArray[np.float32]) -> float:
    """Run a saved package against torch, second by second with carry.

    Parameters
    ----------
    signals : float32 [signals, samples], mV, samples a multiple of `CHUNK`

    Returns
    -------
    the largest difference of the probabilities

    Raises
    ------
    ExportError
        It exceeds the tolerance, or the package has an operation that the check does not know.
    """
    package = Package(path)
    worst = _difference(package, net, signals)
    if not worst <= package.tolerance:
        raise ExportError(
            f"{NAME} differs from torch by {worst:.2g}; at most "
            f"{package.tolerance:g} is allowed. Nothing was written."
        )
    return worst


def half_difference(net: EkgNet, described: dict[str, str], signals: NDArray[np.float32]) -> float:
    """Difference of a package that computes in float16, parameters as for `prove`.

    It is not shipped: of an electrode's offset a float16 sample leaves few bits for the ECG.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _difference(Package(write(net, described, Path(folder), half=True)), net, signals)


class Package:
    """A saved package, run by Core ML on macOS and by NumPy elsewhere.

    Attributes
    ----------
    run : float32 [1, 360] and [1, carry_size] -> probabilities [1, 20, 6] and carry_out
    by : what runs it, in words
    tolerance : largest difference that counts as the same answer
    """

    def __init__(self, path: Path):
        spec = specification(path)
        self.carry_size = int(spec.description.input[1].type.multiArrayType.shape[1])
        if platform.system() == "Darwin":
            self._model = ct.models.MLModel(str(path))
            self.run, self.by, self.tolerance = self._predict, "Core ML", PREDICT_TOLERANCE
        else:
            weights = path / "Data/com.apple.CoreML/weights"
            program = load_program(spec, spec.specificationVersion, str(weights))
            self._main = program.functions["main"]
            self.run, self.by, self.tolerance = self._evaluate, "NumPy", TOLERANCE

    def label(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """All frames of a signal, float32 [samples] -> [frames, 6], fed chunk by chunk."""
        carry, frames = np.zeros((1, self.carry_size), dtype=np.float32), []
        for chunk in signal.reshape(-1, 1, CHUNK):
            answer, carry = self.run(chunk, carry)
            frames.append(answer[0])
        return np.concatenate(frames)

    def _predict(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        answer = self._model.predict({"ecg": ecg, "carry": carry})
        return answer["probabilities"], answer["carry_out"]

    def _evaluate(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        known: dict[str, Any] = {"ecg": ecg, "carry": carry}

        def value(variable: Any) -> Any:
            if isinstance(variable, list | tuple):
                return [value(item) for item in variable]
            return known[variable.name] if variable.val is None else variable.val

        for operation in self._main.operations:
            if operation.op_type == "const":
                continue
            if operation.op_type not in OPERATIONS:
                raise ExportError(
                    f"the package uses {operation.op_type!r}, which the check does "
                    "not know; add it to OPERATIONS."
                )
            answer = OPERATIONS[operation.op_type](
                **{name: value(variable) for name, variable in operation.inputs.items()}
            )
            answers = answer if isinstance(answer, list) else [answer]
            known |= {out.name: item for out, item in zip(operation.outputs, answers, strict=True)}
        return known["probabilities"], known["carry_out"]


def _difference(package: Package, net: EkgNet, signals: NDArray[np.float32]) -> float:
    with torch.inference_mode():
        expected = net(torch.from_numpy(signals), net.start(len(signals)))[0].numpy()
    return max(
        float(np.abs(package.label(signal) - frames).max())
        for signal, frames in zip(signals, expected, strict=True)
    )


def specification(path: Path) -> Any:
    """The saved description and program; coremltools' own reader writes into the package."""
    spec = ct.proto.Model_pb2.Model()
    spec.ParseFromString((path / INSIDE[1]).read_bytes())
    return spec


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the package in a folder on this machine; exit status 1 if it answers wrongly."""
    parser = argparse.ArgumentParser(prog="python -m export.coreml", description=main.__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    folder = parser.parse_args(arguments).artifacts
    try:
        files = Artifacts(folder)
        for name in FILES:
            files.path(name)
        package, golden = Package(folder / NAME), files.golden("golden.npz")
        onnx_session = Detector.load(folder, provider="cpu").session
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    machine = platform.mac_ver()[0] or platform.platform()
    print(f"{NAME} by {package.by}, coremltools {ct.__version__}, {machine}, {platform.machine()}")
    signal = simulate(60.0, seed=11).signal
    signal -= signal[0]
    start = np.zeros((1, package.carry_size), dtype=np.float32)
    expected = {
        "the golden answer": (golden.ecg.ravel(), np.concatenate(golden.probabilities)),
        "ONNX Runtime on the CPU": (signal, onnx_session.run(signal[None], start)[0][0]),
    }
    worst = 0.0
    for what, (ecg, frames) in expected.items():
        difference = float(np.abs(package.label(ecg) - frames).max())
        worst = max(worst, difference)
        print(f"differs from {what} by {difference:.2g} (allowed is {package.tolerance:g})")
    times = []
    for _ in range(30):
        started = time.perf_counter()
        package.run(signal[None, :CHUNK], start)
        times.append(time.perf_counter() - started)
    print(f"{1000 * float(np.median(times)):.2f} ms for a second of signal")
    print("right" if worst <= package.tolerance else "WRONG: please report the lines above")
    return 0 if worst <= package.tolerance else 1


def _settle(path: Path) -> None:
    """Sort and name what a saved package holds in random order and under random names."""
    (path / INSIDE[1]).write_bytes(specification(path).SerializeToString(deterministic=True))
    manifest = json.loads((path / INSIDE[0]).read_text())
    entries = manifest["itemInfoEntries"]
    names = {key: str(uuid.uuid5(uuid.NAMESPACE_URL, entries[key]["path"])) for key in entries}
    manifest["itemInfoEntries"] = dict(sorted((names[key], entries[key]) for key in entries))
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    # As coremltools writes it, which it does again whenever it opens a package.
    (path / INSIDE[0]).write_text(json.dumps(manifest, indent=4) + "\n")


def _conv(
    x: NDArray[Any],
    weight: NDArray[Any],
    strides: NDArray[Any],
    dilations: NDArray[Any],
    pad_type: str,
    pad: NDArray[Any],
    groups: int,
    bias: NDArray[Any] | None = None,
) -> NDArray[Any]:
    if pad_type != "valid" or groups != 1 or x.ndim != 4 or x.shape[2] != 1:
        raise ExportError(
            "the package has a convolution that pads, is grouped or is not of "
            "height 1, which the check does not know."
        )
    reach = (weight.shape[3] - 1) * int(dilations[1]) + 1
    windows = np.lib.stride_tricks.sliding_window_view(x[0, :, 0], reach, axis=1)
    windows = windows[:, :: int(strides[1]), :: int(dilations[1])]
    single = np.float32  # half-precision products are summed in single precision
    sums = np.tensordot(weight[:, :, 0].astype(single), windows.astype(single), ([1, 2], [0, 2]))
    if bias is not None:
        sums += bias.astype(single)[:, None]
    return sums[None, :, None].astype(x.dtype)


def _slice(
    x: NDArray[Any],
    begin: NDArray[Any],
    end: NDArray[Any],
    begin_mask: NDArray[Any] | None = None,
    end_mask: NDArray[Any] | None = None,
) -> NDArray[Any]:
    none = np.zeros(x.ndim, dtype=bool)
    begins = none if begin_mask is None else begin_mask
    ends = none if end_mask is None else end_mask
    return x[
        tuple(
            slice(None if b_open else int(b), None if e_open else int(e))
            for b, e, b_open, e_open in zip(begin, end, begins, ends, strict=True)
        )
    ]


def _softmax(x: NDArray[Any], axis: int) -> NDArray[Any]:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


# https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "cast": lambda x, dtype: x.astype({"fp16": np.float16, "fp32": np.float32}[dtype]),
    "concat": lambda values, axis, interleave: np.concatenate(values, axis),
    "conv": _conv,
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(int(axis) for axis in axes)),
    "relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "reshape": lambda x, shape: x.reshape(shape),
    "slice_by_index": _slice,
    "softmax": _softmax,
    "squeeze": lambda x, axes: np.squeeze(x, tuple(int(axis) for axis in axes)),
    "split": lambda x, split_sizes, axis: np.split(x, np.cumsum(split_sizes)[:-1], int(axis)),
    "transpose": lambda x, perm: x.transpose(perm),
}


if __name__ == "__main__":
    sys.exit(main())
