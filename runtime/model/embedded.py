"""The graphs that give beats, for programs that do not have this runtime.

``ekg_beats.onnx`` does what this runtime does in arrays between the first network and the rhythm,
``ekg.onnx`` has that network before it. The runtime does not use them: for a second of one patient
its arrays take a quarter of the time (`docs/embed.md`). They are proven equal to
it when they are written, and `ekg doctor` checks that they still give their golden beats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .artifacts import Artifacts
from .session import open_session, session_options

BEATS, WHOLE, GOLDEN = "ekg_beats.onnx", "ekg.onnx", "golden_ekg.npz"
SLOTS = (
    *("r_peaks", "valid", "labels", "scores", "class_probabilities"),
    *("af_probabilities", "fibrillating"),
)
SECONDS = ("seconds", "flaws", "rhythms")
OUTPUTS = (*SLOTS, *SECONDS)
THERE, MISSING, PAST_END = range(3)  # of the input `missing`


class BeatsGraph:
    """Either graph, as it is: arrays in, slots and state out.

    Parameters
    ----------
    files, name : the folder, and the graph in it

    Attributes
    ----------
    state : name of the input that holds it
    state_size : floats of it, zeros where a recording starts

    Raises
    ------
    ModelFileError, ModelError
        The file is missing, altered, or ONNX Runtime cannot read it.
    """

    def __init__(self, files: Artifacts, name: str):
        self._session = open_session(files.path(name), "cpu", session_options("cpu", 1))
        sizes = {tensor.name: tensor.shape[-1] for tensor in self._session.get_inputs()}
        self.state = "memory" if "memory" in sizes else "state"
        self.state_size = int(sizes[self.state])

    def run(
        self, arrays: Mapping[str, NDArray[Any]], state: NDArray[np.float32]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
        """Slots of a chunk, by `OUTPUTS`, and the state after it.

        Parameters
        ----------
        arrays : the graph's inputs but the state, by name
        state : float32 [batch, state_size]
        """
        names = [*OUTPUTS, f"{self.state}_out"]
        *slots, state = self._session.run(names, {**arrays, self.state: state})
        return dict(zip(OUTPUTS, slots, strict=True)), state


@dataclass(frozen=True)
class GoldenEkg:
    """A recording in chunks, and the slots that each of them fills.

    Attributes
    ----------
    ecg : float64 [chunks, samples], mV
    probabilities : float32 [chunks, frames, 6], of the first network
    slots : of `OUTPUTS`, [chunks, frames, ...]
    tolerance : largest difference of a probability that counts as the same answer
    """

    ecg: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    slots: dict[str, NDArray[Any]]
    tolerance: float

    @classmethod
    def read(cls, files: Artifacts) -> GoldenEkg:
        """Read it from the folder; raises as `Artifacts.path`."""
        with np.load(files.path(GOLDEN), allow_pickle=False) as arrays:
            slots = {name: arrays[name] for name in OUTPUTS}
            tolerance = files.files[GOLDEN]["tolerance"]
            return cls(arrays["ecg"], arrays["probabilities"], slots, tolerance)

    def check(self, files: Artifacts) -> None:
        """Refuse graphs that find other beats here than they did when they were exported.

        Raises
        ------
        ModelFileError, ModelError
            Names the graph and what it finds otherwise.
        """
        less_first = (self.ecg - self.ecg[0, 0]).astype(np.float32)
        frames = zip(less_first, self.probabilities, strict=True)
        given: dict[str, list[dict[str, NDArray[Any]]]] = {
            WHOLE: [{"ecg": ecg[None]} for ecg in self.ecg],
            BEATS: [{"ecg": ecg[None], "probabilities": row[None]} for ecg, row in frames],
        }
        for name, chunks in given.items():
            graph = BeatsGraph(files, name)
            state = np.zeros((1, graph.state_size), dtype=np.float32)
            for i, arrays in enumerate(chunks):
                slots, state = graph.run(arrays, state)
                for output, expected in self.slots.items():
                    worst = np.abs(slots[output][0].astype(np.float64) - expected[i]).max()
                    exact = expected.dtype != np.float32
                    if not worst <= (0.0 if exact else self.tolerance):
                        raise ModelError(
                            f"{name} finds other beats in the golden recording than it did when "
                            f"it was exported ({output} in second {i}); copy the artifacts again, "
                            "or use another release of onnxruntime."
                        )
