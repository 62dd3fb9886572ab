"""The second graph, ``ekg_rhythm.onnx``: what a patient's beats so far say of the rhythm.

The first graph reads the signal and remembers ten seconds. This one reads beats one after another,
and its memory lasts as long as the patient is followed. It is so small that it runs on the CPU
beside every provider. Of the few beats of a live stream the compiled loops do its arithmetic, if
they are there, with the weights that are in the file: a call of ONNX Runtime takes several times as
long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..signal.loops import beat_loops
from .session import open_session, session_options

RHYTHM_GRAPH = "ekg_rhythm.onnx"  # in artifacts/
FORMAT = 2  # of its metadata
MAX_MEMORY = 256  # numbers
MAX_LAG = 64  # beats
AGREE = 1e-4  # of log-odds and memory: rounding makes 3e-6 of difference
FEW = 6  # beats, up to which the compiled loops are faster: a call of ONNX Runtime costs so many


class RhythmNetwork(Protocol):
    """What reads beats.

    Attributes
    ----------
    memory_size : numbers that it remembers, zeros where a recording starts
    lag : the second of its answers is about the beat so many before
    """

    memory_size: int
    lag: int

    def run(
        self, beats: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read the beats that follow.

        Parameters
        ----------
        beats : float32 [beats, batch, inputs]
        memory : float32 [1, batch, memory_size]

        Returns
        -------
        log_odds : float32 [beats, batch, outputs]
        memory : float32 [1, batch, memory_size]
        """


class RhythmGraph:
    """`RhythmNetwork` from a file.

    Attributes
    ----------
    INPUTS : of a beat: log of the RR interval before it over 0.8 s (0 if it is not known), 1 if it
        is known, 1 if the beat is certainly N or S, the log of the share of the power before the
        beats that is left in its mean over 24 and over 12 of them, plus 2 (0 without such beats),
        these beats over 24, and by how much the log of the interval has changed
    OUTPUTS : log-odds of fibrillation at the beat itself, as far as it is known then, and at the
        beat ``lag`` before, in the light of those since
    trained_on : one line on the training data
    weights : width of the first layer, and all weights as the compiled loops take them; None if
        they do not know this graph

    Raises
    ------
    ModelError
        The file cannot be read, or is not what this runtime is made for.
    """

    INPUTS: ClassVar[tuple[str, ...]] = (
        "log_interval",
        "known",
        "atrial",
        "p_wave_24",
        "p_wave_12",
        "p_wave_beats",
        "change",
    )
    OUTPUTS: ClassVar[tuple[str, ...]] = ("now", "before")

    def __init__(self, path: Path):
        session = open_session(path, "cpu", session_options("cpu", 1))
        metadata = session.get_modelmeta().custom_metadata_map
        try:
            stated = {
                name: json.loads(metadata[name]) for name in ("format", "inputs", "outputs", "lag")
            }
            self.lag, self.trained_on = int(stated["lag"]), str(metadata["trained_on"])
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                f"{path} is not a graph over beats that this project's export wrote ({error!r})."
            ) from error
        shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
        sizes = {"beats": len(self.INPUTS), "memory": shapes.get("memory", [0])[-1]}
        if not (
            stated["format"] == FORMAT
            and tuple(stated["inputs"]) == self.INPUTS
            and tuple(stated["outputs"]) == self.OUTPUTS
            and {name: shape[-1] for name, shape in shapes.items()} == sizes
            and isinstance(sizes["memory"], int)
            and 1 <= sizes["memory"] <= MAX_MEMORY
            and 1 <= self.lag <= MAX_LAG
        ):
            raise ModelError(
                f"{path} reads other beats than this runtime gives it; "
                "use the runtime that was shipped with it."
            )
        self.memory_size = int(sizes["memory"])
        self._session = session
        self.weights = self._known(path)

    def run(
        self, beats: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `RhythmNetwork.run`."""
        if self.weights is not None and beats.shape[1] == 1 and len(beats) <= FEW:
            return self._by_loops(beats, memory, self.weights)
        log_odds, memory = self._session.run(_RESULTS, {"beats": beats, "memory": memory})
        return log_odds, memory

    def _by_loops(
        self,
        beats: NDArray[np.float32],
        memory: NDArray[np.float32],
        known: tuple[int, NDArray[np.float32]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`run` of one patient by the compiled loops, with what `weights` holds."""
        memory = memory.copy()  # its own, which moves on
        log_odds = np.empty((*beats.shape[:2], len(self.OUTPUTS)), dtype=np.float32)
        beat_loops.gru(np.ascontiguousarray(beats), beats.shape[2], *known, memory, log_odds)
        return log_odds, memory

    def _known(self, path: Path) -> tuple[int, NDArray[np.float32]] | None:
        """What `_weights` gives, if with it the compiled loops answer as the graph does."""
        found = None if beat_loops is None else _weights(path.read_bytes(), self.memory_size)
        if found is None:
            return None
        shape = FEW, 1, len(self.INPUTS)
        beats = np.linspace(-2, 2, FEW * len(self.INPUTS), dtype=np.float32).reshape(shape)
        memory = np.linspace(-1, 1, self.memory_size, dtype=np.float32).reshape(1, 1, -1)
        asked = self._session.run(_RESULTS, {"beats": beats, "memory": memory})
        same = zip(self._by_loops(beats, memory, found), asked, strict=True)
        return found if all(np.allclose(one, other, atol=AGREE) for one, other in same) else None


_RESULTS = ("log_odds", "memory_out")
# The graph that the compiled loops know, in order.
_OPERATORS = b"MatMul Add Tanh GRU Squeeze MatMul Add Identity Identity"


def _weights(model: bytes, cells: int) -> tuple[int, NDArray[np.float32]] | None:
    """Width of the first layer, and all weights as the compiled loops take them, of a graph's file.

    One after another: of the first layer [inputs, width] and its bias; of the cells' gates
    [width, 3 cells] and [cells, 3 cells] and their biases; of the answers [cells, 2] and their
    bias. None if the graph is another than they know.
    """
    graph = next(value for field, value in _fields(model) if field == 7)
    nodes = [dict(_fields(value)) for field, value in _fields(graph) if field == 1]
    tensors = [dict(_fields(value)) for field, value in _fields(graph) if field == 5]
    if b" ".join(node[4] for node in nodes) != _OPERATORS:
        return None
    # Data types are numbered: 1 is float32. The only other tensor is an axis.
    floats = [np.frombuffer(one.get(9, b""), "<f4") for one in tensors if one[2] == 1]
    inputs, outputs = len(RhythmGraph.INPUTS), len(RhythmGraph.OUTPUTS)
    wide = len(floats[1])
    sizes = inputs * wide, wide, 3 * cells * wide, 3 * cells * cells, 6 * cells, cells * outputs
    if tuple(map(len, floats)) != (*sizes, outputs):
        return None
    for gates in (2, 3):
        floats[gates] = floats[gates].reshape(3 * cells, -1).T.ravel()
    return wide, np.concatenate(floats).astype(np.float32)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message, which an ONNX file is.

    Without the package ``onnx``, which a device does not have. The last field of a number counts.
    """
    at = 0

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte, at = message[at], at + 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(message):
        field, kind = divmod(number(), 8)
        if kind == 0:
            yield field, number()
            continue
        size = number() if kind == 2 else {1: 8, 5: 4}[kind]
        at += size
        yield field, message[at - size : at]
